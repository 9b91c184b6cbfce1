//! Native histograms of which only counts and sums are asked for: the buckets go, and what they say
//! of counter resets stays, as a hint.
//!
//! A hint is about the sample before, so it is known only where Prometheus reads that one, too: it
//! skips samples between windows that lie apart.

use std::sync::Arc;

use crate::queryable::Columns;
use model::histogram::{CounterResetHint, FloatHistogram};

use super::histogram::is_reset;
use super::window::RefTimes;

/// Which samples Prometheus reads one after the other.
pub(crate) struct Reads {
    pub refs: RefTimes,
    /// How far windows reach beyond their step.
    pub after_ms: i64,
    /// How far before its end the first window is read.
    pub first_ms: i64,
    /// How far before their ends the others are, where they lie beyond what was read.
    pub other_ms: i64,
}

impl Reads {
    /// Returns the times of the samples that follow skipped ones.
    fn resumed_at(&self, columns: &Columns) -> Vec<i64> {
        let mut times = columns.histogram_ts.clone();
        times.extend_from_slice(&columns.ts);
        times.sort_unstable();
        let mut resumed = Vec::new();
        let mut at = 0;
        let steps = if self.refs.at.is_some() {
            1
        } else {
            self.refs.grid.steps
        };
        for step in 0..steps {
            let end = self.refs.ts(step).saturating_add(self.after_ms);
            let before = if step == 0 {
                self.first_ms
            } else {
                self.other_ms
            };
            let start = end.saturating_sub(before);
            if times.get(at).is_some_and(|last| start > *last) {
                at += times[at..].partition_point(|t| *t < start);
                resumed.extend(times.get(at));
            }
            let Some(rest) = times.get(at..).filter(|rest| !rest.is_empty()) else {
                break;
            };
            at += rest.partition_point(|t| *t < end);
        }
        resumed
    }
}

/// Leaves count, sum and schema of each histogram, and a hint.
pub(crate) fn keep_stats(columns: &mut Columns, reads: &Reads) {
    if columns.histograms.is_empty() {
        return;
    }
    let mut resumed = reads.resumed_at(columns).into_iter().peekable();
    let mut before: Option<Arc<FloatHistogram>> = None;
    for (ts, histogram) in columns.histogram_ts.iter().zip(&mut columns.histograms) {
        let mut skipped = false;
        while resumed.next_if(|resumed| resumed <= ts).is_some() {
            before = None;
            skipped = true;
        }
        let hint = match (histogram.counter_reset_hint, &before) {
            (CounterResetHint::Unknown, Some(before)) if !histogram.is_stale() => {
                if is_reset(histogram, before) {
                    CounterResetHint::Reset
                } else {
                    CounterResetHint::NotReset
                }
            }
            // Behind skipped samples not even a chunk's word counts.
            (CounterResetHint::NotReset, None) if skipped => CounterResetHint::Unknown,
            (hint, _) => hint,
        };
        let stats = FloatHistogram {
            counter_reset_hint: hint,
            schema: histogram.schema,
            count: histogram.count,
            sum: histogram.sum,
            ..FloatHistogram::default()
        };
        let whole = std::mem::replace(histogram, Arc::new(stats));
        if !whole.is_stale() {
            before = Some(whole);
        }
    }
}
