//! The NetworkPolicy enforcer: watches policies, pods and namespaces and keeps the node's rules at what
//! they say.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::netpol::{self, Objects};
use crate::{parts, progress};

/// Changes that come together are applied together.
const SETTLE: Duration = Duration::from_millis(20);

/// Enforces until a watch ends for good; never returns otherwise. The rules stay when it ends.
///
/// # Errors
/// When nft cannot be run or refuses a script.
pub async fn enforce(client: Client) -> Result<()> {
    let (policies, mut policy_changes) = watch::<NetworkPolicy>(client.clone());
    let (pods, mut pod_changes) = watch::<Pod>(client.clone());
    let (namespaces, mut namespace_changes) = watch::<Namespace>(client);
    // Nothing is applied before everything is known: a half view would cut connections.
    let mut changes = stream::select_all([
        policy_changes.by_ref().boxed(),
        pod_changes.by_ref().boxed(),
        namespace_changes.by_ref().boxed(),
    ]);
    let mut applied = String::new();
    loop {
        if changes.next().await.is_none() {
            bail!("the watches ended");
        }
        while let Ok(change) = tokio::time::timeout(SETTLE, changes.next()).await {
            if change.is_none() {
                bail!("the watches ended");
            }
        }
        if !(is_ready(&policies) && is_ready(&pods) && is_ready(&namespaces)) {
            continue;
        }
        let objects = Objects {
            policies: snapshot(&policies),
            pods: snapshot(&pods),
            namespaces: snapshot(&namespaces),
        };
        let script = netpol::script(&objects);
        if script != applied {
            apply(&script).await?;
            applied = script;
            progress(&format!(
                "network policies: {} enforced",
                objects.policies.len()
            ));
        }
    }
}

/// Whether the first list is complete.
fn is_ready<K>(store: &Store<K>) -> bool
where
    K: kube::Resource<DynamicType = ()> + Clone + 'static,
{
    futures::FutureExt::now_or_never(store.wait_until_ready()).is_some_and(|ready| ready.is_ok())
}

/// A mirror of one kind and a stream that yields after each change of it.
fn watch<K>(client: Client) -> (Store<K>, impl Stream<Item = ()> + Send + Unpin)
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let (store, writer) = reflector::store();
    let events = watcher(Api::<K>::all(client), watcher::Config::default()).default_backoff();
    let changes = reflector::reflector(writer, events).map(|event| {
        if let Err(error) = event {
            progress(&format!(
                "network policies: a watch failed and is tried again: {error}"
            ));
        }
    });
    (store, Box::pin(changes))
}

fn snapshot<K>(store: &Store<K>) -> Vec<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + 'static,
{
    // In an order of its own, so that equal states give equal scripts.
    let mut objects: Vec<Arc<K>> = store.state();
    objects.sort_by_key(|object| (object.meta().namespace.clone(), object.meta().name.clone()));
    objects.into_iter().map(Arc::unwrap_or_clone).collect()
}

async fn apply(script: &str) -> Result<()> {
    let nft = parts::find("nft").context("nft is not installed (Debian: nftables)")?;
    let mut child = Command::new(nft)
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("run nft")?;
    let mut stdin = child.stdin.take().context("nft has no stdin")?;
    stdin.write_all(script.as_bytes()).await?;
    drop(stdin);
    let output = child.wait_with_output().await?;
    if !output.status.success() {
        bail!(
            "nft refused the rules: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
