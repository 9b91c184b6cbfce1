//! The bare control plane as tests of other rooms use it.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, PostParams, PropagationPolicy};
use serde_json::json;

/// What a garbage collection may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn config_map(name: &str, owner: Option<&ConfigMap>) -> ConfigMap {
    let owners: Vec<_> = owner
        .map(|owner| {
            json!({"apiVersion": "v1", "kind": "ConfigMap",
                "name": owner.metadata.name, "uid": owner.metadata.uid})
        })
        .into_iter()
        .collect();
    serde_json::from_value(json!({
        "metadata": {"name": name, "ownerReferences": owners},
        "data": {"key": "value"},
    }))
    .expect("a ConfigMap")
}

#[tokio::test]
async fn control_plane_starts_and_answers() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let plane = cluster::ControlPlane::start(dir.path())
        .await
        .expect("control plane");
    let client = plane.client().await.expect("client");

    let version = client.apiserver_version().await.expect("version");
    assert_eq!(version.git_version, "v1.34.4");

    // The controllers act too: what a deleted object owned is collected.
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let owner = maps
        .create(&PostParams::default(), &config_map("owner", None))
        .await;
    let owner = owner.expect("create the owner");
    let owned = config_map("owned", Some(&owner));
    maps.create(&PostParams::default(), &owned)
        .await
        .expect("create the owned");
    let background = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    };
    maps.delete("owner", &background)
        .await
        .expect("delete the owner");
    let deadline = Instant::now() + PATIENCE;
    while maps
        .get_opt("owned")
        .await
        .expect("look for the owned")
        .is_some()
    {
        assert!(
            Instant::now() < deadline,
            "the owned object was not collected"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn two_control_planes_live_side_by_side() {
    let (one, two) = (tempfile::tempdir(), tempfile::tempdir());
    let (one, two) = (
        one.expect("temporary folder"),
        two.expect("temporary folder"),
    );
    let (first, second) = tokio::join!(
        cluster::ControlPlane::start(one.path()),
        cluster::ControlPlane::start(two.path()),
    );
    let (first, second) = (first.expect("first"), second.expect("second"));
    let maps: Api<ConfigMap> = Api::namespaced(first.client().await.expect("client"), "default");
    maps.create(&PostParams::default(), &config_map("only-here", None))
        .await
        .expect("create");
    let others: Api<ConfigMap> = Api::namespaced(second.client().await.expect("client"), "default");
    assert!(others.get_opt("only-here").await.expect("look").is_none());
}
