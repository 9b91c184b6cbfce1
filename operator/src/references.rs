//! Watches on what stacks refer to: one per Secret or ConfigMap, by name, metadata only. One that
//! appears or changes starts a pass over the stacks that name it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use crds::MonitoringStack;
use futures::stream::{BoxStream, StreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::{DeserializeGuard, NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::coreos::material::{Holder, Reference};

/// The stacks to look at again.
pub type Trigger = ObjectRef<DeserializeGuard<MonitoringStack>>;

/// Changes that wait to be looked at; more only delay the watches that bring them.
const TRIGGER_BUFFER: usize = 256;

/// Namespaces and names of stacks.
type Stacks = Arc<Mutex<BTreeSet<(String, String)>>>;

/// A running watch on one object.
struct Watch {
    stacks: Stacks,
    // Ends the watch when dropped.
    _task: AbortOnDropHandle<()>,
}

/// The watches of all stacks.
pub struct ReferenceWatches {
    client: Client,
    triggers: mpsc::Sender<Trigger>,
    watches: Mutex<HashMap<Reference, Watch>>,
}

impl ReferenceWatches {
    /// No watches yet, and where their triggers arrive.
    pub fn new(client: Client) -> (Self, mpsc::Receiver<Trigger>) {
        let (triggers, receiver) = mpsc::channel(TRIGGER_BUFFER);
        (
            Self {
                client,
                triggers,
                watches: Mutex::new(HashMap::new()),
            },
            receiver,
        )
    }

    /// Where changes of anything that stacks use are sent.
    pub fn triggers(&self) -> &mpsc::Sender<Trigger> {
        &self.triggers
    }

    /// Watches exactly `references` for `resource`.
    pub fn watch(&self, resource: &MonitoringStack, references: BTreeSet<Reference>) {
        let stack = (
            resource.namespace().unwrap_or_default(),
            resource.name_any(),
        );
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.retain(|reference, watch| {
            let mut stacks = watch.stacks.lock().unwrap_or_else(PoisonError::into_inner);
            if !references.contains(reference) {
                stacks.remove(&stack);
            }
            !stacks.is_empty()
        });
        for reference in references {
            let watch = watches
                .entry(reference)
                .or_insert_with_key(|reference| self.start(reference));
            let mut stacks = watch.stacks.lock().unwrap_or_else(PoisonError::into_inner);
            stacks.insert(stack.clone());
        }
    }

    /// Ends the watches of a stack that is gone.
    pub fn forget(&self, resource: &MonitoringStack) {
        self.watch(resource, BTreeSet::new());
    }

    fn start(&self, reference: &Reference) -> Watch {
        let stacks = Stacks::default();
        let changes = match reference.holder {
            Holder::Secret => changes::<Secret>(&self.client, reference),
            Holder::ConfigMap => changes::<ConfigMap>(&self.client, reference),
        };
        let task = tokio::spawn(follow(
            changes,
            reference.clone(),
            Arc::clone(&stacks),
            self.triggers.clone(),
        ));
        Watch {
            stacks,
            _task: AbortOnDropHandle::new(task),
        }
    }
}

/// One item for each change of an object, or the reason why changes cannot be seen.
type Changes = BoxStream<'static, Result<(), watcher::Error>>;

fn changes<K>(client: &Client, reference: &Reference) -> Changes
where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + Send
        + 'static,
{
    let api: Api<PartialObjectMeta<K>> = Api::namespaced(client.clone(), &reference.namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={}", reference.name));
    watcher(api, config)
        .default_backoff()
        .touched_objects()
        .map(|change| change.map(drop))
        .boxed()
}

async fn follow(
    mut changes: Changes,
    reference: Reference,
    stacks: Stacks,
    triggers: mpsc::Sender<Trigger>,
) {
    let mut is_told = false;
    while let Some(change) = changes.next().await {
        if let Err(error) = change {
            // One that may not be read is tried for as long as it is named.
            if !is_told {
                let Reference {
                    holder,
                    namespace,
                    name,
                } = &reference;
                let kind = holder.as_str();
                tracing::warn!(kind, namespace, name, error = %error, "watch of a referenced object interrupted");
                is_told = true;
            }
            continue;
        }
        is_told = false;
        let named = stacks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for (namespace, name) in named {
            let trigger = Trigger::new(&name).within(&namespace);
            if triggers.send(trigger).await.is_err() {
                return;
            }
        }
    }
}
