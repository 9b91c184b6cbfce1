//! Second step: the raw spec and what it refers to become a [`Stack`] that cannot be wrong. Pure.
//!
//! What the schema can refuse, it has refused already; this step checks everything again that a
//! resource stored under an older schema, or `render` without a schema, could bring in. One file a
//! section of the spec; [`workload`] has what the sections share.

use std::collections::BTreeMap;

use crds::MonitoringStack;
use kube::ResourceExt as _;

use super::dereference::References;
use crate::coreos::Translation;
use crate::names::Names;
use crate::settings::Settings;

mod alertmanager;
pub mod args;
pub mod bucket;
mod compact;
mod exporters;
mod expose;
mod grafana;
mod identity;
mod images;
mod monitors;
mod network_policy;
mod object_storage;
mod parts;
mod prometheus;
mod proxy;
mod query;
mod remote_write;
pub mod scrape_configs;
mod secrets;
mod sidecar;
mod store;
mod workload;

pub use alertmanager::{Alertmanager, AlertmanagerConfig};
pub use compact::Compact;
pub use exporters::{Exporter, Place};
pub use expose::{Exposure, Exposures, ORDINAL};
pub use grafana::Grafana;
pub use images::Images;
pub use network_policy::{NetworkClient, NetworkPolicies};
pub use object_storage::ObjectStorage;
pub use parts::Part;
pub use prometheus::{Prometheus, Version};
pub use query::{Query, QueryEndpoint, QueryEndpointTls};
pub use remote_write::RemoteWrite;
pub use sidecar::{BlockDuration, Sidecar};
pub use store::Store;
pub use workload::{Container, Volume};

#[cfg(test)]
mod tests;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct Invalid {
    /// Path of the field, e.g. `spec.prometheus.retention`.
    pub path: String,
    /// What is wrong and what to do.
    pub problem: String,
    /// Class of the problem, for condition and event.
    pub reason: Reason,
}

/// Classes of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    InvalidSpec,
    ImageNotAllowed,
    SecretNotFound,
    SecretKeyNotFound,
    MalformedSecret,
}

impl Reason {
    /// The condition's and the event's reason.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidSpec => "InvalidSpec",
            Self::ImageNotAllowed => "ImageNotAllowed",
            Self::SecretNotFound => "SecretNotFound",
            Self::SecretKeyNotFound => "SecretKeyNotFound",
            Self::MalformedSecret => "MalformedSecret",
        }
    }
}

/// A stack that can be built.
#[derive(Clone, Debug, PartialEq)]
pub struct Stack {
    pub names: Names,
    /// uid of the resource; the owner of all objects.
    pub uid: String,
    /// External labels without the replica label.
    pub external_labels: BTreeMap<String, String>,
    pub replica_label: String,
    pub object_storage: Option<ObjectStorage>,
    pub prometheus: Prometheus,
    pub sidecar: Sidecar,
    pub query: Query,
    pub store: Store,
    pub compact: Option<Compact>,
    pub alertmanager: Option<Alertmanager>,
    pub grafana: Option<Grafana>,
    pub kube_state_metrics: Exporter,
    pub node_exporter: Exporter,
    pub images: Images,
    pub proxy: Vec<(String, String)>,
    pub expose: Exposures,
    pub network_policy: NetworkPolicies,
    pub has_disruption_budgets: bool,
    /// Whether the namespace's stacks may reach beyond it.
    pub reach: Reach,
    /// Where the operator's pods run.
    pub operator_namespace: String,
    /// Namespaces whose stacks may scrape this stack's cluster-wide exporters.
    pub cluster_stacks: Vec<String>,
    /// What the selected monitoring resources come to.
    pub monitored: Translation,
}

/// How far a stack's Prometheus may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Namespace,
    Cluster,
}

/// Turns a resource and what it refers to into a buildable stack.
///
/// # Errors
/// Everything that is wrong, in the order of the fields; at least one entry.
pub fn validate(
    resource: &MonitoringStack,
    references: &References,
    settings: &Settings,
) -> Result<Stack, Vec<Invalid>> {
    let mut check = Check {
        references,
        settings,
        invalid: Vec::new(),
    };
    let stack = check.stack(resource);
    if check.invalid.is_empty() {
        Ok(stack)
    } else {
        Err(check.invalid)
    }
}

struct Check<'a> {
    references: &'a References,
    settings: &'a Settings,
    invalid: Vec<Invalid>,
}

impl Check<'_> {
    fn refuse(&mut self, path: &str, problem: impl Into<String>) {
        self.refuse_as(Reason::InvalidSpec, path, problem);
    }

    fn refuse_as(&mut self, reason: Reason, path: &str, problem: impl Into<String>) {
        self.invalid.push(Invalid {
            path: path.to_owned(),
            problem: problem.into(),
            reason,
        });
    }

    fn stack(&mut self, resource: &MonitoringStack) -> Stack {
        let spec = &resource.spec;
        let name = resource.name_any();
        let namespace = resource.namespace().unwrap_or_default();
        self.name(&name);
        let external_labels = self.external_labels(spec, &namespace, &name);
        let reach = self.settings.reach(&namespace);
        let prometheus = self.prometheus(spec, &name);
        let monitored = self.monitors(spec, &namespace, reach, &prometheus);
        Stack {
            names: Names::new(&namespace, &name, spec.naming.as_ref()),
            uid: resource.uid().unwrap_or_default(),
            external_labels,
            replica_label: spec.replica_label_name.clone(),
            object_storage: self.object_storage(spec),
            prometheus,
            sidecar: self.sidecar(spec),
            query: self.query(spec),
            store: self.store(spec),
            compact: self.compact(spec),
            alertmanager: self.alertmanager(spec),
            grafana: self.grafana(spec),
            kube_state_metrics: self.kube_state_metrics(spec, reach),
            node_exporter: self.node_exporter(spec, reach),
            images: self.images(spec),
            proxy: proxy::environment(spec),
            expose: self.expose(spec, &namespace),
            network_policy: self.network_policy(spec),
            has_disruption_budgets: spec.pod_disruption_budget.enabled,
            reach,
            operator_namespace: self.settings.operator_namespace.clone(),
            cluster_stacks: self.settings.cluster_stacks.iter().cloned().collect(),
            monitored,
        }
    }
}
