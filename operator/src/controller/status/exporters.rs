//! Cluster-wide exporters that an older stack runs.

use super::{Draft, draft, workload};
use crate::controller::validate::{Place, Stack};
use crate::names::Component;

/// The conditions of the exporters that this stack scrapes and another one runs.
pub(super) fn elsewhere(stack: &Stack) -> Vec<Draft> {
    [
        (Component::KubeStateMetrics, &stack.kube_state_metrics),
        (Component::NodeExporter, &stack.node_exporter),
    ]
    .into_iter()
    .filter_map(|(component, exporter)| {
        let Place::Elsewhere { namespace, stack } = &exporter.place else {
            return None;
        };
        Some(draft(
            workload::condition_of(component)?,
            true,
            "RunByOtherStack",
            format!("MonitoringStack {namespace}/{stack} runs it for the whole cluster"),
        ))
    })
    .collect()
}
