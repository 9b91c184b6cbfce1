//! Fifth step, the only writer: server-side apply in the order of the desired set, then pruning.
//!
//! An object is written only where a field of ours differs. Its resourceVersion is remembered; while
//! the metadata watch shows the same one, it is not even read again. What another owner controls is
//! never taken over, and a volume claim is never touched but to grow.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crds::MonitoringStack;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::DynamicObject;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::build::{Desired, Kind, Object};
use super::validate::Stack;
use crate::children::Children;
use crate::leader::{Fence, FencedError};
use crate::names::{
    CONFIG_HASH_ANNOTATION, FIELD_MANAGER, OWNER_NAMESPACE_ANNOTATION, OWNER_UID_ANNOTATION,
    STACK_LABEL,
};
use crate::telemetry::Metrics;

mod claims;
pub mod compare;
mod error;
mod listing;
mod workload;

pub use error::ApplyError;
use listing::Listed;
pub use workload::Workload;
use workload::workload_of;

/// Present only while objects outside the namespace exist, which garbage collection cannot see.
pub const FINALIZER: &str = "hindsight.dev/cluster-bindings";

/// Whether objects may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Write,
    /// Of a paused stack.
    Observe,
}

type Key = (Kind, Option<String>, String);

/// What is known of an object without reading it.
#[derive(Clone)]
struct Remembered {
    resource_version: String,
    desired: [u8; 32],
    workload: Option<Workload>,
    /// uid of the stack.
    owner: String,
}

/// Writes to the API server.
pub struct Applier {
    client: Client,
    fence: Arc<Fence>,
    metrics: Arc<Metrics>,
    memory: Mutex<HashMap<Key, Remembered>>,
}

impl Applier {
    /// A writer that writes only while `fence` lets it.
    pub fn new(client: Client, fence: Arc<Fence>, metrics: Arc<Metrics>) -> Self {
        Self {
            client,
            fence,
            metrics,
            memory: Mutex::new(HashMap::new()),
        }
    }

    /// Brings all objects of `stack` to the desired state and removes what is not wanted any more.
    ///
    /// # Errors
    /// At the first object that could not be written; nothing is pruned then.
    pub async fn apply(
        &self,
        stack: &Stack,
        desired: &Desired,
        children: &Children,
        mode: Mode,
    ) -> Result<Vec<Workload>, ApplyError> {
        let mut workloads = Vec::new();
        let mut listed = self.list(stack, desired, children).await?;
        for object in &desired.objects {
            let one = self.apply_one(stack, object, children, mode, &mut listed);
            workloads.extend(one.await?);
        }
        if mode == Mode::Write {
            self.prune(stack, desired, children).await?;
        }
        Ok(workloads)
    }

    async fn apply_one(
        &self,
        stack: &Stack,
        object: &Object,
        children: &Children,
        mode: Mode,
        listed: &mut Listed,
    ) -> Result<Option<Workload>, ApplyError> {
        let namespace = namespace_of(object.kind, &stack.names.namespace);
        let key = (object.kind, namespace.clone(), object.name.clone());
        let digest = digest(&object.body);
        let seen = children.resource_version(object.kind, namespace.as_deref(), &object.name);
        if let Some(known) = self.recall(&key)
            && known.desired == digest
            && seen.as_ref() == Some(&known.resource_version)
        {
            return Ok(known.workload);
        }
        let api = self.api(object.kind, namespace.as_deref());
        let live = match listed.remove(&(object.kind, object.name.clone())) {
            Some(live) => Some(live),
            None => api
                .get_opt(&object.name)
                .await
                .map_err(|source| ApplyError::Request {
                    verb: "read",
                    what: describe(object.kind, &object.name),
                    source,
                })?,
        };
        let mut body = object.body.clone();
        if let Some(live) = &live {
            if live.metadata.deletion_timestamp.is_some() {
                return match mode {
                    Mode::Observe => Ok(None),
                    Mode::Write if claims::is_being_replaced(live) => Err(ApplyError::Replacing {
                        name: object.name.clone(),
                    }),
                    Mode::Write => Err(ApplyError::Terminating {
                        kind: object.kind,
                        name: object.name.clone(),
                    }),
                };
            }
            check_owner(stack, object, live)?;
            let document = to_value(live);
            let is_current = !compare::differs(&document, &object.body);
            if is_current {
                let workload = self.remember(stack, key, digest, live, &document);
                return Ok(workload);
            }
            if mode == Mode::Observe {
                return Ok(workload_of(object.kind, &document));
            }
            if object.kind == Kind::StatefulSet {
                self.grow(stack, object, live, &document).await?;
            }
            // Somebody else's change in between makes this a conflict instead of being undone blindly.
            body["metadata"]["resourceVersion"] = json!(live.metadata.resource_version);
        } else if mode == Mode::Observe {
            return Ok(None);
        }
        let what = describe(object.kind, &object.name);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(&body);
        let written = self
            .write(
                "apply",
                what,
                object.kind.as_str(),
                api.patch(&object.name, &params, &patch),
            )
            .await?;
        tracing::info!(
            kind = object.kind.as_str(),
            name = object.name,
            namespace = stack.names.namespace,
            "applied object"
        );
        let document = to_value(&written);
        Ok(self.remember(stack, key, digest, &written, &document))
    }

    /// Deletes what carries the stack's mark in every respect and is not wanted.
    async fn prune(
        &self,
        stack: &Stack,
        desired: &Desired,
        children: &Children,
    ) -> Result<(), ApplyError> {
        for kind in Kind::ALL {
            let namespace = &stack.names.namespace;
            for name in children.names_of_stack(kind, namespace, &stack.names.stack) {
                let wanted = desired
                    .objects
                    .iter()
                    .any(|object| object.kind == kind && object.name == name);
                if !wanted {
                    self.delete_own(kind, namespace, &name, &stack.uid).await?;
                }
            }
        }
        Ok(())
    }

    /// Deletes an object, provided it is the stack's in every respect.
    async fn delete_own(
        &self,
        kind: Kind,
        stack_namespace: &str,
        name: &str,
        uid: &str,
    ) -> Result<(), ApplyError> {
        let namespace = namespace_of(kind, stack_namespace);
        let api = self.api(kind, namespace.as_deref());
        let what = describe(kind, name);
        let live = api
            .get_opt(name)
            .await
            .map_err(|source| ApplyError::Request {
                verb: "read",
                what: what.clone(),
                source,
            })?;
        let Some(live) = live else { return Ok(()) };
        let is_own = is_owner(kind, &live, uid)
            && live.labels().contains_key(STACK_LABEL)
            && compare::is_managed(&to_value(&live));
        if !is_own || live.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: live.metadata.uid.clone(),
                resource_version: live.metadata.resource_version.clone(),
            }),
            ..DeleteParams::background()
        };
        self.write("delete", what, kind.as_str(), api.delete(name, &params))
            .await?;
        self.forget(&(kind, namespace, name.to_owned()));
        tracing::info!(
            kind = kind.as_str(),
            name,
            namespace = stack_namespace,
            "deleted object"
        );
        Ok(())
    }

    /// Adds or removes the finalizer, so that it exists exactly while it is needed.
    ///
    /// # Errors
    /// Where the resource could not be written.
    pub async fn set_finalizer(
        &self,
        resource: &MonitoringStack,
        wanted: bool,
    ) -> Result<(), ApplyError> {
        let present = resource.finalizers().iter().any(|name| name == FINALIZER);
        if present == wanted {
            return Ok(());
        }
        let mut finalizers: Vec<&str> = resource
            .finalizers()
            .iter()
            .map(String::as_str)
            .filter(|name| *name != FINALIZER)
            .collect();
        if wanted {
            finalizers.push(FINALIZER);
        }
        let patch = json!({
            "metadata": {
                "finalizers": finalizers,
                "resourceVersion": resource.metadata.resource_version,
            },
        });
        let api = self.stacks(resource);
        let name = resource.name_any();
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(&patch);
        let written = self
            .write(
                "patch",
                format!("finalizers of MonitoringStack {name:?}"),
                "MonitoringStack",
                api.patch_metadata(&name, &params, &patch),
            )
            .await;
        match written {
            Ok(_) => Ok(()),
            // Deleted meanwhile: there is nothing left to guard.
            Err(ApplyError::Request {
                source: kube::Error::Api(status),
                ..
            }) if status.is_not_found() && !wanted => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes what garbage collection cannot see of a stack that is being deleted.
    ///
    /// # Errors
    /// Where an object could not be deleted.
    pub async fn clean_up(
        &self,
        namespace: &str,
        uid: &str,
        children: &Children,
    ) -> Result<(), ApplyError> {
        for name in children.cluster_scoped_of(uid) {
            self.delete_own(Kind::ClusterRoleBinding, namespace, &name, uid)
                .await?;
        }
        Ok(())
    }

    /// Bumps an annotation on pods, so that kubelet syncs their volumes now instead of within two
    /// minutes.
    ///
    /// # Errors
    /// Where a pod could not be written. A pod that is gone is none.
    pub async fn nudge(
        &self,
        namespace: &str,
        pods: &[String],
        config_hash: &str,
    ) -> Result<(), ApplyError> {
        let api: Api<k8s_openapi::api::core::v1::Pod> =
            Api::namespaced(self.client.clone(), namespace);
        for pod in pods {
            let patch =
                json!({ "metadata": { "annotations": { CONFIG_HASH_ANNOTATION: config_hash } } });
            let params = PatchParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..PatchParams::default()
            };
            let patch = Patch::Merge(&patch);
            let written = self
                .write(
                    "annotate",
                    format!("Pod {pod:?}"),
                    "Pod",
                    api.patch_metadata(pod, &params, &patch),
                )
                .await;
            match written {
                Ok(_) => {}
                Err(ApplyError::Request {
                    source: kube::Error::Api(status),
                    ..
                }) if status.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes the status. The resource must be freshly read.
    ///
    /// # Errors
    /// Where the status could not be written, a conflict included.
    pub async fn write_status(
        &self,
        resource: &MonitoringStack,
        status: &crds::status::MonitoringStackStatus,
    ) -> Result<(), ApplyError> {
        let name = resource.name_any();
        let body = json!({
            "apiVersion": format!("{}/{}", crds::GROUP, crds::VERSION),
            "kind": "MonitoringStack",
            "metadata": { "name": name, "resourceVersion": resource.metadata.resource_version },
            "status": status,
        });
        let api = self.stacks(resource);
        let params = PatchParams::apply(&format!("{FIELD_MANAGER}/status")).force();
        let patch = Patch::Apply(&body);
        self.write(
            "update",
            format!("status of MonitoringStack {name:?}"),
            "MonitoringStack/status",
            api.patch_status(&name, &params, &patch),
        )
        .await?;
        Ok(())
    }

    /// Runs one write inside the fence.
    ///
    /// # Errors
    /// The request's, or that this process does not lead.
    pub async fn write<T>(
        &self,
        verb: &'static str,
        what: String,
        kind: &str,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, ApplyError> {
        let result = self.fence.guard(request).await;
        self.metrics.wrote(verb, kind, matches!(result, Ok(Ok(_))));
        match result {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => Err(ApplyError::Request { verb, what, source }),
            Err(FencedError::NotLeading) => Err(ApplyError::NotLeading { verb, what }),
            Err(FencedError::TimedOut) => Err(ApplyError::TimedOut { verb, what }),
        }
    }

    fn stacks(&self, resource: &MonitoringStack) -> Api<MonitoringStack> {
        Api::namespaced(
            self.client.clone(),
            &resource.namespace().unwrap_or_default(),
        )
    }

    fn api(&self, kind: Kind, namespace: Option<&str>) -> Api<DynamicObject> {
        let resource = kind.api_resource();
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Remembered>> {
        // Each entry is whole by itself, so a panic elsewhere leaves nothing half-written.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recall(&self, key: &Key) -> Option<Remembered> {
        self.memory().get(key).cloned()
    }

    fn remember(
        &self,
        stack: &Stack,
        key: Key,
        desired: [u8; 32],
        live: &DynamicObject,
        document: &Value,
    ) -> Option<Workload> {
        let workload = workload_of(key.0, document);
        if let Some(resource_version) = live.metadata.resource_version.clone() {
            let known = Remembered {
                resource_version,
                desired,
                workload: workload.clone(),
                owner: stack.uid.clone(),
            };
            self.memory().insert(key, known);
        }
        workload
    }

    fn forget(&self, key: &Key) {
        self.memory().remove(key);
    }

    /// Forgets the objects of a stack that is gone.
    pub fn forget_stack(&self, uid: &str) {
        self.memory().retain(|_, known| known.owner != uid);
    }
}

fn namespace_of(kind: Kind, namespace: &str) -> Option<String> {
    (!kind.is_cluster_scoped()).then(|| namespace.to_owned())
}

fn describe(kind: Kind, name: &str) -> String {
    format!("{} {name:?}", kind.as_str())
}

fn digest(body: &Value) -> [u8; 32] {
    Sha256::digest(body.to_string()).into()
}

fn to_value(object: &DynamicObject) -> Value {
    // A document that came as JSON goes back to JSON.
    serde_json::to_value(object).unwrap_or_default()
}

fn check_owner(stack: &Stack, object: &Object, live: &DynamicObject) -> Result<(), ApplyError> {
    if is_owner(object.kind, live, &stack.uid) {
        return Ok(());
    }
    let is_of_earlier_stack = live
        .owner_references()
        .iter()
        .any(|owner| owner.kind == "MonitoringStack" && owner.name == stack.names.stack)
        || (object.kind.is_cluster_scoped()
            && live.annotations().get(OWNER_NAMESPACE_ANNOTATION) == Some(&stack.names.namespace));
    let (kind, name) = (object.kind, object.name.clone());
    Err(if is_of_earlier_stack {
        ApplyError::Terminating { kind, name }
    } else {
        ApplyError::Taken { kind, name }
    })
}

fn is_owner(kind: Kind, live: &DynamicObject, uid: &str) -> bool {
    if kind.is_cluster_scoped() {
        return live
            .annotations()
            .get(OWNER_UID_ANNOTATION)
            .is_some_and(|owner| owner == uid);
    }
    live.owner_references()
        .iter()
        .any(|owner| owner.controller == Some(true) && owner.uid == uid)
}
