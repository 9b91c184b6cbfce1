//! Which workloads a stack consists of: what build, budgets, policies and status go through.

use crds::workload::PodOptions;

use super::{ObjectStorage, Place, Stack};
use crate::names::Component;

/// One workload of a stack.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    pub component: Component,
    /// Fewest replicas that it runs with.
    pub replicas: i32,
    /// Options of its pods; none where the spec offers none.
    pub pod: Option<&'a PodOptions>,
}

impl Stack {
    /// Every workload that the stack has, in the order of [`Component`].
    pub fn parts(&self) -> Vec<Part<'_>> {
        let mut parts = vec![
            Part {
                component: Component::Prometheus,
                replicas: self.prometheus.replicas,
                pod: Some(&self.prometheus.pod),
            },
            Part {
                component: Component::Query,
                replicas: self
                    .query
                    .autoscaling
                    .as_ref()
                    .map_or(self.query.replicas, |scaling| scaling.min),
                pod: Some(&self.query.pod),
            },
        ];
        if self.object_storage.is_some() {
            parts.push(Part {
                component: Component::Store,
                replicas: self.store.replicas,
                pod: Some(&self.store.pod),
            });
        }
        if let Some(compact) = &self.compact {
            parts.push(Part {
                component: Component::Compact,
                // Two would only wait for each other's lease.
                replicas: 1,
                pod: Some(&compact.pod),
            });
        }
        if let Some(ObjectStorage::Embedded { .. }) = &self.object_storage {
            parts.push(Part {
                component: Component::ObjectStorage,
                replicas: 1,
                pod: None,
            });
        }
        if let Some(alertmanager) = &self.alertmanager {
            parts.push(Part {
                component: Component::Alertmanager,
                replicas: alertmanager.replicas,
                pod: Some(&alertmanager.pod),
            });
        }
        if let Some(grafana) = &self.grafana {
            parts.push(Part {
                component: Component::Grafana,
                replicas: 1,
                pod: Some(&grafana.pod),
            });
        }
        for (component, exporter) in [
            (Component::KubeStateMetrics, &self.kube_state_metrics),
            (Component::NodeExporter, &self.node_exporter),
        ] {
            if exporter.place == Place::Here {
                parts.push(Part {
                    component,
                    replicas: 1,
                    pod: Some(&exporter.pod),
                });
            }
        }
        parts
    }
}
