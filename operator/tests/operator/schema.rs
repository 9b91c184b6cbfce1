//! What the API server itself refuses, in words for people.

use kube::api::PostParams;
use serde_json::{Value, json};

use super::fixture::{Scene, embedded, stack};

fn merged(change: Value) -> Value {
    let mut spec = embedded();
    for (key, value) in change.as_object().expect("object") {
        spec[key] = value.clone();
    }
    spec
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_specs_are_refused_with_a_message() {
    let Some(scene) = Scene::new("schema").await else {
        return;
    };
    let stacks = scene.stacks();
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    stacks
        .create(&dry_run, &stack("demo", json!({})))
        .await
        .expect("an empty spec is taken");
    stacks
        .create(&dry_run, &stack("demo", embedded()))
        .await
        .expect("the base is taken");
    for compact in [
        json!({ "retention": { "raw": "40h", "fiveMinutes": "240h", "oneHour": "1y" } }),
        json!({ "retention": { "raw": "2d", "fiveMinutes": "2w" } }),
        json!({ "retention": { "raw": "1h" }, "downsampling": false }),
    ] {
        let spec = merged(json!({ "compact": compact }));
        stacks
            .create(&dry_run, &stack("demo", spec))
            .await
            .expect("the bounds are taken");
    }
    for (change, message) in [
        (
            json!({ "externalLabels": {} }),
            "externalLabels.cluster is required with objectStorage",
        ),
        (
            json!({ "externalLabels": { "cluster": "a", "prometheus_replica": "x" } }),
            "must not contain the replica label",
        ),
        (
            json!({ "externalLabels": { "cluster": "a", "prometheus": "x" } }),
            "must not contain the label named by prometheusLabelName",
        ),
        (
            json!({ "externalLabels": { "cluster": "a", "a-b": "x" } }),
            "a name must match",
        ),
        (json!({ "replicaLabelName": "prometheus" }), "must differ"),
        (
            json!({ "objectStorage": {} }),
            "needs exactly one of secretRef and embedded",
        ),
        (
            json!({ "objectStorage": { "embedded": {}, "secretRef": { "name": "a" } } }),
            "needs exactly one of secretRef and embedded",
        ),
        (
            json!({ "sidecar": { "blockDuration": "1m" } }),
            "sidecar.blockDuration must be at least 2m",
        ),
        (
            json!({ "prometheus": { "replicas": 0 } }),
            "spec.prometheus.replicas",
        ),
        (
            json!({ "prometheus": { "replicas": 65 } }),
            "spec.prometheus.replicas",
        ),
        (
            json!({ "prometheus": { "retention": "soon" } }),
            "spec.prometheus.retention",
        ),
        (
            json!({ "prometheus": { "storage": { "ephemeral": true, "storageClassName": "a" } } }),
            "has no meaning with storage.ephemeral",
        ),
        (
            json!({ "prometheus": { "remoteWrite": [{ "url": "ftp://a" }] } }),
            "spec.prometheus.remoteWrite[0].url",
        ),
        (json!({ "query": { "replicas": 0 } }), "spec.query.replicas"),
        (
            json!({ "query": { "autoscaling": { "min": 3, "max": 2, "cpu": 50 } } }),
            "autoscaling.min must not be more than autoscaling.max",
        ),
        (
            json!({ "query": { "autoscaling": { "max": 2 } } }),
            "autoscaling needs a target",
        ),
        (
            json!({ "compact": { "retention": { "raw": "39h" } } }),
            "compact.retention.raw must be at least 40h",
        ),
        (
            json!({ "compact": { "retention": { "raw": "1d" } } }),
            "compact.retention.raw must be at least 40h",
        ),
        (
            json!({ "compact": { "retention": { "fiveMinutes": "9d" } } }),
            "compact.retention.fiveMinutes must be at least 10d",
        ),
        (
            json!({ "compact": { "retention": { "fiveMinutes": "239h" } } }),
            "compact.retention.fiveMinutes must be at least 10d",
        ),
        (
            json!({ "compact": { "retention": { "oneHour": "0d" } } }),
            "spec.compact.retention.oneHour",
        ),
        (
            json!({ "alertmanager": { "replicas": 65 } }),
            "spec.alertmanager.replicas",
        ),
        (
            json!({ "alertmanager": { "version": "0.34" } }),
            "spec.alertmanager.version",
        ),
        (
            json!({ "networkPolicy": { "clients": [{}] } }),
            "a client needs either cidr or at least one of",
        ),
        (
            json!({ "networkPolicy": { "clients": [{ "cidr": "10.0.0.0/8", "podLabels": { "a": "b" } }] } }),
            "a client needs either cidr or at least one of",
        ),
    ] {
        let refused = stacks
            .create(&dry_run, &stack("demo", merged(change.clone())))
            .await;
        let error = refused.expect_err(&change.to_string()).to_string();
        assert!(error.contains(message), "{change}: {error}");
    }
    let refused = stacks
        .create(&dry_run, &stack(&"a".repeat(41), json!({})))
        .await;
    let error = refused.expect_err("a long name").to_string();
    assert!(error.contains("at most 40 characters"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stateful_set_cannot_change_is_immutable() {
    let Some(scene) = Scene::new("immutable").await else {
        return;
    };
    scene
        .create(merged(json!({ "naming": { "statefulSet": "old" } })))
        .await;
    for (change, message) in [
        (
            json!({ "naming": { "statefulSet": "new" } }),
            "naming is immutable once set",
        ),
        (json!({ "naming": null }), "naming is immutable once set"),
        (
            json!({ "prometheus": { "storage": { "size": "1Gi" } } }),
            "a volume cannot shrink",
        ),
        (
            json!({ "prometheus": { "storage": { "size": null } } }),
            "a volume cannot shrink",
        ),
        (
            json!({ "prometheus": { "storage": { "storageClassName": "other" } } }),
            "storage cannot be changed but in size",
        ),
        (
            json!({ "store": { "storage": { "ephemeral": true } } }),
            "storage cannot be changed",
        ),
        (
            json!({ "objectStorage": { "embedded": { "size": "1Gi" } } }),
            "objectStorage.embedded cannot be changed",
        ),
    ] {
        let error = scene
            .change(change.clone())
            .await
            .expect_err(&change.to_string())
            .to_string();
        assert!(error.contains(message), "{change}: {error}");
    }
    scene
        .change(json!({ "prometheus": { "replicas": 3, "storage": { "size": "40Gi" } } }))
        .await
        .expect("the rest may change, and a volume may grow");
}
