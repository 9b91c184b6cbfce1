//! A stack becomes ready. There is no node, so the test plays kubelet (it says that pods run) and
//! the sidecars (it answers on their port with a configuration hash).

use std::sync::{Arc, Mutex};

use axum::routing::get;
use axum::{Json, Router};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::fixture::{Scene, until};

/// A loopback address of this test alone, which all its pods claim.
const POD_ADDRESS: [u8; 4] = [127, 77, 13, 1];

/// Answers as sidecars do.
async fn serve_sidecar(status: Arc<Mutex<Value>>) {
    let listener = tokio::net::TcpListener::bind((std::net::Ipv4Addr::from(POD_ADDRESS), 10902))
        .await
        .expect("the address is free");
    let answer = get(move || {
        let data = status.lock().expect("lock").clone();
        async move { Json(json!({ "status": "success", "data": data })) }
    });
    let router = Router::new().route("/api/v1/status/hindsight", answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
}

/// Says that all pods of the stack run.
async fn run_pods(scene: &Scene, wanted: usize) {
    let pods: Api<Pod> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    let mark = ListParams::default().labels("hindsight.dev/stack=demo");
    until("all pods exist", async || {
        pods.list(&mark).await.expect("pods").items.len() == wanted
    })
    .await;
    let address = std::net::Ipv4Addr::from(POD_ADDRESS).to_string();
    for pod in pods.list(&mark).await.expect("pods").items {
        let status = json!({ "status": {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{ "ip": address }],
            "conditions": [
                { "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" },
            ],
        } });
        let patch = Patch::Merge(&status);
        pods.patch_status(&pod.name_any(), &PatchParams::default(), &patch)
            .await
            .expect("status");
    }
}

async fn template_hash(scene: &Scene) -> String {
    let secrets: Api<Secret> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    let secret = secrets.get("demo-prometheus").await.expect("configuration");
    let template = &secret.data.expect("data")["prometheus.yaml.tmpl"].0;
    Sha256::digest(template)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_is_ready_when_its_pods_are_and_every_replica_runs_its_configuration() {
    let Some(scene) = Scene::new("readiness").await else {
        return;
    };
    let sidecar = Arc::new(Mutex::new(
        json!({ "configHash": "old", "configError": null }),
    ));
    serve_sidecar(Arc::clone(&sidecar)).await;
    let operator = scene.operator("one").await;
    scene
        .create(json!({ "prometheus": { "storage": { "ephemeral": true } } }))
        .await;
    scene.until_complete().await;
    run_pods(&scene, 3).await;
    scene
        .until_condition("PrometheusReady", "True", "AllReplicasReady")
        .await;
    scene
        .until_condition("QueryReady", "True", "AllReplicasReady")
        .await;

    // The replicas run another configuration: said, and their pods are nudged once.
    scene
        .until_condition("Ready", "False", "ReloadPending")
        .await;
    let wanted = template_hash(&scene).await;
    let pods: Api<Pod> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    until("both replicas are nudged", async || {
        let mut nudged = 0;
        for name in ["demo-prometheus-0", "demo-prometheus-1"] {
            let pod = pods.get(name).await.expect("replica");
            nudged +=
                usize::from(pod.annotations().get("hindsight.dev/config-hash") == Some(&wanted));
        }
        nudged == 2
    })
    .await;

    // Prometheus' own words reach the status.
    *sidecar.lock().expect("lock") =
        json!({ "configHash": "old", "configError": "parse error at line 3" });
    let message = scene
        .until_condition("PrometheusConfigured", "False", "ReloadFailed")
        .await;
    assert_eq!(message, "demo-prometheus-0: parse error at line 3");

    *sidecar.lock().expect("lock") = json!({ "configHash": wanted });
    scene
        .until_condition("Ready", "True", "AllComponentsReady")
        .await;
    let stack = scene.stacks().get("demo").await.expect("stack");
    let status = stack.status.expect("status");
    assert_eq!(status.prometheus.as_deref(), Some("2/2"));
    assert!(
        status
            .conditions
            .iter()
            .all(|one| one.type_ != "Reconciling" && one.type_ != "Stalled")
    );

    scene.assert_at_rest(&operator).await;
    operator.stop().await.expect("ends well");
}
