//! The watches on monitoring resources and on namespaces' labels, shared by all stacks.
//!
//! The definitions of these kinds may be missing, come later, or be deleted while we watch: a kind
//! that does not exist has no objects, and is looked for again at the watch's own pace.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use crds::coreos::{GROUP, Kind};
use futures::stream::{BoxStream, StreamExt as _};
use k8s_openapi::api::core::v1::Namespace;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, PartialObjectMeta};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use super::Resource;
use crate::references::Trigger;

type Labels = BTreeMap<String, String>;
type Key = (Kind, String, String);

/// What is known, and who wants to hear of changes.
#[derive(Default)]
struct Known {
    resources: BTreeMap<Key, Arc<Resource>>,
    namespaces: BTreeMap<String, Labels>,
    interests: HashMap<(String, String), Interest>,
}

/// A stack that uses monitoring resources.
struct Interest {
    /// Whether it looks into other namespaces than its own.
    is_wide: bool,
    triggers: mpsc::Sender<Trigger>,
}

/// The watches of one process.
pub struct Resources {
    known: Arc<Mutex<Known>>,
    listed: Vec<watch::Receiver<bool>>,
    // End the watches when dropped.
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl Resources {
    /// Watches in `namespaces`, or everywhere where it is none, namespaces' labels included.
    pub fn watch(client: &Client, namespaces: Option<&[String]>) -> Self {
        let known = Arc::new(Mutex::new(Known::default()));
        let mut listed = Vec::new();
        let mut tasks = Vec::new();
        for kind in Kind::ALL {
            // Nothing selects these yet.
            if kind == Kind::AlertmanagerConfig {
                continue;
            }
            let resource = api_resource(kind);
            let apis: Vec<(Option<String>, Api<DynamicObject>)> = match namespaces {
                None => vec![(None, Api::all_with(client.clone(), &resource))],
                Some(names) => names
                    .iter()
                    .map(|name| {
                        let api = Api::namespaced_with(client.clone(), name, &resource);
                        (Some(name.clone()), api)
                    })
                    .collect(),
            };
            for (namespace, api) in apis {
                let (sender, receiver) = watch::channel(false);
                listed.push(receiver);
                let stream = watcher(api, watcher::Config::default());
                let follower = Follower {
                    kind,
                    namespace,
                    known: Arc::clone(&known),
                    listed: sender,
                };
                let stream = stream.default_backoff().boxed();
                tasks.push(AbortOnDropHandle::new(tokio::spawn(
                    follower.follow(stream),
                )));
            }
        }
        if namespaces.is_none() {
            let (sender, receiver) = watch::channel(false);
            listed.push(receiver);
            let api: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
            let stream = watcher(api, watcher::Config::default())
                .default_backoff()
                .boxed();
            let task = follow_namespaces(stream, Arc::clone(&known), sender);
            tasks.push(AbortOnDropHandle::new(tokio::spawn(task)));
        }
        Self {
            known,
            listed,
            _tasks: tasks,
        }
    }

    /// Waits until every kind has been listed, or found missing, once.
    pub async fn wait_until_listed(&self) {
        for listed in &self.listed {
            // A dropped sender means that the watch has ended with the process.
            let _ = listed.clone().wait_for(|listed| *listed).await;
        }
    }

    /// All objects, as they are now.
    pub fn all(&self) -> Vec<Arc<Resource>> {
        lock(&self.known).resources.values().cloned().collect()
    }

    /// Labels of all namespaces; of none where the operator does not look beyond its own.
    pub fn namespaces(&self) -> BTreeMap<String, Labels> {
        lock(&self.known).namespaces.clone()
    }

    /// Sends `triggers` for a stack when something that it may select has changed.
    pub fn interest(
        &self,
        namespace: &str,
        stack: &str,
        is_wide: bool,
        triggers: &mpsc::Sender<Trigger>,
    ) {
        let interest = Interest {
            is_wide,
            triggers: triggers.clone(),
        };
        let key = (namespace.to_owned(), stack.to_owned());
        lock(&self.known).interests.insert(key, interest);
    }

    /// Ends the interest of a stack that is gone.
    pub fn forget(&self, namespace: &str, stack: &str) {
        let key = (namespace.to_owned(), stack.to_owned());
        lock(&self.known).interests.remove(&key);
    }
}

/// How the API server addresses a kind.
pub fn api_resource(kind: Kind) -> ApiResource {
    let gvk = GroupVersionKind::gvk(GROUP, kind.version(), kind.as_str());
    ApiResource::from_gvk_with_plural(&gvk, kind.plural())
}

fn lock(known: &Mutex<Known>) -> std::sync::MutexGuard<'_, Known> {
    // Each change is whole by itself, so a panic elsewhere leaves nothing half-written.
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One watch on one kind.
struct Follower {
    kind: Kind,
    namespace: Option<String>,
    known: Arc<Mutex<Known>>,
    listed: watch::Sender<bool>,
}

impl Follower {
    async fn follow(
        self,
        mut events: BoxStream<'static, Result<watcher::Event<DynamicObject>, watcher::Error>>,
    ) {
        let mut fresh = BTreeMap::new();
        let mut is_missing = false;
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Init) => fresh.clear(),
                Ok(watcher::Event::InitApply(object)) => {
                    if let Some((key, resource)) = self.read(object) {
                        fresh.insert(key, resource);
                    }
                }
                Ok(watcher::Event::InitDone) => {
                    is_missing = false;
                    self.replace(std::mem::take(&mut fresh)).await;
                }
                Ok(watcher::Event::Apply(object)) => {
                    if let Some((key, resource)) = self.read(object) {
                        self.put(key, Some(resource)).await;
                    }
                }
                Ok(watcher::Event::Delete(object)) => {
                    if let Some((key, _)) = self.read(object) {
                        self.put(key, None).await;
                    }
                }
                Err(error) => {
                    let missing = is_missing_kind(&error);
                    if !missing || !is_missing {
                        let kind = self.kind.as_str();
                        tracing::info!(kind, error = %error, "monitoring resources cannot be read");
                    }
                    if missing {
                        is_missing = true;
                        self.replace(BTreeMap::new()).await;
                    }
                }
            }
        }
    }

    fn read(&self, object: DynamicObject) -> Option<(Key, Arc<Resource>)> {
        let namespace = object.namespace()?;
        let name = object.name_any();
        let resource = Resource {
            kind: self.kind,
            namespace: namespace.clone(),
            name: name.clone(),
            uid: object.uid().unwrap_or_default(),
            labels: object.labels().clone(),
            spec: object.data.get("spec").cloned().unwrap_or_default(),
        };
        Some(((self.kind, namespace, name), Arc::new(resource)))
    }

    /// Takes over a whole list.
    async fn replace(&self, fresh: BTreeMap<Key, Arc<Resource>>) {
        let changed = {
            let mut known = lock(&self.known);
            let is_ours = |key: &Key| {
                key.0 == self.kind && self.namespace.as_ref().is_none_or(|name| *name == key.1)
            };
            let mut changed: Vec<String> = Vec::new();
            let before: Vec<Key> = known
                .resources
                .keys()
                .filter(|key| is_ours(key))
                .cloned()
                .collect();
            for key in before {
                if !fresh.contains_key(&key) {
                    known.resources.remove(&key);
                    changed.push(key.1);
                }
            }
            for (key, resource) in fresh {
                if known.resources.get(&key) != Some(&resource) {
                    changed.push(key.1.clone());
                    known.resources.insert(key, resource);
                }
            }
            changed
        };
        self.listed.send_replace(true);
        trigger(&self.known, &changed).await;
    }

    /// Takes over one change; a status that moved is none.
    async fn put(&self, key: Key, resource: Option<Arc<Resource>>) {
        let namespace = key.1.clone();
        {
            let mut known = lock(&self.known);
            if known.resources.get(&key) == resource.as_ref() {
                return;
            }
            match resource {
                Some(resource) => known.resources.insert(key, resource),
                None => known.resources.remove(&key),
            };
        }
        trigger(&self.known, &[namespace]).await;
    }
}

/// Whether the API server does not serve the kind, or not to us.
fn is_missing_kind(error: &watcher::Error) -> bool {
    let source = match error {
        watcher::Error::InitialListFailed(source)
        | watcher::Error::WatchStartFailed(source)
        | watcher::Error::WatchFailed(source) => source,
        _ => return false,
    };
    // The answer for an unknown path is plain text, of which only the code is left.
    matches!(source, kube::Error::Api(status) if status.code == 404 || status.code == 403)
}

/// Starts a pass over every stack that may look into one of `namespaces`.
async fn trigger(known: &Mutex<Known>, namespaces: &[String]) {
    if namespaces.is_empty() {
        return;
    }
    let interested: Vec<(Trigger, mpsc::Sender<Trigger>)> = lock(known)
        .interests
        .iter()
        .filter(|((of, _), interest)| interest.is_wide || namespaces.contains(of))
        .map(|((of, stack), interest)| (Trigger::new(stack).within(of), interest.triggers.clone()))
        .collect();
    for (trigger, sender) in interested {
        // A receiver that is gone is a controller that has stopped.
        let _ = sender.send(trigger).await;
    }
}

async fn follow_namespaces(
    mut events: BoxStream<
        'static,
        Result<watcher::Event<PartialObjectMeta<Namespace>>, watcher::Error>,
    >,
    known: Arc<Mutex<Known>>,
    listed: watch::Sender<bool>,
) {
    let mut fresh = BTreeMap::new();
    while let Some(event) = events.next().await {
        let changed = match event {
            Ok(watcher::Event::Init) => {
                fresh.clear();
                continue;
            }
            Ok(watcher::Event::InitApply(namespace)) => {
                fresh.insert(namespace.name_any(), namespace.labels().clone());
                continue;
            }
            Ok(watcher::Event::InitDone) => {
                let fresh = std::mem::take(&mut fresh);
                let before = std::mem::replace(&mut lock(&known).namespaces, fresh.clone());
                listed.send_replace(true);
                before != fresh
            }
            Ok(watcher::Event::Apply(namespace)) => {
                let labels = namespace.labels().clone();
                let name = namespace.name_any();
                lock(&known).namespaces.insert(name, labels.clone()) != Some(labels)
            }
            Ok(watcher::Event::Delete(namespace)) => lock(&known)
                .namespaces
                .remove(&namespace.name_any())
                .is_some(),
            Err(error) => {
                tracing::warn!(error = %error, "watch of namespaces interrupted");
                if is_missing_kind(&error) {
                    listed.send_replace(true);
                }
                continue;
            }
        };
        if changed {
            // Only stacks that look beyond their own namespace care.
            trigger(&known, &[String::new()]).await;
        }
    }
}
