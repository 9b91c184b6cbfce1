//! `ScopeLimited`: what the namespace has no power for.

use super::{Draft, draft};
use crate::controller::validate::{Place, Reach, Stack};

/// What a stack would scrape or run but may not.
pub(super) fn scope_limited(stack: &Stack) -> Option<Draft> {
    if stack.reach == Reach::Cluster {
        return None;
    }
    let scrapes = &stack.prometheus.scrapes;
    let prometheus = &stack.prometheus;
    let narrowed = stack
        .monitored
        .verdicts
        .iter()
        .any(|verdict| verdict.is_narrowed);
    let left_out: Vec<&str> = [
        ("kubelet", scrapes.kubelet),
        ("cadvisor", scrapes.cadvisor),
        ("apiserver", scrapes.apiserver),
        (
            "kubeStateMetrics",
            stack.kube_state_metrics.place == Place::NoLeave,
        ),
        ("nodeExporter", stack.node_exporter.place == Place::NoLeave),
        (
            "monitoring resources of other namespaces",
            prometheus.selects_namespaces,
        ),
        ("targets of monitors in other namespaces", narrowed),
    ]
    .into_iter()
    .filter_map(|(name, wanted)| wanted.then_some(name))
    .collect();
    if left_out.is_empty() {
        return None;
    }
    Some(draft(
        "ScopeLimited",
        true,
        "NamespaceNotInClusterStacks",
        format!(
            "left out: {}; pods and services are scraped in namespace {} only. Ask the administrator to add the namespace to --cluster-stacks, or do not ask for these",
            left_out.join(", "),
            stack.names.namespace
        ),
    ))
}
