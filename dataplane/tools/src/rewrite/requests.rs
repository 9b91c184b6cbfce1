//! Which series and times of them are to go.

use model::{Labels, Matcher, TimeRange};
use serde::Deserialize;
use serde_json::Value;
use tsdb::meta::{DeletionRequest, Interval};

use crate::error::ToolError;

/// Series that go, all of them or only some times of them.
#[derive(Debug, Clone)]
pub struct Deletion {
    /// The series that satisfy all of these.
    pub matchers: Vec<Matcher>,
    /// The matchers as they were written.
    pub source: String,
    /// Both ends are included; empty for all times.
    pub intervals: Vec<TimeRange>,
    /// Who asked, for the block's meta.
    pub request_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    matchers: String,
    #[serde(default)]
    intervals: Vec<RawInterval>,
    #[serde(default)]
    request_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInterval {
    #[serde(alias = "Mint")]
    mint: i64,
    #[serde(alias = "Maxt")]
    maxt: i64,
}

impl Deletion {
    /// Reads Thanos' YAML: a list of `matchers`, `intervals` and `request_id`.
    ///
    /// # Errors
    /// No such list, matchers that cannot be read or that select everything.
    pub fn parse(yaml: &str) -> Result<Vec<Self>, ToolError> {
        let invalid = |reason: String| ToolError::Invalid(format!("deletions: {reason}"));
        let raw: Vec<Raw> =
            serde_saphyr::from_str(yaml).map_err(|error| invalid(error.to_string()))?;
        let deletion = |raw: Raw| {
            let matchers = promql::parser::parse_metric_selector(&raw.matchers)
                .map_err(|error| invalid(format!("{:?}: {error}", raw.matchers)))?;
            let interval = |interval: RawInterval| {
                if interval.mint > interval.maxt {
                    let (mint, maxt) = (interval.mint, interval.maxt);
                    return Err(invalid(format!("interval {mint} to {maxt} is none")));
                }
                Ok(TimeRange::new(interval.mint, interval.maxt))
            };
            let intervals = raw.intervals.into_iter().map(interval);
            Ok(Self {
                matchers,
                source: raw.matchers,
                intervals: intervals.collect::<Result<_, _>>()?,
                request_id: raw.request_id,
            })
        };
        raw.into_iter().map(deletion).collect()
    }

    pub(super) fn as_applied(&self) -> DeletionRequest {
        let interval = |range: &TimeRange| Interval {
            min_time: range.start,
            max_time: range.end,
        };
        DeletionRequest {
            matchers: Value::String(self.source.clone()),
            intervals: self.intervals.iter().map(interval).collect(),
            request_id: self.request_id.clone(),
            ..DeletionRequest::default()
        }
    }
}

/// Returns the times at which a series is to go.
pub(super) fn deleted(deletions: &[Deletion], labels: &Labels) -> Vec<TimeRange> {
    let concerning = deletions.iter().filter(|deletion| {
        deletion
            .matchers
            .iter()
            .all(|matcher| matcher.matches_labels(labels))
    });
    let mut ranges = Vec::new();
    for deletion in concerning {
        match deletion.intervals.as_slice() {
            [] => ranges.push(TimeRange::ALL),
            intervals => ranges.extend(intervals),
        }
    }
    ranges.sort_by_key(|range| (range.start, range.end));
    ranges
}
