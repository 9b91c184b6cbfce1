//! A stack's status as a person reads it. Pure; `kubectl hindsight status` prints it.

use crds::MonitoringStack;
use kube::ResourceExt as _;

/// The status as text, most important first.
pub fn of(stack: &MonitoringStack) -> String {
    let mut text = format!(
        "MonitoringStack {}/{}\n",
        stack.namespace().unwrap_or_default(),
        stack.name_any()
    );
    let Some(status) = &stack.status else {
        text.push_str("  the operator has not looked at it yet\n");
        return text;
    };
    let mut line = |name: &str, value: &str| text.push_str(&format!("  {name:<12}{value}\n"));
    if status.observed_generation != stack.metadata.generation {
        line(
            "",
            "(of an earlier spec; the operator has not looked at the present one)",
        );
    }
    let facts = [
        ("prometheus", &status.prometheus),
        ("components", &status.components),
        ("bucket", &status.bucket),
    ];
    for (name, fact) in facts {
        if let Some(fact) = fact {
            line(name, fact);
        }
    }
    if let Some(time) = &status.last_upload {
        line("last upload", &time.0.to_string());
    }
    if let Some(endpoints) = &status.endpoints {
        line("query", &endpoints.query);
    }
    for selected in &status.selected {
        let rejected = match selected.rejected {
            0 => String::new(),
            rejected => format!(", {rejected} left out"),
        };
        let count = format!("{} selected{rejected}", selected.selected);
        text.push_str(&format!("  {:<20}{count}\n", selected.kind));
    }
    text.push('\n');
    for condition in &status.conditions {
        text.push_str(&format!(
            "  {:<24}{:<8}{}: {}\n",
            condition.type_, condition.status, condition.reason, condition.message
        ));
    }
    for rejected in &status.rejected {
        text.push_str(&format!(
            "  left out: {} {}/{}: {}\n",
            rejected.kind, rejected.namespace, rejected.name, rejected.message
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn everything_that_is_known_is_shown() {
        let stack = serde_json::from_value(json!({
            "apiVersion": "hindsight.dev/v1alpha1",
            "kind": "MonitoringStack",
            "metadata": { "name": "main", "namespace": "ns", "generation": 2 },
            "spec": {},
            "status": {
                "observedGeneration": 1,
                "prometheus": "1/2",
                "lastUpload": "2026-01-02T03:04:05Z",
                "conditions": [{
                    "type": "Ready", "status": "False", "reason": "RollingOut", "message": "1 of 2",
                    "lastTransitionTime": "2026-01-02T03:04:05Z",
                }],
                "selected": [{ "kind": "Probe", "selected": 3, "rejected": 1 }],
                "rejected": [{ "kind": "Probe", "namespace": "ns", "name": "a", "reason": "R", "message": "bad" }],
            },
        }));
        let text = super::of(&stack.expect("stack"));
        for part in [
            "MonitoringStack ns/main",
            "of an earlier spec",
            "1/2",
            "2026-01-02",
            "RollingOut: 1 of 2",
            "3 selected, 1 left out",
            "left out: Probe ns/a: bad",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
