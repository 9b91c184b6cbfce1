//! Two operators, one leader.

use std::time::Instant;

use ::operator::leader::LEASE_DURATION;
use ::operator::run::{LEASE, RunError};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::fixture::{Scene, until};

async fn holder(scene: &Scene) -> Option<String> {
    let leases: Api<Lease> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    let lease = leases.get_opt(LEASE).await.expect("answer")?;
    lease.spec?.holder_identity
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_waits_and_takes_over_when_the_first_stops() {
    let Some(scene) = Scene::new("handover").await else {
        return;
    };
    let first = scene.operator("first").await;
    until("the first leads", async || {
        holder(&scene).await.as_deref() == Some("first")
    })
    .await;
    let second = scene.operator("second").await;
    scene.create(json!({})).await;
    scene.until_complete().await;
    assert_eq!(second.metrics.writes(), 0);

    let stopped = Instant::now();
    first.stop().await.expect("ends well");
    until("the second leads", async || {
        holder(&scene).await.as_deref() == Some("second")
    })
    .await;
    assert!(
        stopped.elapsed() < LEASE_DURATION,
        "a lease given back is not waited for"
    );
    scene
        .change(json!({ "query": { "replicas": 2 } }))
        .await
        .expect("changed");
    scene.until_complete().await;
    assert!(second.metrics.writes() > 0);
    second.stop().await.expect("ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_takes_over_after_a_crash() {
    let Some(scene) = Scene::new("crash").await else {
        return;
    };
    let first = scene.operator("first").await;
    until("the first leads", async || {
        holder(&scene).await.as_deref() == Some("first")
    })
    .await;
    let second = scene.operator("second").await;
    first.crash();
    until("the second leads", async || {
        holder(&scene).await.as_deref() == Some("second")
    })
    .await;
    scene.create(json!({})).await;
    scene.until_complete().await;
    second.stop().await.expect("ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_lost_its_lease_ends() {
    let Some(scene) = Scene::new("lost").await else {
        return;
    };
    let operator = scene.operator("first").await;
    until("it leads", async || {
        holder(&scene).await.as_deref() == Some("first")
    })
    .await;
    let leases: Api<Lease> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    let usurper = json!({ "spec": { "holderIdentity": "another" } });
    leases
        .patch(LEASE, &PatchParams::default(), &Patch::Merge(&usurper))
        .await
        .expect("taken by force");
    let ended = operator.end().await;
    assert!(matches!(ended, Err(RunError::LeaseLost)), "{ended:?}");
}
