//! One valid stack; each case changes one field and expects one error.

use serde_json::{Value, json};

use super::*;
use crate::controller::dereference::SecretData;

fn valid() -> Value {
    json!({
        "apiVersion": "hindsight.dev/v1alpha1",
        "kind": "MonitoringStack",
        "metadata": { "name": "demo", "namespace": "team-a", "uid": "u" },
        "spec": {
            "externalLabels": { "cluster": "prod" },
            "objectStorage": { "secretRef": { "name": "bucket" } },
            "prometheus": {
                "additionalScrapeConfigs": { "name": "scrape", "key": "jobs.yaml" },
                "ruleConfigMaps": ["alerts"],
                "remoteWrite": [{
                    "url": "https://remote.example.com",
                    "name": "remote",
                    "authorization": { "credentials": { "name": "scrape", "key": "token" } },
                }],
                "resources": { "requests": { "cpu": "100m" }, "limits": { "cpu": 1 } },
            },
            "sidecar": { "blockDuration": "2h" },
        },
    })
}

fn references() -> References {
    let secret = |entries: &[(&str, &str)]| {
        SecretData(
            entries
                .iter()
                .map(|(key, text)| ((*key).to_owned(), text.as_bytes().to_vec()))
                .collect(),
        )
    };
    let bucket = "type: S3\nconfig:\n  bucket: metrics\n  endpoint: s3.example.com\n";
    References {
        secrets: BTreeMap::from([
            (
                "bucket".to_owned(),
                secret(&[("thanos.yaml", bucket), ("bad", "type: S4\n")]),
            ),
            ("half".to_owned(), secret(&[("tls.crt", "-")])),
            (
                "scrape".to_owned(),
                secret(&[
                    ("jobs.yaml", "- job_name: a\n"),
                    ("file.yaml", "- job_name: a\n  bearer_token_file: /x\n"),
                    ("token", "t"),
                    ("alerts", "route: {receiver: a}\n"),
                ]),
            ),
        ]),
        ..References::default()
    }
}

fn exposed(expose: Value) -> Value {
    json!({ "expose": expose, "networkPolicy": { "clients": [{ "podLabels": { "a": "b" } }] } })
}

fn check(document: Value) -> Result<Stack, Vec<Invalid>> {
    let resource: MonitoringStack = serde_json::from_value(document).expect("fits the type");
    validate(&resource, &references(), &Settings::default())
}

#[test]
fn the_valid_stack_is_taken() {
    let stack = check(valid()).expect("valid");
    assert_eq!(stack.external_labels["prometheus"], "team-a/demo");
    assert_eq!(stack.external_labels["cluster"], "prod");
    assert_eq!(stack.reach, Reach::Namespace);
    assert_eq!(
        stack.prometheus.image,
        "quay.io/prometheus/prometheus:v3.15.0"
    );
    assert_eq!(stack.prometheus.container.limits["cpu"], "1");
    let Some(ObjectStorage::Secret { bucket, .. }) = stack.object_storage else {
        panic!("the bucket of the Secret");
    };
    assert_eq!(bucket.text, "S3 metrics");
}

#[test]
fn one_wrong_field_gives_one_error_that_names_it() {
    let prometheus = "/spec/prometheus";
    #[rustfmt::skip]
    let cases: Vec<(String, Value, &str, Reason)> = vec![
        ("/metadata/name".into(), json!("a".repeat(41)), "metadata.name", Reason::InvalidSpec),
        ("/spec/externalLabels".into(), json!({}), "spec.externalLabels.cluster", Reason::InvalidSpec),
        ("/spec/externalLabels/prometheus_replica".into(), json!("x"), "spec.externalLabels.prometheus_replica", Reason::InvalidSpec),
        ("/spec/externalLabels/prometheus".into(), json!("x"), "spec.externalLabels.prometheus", Reason::InvalidSpec),
        ("/spec/externalLabels/a-b".into(), json!("x"), "spec.externalLabels.a-b", Reason::InvalidSpec),
        ("/spec/replicaLabelName".into(), json!("a b"), "spec.replicaLabelName", Reason::InvalidSpec),
        ("/spec/prometheusLabelName".into(), json!("1a"), "spec.prometheusLabelName", Reason::InvalidSpec),
        ("/spec/objectStorage".into(), json!({}), "spec.objectStorage", Reason::InvalidSpec),
        ("/spec/objectStorage/embedded".into(), json!({}), "spec.objectStorage", Reason::InvalidSpec),
        ("/spec/objectStorage/secretRef/name".into(), json!("absent"), "spec.objectStorage.secretRef", Reason::SecretNotFound),
        ("/spec/objectStorage/secretRef/key".into(), json!("absent"), "spec.objectStorage.secretRef", Reason::SecretKeyNotFound),
        ("/spec/objectStorage/secretRef/key".into(), json!("bad"), "spec.objectStorage.secretRef", Reason::MalformedSecret),
        ("/spec/objectStorage".into(), json!({ "embedded": { "size": "0" } }), "spec.objectStorage.embedded.size", Reason::InvalidSpec),
        ("/spec/query".into(), json!({ "autoscaling": { "min": 4, "max": 3, "cpu": 50 } }), "spec.query.autoscaling.min", Reason::InvalidSpec),
        ("/spec/query".into(), json!({ "autoscaling": { "max": 65, "cpu": 50 } }), "spec.query.autoscaling.max", Reason::InvalidSpec),
        ("/spec/query".into(), json!({ "autoscaling": { "max": 3 } }), "spec.query.autoscaling", Reason::InvalidSpec),
        ("/spec/query".into(), json!({ "autoscaling": { "max": 3, "memory": 50 }, "resources": { "requests": { "cpu": "1" } } }), "spec.query.autoscaling.memory", Reason::InvalidSpec),
        ("/spec/compact".into(), json!({ "retention": { "raw": "39h" } }), "spec.compact.retention.raw", Reason::InvalidSpec),
        ("/spec/compact".into(), json!({ "retention": { "raw": "soon" } }), "spec.compact.retention.raw", Reason::InvalidSpec),
        ("/spec/compact".into(), json!({ "retention": { "fiveMinutes": "9d" } }), "spec.compact.retention.fiveMinutes", Reason::InvalidSpec),
        ("/spec/compact".into(), json!({ "retention": { "oneHour": "0d" } }), "spec.compact.retention.oneHour", Reason::InvalidSpec),
        ("/spec/compact".into(), json!({ "concurrency": 0 }), "spec.compact.concurrency", Reason::InvalidSpec),
        ("/spec/compact".into(), json!({ "deleteDelay": "soon" }), "spec.compact.deleteDelay", Reason::InvalidSpec),
        ("/spec/compact".into(), json!({ "extraArgs": ["--data-dir=/x"] }), "spec.compact.extraArgs[0]", Reason::InvalidSpec),
        ("/spec/alertmanager".into(), json!({ "enabled": true, "version": "v0.24.0" }), "spec.alertmanager.version", Reason::InvalidSpec),
        ("/spec/alertmanager".into(), json!({ "enabled": true, "version": "0.34" }), "spec.alertmanager.version", Reason::InvalidSpec),
        ("/spec/alertmanager".into(), json!({ "enabled": true, "retention": "0s" }), "spec.alertmanager.retention", Reason::InvalidSpec),
        ("/spec/alertmanager".into(), json!({ "enabled": true, "replicas": 0 }), "spec.alertmanager.replicas", Reason::InvalidSpec),
        ("/spec/alertmanager".into(), json!({ "enabled": true, "image": "evil/am:1" }), "spec.alertmanager.image", Reason::ImageNotAllowed),
        ("/spec/alertmanager".into(), json!({ "enabled": true, "extraArgs": ["--config.file=/x"] }), "spec.alertmanager.extraArgs[0]", Reason::InvalidSpec),
        ("/spec/alertmanager".into(), json!({ "enabled": true, "configSecret": { "name": "absent" } }), "spec.alertmanager.configSecret", Reason::SecretNotFound),
        ("/spec/alertmanager".into(), json!({ "enabled": true, "configSecret": { "name": "scrape" } }), "spec.alertmanager.configSecret", Reason::SecretKeyNotFound),
        ("/spec/alertmanager".into(), json!({ "enabled": true, "configSecret": { "name": "scrape", "key": "alerts" } }), "spec.alertmanager.configSecret", Reason::MalformedSecret),
        ("/spec/query".into(), json!({ "endpoints": [{ "address": "no-port" }] }), "spec.query.endpoints[0].address", Reason::InvalidSpec),
        ("/spec/query".into(), json!({ "endpoints": [{ "address": "a:1" }, { "address": "a:1" }] }), "spec.query.endpoints[1].address", Reason::InvalidSpec),
        ("/spec/query".into(), json!({ "endpoints": [{ "address": "dns+a:1", "strict": true }] }), "spec.query.endpoints[0].strict", Reason::InvalidSpec),
        ("/spec/query".into(), json!({ "endpoints": [{ "address": "a:1", "tls": { "secretName": "absent" } }] }), "spec.query.endpoints[0].tls.secretName", Reason::SecretNotFound),
        ("/spec/query".into(), json!({ "endpoints": [{ "address": "a:1", "tls": { "secretName": "half" } }] }), "spec.query.endpoints[0].tls.secretName", Reason::SecretKeyNotFound),
        ("/spec".into(), exposed(json!({ "query": { "host": "a", "auth": { "external": false } } })), "spec.expose.query.auth.external", Reason::InvalidSpec),
        ("/spec".into(), exposed(json!({ "prometheus": { "host": "a", "auth": { "external": true } } })), "spec.expose.prometheus.host", Reason::InvalidSpec),
        ("/spec".into(), exposed(json!({ "query": { "host": "$(ordinal)", "auth": { "external": true } } })), "spec.expose.query.host", Reason::InvalidSpec),
        ("/spec".into(), exposed(json!({ "grafana": { "host": "a" } })), "spec.expose.grafana", Reason::InvalidSpec),
        ("/spec".into(), exposed(json!({ "queryGrpc": { "host": "a", "ingress": {}, "auth": { "external": true } } })), "spec.expose.queryGrpc.ingress.tlsSecretName", Reason::InvalidSpec),
        ("/spec".into(), exposed(json!({ "query": { "host": "a", "auth": { "external": true }, "ingress": { "annotations": { "x/configuration-snippet": "y" } } } })), "spec.expose.query.ingress.annotations.x/configuration-snippet", Reason::InvalidSpec),
        ("/spec".into(), exposed(json!({ "query": { "host": "a", "auth": { "external": true }, "ingress": { "annotations": { "x/auth-tls-secret": "other/ca" } } } })), "spec.expose.query.ingress.annotations.x/auth-tls-secret", Reason::InvalidSpec),
        ("/spec".into(), json!({ "expose": { "query": { "host": "a", "auth": { "external": true } } } }), "spec.networkPolicy.clients", Reason::InvalidSpec),
        ("/spec/grafana".into(), json!({ "enabled": true, "image": "evil/grafana:1" }), "spec.grafana.image", Reason::ImageNotAllowed),
        ("/spec/kubeStateMetrics".into(), json!({ "image": "evil/ksm:1" }), "spec.kubeStateMetrics.image", Reason::ImageNotAllowed),
        ("/spec/kubeStateMetrics".into(), json!({ "extraArgs": ["--kubeconfig=/x"] }), "spec.kubeStateMetrics.extraArgs[0]", Reason::InvalidSpec),
        ("/spec/nodeExporter".into(), json!({ "extraArgs": ["--web.config.file=/x"] }), "spec.nodeExporter.extraArgs[0]", Reason::InvalidSpec),
        ("/spec/networkPolicy".into(), json!({ "clients": [{}] }), "spec.networkPolicy.clients[0]", Reason::InvalidSpec),
        ("/spec/networkPolicy".into(), json!({ "clients": [{ "cidr": "10.0.0.0/8", "podLabels": { "a": "b" } }] }), "spec.networkPolicy.clients[0]", Reason::InvalidSpec),
        ("/spec/networkPolicy".into(), json!({ "clients": [{ "cidr": "10.0.0.0/33" }] }), "spec.networkPolicy.clients[0].cidr", Reason::InvalidSpec),
        (format!("{prometheus}/replicas"), json!(0), "spec.prometheus.replicas", Reason::InvalidSpec),
        (format!("{prometheus}/replicas"), json!(1000), "spec.prometheus.replicas", Reason::InvalidSpec),
        (format!("{prometheus}/version"), json!("v2.55.0"), "spec.prometheus.version", Reason::InvalidSpec),
        (format!("{prometheus}/version"), json!("latest"), "spec.prometheus.version", Reason::InvalidSpec),
        (format!("{prometheus}/image"), json!("evil.example/prometheus:v3.15.0"), "spec.prometheus.image", Reason::ImageNotAllowed),
        (format!("{prometheus}/retention"), json!("0h"), "spec.prometheus.retention", Reason::InvalidSpec),
        (format!("{prometheus}/retention"), json!("1fortnight"), "spec.prometheus.retention", Reason::InvalidSpec),
        (format!("{prometheus}/scrapeInterval"), json!("fast"), "spec.prometheus.scrapeInterval", Reason::InvalidSpec),
        (format!("{prometheus}/storage"), json!({ "size": "big" }), "spec.prometheus.storage.size", Reason::InvalidSpec),
        (format!("{prometheus}/storage"), json!({ "ephemeral": true, "storageClassName": "a" }), "spec.prometheus.storage.storageClassName", Reason::InvalidSpec),
        (format!("{prometheus}/additionalScrapeConfigs/key"), json!("file.yaml"), "spec.prometheus.additionalScrapeConfigs", Reason::MalformedSecret),
        (format!("{prometheus}/additionalScrapeConfigs/name"), json!("absent"), "spec.prometheus.additionalScrapeConfigs", Reason::SecretNotFound),
        (format!("{prometheus}/ruleConfigMaps"), json!(["a", "a"]), "spec.prometheus.ruleConfigMaps[1]", Reason::InvalidSpec),
        (format!("{prometheus}/ruleConfigMaps"), json!(["../a"]), "spec.prometheus.ruleConfigMaps[0]", Reason::InvalidSpec),
        (format!("{prometheus}/remoteWrite/0/url"), json!("ftp://a"), "spec.prometheus.remoteWrite[0].url", Reason::InvalidSpec),
        (format!("{prometheus}/remoteWrite/0/remoteTimeout"), json!("x"), "spec.prometheus.remoteWrite[0].remoteTimeout", Reason::InvalidSpec),
        (format!("{prometheus}/remoteWrite/0/authorization/credentials/key"), json!("absent"), "spec.prometheus.remoteWrite[0].authorization.credentials", Reason::SecretKeyNotFound),
        (format!("{prometheus}/monitors"), json!({ "selector": { "matchLabels": { "a b": "c" } } }), "spec.prometheus.monitors.selector", Reason::InvalidSpec),
        (format!("{prometheus}/monitors"), json!({ "namespaceSelector": { "matchExpressions": [{ "key": "a", "operator": "In" }] } }), "spec.prometheus.monitors.namespaceSelector", Reason::InvalidSpec),
        (format!("{prometheus}/rules"), json!({ "selector": { "matchExpressions": [{ "key": "a", "operator": "Near" }] } }), "spec.prometheus.rules.selector", Reason::InvalidSpec),
        (format!("{prometheus}/rules"), json!({ "namespaceSelector": { "matchLabels": { "a": "b c" } } }), "spec.prometheus.rules.namespaceSelector", Reason::InvalidSpec),
        (format!("{prometheus}/scrapeLimits"), json!({ "bodySize": "7" }), "spec.prometheus.scrapeLimits.bodySize", Reason::InvalidSpec),
        (format!("{prometheus}/resources/limits/cpu"), json!("50m"), "spec.prometheus.resources.requests.cpu", Reason::InvalidSpec),
        (format!("{prometheus}/resources/limits/cpu"), json!("much"), "spec.prometheus.resources.limits.cpu", Reason::InvalidSpec),
        (format!("{prometheus}/extraArgs"), json!(["--web.config.file=/x"]), "spec.prometheus.extraArgs[0]", Reason::InvalidSpec),
        (format!("{prometheus}/extraArgs"), json!(["--query.timeout=1m", "x"]), "spec.prometheus.extraArgs[1]", Reason::InvalidSpec),
        (format!("{prometheus}/podLabels"), json!({ "app.kubernetes.io/name": "x" }), "spec.prometheus.podLabels.app.kubernetes.io/name", Reason::InvalidSpec),
        ("/spec/sidecar/blockDuration".into(), json!("1m"), "spec.sidecar.blockDuration", Reason::InvalidSpec),
        ("/spec/sidecar/extraArgs".into(), json!(["--tsdb.path=/x"]), "spec.sidecar.extraArgs[0]", Reason::InvalidSpec),
        ("/spec/query/replicas".into(), json!(-1), "spec.query.replicas", Reason::InvalidSpec),
        ("/spec/query/extraArgs".into(), json!(["--endpoint=a"]), "spec.query.extraArgs[0]", Reason::InvalidSpec),
        ("/spec/store/replicas".into(), json!(65), "spec.store.replicas", Reason::InvalidSpec),
        ("/spec/store/storage".into(), json!({ "size": "-1Gi" }), "spec.store.storage.size", Reason::InvalidSpec),
        ("/spec/store/extraArgs".into(), json!(["--objstore.config=x"]), "spec.store.extraArgs[0]", Reason::InvalidSpec),
        ("/spec/images/hindsight".into(), json!("evil.example/x"), "spec.images.hindsight", Reason::ImageNotAllowed),
        ("/spec/images/versitygw".into(), json!("evil.example/x"), "spec.images.versitygw", Reason::ImageNotAllowed),
    ];
    for (pointer, value, path, reason) in cases {
        let mut document = valid();
        set(&mut document, &pointer, value.clone());
        let invalid = check(document).expect_err(&format!("{pointer} = {value}"));
        let found: Vec<_> = invalid
            .iter()
            .map(|entry| (entry.path.as_str(), entry.reason))
            .collect();
        assert_eq!(found, [(path, reason)], "{pointer} = {value}: {invalid:?}");
    }
}

#[test]
fn all_errors_are_reported_at_once() {
    let mut document = valid();
    set(&mut document, "/spec/prometheus/replicas", json!(0));
    set(&mut document, "/spec/query/replicas", json!(0));
    assert_eq!(check(document).expect_err("two errors").len(), 2);
}

#[test]
fn an_error_never_quotes_a_secret() {
    let mut references = references();
    let secret = SecretData(BTreeMap::from([(
        "thanos.yaml".to_owned(),
        b"type: S3\nconfig:\n  bucket: a\n  endpoint: b\n  secret_key: [hunter2]\n".to_vec(),
    )]));
    references.secrets.insert("bucket".to_owned(), secret);
    let resource: MonitoringStack = serde_json::from_value(valid()).expect("fits the type");
    let invalid = validate(&resource, &references, &Settings::default()).expect_err("malformed");
    assert!(!format!("{invalid:?}").contains("hunter2"), "{invalid:?}");
}

#[test]
fn the_proxy_never_covers_the_cluster() {
    let mut document = valid();
    set(
        &mut document,
        "/spec/proxy",
        json!({ "httpsProxy": "http://p:1", "noProxy": [".corp"] }),
    );
    let stack = check(document).expect("valid");
    assert_eq!(
        stack.proxy,
        [
            ("HTTPS_PROXY".to_owned(), "http://p:1".to_owned()),
            (
                "NO_PROXY".to_owned(),
                "127.0.0.1,localhost,.svc,.cluster.local,.corp".to_owned()
            ),
        ]
    );
}

/// Sets the value at a JSON pointer, making objects on the way.
fn set(document: &mut Value, pointer: &str, value: Value) {
    let mut at = document;
    for part in pointer.trim_start_matches('/').split('/') {
        at = match at {
            Value::Array(items) => &mut items[part.parse::<usize>().expect("index")],
            other => {
                if other.is_null() {
                    *other = json!({});
                }
                &mut other[part]
            }
        };
    }
    *at = value;
}

#[test]
fn an_exporter_is_made_once_and_only_with_leave() {
    use crate::controller::exporters::Owner;
    use crate::names::Component;
    let mut document = valid();
    document["spec"]["kubeStateMetrics"] = json!({ "enabled": true });
    let place = |leave: bool, owner: Option<&str>| {
        let resource: MonitoringStack =
            serde_json::from_value(document.clone()).expect("fits the type");
        let mut references = references();
        references.exporter_owners.extend(owner.map(|stack| {
            let owner = Owner {
                namespace: "other".to_owned(),
                stack: stack.to_owned(),
            };
            (Component::KubeStateMetrics, owner)
        }));
        let settings = Settings {
            cluster_stacks: leave.then(|| "team-a".to_owned()).into_iter().collect(),
            ..Settings::default()
        };
        let stack = validate(&resource, &references, &settings).expect("valid");
        assert_eq!(stack.node_exporter.place, Place::Unwanted);
        stack.kube_state_metrics.place
    };
    assert_eq!(place(false, None), Place::NoLeave);
    assert_eq!(place(true, None), Place::Here);
    assert_eq!(
        place(true, Some("first")),
        Place::Elsewhere {
            namespace: "other".to_owned(),
            stack: "first".to_owned(),
        }
    );
}
