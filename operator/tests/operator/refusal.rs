//! Wrong input: said, and what runs is left alone.

use ::operator::controller::build::Kind;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::fixture::{Scene, embedded, until};

const BUCKET: &str = "type: S3\nconfig:\n  bucket: metrics\n  endpoint: s3.example.com\n  access_key: a\n  secret_key: b\n";

async fn put_secret(scene: &Scene, name: &str, key: &str, text: &str) {
    let secrets: Api<Secret> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": name }, "stringData": { key: text },
    });
    let params = PatchParams::apply("user").force();
    secrets
        .patch(name, &params, &Patch::Apply(&secret))
        .await
        .expect("secret is stored");
}

fn with_secret() -> Value {
    json!({
        "externalLabels": { "cluster": "test" },
        "objectStorage": { "secretRef": { "name": "bucket" } },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_is_said_and_its_arrival_is_enough() {
    let Some(scene) = Scene::new("secret").await else {
        return;
    };
    let operator = scene.operator("one").await;
    scene.create(with_secret()).await;
    let message = scene
        .until_condition("ObjectStorageReady", "False", "SecretNotFound")
        .await;
    assert!(
        message.contains("spec.objectStorage.secretRef"),
        "{message}"
    );
    scene
        .until_condition("Stalled", "True", "SecretNotFound")
        .await;
    assert_eq!(scene.objects().await, []);
    until("an event tells of it", async || {
        let events: Api<Event> = Api::namespaced(scene.admin.clone(), &scene.namespace);
        let events = events
            .list(&ListParams::default())
            .await
            .expect("events")
            .items;
        events.iter().any(|event| {
            event.reason.as_deref() == Some("SecretNotFound")
                && event.type_.as_deref() == Some("Warning")
        })
    })
    .await;

    put_secret(
        &scene,
        "bucket",
        "thanos.yaml",
        "type: S3\nconfig:\n  bucket: metrics\n  typo: 1\n",
    )
    .await;
    let message = scene
        .until_condition("Stalled", "True", "MalformedSecret")
        .await;
    assert!(message.contains("typo"), "{message}");

    put_secret(&scene, "bucket", "thanos.yaml", BUCKET).await;
    scene
        .until_condition("ObjectStorageReady", "True", "ConfigurationAccepted")
        .await;
    let stack = scene.stacks().get("demo").await.expect("stack");
    assert_eq!(
        stack.status.expect("status").bucket.as_deref(),
        Some("S3 metrics")
    );
    operator.stop().await.expect("ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_change_leaves_what_runs_as_it_was() {
    let Some(scene) = Scene::new("invalid").await else {
        return;
    };
    let operator = scene.operator("one").await;
    scene.create(embedded()).await;
    scene.until_complete().await;
    let specs = async || {
        let mut specs = Vec::new();
        for (kind, name) in scene.objects().await {
            let object = scene.api(kind).get(&name).await.expect("object");
            specs.push((kind, name, object.data.get("spec").cloned()));
        }
        specs
    };
    let before = specs().await;

    scene
        .change(json!({
            "query": { "replicas": 2 },
            "prometheus": { "extraArgs": ["--web.config.file=/etc/passwd"] },
        }))
        .await
        .expect("the schema cannot know flags");
    let message = scene
        .until_condition("Stalled", "True", "InvalidSpec")
        .await;
    assert!(
        message.contains("spec.prometheus.extraArgs[0]"),
        "{message}"
    );
    assert_eq!(specs().await, before);

    scene
        .change(json!({ "prometheus": { "extraArgs": null } }))
        .await
        .expect("changed");
    until("the valid part is applied", async || {
        let querier = scene
            .api(Kind::Deployment)
            .get("demo-query")
            .await
            .expect("querier");
        querier.data["spec"]["replicas"] == 2
    })
    .await;
    until("nothing is stalled", async || {
        let status = scene
            .stacks()
            .get("demo")
            .await
            .expect("stack")
            .status
            .expect("status");
        status
            .conditions
            .iter()
            .all(|condition| condition.type_ != "Stalled")
    })
    .await;
    operator.stop().await.expect("ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_someone_else_is_never_taken_over() {
    let Some(scene) = Scene::new("taken").await else {
        return;
    };
    put_secret(&scene, "demo-objstore", "mine", "precious").await;
    let operator = scene.operator("one").await;
    scene.create(embedded()).await;
    let message = scene.until_condition("Stalled", "True", "NameTaken").await;
    assert!(message.contains("Secret \"demo-objstore\""), "{message}");
    let secrets: Api<Secret> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    let secret = secrets.get("demo-objstore").await.expect("secret");
    assert_eq!(
        secret.data.expect("data").keys().collect::<Vec<_>>(),
        ["mine"]
    );
    assert!(secret.metadata.owner_references.is_none());
    operator.stop().await.expect("ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_without_leave_gets_no_power_and_says_so() {
    let Some(scene) = Scene::new("limited").await else {
        return;
    };
    let operator = scene.operator_without_leave("one").await;
    let params = PostParams::default();
    let stack = super::fixture::stack("demo", json!({}));
    scene
        .stacks()
        .create(&params, &stack)
        .await
        .expect("stack is taken");
    let message = scene
        .until_condition("ScopeLimited", "True", "NamespaceNotInClusterStacks")
        .await;
    assert!(
        message.contains("kubelet, cadvisor, apiserver"),
        "{message}"
    );
    let objects = scene.objects().await;
    assert!(
        objects
            .iter()
            .all(|(kind, _)| *kind != Kind::ClusterRoleBinding),
        "{objects:?}"
    );
    assert!(
        objects.contains(&(Kind::RoleBinding, "demo-prometheus".to_owned())),
        "{objects:?}"
    );
    let stack = scene.stacks().get("demo").await.expect("stack");
    assert!(stack.finalizers().is_empty());
    operator.stop().await.expect("ends well");
}
