//! The sections `kubeStateMetrics` and `nodeExporter`: made once in a cluster, by a stack that may.

use crds::MonitoringStackSpec;
use crds::workload::{ContainerOptions, PodOptions};

use super::{Check, Container, Reach, args};
use crate::names::Component;
use crate::settings::KUBE_STATE_METRICS_REPOSITORY;

/// Where a cluster-wide exporter runs, as one stack sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The stack does not want it.
    Unwanted,
    /// The stack wants it and its namespace has no leave.
    NoLeave,
    /// This stack runs it.
    Here,
    /// An older stack runs it.
    Elsewhere { namespace: String, stack: String },
}

/// A validated exporter section.
#[derive(Clone, Debug, PartialEq)]
pub struct Exporter {
    pub place: Place,
    pub image: String,
    pub container: Container,
    pub pod: PodOptions,
}

impl Check<'_> {
    pub(super) fn kube_state_metrics(
        &mut self,
        spec: &MonitoringStackSpec,
        reach: Reach,
    ) -> Exporter {
        let section = &spec.kube_state_metrics;
        let path = "spec.kubeStateMetrics";
        let options = ContainerOptions {
            resources: section.resources.clone(),
            extra_args: section.extra_args.clone(),
            ..ContainerOptions::default()
        };
        Exporter {
            place: self.place(Component::KubeStateMetrics, section.enabled, reach),
            image: self.image(
                &format!("{path}.image"),
                section.image.as_deref(),
                &format!("{KUBE_STATE_METRICS_REPOSITORY}:{}", section.version),
            ),
            container: self.container(path, &options, &args::KUBE_STATE_METRICS),
            pod: self.pod(path, &section.pod),
        }
    }

    pub(super) fn node_exporter(&mut self, spec: &MonitoringStackSpec, reach: Reach) -> Exporter {
        let section = &spec.node_exporter;
        let path = "spec.nodeExporter";
        Exporter {
            place: self.place(Component::NodeExporter, section.enabled, reach),
            image: self.settings.node_exporter_image.clone(),
            container: self.container(path, &section.container, &args::NODE_EXPORTER),
            pod: self.pod(path, &section.pod),
        }
    }

    fn place(&self, component: Component, enabled: bool, reach: Reach) -> Place {
        if !enabled {
            return Place::Unwanted;
        }
        if reach == Reach::Namespace {
            return Place::NoLeave;
        }
        match self.references.exporter_owners.get(&component) {
            None => Place::Here,
            Some(owner) => Place::Elsewhere {
                namespace: owner.namespace.clone(),
                stack: owner.stack.clone(),
            },
        }
    }
}
