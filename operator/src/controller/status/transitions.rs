//! What is new between two statuses: which conditions flipped, and whether it is worth a write.

use crds::status::MonitoringStackStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// A condition that flipped, for an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    pub kind: String,
    pub reason: String,
    pub message: String,
    /// Whether it is bad news.
    pub is_warning: bool,
}

/// The conditions that flipped, appeared or disappeared between two statuses. A component that is
/// not ready yet when first seen is no news.
pub fn transitions(old: &MonitoringStackStatus, new: &MonitoringStackStatus) -> Vec<Transition> {
    let mut transitions = Vec::new();
    for condition in &new.conditions {
        let before = old
            .conditions
            .iter()
            .find(|other| other.type_ == condition.type_);
        let is_abnormal_type = is_abnormal(&condition.type_);
        let flipped = match before {
            None => {
                is_abnormal_type
                    || condition.status == "True"
                    || old.conditions.is_empty() && is_stalled(new)
            }
            Some(before) => {
                before.status != condition.status
                    || (condition.type_ == "Stalled" && before.message != condition.message)
            }
        };
        if !flipped || condition.type_ == "Reconciling" {
            continue;
        }
        let is_good = (condition.status == "True") != is_abnormal_type;
        transitions.push(Transition {
            kind: condition.type_.clone(),
            reason: condition.reason.clone(),
            message: note(condition),
            is_warning: !is_good,
        });
    }
    for condition in &old.conditions {
        let is_gone = new
            .conditions
            .iter()
            .all(|other| other.type_ != condition.type_);
        // What is said only while true is over; components that are not wanted any more are none.
        if is_gone && is_abnormal(&condition.type_) && condition.type_ != "Reconciling" {
            transitions.push(Transition {
                kind: condition.type_.clone(),
                reason: format!("{}Over", condition.type_),
                message: format!("no longer so: {}", condition.message),
                is_warning: false,
            });
        }
    }
    transitions
}

/// The message of a condition where its type does not stand beside it: of a component, "2 of 2
/// replicas are ready" alone would not say whose.
fn note(condition: &Condition) -> String {
    match condition.type_.as_str() {
        "Ready" | "Stalled" => condition.message.clone(),
        kind => format!("{kind}: {}", condition.message),
    }
}

/// Whether a condition exists only while something is wrong or unusual.
fn is_abnormal(kind: &str) -> bool {
    !kind.ends_with("Ready") && kind != "PrometheusConfigured"
}

fn is_stalled(status: &MonitoringStackStatus) -> bool {
    status
        .conditions
        .iter()
        .any(|condition| condition.type_ == "Stalled")
}

/// Whether `new` says more than newer values of facts that move by themselves.
pub fn is_significant(old: &MonitoringStackStatus, new: &MonitoringStackStatus) -> bool {
    if old.last_upload.is_none() != new.last_upload.is_none() {
        return true;
    }
    let mut without_facts = new.clone();
    without_facts.last_upload.clone_from(&old.last_upload);
    without_facts != *old
}
