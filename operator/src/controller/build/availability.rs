//! PodDisruptionBudgets: of several replicas one at a time may be taken down.

use serde_json::json;

use super::{Kind, Object, object};
use crate::controller::validate::Stack;

pub(super) fn objects(stack: &Stack) -> Vec<Object> {
    if !stack.has_disruption_budgets {
        return Vec::new();
    }
    stack
        .parts()
        .into_iter()
        // For a single replica a budget would only block the drain of its node.
        .filter(|part| part.replicas > 1)
        .map(|part| {
            object(
                stack,
                part.component,
                Kind::PodDisruptionBudget,
                &stack.names.of(part.component),
                json!({
                    "spec": {
                        "maxUnavailable": 1,
                        "selector": { "matchLabels": stack.names.selector(part.component) },
                    },
                }),
            )
        })
        .collect()
}
