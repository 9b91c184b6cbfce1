use serde_json::{Value, json};

use super::*;
use crate::render::{Built, built};
use crate::settings::Settings;

fn stack(spec: Value, others: &str) -> Built {
    let document = json!({
        "apiVersion": "hindsight.dev/v1alpha1",
        "kind": "MonitoringStack",
        "metadata": { "name": "demo", "namespace": "ns" },
        "spec": spec,
    });
    let input = format!("{}---\n{others}", crate::yaml::document(&document));
    let mut found = built(&input, &Settings::default()).expect("builds");
    found.remove(0)
}

fn side(built: &Built) -> Side<'_> {
    Side {
        stack: &built.stack,
        desired: &built.desired,
    }
}

fn report(before: &Built, after: &Built) -> String {
    compare(side(before), side(after)).to_string()
}

#[test]
fn nothing_changes_where_nothing_changes() {
    let one = stack(json!({}), "");
    assert_eq!(report(&one, &one), "nothing changes\n");
}

#[test]
fn a_changed_flag_restarts_and_names_the_field() {
    let before = stack(json!({}), "");
    let after = stack(json!({ "prometheus": { "retention": "2d" } }), "");
    let text = report(&before, &after);
    assert!(text.contains("~ StatefulSet demo-prometheus"), "{text}");
    assert!(text.contains("--storage.tsdb.retention.time=24h"), "{text}");
    assert!(
        text.contains("restarts, one pod at a time: StatefulSet demo-prometheus\n"),
        "{text}"
    );
    assert!(!text.contains('!'), "{text}");
}

#[test]
fn a_changed_job_restarts_nothing() {
    let monitor = "apiVersion: monitoring.coreos.com/v1\nkind: ServiceMonitor\nmetadata: {name: web, namespace: ns}\nspec: {selector: {}, endpoints: [{port: http}]}\n";
    let text = report(&stack(json!({}), ""), &stack(json!({}), monitor));
    assert!(
        text.contains("scrape job + serviceMonitor/ns/web/0"),
        "{text}"
    );
    assert!(text.contains("restarts: none"), "{text}");
}

#[test]
fn what_breaks_is_said() {
    let base = json!({ "externalLabels": { "cluster": "a" }, "objectStorage": { "embedded": {} } });
    let with = |path: &str, value: Value| {
        let mut spec = base.clone();
        let mut at = &mut spec;
        for part in path.split('.') {
            at = &mut at[part];
        }
        *at = value;
        stack(spec, "")
    };
    let before = stack(base.clone(), "");
    for (after, expected) in [
        (
            with("externalLabels.cluster", json!("b")),
            "external labels change",
        ),
        (
            with("replicaLabelName", json!("copy")),
            "external labels change",
        ),
        (with("prometheus.replicas", json!(1)), "1 of 2 replicas go"),
        (
            with("prometheus.storage", json!({ "size": "30Gi" })),
            "volumes grow from 20Gi to 30Gi",
        ),
        (
            with("prometheus.storage", json!({ "size": "10Gi" })),
            "cannot shrink",
        ),
        (
            with(
                "prometheus.storage",
                json!({ "size": "20Gi", "storageClassName": "fast" }),
            ),
            "name and class of volume claims",
        ),
        (
            with("prometheus.storage", json!({ "ephemeral": true })),
            "moves to scratch space",
        ),
        (with("objectStorage", Value::Null), "object storage goes"),
        (
            with("objectStorage", Value::Null),
            "StatefulSet demo-store goes; its volume claims stay",
        ),
        (
            with("naming", json!({ "services": { "query": "old" } })),
            "the name demo-query.ns resolves no more",
        ),
        (
            with("naming", json!({ "selectorLabels": { "app": "x" } })),
            "spec.selector cannot be changed",
        ),
    ] {
        let text = report(&before, &after);
        assert!(
            text.contains(&format!("! {expected}")) || text.contains(expected),
            "{expected}: {text}"
        );
    }
}

#[test]
fn no_value_of_a_secret_is_shown() {
    let endpoint = json!({ "prometheus": { "remoteWrite": [{ "url": "https://a", "authorization": { "credentials": { "name": "login", "key": "token" } } }] } });
    let secret = |token: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: login, namespace: ns}}\nstringData: {{token: {token}}}\n"
        )
    };
    let text = report(
        &stack(endpoint.clone(), &secret("hunter1")),
        &stack(endpoint, &secret("hunter2")),
    );
    assert!(text.contains("remote_write changes"), "{text}");
    assert!(!text.contains("hunter"), "{text}");
}
