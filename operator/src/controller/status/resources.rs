//! What became of the monitoring resources that the stack selects.

use crds::coreos::Kind;
use crds::status::{MonitoringStackStatus, Rejected, Selected};

use super::{Draft, draft};
use crate::coreos::Verdict;

/// Most rejected resources that the status names.
pub const MAX_REJECTED: usize = 50;
/// Reason of a rejection, on the object and on the stack.
pub const INVALID_CONFIGURATION: &str = "InvalidConfiguration";
/// Longest message of one rejection: fifty of them must not fill the object.
const MAX_MESSAGE_CHARS: usize = 512;

/// Fills the status' lists.
pub(super) fn describe(status: &mut MonitoringStackStatus, verdicts: &[Verdict]) {
    status.selected = Kind::ALL
        .into_iter()
        .filter_map(|kind| {
            let (selected, rejected) = count(verdicts, kind);
            (selected > 0).then(|| Selected {
                kind: kind.as_str().to_owned(),
                selected,
                rejected,
            })
        })
        .collect();
    status.rejected = verdicts
        .iter()
        .filter_map(|verdict| {
            let problem = verdict.rejection.as_ref()?;
            Some(Rejected {
                kind: verdict.kind.as_str().to_owned(),
                namespace: verdict.namespace.clone(),
                name: verdict.name.clone(),
                reason: INVALID_CONFIGURATION.to_owned(),
                message: problem.chars().take(MAX_MESSAGE_CHARS).collect(),
            })
        })
        .take(MAX_REJECTED)
        .collect();
}

/// Objects of a kind that are selected, and how many of them are rejected.
pub fn count(verdicts: &[Verdict], kind: Kind) -> (u32, u32) {
    let of_kind = || verdicts.iter().filter(move |verdict| verdict.kind == kind);
    let rejected = of_kind().filter(|verdict| verdict.rejection.is_some());
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    (number(of_kind().count()), number(rejected.count()))
}

/// True while some selected resource is left out.
pub(super) fn rejected(verdicts: &[Verdict]) -> Option<Draft> {
    let rejected: Vec<&Verdict> = verdicts
        .iter()
        .filter(|verdict| verdict.rejection.is_some())
        .collect();
    let first = rejected.first()?;
    let problem = first.rejection.as_deref().unwrap_or_default();
    Some(draft(
        "ResourcesRejected",
        true,
        INVALID_CONFIGURATION,
        format!(
            "{} of {} selected monitoring resources are left out, see status.rejected; the first: {} {}/{}: {problem}",
            rejected.len(),
            verdicts.len(),
            first.kind.as_str(),
            first.namespace,
            first.name,
        ),
    ))
}
