//! What the watches know of the operator's own objects: metadata only.

use std::collections::HashMap;

use futures::stream::{BoxStream, StreamExt as _};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, PartialObjectMeta};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};

use crate::controller::build::Kind;
use crate::names::{FIELD_MANAGER, OWNER_NAMESPACE_ANNOTATION, OWNER_UID_ANNOTATION, STACK_LABEL};

/// Metadata of one object.
pub type Metadata = PartialObjectMeta<DynamicObject>;
/// Changes of one kind's metadata.
pub type Changes = BoxStream<'static, Result<Metadata, watcher::Error>>;

impl Kind {
    /// How the API server addresses the kind.
    pub fn api_resource(self) -> ApiResource {
        let (group, version) = self.api_version().split_once('/').unwrap_or(("", "v1"));
        let kind = GroupVersionKind::gvk(group, version, self.as_str());
        ApiResource::from_gvk_with_plural(&kind, self.plural())
    }
}

/// The stores of all kinds in one namespace, or in all.
#[derive(Clone)]
pub struct Children {
    stores: HashMap<Kind, Store<Metadata>>,
}

impl Children {
    /// Starts a watch per kind. The streams must be polled for the stores to be filled.
    pub fn watch(client: &Client, namespace: Option<&str>) -> (Self, Vec<(Kind, Changes)>) {
        let mut stores = HashMap::new();
        let mut streams = Vec::new();
        for kind in Kind::ALL {
            let resource = kind.api_resource();
            let api: Api<Metadata> = match namespace {
                Some(namespace) if !kind.is_cluster_scoped() => {
                    Api::namespaced_with(client.clone(), namespace, &resource)
                }
                _ => Api::all_with(client.clone(), &resource),
            };
            let writer = reflector::store::Writer::<Metadata>::new(resource);
            stores.insert(kind, writer.as_reader());
            let selector = format!("app.kubernetes.io/managed-by={FIELD_MANAGER}");
            let config = watcher::Config::default().labels(&selector);
            let stream = watcher(api, config)
                .modify(|object| {
                    // Half of an object's metadata says who wrote what; it is read where needed.
                    object.metadata.managed_fields = None;
                    object.labels_mut().retain(|name, _| name == STACK_LABEL);
                    object.annotations_mut().retain(|name, _| {
                        name == OWNER_UID_ANNOTATION || name == OWNER_NAMESPACE_ANNOTATION
                    });
                })
                .default_backoff()
                .reflect(writer)
                .touched_objects()
                .boxed();
            streams.push((kind, stream));
        }
        (Self { stores }, streams)
    }

    /// Waits until every kind has been listed once.
    pub async fn wait_until_listed(&self) {
        for store in self.stores.values() {
            // A dropped writer means that the watch has ended with the process.
            let _ = store.wait_until_ready().await;
        }
    }

    /// The resourceVersion that the watch last saw of an object.
    pub fn resource_version(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Option<String> {
        let mut key = ObjectRef::<Metadata>::new_with(name, kind.api_resource());
        if let Some(namespace) = namespace {
            key = key.within(namespace);
        }
        self.stores.get(&kind)?.get(&key)?.resource_version()
    }

    /// Names of the objects that carry a stack's label.
    pub fn names_of_stack(&self, kind: Kind, namespace: &str, stack: &str) -> Vec<String> {
        let Some(store) = self.stores.get(&kind) else {
            return Vec::new();
        };
        store
            .state_filter(|object| {
                let of = if kind.is_cluster_scoped() {
                    object
                        .annotations()
                        .get(OWNER_NAMESPACE_ANNOTATION)
                        .cloned()
                } else {
                    object.namespace()
                };
                of.as_deref() == Some(namespace)
                    && object
                        .labels()
                        .get(STACK_LABEL)
                        .is_some_and(|name| name == stack)
            })
            .iter()
            .map(|object| object.name_any())
            .collect()
    }

    /// Names of the cluster-scoped objects of the stack with this uid.
    pub fn cluster_scoped_of(&self, uid: &str) -> Vec<String> {
        let Some(store) = self.stores.get(&Kind::ClusterRoleBinding) else {
            return Vec::new();
        };
        store
            .state_filter(|object| {
                object
                    .annotations()
                    .get(OWNER_UID_ANNOTATION)
                    .is_some_and(|owner| owner == uid)
            })
            .iter()
            .map(|object| object.name_any())
            .collect()
    }

    /// Namespace and uid of every stack that owns a cluster-scoped object.
    pub fn cluster_scoped_owners(&self) -> Vec<(String, String)> {
        let Some(store) = self.stores.get(&Kind::ClusterRoleBinding) else {
            return Vec::new();
        };
        let mut owners: Vec<_> = store
            .state()
            .iter()
            .filter_map(|object| {
                let annotations = object.annotations();
                let namespace = annotations.get(OWNER_NAMESPACE_ANNOTATION)?;
                Some((
                    namespace.clone(),
                    annotations.get(OWNER_UID_ANNOTATION)?.clone(),
                ))
            })
            .collect();
        owners.sort();
        owners.dedup();
        owners
    }
}
