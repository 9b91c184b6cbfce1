//! No field without effect: each leaf of the spec, changed alone, changes what is rendered.

use serde_json::{Value, json};

use super::*;

/// Fields whose effect is not on objects, with the reason.
const WITHOUT_OBJECTS: [(&str, &str); 2] = [
    (
        "spec.paused",
        "decides whether anything is applied; the operator's tests show it",
    ),
    (
        "auth.external",
        "must be said and cannot be denied; the schema's and validation's tests show it",
    ),
];

/// A new value for every leaf, by the end of its path; the longest end wins.
fn new_values() -> Vec<(&'static str, Value)> {
    vec![
        ("externalLabels", json!({ "cluster": "other" })),
        ("prometheusLabelName", json!("stack")),
        ("replicaLabelName", json!("copy")),
        ("secretRef.name", json!("second")),
        ("secretRef.key", json!("other.yaml")),
        ("size", json!("7Gi")),
        ("storageClassName", json!("slow")),
        ("ephemeral", json!(true)),
        ("replicas", json!(5)),
        ("version", json!("v3.14.0")),
        ("image", json!("quay.io/prometheus/prometheus:v3.15.1")),
        ("retention", json!("3d")),
        ("retentionSize", json!("9GB")),
        ("scrapeInterval", json!("7s")),
        ("kubelet", json!(false)),
        ("cadvisor", json!(false)),
        ("apiserver", json!(false)),
        ("pods", json!(false)),
        ("services", json!(false)),
        ("monitors.kinds", json!(["PodMonitor"])),
        (
            "selector",
            json!({ "matchLabels": { "team": "elsewhere" } }),
        ),
        (
            "namespaceSelector",
            json!({ "matchLabels": { "team": "b" } }),
        ),
        ("rules.enabled", json!(false)),
        ("scrapeLimits.samples", json!(7)),
        ("scrapeLimits.targets", json!(7)),
        ("scrapeLimits.labels", json!(7)),
        ("scrapeLimits.labelNameLength", json!(7)),
        ("scrapeLimits.labelValueLength", json!(7)),
        ("scrapeLimits.droppedTargets", json!(7)),
        ("scrapeLimits.bodySize", json!("7MB")),
        ("additionalScrapeConfigs.name", json!("second")),
        ("additionalScrapeConfigs.key", json!("other-jobs.yaml")),
        ("ruleConfigMaps", json!(["other"])),
        ("url", json!("https://other.example.com")),
        ("remoteWrite[].name", json!("other")),
        ("remoteTimeout", json!("9s")),
        ("type", json!("Token")),
        ("username.name", json!("second")),
        ("username.key", json!("other")),
        ("password.name", json!("second")),
        ("password.key", json!("other")),
        ("credentials.name", json!("second")),
        ("credentials.key", json!("other")),
        ("requests", json!({ "cpu": "3m" })),
        ("limits", json!({ "memory": "3Gi" })),
        ("nodeSelector", json!({ "disk": "ssd" })),
        ("tolerations", json!([{ "key": "a", "operator": "Exists" }])),
        ("affinity", json!({ "podAffinity": {} })),
        (
            "topologySpreadConstraints",
            json!([{ "maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule" }]),
        ),
        ("priorityClassName", json!("high")),
        ("podLabels", json!({ "team": "sre" })),
        ("podAnnotations", json!({ "a": "b" })),
        ("serviceAccountAnnotations", json!({ "a": "b" })),
        ("logLevel", json!("debug")),
        ("logFormat", json!("json")),
        ("prometheus.extraArgs", json!(["--query.timeout=9s"])),
        ("sidecar.extraArgs", json!(["--hash-func=SHA256"])),
        ("query.extraArgs", json!(["--query.timeout=9s"])),
        ("store.extraArgs", json!(["--chunk-pool-size=1GB"])),
        ("blockDuration", json!("4m")),
        ("hindsight", json!("ghcr.io/hindsight-dev/hindsight:9.9.9")),
        ("versitygw", json!("ghcr.io/versity/versitygw:v9.9.9")),
        ("pullPolicy", json!("Always")),
        ("pullSecrets", json!(["registry"])),
        ("statefulSet", json!("renamed")),
        ("claimTemplate", json!("renamed")),
        ("dataSubPath", json!("renamed")),
        ("selectorLabels", json!({ "app": "renamed" })),
        ("services.prometheus", json!("renamed")),
        ("services.storeApi", json!("renamed")),
        ("services.query", json!("renamed")),
        ("httpProxy", json!("http://proxy.example.com")),
        ("httpsProxy", json!("http://other.example.com")),
        ("noProxy", json!([".example.net"])),
        ("paused", json!(true)),
        ("enabled", json!(false)),
        ("compact.extraArgs", json!(["--wait-interval=9m"])),
        ("compact.concurrency", json!(3)),
        ("deleteDelay", json!("9h")),
        ("downsampling", json!(false)),
        ("deduplication", json!("Penalty")),
        ("raw", json!("90d")),
        ("fiveMinutes", json!("90d")),
        ("oneHour", json!("90d")),
        ("endpoints[].address", json!("other.example.com:443")),
        ("strict", json!(true)),
        ("secretName", json!("second")),
        ("serverName", json!("other.example.com")),
        ("host", json!("other.example.com")),
        ("prometheus.host", json!("other-$(ordinal).example.com")),
        ("sidecarGrpc.host", json!("other-$(ordinal).example.com")),
        ("className", json!("other")),
        ("tlsSecretName", json!("other")),
        ("annotations", json!({ "a": "b" })),
        ("grafana.version", json!("9.9.9")),
        ("grafana.image", json!("docker.io/grafana/grafana:9.9.9")),
        ("defaultRules", json!(false)),
        ("configSecret.name", json!("second")),
        ("configSecret.key", json!("other-alerts.yaml")),
        (
            "alertmanager.image",
            json!("quay.io/prometheus/alertmanager:v9.9.9"),
        ),
        ("alertmanager.version", json!("v0.25.0")),
        ("alertmanager.retention", json!("9h")),
        ("alertmanager.extraArgs", json!(["--web.timeout=9s"])),
        (
            "kubeStateMetrics.image",
            json!("registry.k8s.io/kube-state-metrics/kube-state-metrics:v9.9.9"),
        ),
        ("kubeStateMetrics.version", json!("v9.9.9")),
        ("kubeStateMetrics.extraArgs", json!(["--namespaces=a"])),
        ("nodeExporter.extraArgs", json!(["--collector.processes"])),
        ("namespaceLabels", json!({ "team": "other" })),
        ("cidr", json!("10.2.0.0/16")),
        ("min", json!(2)),
        ("max", json!(9)),
        ("cpu", json!(33)),
        ("memory", json!(33)),
        ("scaleDownStabilizationSeconds", json!(33)),
    ]
}

/// Stacks that differ in what excludes each other.
fn base(path: &str) -> Value {
    let key = |key: &str| json!({ "name": "first", "key": key });
    let storage = if path.contains("embedded") || path.ends_with("versitygw") {
        json!({ "embedded": {} })
    } else {
        json!({ "secretRef": { "name": "first" } })
    };
    let login = if path.contains("authorization") {
        json!({ "url": "https://a", "authorization": { "credentials": key("token") } })
    } else {
        json!({ "url": "https://a", "basicAuth": { "username": key("user"), "password": key("token") } })
    };
    let client = if path.contains("cidr") {
        json!({ "cidr": "10.1.0.0/16" })
    } else {
        json!({ "namespaceLabels": { "team": "first" } })
    };
    let alertmanager = json!({
        "enabled": true,
        "configSecret": { "name": "first", "key": "alerts.yaml" },
    });
    let ui = |host: &str| json!({ "host": host, "auth": { "external": true } });
    let grpc = |host: &str| {
        let ingress = json!({ "tlsSecretName": "host" });
        json!({ "host": host, "ingress": ingress, "auth": { "external": true } })
    };
    let expose = json!({
        "query": ui("query.example.com"),
        "prometheus": ui("prometheus-$(ordinal).example.com"),
        "alertmanager": ui("alertmanager.example.com"),
        "grafana": { "host": "grafana.example.com" },
        "queryGrpc": grpc("grpc.example.com"),
        "sidecarGrpc": grpc("sidecar-$(ordinal).example.com"),
    });
    let mut query = if path.contains("autoscaling") {
        json!({ "autoscaling": { "max": 3, "cpu": 50 } })
    } else {
        json!({})
    };
    query["endpoints"] = json!([{
        "address": "first.example.com:443",
        "tls": { "secretName": "first", "serverName": "first.example.com" },
    }]);
    let expose = path.contains(".expose.").then_some(expose);
    json!({
        "apiVersion": "hindsight.dev/v1alpha1",
        "kind": "MonitoringStack",
        "metadata": { "name": "demo", "namespace": "ns" },
        "spec": {
            "externalLabels": { "cluster": "c" },
            "objectStorage": storage,
            "networkPolicy": { "clients": [client] },
            "query": query,
            "expose": expose,
            "alertmanager": alertmanager,
            "grafana": { "enabled": true },
            "kubeStateMetrics": { "enabled": true },
            "nodeExporter": { "enabled": true },
            "prometheus": {
                "additionalScrapeConfigs": key("jobs.yaml"),
                "remoteWrite": [login],
            },
            "proxy": { "httpsProxy": "http://proxy.example.com" },
        },
    })
}

/// Two Secrets of which every key has another value in each.
fn secrets() -> String {
    let mut text = String::new();
    for name in ["first", "second"] {
        let bucket = |bucket: &str| {
            format!("type: S3\nconfig:\n  bucket: {name}-{bucket}\n  endpoint: s3.example.com\n")
        };
        let alerts = |receiver: &str| {
            let receiver = format!("{name}-{receiver}");
            format!("route: {{receiver: {receiver}}}\nreceivers: [{{name: {receiver}}}]\n")
        };
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": name, "namespace": "ns" },
            "stringData": {
                "thanos.yaml": bucket("a"),
                "other.yaml": bucket("b"),
                "jobs.yaml": format!("- job_name: {name}-a\n"),
                "other-jobs.yaml": format!("- job_name: {name}-b\n"),
                "alerts.yaml": alerts("a"),
                "alertmanager.yaml": alerts("c"),
                "other-alerts.yaml": alerts("b"),
                "user": format!("{name}-user"),
                "token": format!("{name}-token"),
                "other": format!("{name}-other"),
            },
        });
        text.push_str("---\n");
        text.push_str(&crate::yaml::document(&secret));
    }
    text
}

/// A monitor and a rule in the stack's namespace, and the same in another one.
fn monitoring_resources() -> String {
    let mut text = String::from(
        "---\nkind: Namespace\napiVersion: v1\nmetadata: {name: b, labels: {team: b}}\n",
    );
    for namespace in ["ns", "b"] {
        let object = |kind: &str, spec: Value| {
            json!({
                "apiVersion": "monitoring.coreos.com/v1",
                "kind": kind,
                "metadata": { "name": "one", "namespace": namespace, "uid": "u" },
                "spec": spec,
            })
        };
        let monitor = json!({ "selector": {}, "endpoints": [{ "port": "web" }] });
        let rule =
            json!({ "groups": [{ "name": "g", "rules": [{ "alert": "A", "expr": "up" }] }] });
        for object in [
            object("ServiceMonitor", monitor),
            object("PrometheusRule", rule),
        ] {
            text.push_str("---\n");
            text.push_str(&crate::yaml::document(&object));
        }
    }
    text
}

fn rendered(resource: &Value) -> String {
    let input = format!(
        "{}{}---\n{}",
        secrets(),
        monitoring_resources(),
        crate::yaml::document(resource)
    );
    let settings = Settings {
        cluster_stacks: ["ns".to_owned()].into(),
        ..Settings::default()
    };
    render(&input, &settings).unwrap_or_else(|error| panic!("{error}\n{resource:#}"))
}

/// Paths of all leaves of ours: Kubernetes' own types and free maps are one leaf each.
fn leaves(schema: &Value, path: &str, found: &mut Vec<String>) {
    const CORE_TYPES: [&str; 5] = [
        "affinity",
        "tolerations",
        "topologySpreadConstraints",
        "selector",
        "namespaceSelector",
    ];
    let name = path.rsplit('.').next().unwrap_or_default();
    let items = schema
        .get("items")
        .filter(|items| items.get("properties").is_some());
    if CORE_TYPES.contains(&name) {
        found.push(path.to_owned());
    } else if let Some(items) = items {
        leaves(items, &format!("{path}[]"), found);
    } else if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (name, field) in properties {
            leaves(field, &format!("{path}.{name}"), found);
        }
    } else {
        found.push(path.to_owned());
    }
}

#[test]
fn each_leaf_changed_alone_changes_what_is_rendered() {
    let definition = crds::document::monitoring_stack().expect("definition");
    let definition = serde_json::to_value(definition).expect("JSON");
    let schema = definition
        .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
        .expect("schema");
    let mut paths = Vec::new();
    leaves(schema, "spec", &mut paths);
    assert!(paths.len() > 80, "only {} leaves", paths.len());
    let values = new_values();
    for path in paths {
        if WITHOUT_OBJECTS
            .iter()
            .any(|(known, _)| path.ends_with(known))
        {
            continue;
        }
        let value = values
            .iter()
            .filter(|(end, _)| path.ends_with(&format!(".{end}")))
            .max_by_key(|(end, _)| end.len())
            .map(|(_, value)| value)
            .unwrap_or_else(|| {
                panic!("{path}: add a new value, or the reason why it has no effect")
            });
        let before = base(&path);
        let mut after = before.clone();
        let mut at = &mut after;
        for part in path.split('.') {
            let (name, is_list) = match part.strip_suffix("[]") {
                Some(name) => (name, true),
                None => (part, false),
            };
            at = &mut at[name];
            if is_list {
                at = &mut at[0];
            }
        }
        *at = value.clone();
        assert_ne!(
            rendered(&before),
            rendered(&after),
            "{path} = {value} has no effect"
        );
    }
}
