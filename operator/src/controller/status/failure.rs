//! A pass that did not come to its end.

use crds::status::MonitoringStackStatus;

use super::{Draft, draft};
use crate::controller::apply::ApplyError;
use crate::controller::validate::Invalid;

pub(super) fn invalid_conditions(
    previous: &MonitoringStackStatus,
    invalid: &[Invalid],
) -> Vec<Draft> {
    let reason = invalid
        .first()
        .map_or("InvalidSpec", |first| first.reason.as_str());
    let message = invalid
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ");
    let mut conditions = vec![
        draft("Ready", false, reason, message.clone()),
        draft(
            "Stalled",
            true,
            reason,
            format!("{message}; what runs is left as it is"),
        ),
    ];
    let of_storage: Vec<&Invalid> = invalid
        .iter()
        .filter(|entry| entry.path.starts_with("spec.objectStorage"))
        .collect();
    if let Some(first) = of_storage.first() {
        conditions.push(draft(
            "ObjectStorageReady",
            false,
            first.reason.as_str(),
            first.to_string(),
        ));
    }
    keep_components(previous, &mut conditions);
    conditions
}

pub(super) fn failed_conditions(
    previous: &MonitoringStackStatus,
    error: &ApplyError,
) -> Vec<Draft> {
    let (reason, message) = (error.reason(), error.message());
    let second = if error.is_stalled() {
        "Stalled"
    } else {
        "Reconciling"
    };
    let mut conditions = vec![
        draft("Ready", false, reason, message.clone()),
        draft(second, true, reason, message),
    ];
    keep_components(previous, &mut conditions);
    conditions
}

/// Carries over what is known of components, and of what is unusual, that this pass did not look at:
/// it is not over because nobody looked.
fn keep_components(previous: &MonitoringStackStatus, conditions: &mut Vec<Draft>) {
    const KEPT: [&str; 15] = [
        "PrometheusReady",
        "PrometheusConfigured",
        "QueryReady",
        "StoreReady",
        "ObjectStorageReady",
        "CompactorReady",
        "AlertmanagerReady",
        "KubeStateMetricsReady",
        "NodeExporterReady",
        "GrafanaReady",
        "NoStorageClass",
        "StorageGrowing",
        "ScopeLimited",
        "ResourcesRejected",
        "DuplicateStream",
    ];
    for kind in KEPT {
        let known = previous
            .conditions
            .iter()
            .find(|condition| condition.type_ == kind);
        if let Some(known) = known
            && conditions.iter().all(|draft| draft.kind != kind)
        {
            conditions.push(draft(
                kind,
                known.status == "True",
                &known.reason,
                known.message.clone(),
            ));
        }
    }
}
