//! Watches on what stacks refer to: one per Secret, by name, metadata only. A Secret that appears
//! or changes starts a pass over the stacks that name it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use crds::MonitoringStack;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// The stacks to look at again.
pub type Trigger = ObjectRef<DeserializeGuard<MonitoringStack>>;

/// Changes that wait to be looked at; more only delay the watches that bring them.
const TRIGGER_BUFFER: usize = 256;

type Stacks = Arc<Mutex<BTreeSet<String>>>;

/// A running watch on one Secret.
struct Watch {
    stacks: Stacks,
    // Ends the watch when dropped.
    _task: AbortOnDropHandle<()>,
}

/// The watches of all stacks.
pub struct ReferenceWatches {
    client: Client,
    triggers: mpsc::Sender<Trigger>,
    /// By namespace and name of the Secret.
    watches: Mutex<HashMap<(String, String), Watch>>,
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

    /// Watches exactly `secrets` for `resource`.
    pub fn watch(&self, resource: &MonitoringStack, secrets: BTreeSet<String>) {
        let namespace = resource.namespace().unwrap_or_default();
        let stack = resource.name_any();
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.retain(|(of, secret), watch| {
            let mut stacks = watch.stacks.lock().unwrap_or_else(PoisonError::into_inner);
            if *of == namespace && !secrets.contains(secret) {
                stacks.remove(&stack);
            }
            !stacks.is_empty()
        });
        for secret in secrets {
            let key = (namespace.clone(), secret);
            let watch = watches
                .entry(key)
                .or_insert_with_key(|(namespace, secret)| self.start(namespace, secret));
            let mut stacks = watch.stacks.lock().unwrap_or_else(PoisonError::into_inner);
            stacks.insert(stack.clone());
        }
    }

    /// Ends the watches of a stack that is gone.
    pub fn forget(&self, resource: &MonitoringStack) {
        self.watch(resource, BTreeSet::new());
    }

    fn start(&self, namespace: &str, secret: &str) -> Watch {
        let stacks = Stacks::default();
        let api: Api<PartialObjectMeta<Secret>> = Api::namespaced(self.client.clone(), namespace);
        let config = watcher::Config::default().fields(&format!("metadata.name={secret}"));
        let task = tokio::spawn(follow(
            watcher(api, config)
                .default_backoff()
                .touched_objects()
                .boxed(),
            namespace.to_owned(),
            Arc::clone(&stacks),
            self.triggers.clone(),
        ));
        Watch {
            stacks,
            _task: AbortOnDropHandle::new(task),
        }
    }
}

async fn follow(
    mut changes: futures::stream::BoxStream<
        'static,
        Result<PartialObjectMeta<Secret>, watcher::Error>,
    >,
    namespace: String,
    stacks: Stacks,
    triggers: mpsc::Sender<Trigger>,
) {
    while let Some(change) = changes.next().await {
        if let Err(error) = change {
            tracing::warn!(namespace, error = %error, "watch of a referenced secret interrupted");
            continue;
        }
        let names = stacks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for name in names {
            let trigger = Trigger::new(&name).within(&namespace);
            if triggers.send(trigger).await.is_err() {
                return;
            }
        }
    }
}
