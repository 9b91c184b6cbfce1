//! One condition for each workload: are all replicas there, new and ready.

use super::{Draft, Observed, draft};
use crate::names::Component;

/// The condition that tells of a component's workload; none for what is told of elsewhere.
pub(super) fn condition_of(component: Component) -> Option<&'static str> {
    match component {
        Component::Prometheus => Some("PrometheusReady"),
        Component::Query => Some("QueryReady"),
        Component::Store => Some("StoreReady"),
        Component::Compact => Some("CompactorReady"),
        Component::ObjectStorage => None,
        Component::Alertmanager => Some("AlertmanagerReady"),
        Component::Grafana => Some("GrafanaReady"),
        Component::KubeStateMetrics => Some("KubeStateMetricsReady"),
        Component::NodeExporter => Some("NodeExporterReady"),
    }
}

pub(super) fn workload_condition(
    kind: &'static str,
    observed: &Observed<'_>,
    name: &str,
    component: Component,
) -> Draft {
    let Some(workload) = observed
        .workloads
        .iter()
        .find(|workload| workload.name == name)
    else {
        return draft(
            kind,
            false,
            "NotCreated",
            format!("workload {name} does not exist"),
        );
    };
    if workload.is_complete() {
        return draft(
            kind,
            true,
            "AllReplicasReady",
            format!(
                "{} of {} replicas are ready",
                workload.ready, workload.wanted
            ),
        );
    }
    let (reason, what) = if workload.observed && workload.updated < workload.wanted {
        (
            "RollingOut",
            format!(
                "{} of {} replicas are updated",
                workload.updated, workload.wanted
            ),
        )
    } else {
        (
            "ReplicasNotReady",
            format!(
                "{} of {} replicas are ready",
                workload.ready, workload.wanted
            ),
        )
    };
    let trouble = observed
        .pods
        .iter()
        .filter(|pod| pod.component == component.as_str())
        .find_map(|pod| {
            pod.trouble
                .as_ref()
                .map(|trouble| format!("; {}: {trouble}", pod.name))
        })
        .unwrap_or_default();
    draft(kind, false, reason, format!("{what}{trouble}"))
}
