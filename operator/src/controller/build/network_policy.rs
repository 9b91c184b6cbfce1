//! NetworkPolicies: every pod is closed but for the ports that others need, open to exactly those.
//! What leaves a pod is free: buckets, receivers and targets lie anywhere.

use serde_json::{Value, json};

use super::services::{
    ALERTMANAGER_PORT, EXPORTER_PORT, GRAFANA_PORT, GRPC_PORT, HTTP_PORT, MESH_PORT, S3_PORT,
    TELEMETRY_PORT, WEB_PORT,
};
use super::{Kind, Object, object};
use crate::controller::validate::{NetworkClient, Stack};
use crate::names::Component;

/// Label of the operator's pods.
const OPERATOR: (&str, &str) = ("app.kubernetes.io/name", "hindsight-operator");
/// Label that every namespace has.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// One rule: ports, and who reaches them.
struct Opening {
    ports: Vec<u16>,
    from: Vec<Value>,
}

pub(super) fn objects(stack: &Stack) -> Vec<Object> {
    if !stack.network_policy.enabled {
        return Vec::new();
    }
    stack
        .parts()
        .into_iter()
        // Policies do not reach pods in the node's network.
        .filter(|part| part.component != Component::NodeExporter)
        .map(|part| policy(stack, part.component))
        .collect()
}

fn policy(stack: &Stack, component: Component) -> Object {
    let ingress: Vec<Value> = openings(stack, component)
        .into_iter()
        // A rule without peers would open its ports to everyone.
        .filter(|opening| !opening.from.is_empty())
        .map(|opening| {
            let protocols: &[&str] = if opening.ports == [MESH_PORT] {
                &["TCP", "UDP"]
            } else {
                &["TCP"]
            };
            let ports: Vec<Value> = opening
                .ports
                .iter()
                .flat_map(|port| {
                    protocols
                        .iter()
                        .map(move |protocol| json!({ "port": port, "protocol": protocol }))
                })
                .collect();
            json!({ "ports": ports, "from": opening.from })
        })
        .collect();
    object(
        stack,
        component,
        Kind::NetworkPolicy,
        &stack.names.of(component),
        json!({
            "spec": {
                "podSelector": { "matchLabels": stack.names.selector(component) },
                "policyTypes": ["Ingress"],
                "ingress": ingress,
            },
        }),
    )
}

fn openings(stack: &Stack, component: Component) -> Vec<Opening> {
    let own = |components: &[Component]| -> Vec<Value> {
        components
            .iter()
            .map(|component| json!({ "podSelector": { "matchLabels": stack.names.selector(*component) } }))
            .collect()
    };
    let clients = || stack.network_policy.clients.iter().map(client);
    // Metrics and status: who scrapes, and the operator.
    let status = |ports: &[u16]| Opening {
        ports: ports.to_vec(),
        from: own(&[Component::Prometheus])
            .into_iter()
            .chain([operator(stack)])
            .collect(),
    };
    let grafana: &[Component] = if stack.grafana.is_some() {
        &[Component::Grafana]
    } else {
        &[]
    };
    match component {
        Component::Prometheus => vec![
            Opening {
                ports: vec![WEB_PORT],
                from: own(&[Component::Prometheus])
                    .into_iter()
                    .chain(clients())
                    .collect(),
            },
            status(&[HTTP_PORT]),
            Opening {
                ports: vec![GRPC_PORT],
                from: own(&[Component::Query])
                    .into_iter()
                    .chain(stack.expose.sidecar_grpc.iter().flat_map(|_| clients()))
                    .collect(),
            },
        ],
        Component::Query => vec![
            status(&[HTTP_PORT]),
            Opening {
                ports: vec![HTTP_PORT],
                from: own(grafana),
            },
            Opening {
                ports: vec![HTTP_PORT, GRPC_PORT],
                from: clients().collect(),
            },
        ],
        Component::Store => vec![
            status(&[HTTP_PORT]),
            Opening {
                ports: vec![GRPC_PORT],
                from: own(&[Component::Query]),
            },
        ],
        Component::Compact => vec![status(&[HTTP_PORT])],
        Component::Alertmanager => vec![
            Opening {
                ports: vec![ALERTMANAGER_PORT],
                from: own(&[Component::Prometheus])
                    .into_iter()
                    .chain(own(grafana))
                    .chain(clients())
                    .collect(),
            },
            Opening {
                ports: vec![MESH_PORT],
                from: own(&[Component::Alertmanager]),
            },
        ],
        Component::Grafana => vec![Opening {
            ports: vec![GRAFANA_PORT],
            from: own(&[Component::Prometheus])
                .into_iter()
                .chain(clients())
                .collect(),
        }],
        // Of every stack that may scrape it, wherever that is.
        Component::KubeStateMetrics => vec![Opening {
            ports: vec![EXPORTER_PORT, TELEMETRY_PORT],
            from: vec![json!({
                "namespaceSelector": {
                    "matchExpressions": [{
                        "key": NAMESPACE_NAME,
                        "operator": "In",
                        "values": stack.cluster_stacks,
                    }],
                },
                "podSelector": {
                    "matchLabels": {
                        "app.kubernetes.io/component": Component::Prometheus.as_str(),
                        "app.kubernetes.io/part-of": "hindsight",
                    },
                },
            })],
        }],
        Component::NodeExporter => Vec::new(),
        Component::ObjectStorage => vec![Opening {
            ports: vec![S3_PORT],
            from: own(&[Component::Prometheus, Component::Store, Component::Compact]),
        }],
    }
}

fn operator(stack: &Stack) -> Value {
    let (label, value) = OPERATOR;
    json!({
        "namespaceSelector": { "matchLabels": { NAMESPACE_NAME: stack.operator_namespace } },
        "podSelector": { "matchLabels": { label: value } },
    })
}

fn client(client: &NetworkClient) -> Value {
    if let Some(cidr) = &client.cidr {
        return json!({ "ipBlock": { "cidr": cidr } });
    }
    let mut peer = json!({});
    if !client.namespace_labels.is_empty() {
        peer["namespaceSelector"] = json!({ "matchLabels": client.namespace_labels });
    }
    if !client.pod_labels.is_empty() {
        peer["podSelector"] = json!({ "matchLabels": client.pod_labels });
    }
    peer
}
