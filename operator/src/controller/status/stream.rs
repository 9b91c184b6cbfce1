//! Who writes these series: `StreamIdentityChanged`.

use std::collections::BTreeMap;

use crds::status::MonitoringStackStatus;

use super::{Draft, Observed, draft};

/// A changed external label begins a new stream; said until the next change of the spec.
pub(super) fn stream_identity(
    observed: &Observed<'_>,
    previous: &MonitoringStackStatus,
    generation: Option<i64>,
) -> Option<Draft> {
    let kind = "StreamIdentityChanged";
    let (before, after) = (&previous.external_labels, &observed.stack.external_labels);
    if !before.is_empty() && before != after {
        return Some(draft(
            kind,
            true,
            "ExternalLabelsChanged",
            format!(
                "external labels were {} and are {}: older data stays under the old labels",
                labels(before),
                labels(after)
            ),
        ));
    }
    let kept = previous
        .conditions
        .iter()
        .find(|condition| condition.type_ == kind)?;
    (kept.observed_generation == generation)
        .then(|| draft(kind, true, &kept.reason, kept.message.clone()))
}

fn labels(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}
