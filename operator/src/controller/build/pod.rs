//! What all pods share: security, scheduling, metadata, probes, volumes.

use std::collections::BTreeMap;

use crds::workload::PodOptions;
use serde_json::{Map, Value, json};

use crate::controller::validate::args::flag_name;
use crate::controller::validate::{Container, Images, Stack, Volume};
use crate::names::Component;

/// uid of every container: all containers of a Prometheus pod must share one, because the sidecar
/// hard-links blocks that Prometheus wrote.
const UID: i64 = 1000;
/// Group that volumes belong to.
const FS_GROUP: i64 = 2000;

/// A pod's parts that differ between workloads.
pub(super) struct Pod<'a> {
    pub(super) component: Component,
    pub(super) options: &'a PodOptions,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) service_account: Option<String>,
    pub(super) mounts_token: bool,
    pub(super) grace_period_seconds: i64,
    pub(super) init_containers: Vec<Value>,
    pub(super) containers: Vec<Value>,
    pub(super) volumes: Vec<Value>,
}

/// The pod template of a workload.
pub(super) fn template(stack: &Stack, pod: Pod<'_>) -> Value {
    let selector = stack.names.selector(pod.component);
    let mut labels = stack.names.labels(pod.component);
    labels.extend(pod.labels);
    labels.extend(pod.options.pod_labels.clone());
    labels.extend(selector.clone());
    let mut metadata = json!({ "labels": labels });
    if !pod.options.pod_annotations.is_empty() {
        metadata["annotations"] = json!(pod.options.pod_annotations);
    }
    let mut spec = json!({
        "automountServiceAccountToken": pod.mounts_token,
        "containers": pod.containers,
        "enableServiceLinks": false,
        "securityContext": {
            "fsGroup": FS_GROUP,
            "fsGroupChangePolicy": "OnRootMismatch",
            "runAsGroup": FS_GROUP,
            "runAsNonRoot": true,
            "runAsUser": UID,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "terminationGracePeriodSeconds": pod.grace_period_seconds,
        "affinity": affinity(pod.options, &selector),
    });
    let mut set = |name: &str, value: Value| {
        let empty = match &value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        if !empty {
            spec[name] = value;
        }
    };
    set("serviceAccountName", json!(pod.service_account));
    set("initContainers", Value::Array(pod.init_containers));
    set("volumes", Value::Array(pod.volumes));
    set("nodeSelector", json!(pod.options.node_selector));
    set("tolerations", json!(pod.options.tolerations));
    set("priorityClassName", json!(pod.options.priority_class_name));
    set("topologySpreadConstraints", spread(pod.options, &selector));
    set(
        "imagePullSecrets",
        stack
            .images
            .pull_secrets
            .iter()
            .map(|name| json!({ "name": name }))
            .collect(),
    );
    json!({ "metadata": metadata, "spec": spec })
}

fn affinity(options: &PodOptions, selector: &BTreeMap<String, String>) -> Value {
    match &options.affinity {
        Some(affinity) => json!(affinity),
        None => json!({
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [{
                    "weight": 100,
                    "podAffinityTerm": {
                        "labelSelector": { "matchLabels": selector },
                        "topologyKey": "kubernetes.io/hostname",
                    },
                }],
            },
        }),
    }
}

fn spread(options: &PodOptions, selector: &BTreeMap<String, String>) -> Value {
    if options.topology_spread_constraints.is_empty() {
        // Zones where there are some; a cluster without zones is one.
        return json!([{
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": { "matchLabels": selector },
        }]);
    }
    options
        .topology_spread_constraints
        .iter()
        .map(|constraint| {
            let mut constraint = json!(constraint);
            if constraint.get("labelSelector").is_none() {
                constraint["labelSelector"] = json!({ "matchLabels": selector });
            }
            constraint
        })
        .collect()
}

/// A container with the fields that all share.
pub(super) fn container(
    name: &str,
    image: &str,
    images: &Images,
    args: Vec<String>,
    resources: Value,
) -> Value {
    json!({
        "name": name,
        "image": image,
        "imagePullPolicy": images.pull_policy.as_str(),
        "args": args,
        "resources": resources,
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
            "readOnlyRootFilesystem": true,
        },
    })
}

/// The container's resources: what the user says, or modest requests without limits.
pub(super) fn resources(container: &Container, cpu: &str, memory: &str) -> Value {
    if container.requests.is_empty() && container.limits.is_empty() {
        return json!({ "requests": { "cpu": cpu, "memory": memory } });
    }
    let mut resources = Map::new();
    for (part, amounts) in [
        ("requests", &container.requests),
        ("limits", &container.limits),
    ] {
        if !amounts.is_empty() {
            resources.insert(part.to_owned(), json!(amounts));
        }
    }
    Value::Object(resources)
}

/// The flags of a component: log flags first, the user's last. A flag of the user's replaces one of
/// the same name.
pub(super) fn args(
    subcommand: Option<&str>,
    own: Vec<String>,
    container: &Container,
) -> Vec<String> {
    let mut args: Vec<String> = subcommand.map(str::to_owned).into_iter().collect();
    if let Some(level) = container.log_level {
        args.push(format!("--log.level={level}"));
    }
    if let Some(format) = container.log_format {
        args.push(format!("--log.format={format}"));
    }
    let replaced = |flag: &String| {
        container
            .extra_args
            .iter()
            .any(|extra| flag_name(extra) == flag_name(flag))
    };
    args.extend(own.into_iter().filter(|flag| !replaced(flag)));
    args.extend(container.extra_args.iter().cloned());
    args
}

/// A probe of an HTTP path.
pub(super) fn probe(path: &str, port: &str, period_seconds: u32, failures: u32) -> Value {
    json!({
        "httpGet": { "path": path, "port": port },
        "periodSeconds": period_seconds,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    })
}

/// A container's port.
pub(super) fn port(name: &str, port: u16) -> Value {
    json!({ "name": name, "containerPort": port, "protocol": "TCP" })
}

/// Environment variables with fixed values.
pub(super) fn environment(variables: &[(String, String)]) -> Vec<Value> {
    variables
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect()
}

/// The claim templates of a StatefulSet for `volume`.
pub(super) fn claim_templates(
    claim: &str,
    volume: &Volume,
    labels: &BTreeMap<String, String>,
) -> Option<Value> {
    let Volume::Claim {
        size,
        storage_class,
    } = volume
    else {
        return None;
    };
    let mut spec = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": { "requests": { "storage": size } },
    });
    if let Some(class) = storage_class {
        spec["storageClassName"] = class.as_str().into();
    }
    // Kind and version are sent because the API server stores them and would count them as changed.
    Some(json!([{
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": claim, "labels": labels },
        "spec": spec,
    }]))
}

/// The pod's volume for `volume`, where it is no claim.
pub(super) fn scratch_volume(name: &str, volume: &Volume) -> Option<Value> {
    let Volume::Ephemeral { size } = volume else {
        return None;
    };
    let mut scratch = json!({});
    if let Some(size) = size {
        scratch["sizeLimit"] = size.as_str().into();
    }
    Some(json!({ "name": name, "emptyDir": scratch }))
}
