//! Fourth step: the whole desired set of objects. Pure and infallible.
//!
//! Objects are written as the JSON that goes to the API server: only the fields the operator owns.
//! A test reads every object of every golden file back through its Kubernetes type, so that a
//! misspelt field cannot hide.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::mint::Minted;
use super::validate::Stack;
use crate::names::{Component, OWNER_NAMESPACE_ANNOTATION, OWNER_UID_ANNOTATION};

mod alertmanager;
mod autoscaling;
mod availability;
mod compact;
mod default_rules;
mod exporters;
mod expose;
mod grafana;
mod network_policy;
mod object_storage;
mod pod;
mod prometheus;
pub mod prometheus_config;
mod query;
mod rbac;
mod rule_files;
mod scrape;
mod services;
mod store;

/// Kinds the operator writes, in the order it writes them: what a pod needs exists before the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    ServiceAccount,
    ClusterRoleBinding,
    RoleBinding,
    Service,
    Secret,
    ConfigMap,
    PodDisruptionBudget,
    NetworkPolicy,
    StatefulSet,
    Deployment,
    DaemonSet,
    HorizontalPodAutoscaler,
    Ingress,
}

impl Kind {
    /// All kinds, in order.
    pub const ALL: [Self; 13] = [
        Self::ServiceAccount,
        Self::ClusterRoleBinding,
        Self::RoleBinding,
        Self::Service,
        Self::Secret,
        Self::ConfigMap,
        Self::PodDisruptionBudget,
        Self::NetworkPolicy,
        Self::StatefulSet,
        Self::Deployment,
        Self::DaemonSet,
        Self::HorizontalPodAutoscaler,
        Self::Ingress,
    ];

    /// Group and version, as `apiVersion` has them.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::ServiceAccount | Self::Service | Self::Secret | Self::ConfigMap => "v1",
            Self::ClusterRoleBinding | Self::RoleBinding => "rbac.authorization.k8s.io/v1",
            Self::PodDisruptionBudget => "policy/v1",
            Self::NetworkPolicy | Self::Ingress => "networking.k8s.io/v1",
            Self::StatefulSet | Self::Deployment | Self::DaemonSet => "apps/v1",
            Self::HorizontalPodAutoscaler => "autoscaling/v2",
        }
    }

    /// The kind's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceAccount => "ServiceAccount",
            Self::ClusterRoleBinding => "ClusterRoleBinding",
            Self::RoleBinding => "RoleBinding",
            Self::Service => "Service",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::StatefulSet => "StatefulSet",
            Self::Deployment => "Deployment",
            Self::DaemonSet => "DaemonSet",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::HorizontalPodAutoscaler => "HorizontalPodAutoscaler",
            Self::Ingress => "Ingress",
        }
    }

    /// The kind's name in addresses.
    pub fn plural(self) -> &'static str {
        match self {
            Self::ServiceAccount => "serviceaccounts",
            Self::ClusterRoleBinding => "clusterrolebindings",
            Self::RoleBinding => "rolebindings",
            Self::Service => "services",
            Self::Secret => "secrets",
            Self::ConfigMap => "configmaps",
            Self::PodDisruptionBudget => "poddisruptionbudgets",
            Self::StatefulSet => "statefulsets",
            Self::Deployment => "deployments",
            Self::DaemonSet => "daemonsets",
            Self::NetworkPolicy => "networkpolicies",
            Self::HorizontalPodAutoscaler => "horizontalpodautoscalers",
            Self::Ingress => "ingresses",
        }
    }

    /// Whether objects of the kind live outside namespaces.
    pub fn is_cluster_scoped(self) -> bool {
        self == Self::ClusterRoleBinding
    }
}

/// One desired object.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    pub kind: Kind,
    pub name: String,
    /// The complete document, `apiVersion` and `kind` included.
    pub body: Value,
}

/// Everything a stack should consist of.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// In the order of [`Kind`], then by name.
    pub objects: Vec<Object>,
    /// SHA-256 of the configuration template, as the sidecar reports it.
    pub config_hash: String,
}

impl Desired {
    /// Whether anything outside the namespace is wanted.
    pub fn has_cluster_scoped(&self) -> bool {
        self.objects
            .iter()
            .any(|object| object.kind.is_cluster_scoped())
    }
}

/// Builds the desired set.
pub fn build(stack: &Stack, minted: &Minted) -> Desired {
    let template = prometheus_config::template(stack);
    let config_hash = prometheus_config::hash(&template);
    let mut objects = rbac::objects(stack);
    objects.extend(services::objects(stack));
    objects.extend(availability::objects(stack));
    objects.extend(network_policy::objects(stack));
    objects.extend(autoscaling::object(stack));
    objects.extend(prometheus::objects(stack, &template));
    objects.extend(rule_files::objects(stack));
    objects.push(query::object(stack));
    objects.extend(alertmanager::objects(stack));
    objects.extend(default_rules::object(stack));
    objects.extend(expose::objects(stack));
    objects.extend(grafana::objects(stack, minted));
    objects.extend(exporters::objects(stack));
    if let Some(storage) = &stack.object_storage {
        objects.push(store::object(stack, storage));
        if let Some(compact) = &stack.compact {
            objects.push(compact::object(stack, compact, storage));
        }
        objects.extend(object_storage::objects(stack, storage, minted));
    }
    objects.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    Desired {
        objects,
        config_hash,
    }
}

/// An object with the stack's labels and owner; `content` holds its fields beside the metadata.
fn object(stack: &Stack, component: Component, kind: Kind, name: &str, content: Value) -> Object {
    annotated(stack, component, kind, name, &BTreeMap::new(), content)
}

fn annotated(
    stack: &Stack,
    component: Component,
    kind: Kind,
    name: &str,
    annotations: &BTreeMap<String, String>,
    content: Value,
) -> Object {
    let mut metadata = json!({
        "name": name,
        "labels": stack.names.labels(component),
    });
    let mut annotations = annotations.clone();
    if kind.is_cluster_scoped() {
        // An owner in a namespace cannot own what lies outside it.
        annotations.insert(OWNER_UID_ANNOTATION.to_owned(), stack.uid.clone());
        annotations.insert(
            OWNER_NAMESPACE_ANNOTATION.to_owned(),
            stack.names.namespace.clone(),
        );
    } else {
        metadata["namespace"] = stack.names.namespace.as_str().into();
        metadata["ownerReferences"] = json!([{
            "apiVersion": format!("{}/{}", crds::GROUP, crds::VERSION),
            "kind": "MonitoringStack",
            "name": stack.names.stack,
            "uid": stack.uid,
            "controller": true,
            "blockOwnerDeletion": true,
        }]);
    }
    if !annotations.is_empty() {
        metadata["annotations"] = json!(annotations);
    }
    let mut body = content;
    body["apiVersion"] = kind.api_version().into();
    body["kind"] = kind.as_str().into();
    body["metadata"] = metadata;
    Object {
        kind,
        name: name.to_owned(),
        body,
    }
}

#[cfg(test)]
mod tests;
