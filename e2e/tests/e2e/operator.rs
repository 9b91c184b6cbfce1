//! The operator as a pod among others.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::machine::OPERATOR_NAMESPACE;
use e2e::wait::{throughout, until};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client, ResourceExt as _};

use crate::{SOON, Scene};

/// How long nothing may be written at rest.
const REST: Duration = Duration::from_secs(60);

/// The operator's only pod that is not going.
pub(crate) async fn pod(client: &Client) -> Result<Pod> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    let selector = ListParams::default().labels("app.kubernetes.io/name=hindsight-operator");
    let found = pods.list(&selector).await?.items;
    found
        .into_iter()
        .find(|pod| pod.metadata.deletion_timestamp.is_none())
        .context("the operator has no pod")
}

/// Deletes the operator's pod. The next one leads, looks at everything and writes nothing, neither
/// then nor later.
pub(crate) async fn another_one_changes_nothing(scene: &Scene) -> Result<()> {
    scene.stack.until_condition("Ready", "True", SOON).await?;
    let before = scene.stack.objects().await?;
    ensure!(
        before.len() > 20,
        "few objects carry the label: {:?}",
        before.keys()
    );
    let pods: Api<Pod> = Api::namespaced(scene.client.clone(), OPERATOR_NAMESPACE);
    let old = pod(&scene.client).await?;
    pods.delete(&old.name_any(), &DeleteParams::default())
        .await?;
    let leases: Api<Lease> = Api::namespaced(scene.client.clone(), OPERATOR_NAMESPACE);
    until("another operator leads", SOON, async || {
        let new = pod(&scene.client).await?;
        ensure!(new.uid() != old.uid(), "the old pod is there");
        let lease = leases.get("hindsight-operator").await?;
        let holder = lease
            .spec
            .and_then(|spec| spec.holder_identity)
            .unwrap_or_default();
        ensure!(holder.starts_with(&new.name_any()), "{holder:?} leads");
        Ok(())
    })
    .await?;
    throughout("nothing is written at rest", REST, async || {
        let now = scene.stack.objects().await?;
        for (object, version) in &now {
            let was = before.get(object);
            ensure!(
                was == Some(version),
                "{object:?} was {was:?} and is {version:?}"
            );
        }
        ensure!(now.len() == before.len(), "objects went: {:?}", now.keys());
        Ok(())
    })
    .await?;
    scene.say("another operator leads and has written nothing for a minute");
    Ok(())
}
