//! HorizontalPodAutoscalers.

use serde_json::{Value, json};

use super::{Kind, Object};
use crate::controller::validate::Stack;
use crate::names::Component;

/// The querier's, where the stack asks for one.
pub(super) fn object(stack: &Stack) -> Option<Object> {
    let scaling = stack.query.autoscaling.as_ref()?;
    let name = stack.names.of(Component::Query);
    let metrics: Vec<Value> = [("cpu", scaling.cpu), ("memory", scaling.memory)]
        .into_iter()
        .filter_map(|(resource, percent)| {
            Some(json!({
                "type": "Resource",
                "resource": {
                    "name": resource,
                    "target": { "type": "Utilization", "averageUtilization": percent? },
                },
            }))
        })
        .collect();
    let mut spec = json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
        "minReplicas": scaling.min,
        "maxReplicas": scaling.max,
        "metrics": metrics,
    });
    if let Some(seconds) = scaling.scale_down_stabilization_seconds {
        spec["behavior"] = json!({ "scaleDown": { "stabilizationWindowSeconds": seconds } });
    }
    Some(super::object(
        stack,
        Component::Query,
        Kind::HorizontalPodAutoscaler,
        &name,
        json!({ "spec": spec }),
    ))
}
