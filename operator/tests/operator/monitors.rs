//! Monitoring resources on a real API server: selected, translated, judged, and never in each
//! other's way.

use ::operator::controller::build::Kind;
use ::operator::controller::build::prometheus_config;
use ::operator::coreos::watch::api_resource;
use ::operator::settings::Settings;
use ::operator::{gather, inspect, render};
use base64::Engine as _;
use crds::coreos;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::fixture::{Scene, until};

fn api(scene: &Scene, kind: coreos::Kind) -> Api<DynamicObject> {
    Api::namespaced_with(scene.admin.clone(), &scene.namespace, &api_resource(kind))
}

async fn put(scene: &Scene, kind: coreos::Kind, name: &str, spec: Value) {
    let document = json!({
        "apiVersion": format!("{}/{}", coreos::GROUP, kind.version()),
        "kind": kind.as_str(),
        "metadata": { "name": name },
        "spec": spec,
    });
    let params = PatchParams::apply("author").force();
    let api = api(scene, kind);
    // A definition that was created a moment ago is not served yet.
    until("the object is taken", async || {
        api.patch(name, &params, &Patch::Apply(&document))
            .await
            .is_ok()
    })
    .await;
}

async fn template(scene: &Scene) -> String {
    let secret = scene.api(Kind::Secret).get("demo-prometheus").await;
    let Ok(secret) = secret else {
        return String::new();
    };
    let text = secret.data["data"]["prometheus.yaml.tmpl"].as_str();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text.expect("template"))
        .expect("base64");
    String::from_utf8(bytes).expect("UTF-8")
}

async fn until_template(scene: &Scene, what: &str, is_met: impl Fn(&str) -> bool) {
    until(what, async || is_met(&template(scene).await)).await;
}

/// Notes of the events on an object.
async fn events_on(scene: &Scene, name: &str) -> Vec<String> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("events.k8s.io", "v1", "Event"));
    let events: Api<DynamicObject> =
        Api::namespaced_with(scene.admin.clone(), &scene.namespace, &resource);
    let events = events.list(&ListParams::default()).await.expect("events");
    events
        .items
        .iter()
        .filter(|event| event.data["regarding"]["name"] == name)
        .map(|event| event.data["note"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_monitor_gets_a_verdict_and_blocks_nothing() {
    let Some(scene) = Scene::new("monitors").await else {
        return;
    };
    let operator = scene.operator_with_definitions("one").await;
    scene.create(json!({})).await;
    let monitor = coreos::Kind::ServiceMonitor;
    put(
        &scene,
        monitor,
        "good",
        json!({ "selector": { "matchLabels": { "app": "web" } }, "endpoints": [{ "port": "http" }] }),
    )
    .await;
    put(
        &scene,
        monitor,
        "bad",
        json!({
            "selector": {},
            "endpoints": [{
                "port": "http",
                "authorization": { "credentials": { "name": "later", "key": "token" } },
            }],
        }),
    )
    .await;
    let good = "job_name: serviceMonitor/monitors/good/0";
    let bad = "job_name: serviceMonitor/monitors/bad/0";
    until_template(&scene, "the good one is scraped", |text| {
        text.contains(good)
    })
    .await;
    let message = scene
        .until_condition("ResourcesRejected", "True", "InvalidConfiguration")
        .await;
    let problem = "Secret \"later\" does not exist in namespace monitors";
    assert!(message.contains(problem), "{message}");
    assert!(!template(&scene).await.contains(bad));
    let status = scene.stacks().get("demo").await.expect("stack").status;
    let status = status.expect("status");
    let rejected: Vec<_> = status
        .rejected
        .iter()
        .map(|one| (one.kind.as_str(), one.name.as_str()))
        .collect();
    assert_eq!(rejected, [("ServiceMonitor", "bad")]);
    assert_eq!(
        (status.selected[0].selected, status.selected[0].rejected),
        (2, 1)
    );
    until("the author is told", async || {
        events_on(&scene, "bad")
            .await
            .iter()
            .any(|note| note.contains(problem))
    })
    .await;
    assert!(events_on(&scene, "good").await.is_empty());
    let line = "hindsight_operator_resources_rejected{namespace=\"monitors\",stack=\"demo\",kind=\"ServiceMonitor\"} 1";
    until("the rejection is counted", async || {
        operator.metrics.encode().contains(line)
    })
    .await;
    scene.assert_at_rest(&operator).await;

    // Who asks with own rights sees what the operator saw.
    let settings = Settings {
        cluster_stacks: ["monitors".to_owned()].into(),
        ..Settings::default()
    };
    let stack = scene.stacks().get("demo").await.expect("stack");
    let references = inspect::references(&scene.admin, &stack, &settings)
        .await
        .expect("references");
    let built = render::build_one(&stack, &references, &settings).expect("builds");
    let wanted = prometheus_config::template(&built.stack);
    assert_eq!(template(&scene).await, wanted);
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("must-gather");
    let written = gather::gather(&scene.admin, &stack, &folder).await;
    assert!(written.expect("gathered") > 10);
    let secret = folder.join("Secret/demo-prometheus.yaml");
    let secret = std::fs::read_to_string(secret).expect("the Secret is there");
    assert!(secret.contains("characters>"), "{secret}");

    // A Secret that comes later is news.
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": "later" },
        "stringData": { "token": "abc" },
    });
    scene
        .api(Kind::Secret)
        .patch(
            "later",
            &PatchParams::apply("author"),
            &Patch::Apply(&secret),
        )
        .await
        .expect("created");
    until_template(&scene, "the bad one is scraped", |text| text.contains(bad)).await;
    until("nothing is rejected any more", async || {
        let stack = scene.stacks().get("demo").await.expect("stack");
        let status = stack.status.unwrap_or_default();
        status.rejected.is_empty()
            && status
                .conditions
                .iter()
                .all(|condition| condition.type_ != "ResourcesRejected")
    })
    .await;
    // An operator that starts tells nothing again.
    operator.stop().await.expect("ends well");
    let second = scene.operator("two").await;
    until("it has passed over the stack", async || {
        second.metrics.passes() >= 1
    })
    .await;
    assert_eq!(second.metrics.writes(), 0, "{}", second.metrics.encode());

    api(&scene, monitor)
        .delete("good", &DeleteParams::default())
        .await
        .expect("deleted");
    until_template(&scene, "its job goes", |text| !text.contains(good)).await;
    second.stop().await.expect("ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_updated_in_place() {
    let Some(scene) = Scene::new("rules").await else {
        return;
    };
    let operator = scene.operator_with_definitions("one").await;
    scene.create(json!({})).await;
    let kind = coreos::Kind::PrometheusRule;
    let rule = |expr: &str| json!({ "groups": [{ "name": "g", "rules": [{ "alert": "A", "expr": expr }] }] });
    put(&scene, kind, "alerts", rule("up == 0")).await;
    let maps = scene.api(Kind::ConfigMap);
    let name = "demo-prometheus-rules-0";
    until("the rules are there", async || maps.get(name).await.is_ok()).await;
    let before = maps.get(name).await.expect("rules");
    until_template(&scene, "the template notes the rules", |text| {
        text.starts_with("# selected rules: ")
    })
    .await;
    let note = template(&scene).await.lines().next().map(str::to_owned);

    put(&scene, kind, "alerts", rule("up == 1")).await;
    until("the rules are new", async || {
        let map = maps.get(name).await.expect("rules are never away");
        map.data["data"].to_string().contains("up == 1")
    })
    .await;
    let after = maps.get(name).await.expect("rules");
    assert_eq!(before.uid(), after.uid());
    until_template(&scene, "the template notes it", |text| {
        text.lines().next().map(str::to_owned) != note
    })
    .await;

    // What is wrong now is left out, and nothing else is.
    put(&scene, kind, "other", rule("up == 2")).await;
    put(&scene, kind, "alerts", rule("sum(")).await;
    until("only the other rule is left", async || {
        let data = maps.get(name).await.expect("rules").data["data"].to_string();
        data.contains("up == 2") && !data.contains("up == 1")
    })
    .await;
    for rule in ["alerts", "other"] {
        api(&scene, kind)
            .delete(rule, &DeleteParams::default())
            .await
            .expect("deleted");
    }
    until("no ConfigMap is left", async || {
        maps.get_opt(name).await.expect("answer").is_none()
    })
    .await;
    operator.stop().await.expect("ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_namespaces_need_leave() {
    let Some(scene) = Scene::new("wide").await else {
        return;
    };
    let operator = scene.operator_without_leave("one").await;
    scene
        .create(json!({ "prometheus": { "monitors": { "namespaceSelector": {} } } }))
        .await;
    let message = scene
        .until_condition("ScopeLimited", "True", "NamespaceNotInClusterStacks")
        .await;
    assert!(
        message.contains("monitoring resources of other namespaces"),
        "{message}"
    );
    operator.stop().await.expect("ends well");

    let other = Scene::new("wide-other").await.expect("control plane");
    let operator = scene.operator_with_definitions("two").await;
    put(
        &other,
        coreos::Kind::PodMonitor,
        "far",
        json!({ "selector": {}, "podMetricsEndpoints": [{ "port": "http" }] }),
    )
    .await;
    until_template(&scene, "it is scraped from afar", |text| {
        text.contains("job_name: podMonitor/wide-other/far/0")
    })
    .await;
    // A namespace that loses the label loses the monitor.
    let labels = json!({ "metadata": { "labels": { "watched": "yes" } } });
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(scene.admin.clone());
    scene
        .change(json!({ "prometheus": { "monitors": { "namespaceSelector": { "matchLabels": { "watched": "yes" } } } } }))
        .await
        .expect("changed");
    let is_gone = |text: &str| !text.contains("podMonitor/wide-other");
    until_template(&scene, "no namespace is watched", is_gone).await;
    namespaces
        .patch(
            "wide-other",
            &PatchParams::default(),
            &Patch::Merge(&labels),
        )
        .await
        .expect("labelled");
    until_template(&scene, "the label is news", |text| !is_gone(text)).await;
    operator.stop().await.expect("ends well");
}
