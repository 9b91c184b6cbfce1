//! Who writes these series: `StreamIdentityChanged` and `DuplicateStream`.

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

/// True while somebody else uploads blocks with the labels of this stack's replicas. Streams of other
/// stacks in the same bucket are theirs to tell.
pub(super) fn duplicate_stream(observed: &Observed<'_>) -> Option<Draft> {
    let own = &observed.stack.external_labels;
    let found = observed
        .pods
        .iter()
        .flat_map(|pod| &pod.duplicate_streams)
        .find(|stream| {
            own.iter()
                .all(|(name, value)| stream.labels.get(name) == Some(value))
        })?;
    Some(draft(
        "DuplicateStream",
        true,
        "SameLabelsFromTwoUploaders",
        format!(
            "the bucket has fresh blocks of {} from two uploaders ({}): give one of them another external label, or stop it",
            labels(&found.labels),
            found.blocks.join(", ")
        ),
    ))
}

fn labels(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}
