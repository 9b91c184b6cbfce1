//! From apply to delete.

use ::operator::controller::build::Kind;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::fixture::{Scene, embedded, everything, until};

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_made_and_a_stack_at_rest_is_not_written() {
    let Some(scene) = Scene::new("at-rest").await else {
        return;
    };
    let first = scene.operator("first").await;
    scene.create(everything()).await;
    scene.until_complete().await;
    // Controllers have made all pods, which wait for a node for ever: nothing moves any more.
    for kind in [
        "PrometheusReady",
        "QueryReady",
        "StoreReady",
        "ObjectStorageReady",
        "CompactorReady",
        "AlertmanagerReady",
        "GrafanaReady",
        "KubeStateMetricsReady",
    ] {
        scene
            .until_message(kind, "ReplicasNotReady", ": starting")
            .await;
    }
    // Of no nodes all are measured.
    scene
        .until_condition("NodeExporterReady", "True", "AllReplicasReady")
        .await;
    scene
        .until_message(
            "PrometheusConfigured",
            "SidecarUnreachable",
            "demo-prometheus-0",
        )
        .await;
    // This control plane has no StorageClass at all.
    scene
        .until_condition("NoStorageClass", "True", "NoDefaultStorageClass")
        .await;
    first.stop().await.expect("ends well");

    // An operator that starts reads every object once and finds all of them as wanted.
    let second = scene.operator("second").await;
    until(
        "the second operator has passed over the stack",
        async || second.metrics.passes() >= 1,
    )
    .await;
    assert_eq!(second.metrics.writes(), 0, "{}", second.metrics.encode());

    // Somebody else's field is an event, a read, and no write.
    scene.assert_at_rest(&second).await;
    assert_eq!(second.metrics.writes(), 0, "{}", second.metrics.encode());
    second.stop().await.expect("ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_undone() {
    let Some(scene) = Scene::new("drift").await else {
        return;
    };
    let operator = scene.operator("one").await;
    let mut spec = embedded();
    // One that does not exist: no reason not to run.
    spec["prometheus"] = json!({ "ruleConfigMaps": ["alerts"] });
    scene.create(spec).await;
    scene.until_complete().await;

    let services = scene.api(Kind::Service);
    let drift = json!({ "spec": { "selector": { "app.kubernetes.io/name": "elsewhere" } } });
    services
        .patch("demo-query", &PatchParams::default(), &Patch::Merge(&drift))
        .await
        .expect("changed");
    until("the selector is ours again", async || {
        let service = services.get("demo-query").await.expect("service");
        service.data["spec"]["selector"]["app.kubernetes.io/name"] == "query"
    })
    .await;

    scene
        .api(Kind::Deployment)
        .delete("demo-query", &DeleteParams::background())
        .await
        .expect("deleted");
    scene.until_complete().await;
    operator.stop().await.expect("ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_wanted_any_more_is_removed() {
    let Some(scene) = Scene::new("prune").await else {
        return;
    };
    let operator = scene.operator("one").await;
    scene.create(embedded()).await;
    scene.until_complete().await;
    let config_map = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "theirs", "labels": {
            "hindsight.dev/stack": "demo",
            "app.kubernetes.io/managed-by": "hindsight-operator",
        } },
        "spec": { "clusterIP": "None", "selector": { "a": "b" } },
    });
    let services = scene.api(Kind::Service);
    services
        .patch(
            "theirs",
            &PatchParams::apply("someone"),
            &Patch::Apply(&config_map),
        )
        .await
        .expect("created");

    scene
        .change(json!({ "objectStorage": null, "prometheus": { "replicas": 1 } }))
        .await
        .expect("changed");
    until("replica, store and budget are gone", async || {
        let objects = scene.objects().await;
        objects.iter().all(|(kind, name)| {
            !(*kind == Kind::PodDisruptionBudget
                || name.contains("-s3")
                || name.contains("objstore")
                || name == "demo-store"
                || name == "demo-prometheus-1")
        })
    })
    .await;
    // What only looks like ours stays.
    services.get("theirs").await.expect("not ours, not removed");
    operator.stop().await.expect("ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_the_stack_leaves_only_volume_claims() {
    let Some(scene) = Scene::new("deletion").await else {
        return;
    };
    let operator = scene.operator("one").await;
    scene.create(embedded()).await;
    scene.until_complete().await;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    let count = async || {
        claims
            .list(&ListParams::default())
            .await
            .expect("claims")
            .items
            .len()
    };
    until("every replica has its claim", async || count().await == 5).await;
    let stack = scene.stacks().get("demo").await.expect("stack");
    assert_eq!(stack.finalizers(), ["hindsight.dev/cluster-bindings"]);

    scene.delete().await;
    until("no object is left", async || {
        scene.objects().await.is_empty()
            && scene
                .stacks()
                .get_opt("demo")
                .await
                .expect("answer")
                .is_none()
    })
    .await;
    assert_eq!(count().await, 5);
    operator.stop().await.expect("ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn bindings_of_a_stack_that_went_without_an_operator_are_swept() {
    let Some(scene) = Scene::new("sweep").await else {
        return;
    };
    let operator = scene.operator("one").await;
    scene.create(json!({})).await;
    scene.until_complete().await;
    operator.stop().await.expect("ends well");

    let no_finalizers = json!({ "metadata": { "finalizers": null } });
    scene
        .stacks()
        .patch(
            "demo",
            &PatchParams::default(),
            &Patch::Merge(&no_finalizers),
        )
        .await
        .expect("finalizer is removed by force");
    scene.delete().await;
    let bindings = async || {
        let objects = scene.objects().await;
        objects
            .iter()
            .filter(|(kind, _)| *kind == Kind::ClusterRoleBinding)
            .count()
    };
    assert_eq!(bindings().await, 1);

    let operator = scene.operator("two").await;
    until("the binding is gone", async || bindings().await == 0).await;
    operator.stop().await.expect("ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_stack_is_observed_and_not_changed() {
    let Some(scene) = Scene::new("paused").await else {
        return;
    };
    let operator = scene.operator("one").await;
    scene.create(embedded()).await;
    scene.until_complete().await;
    scene
        .change(json!({ "paused": true, "query": { "replicas": 3 } }))
        .await
        .expect("changed");
    scene
        .until_condition("Paused", "True", "PausedBySpec")
        .await;
    let deployments = scene.api(Kind::Deployment);
    let replicas = async || {
        let deployment = deployments.get("demo-query").await.expect("querier");
        deployment.data["spec"]["replicas"].as_i64()
    };
    assert_eq!(replicas().await, Some(1));

    scene
        .change(json!({ "paused": false }))
        .await
        .expect("changed");
    until("the change is applied", async || {
        replicas().await == Some(3)
    })
    .await;
    let stack = scene.stacks().get("demo").await.expect("stack");
    let status = stack.status.expect("status");
    assert!(
        status
            .conditions
            .iter()
            .all(|condition| condition.type_ != "Stalled")
    );
    operator.stop().await.expect("ends well");
}
