//! Volumes that grow, against a real API server and real controllers.

use ::operator::controller::build::Kind;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::fixture::{Scene, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_larger_size_grows_the_claims_and_keeps_the_pods() {
    let Some(scene) = Scene::new("growth").await else {
        return;
    };
    let classes: Api<StorageClass> = Api::all(scene.admin.clone());
    let class = json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": { "name": "growth" },
        "provisioner": "example.com/none",
        "allowVolumeExpansion": true,
    });
    let class = serde_json::from_value(class).expect("class");
    classes
        .create(&PostParams::default(), &class)
        .await
        .expect("class");
    let volumes: Api<PersistentVolume> = Api::all(scene.admin.clone());
    for n in 0..2 {
        let volume = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": { "name": format!("growth-{n}") },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": { "storage": "1Gi" },
                "storageClassName": "growth",
                "csi": { "driver": "example.com", "volumeHandle": format!("v{n}") },
            },
        });
        let volume = serde_json::from_value(volume).expect("volume");
        volumes
            .create(&PostParams::default(), &volume)
            .await
            .expect("volume");
    }
    let operator = scene.operator("one").await;
    let storage = |size: &str| json!({ "prometheus": { "storage": { "size": size, "storageClassName": "growth" } } });
    scene.create(storage("1Gi")).await;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    let names = ["data-demo-prometheus-0", "data-demo-prometheus-1"];
    for name in names {
        until("the claim is bound", async || {
            let claim = claims.get_opt(name).await.expect("answer");
            claim.is_some_and(|claim| {
                claim
                    .status
                    .is_some_and(|status| status.phase.as_deref() == Some("Bound"))
            })
        })
        .await;
    }
    let sets = scene.api(Kind::StatefulSet);
    let before = sets.get("demo-prometheus").await.expect("set").uid();
    let pods: Api<Pod> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    let pod = pods.get("demo-prometheus-0").await.expect("pod").uid();

    scene.change(storage("3Gi")).await.expect("it may grow");
    until("the set is a new one of the new size", async || {
        let Some(set) = sets.get_opt("demo-prometheus").await.expect("answer") else {
            return false;
        };
        let size = set
            .data
            .pointer("/spec/volumeClaimTemplates/0/spec/resources/requests/storage");
        set.uid() != before && size == Some(&json!("3Gi"))
    })
    .await;
    assert_eq!(
        pods.get("demo-prometheus-0").await.expect("pod").uid(),
        pod,
        "the pod was never away"
    );
    for name in names {
        let claim = claims.get(name).await.expect("claim");
        let requests = claim.spec.and_then(|spec| spec.resources?.requests);
        assert_eq!(requests.expect("requests")["storage"].0, "3Gi");
    }
    let message = scene
        .until_condition("StorageGrowing", "True", "VolumesResizing")
        .await;
    assert!(message.contains("has 1Gi of 3Gi"), "{message}");

    // What a storage driver would do.
    for name in names {
        let status = json!({ "status": { "capacity": { "storage": "3Gi" } } });
        claims
            .patch_status(name, &PatchParams::default(), &Patch::Merge(&status))
            .await
            .expect("grown");
    }
    scene
        .change(json!({ "paused": false, "query": { "replicas": 2 } }))
        .await
        .expect("changed");
    until("nothing grows any more", async || {
        let stack = scene.stacks().get("demo").await.expect("stack");
        let conditions = stack.status.unwrap_or_default().conditions;
        conditions
            .iter()
            .all(|condition| condition.type_ != "StorageGrowing")
    })
    .await;
    operator.stop().await.expect("ends well");
}
