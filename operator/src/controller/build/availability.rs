//! PodDisruptionBudgets: of several replicas one at a time may be taken down.

use serde_json::json;

use super::{Kind, Object, object};
use crate::controller::validate::Stack;
use crate::names::Component;

pub(super) fn objects(stack: &Stack) -> Vec<Object> {
    let mut workloads = vec![
        (Component::Prometheus, stack.prometheus.replicas),
        (Component::Query, stack.query.replicas),
    ];
    if stack.object_storage.is_some() {
        workloads.push((Component::Store, stack.store.replicas));
    }
    workloads
        .into_iter()
        // For a single replica a budget would only block the drain of its node.
        .filter(|(_, replicas)| *replicas > 1)
        .map(|(component, _)| {
            object(
                stack,
                component,
                Kind::PodDisruptionBudget,
                &stack.names.of(component),
                json!({
                    "spec": {
                        "maxUnavailable": 1,
                        "selector": { "matchLabels": stack.names.selector(component) },
                    },
                }),
            )
        })
        .collect()
}
