//! `smoothed` instant selectors: values on the line between the samples around a step.

use std::sync::Arc;

use crate::queryable::Columns;
use model::histogram::{CounterResetHint, FloatHistogram};

use super::block::set;
use super::histogram::{Incompatible, has_custom_buckets};
use super::window::{Note, Notes, Out, RefTimes, interpolate, interpolate_histograms};

/// Puts, at every step, the sample at that time, the value between its neighbours within the
/// lookback, or the last sample where none follows.
pub(super) fn eval(
    refs: &RefTimes,
    lookback_ms: i64,
    columns: &mut Columns,
    notes: &Notes<'_>,
    out: &mut Out<'_>,
) {
    super::window::drop_stale(columns);
    for step in 0..refs.grid.steps {
        let at = refs.ts(step);
        let within = |ts: &[i64]| {
            ts.partition_point(|&t| t <= at - lookback_ms)
                ..ts.partition_point(|&t| t <= at + lookback_ms)
        };
        let (floats, histograms) = (within(&columns.ts), within(&columns.histogram_ts));
        if !floats.is_empty() && !histograms.is_empty() {
            notes.add(Note::MixedSamples);
        } else if !histograms.is_empty() {
            let ts = &columns.histogram_ts[histograms.clone()];
            if let Some(value) = histogram(ts, &columns.histograms[histograms], at, notes) {
                out.histograms.push((step as u32, value));
            }
        } else if let Some(value) = float(&columns.ts[floats.clone()], &columns.floats[floats], at)
        {
            out.values[step] = value;
            set(out.present, step);
        }
    }
}

fn float(ts: &[i64], values: &[f64], at: i64) -> Option<f64> {
    let next = ts.partition_point(|&t| t < at);
    if ts.get(next) == Some(&at) {
        return Some(values[next]);
    }
    let before = next.checked_sub(1)?;
    Some(if next < ts.len() {
        interpolate(ts, values, before, at, false)
    } else {
        values[before]
    })
}

fn histogram(
    ts: &[i64],
    values: &[Arc<FloatHistogram>],
    at: i64,
    notes: &Notes<'_>,
) -> Option<Arc<FloatHistogram>> {
    let next = ts.partition_point(|&t| t < at);
    if ts.get(next) == Some(&at) {
        return Some(Arc::clone(&values[next]));
    }
    let before = next.checked_sub(1)?;
    let Some(following) = values.get(next) else {
        // The hint says something about neighbours, which the repeated value has not.
        let mut repeated = FloatHistogram::clone(&values[before]);
        repeated.counter_reset_hint = CounterResetHint::Unknown;
        return Some(Arc::new(repeated));
    };
    let is_gauge = |h: &FloatHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
    let counter = !is_gauge(&values[before]) || !is_gauge(following);
    let between = if has_custom_buckets(&values[before]) == has_custom_buckets(following) {
        let before = (ts[before], &values[before]);
        interpolate_histograms(before, (ts[next], following), at, counter, notes)
    } else {
        Err(Incompatible)
    };
    match between {
        Ok(value) => Some(Arc::new(value)),
        Err(Incompatible) => {
            notes.add(Note::MixedSchemas);
            None
        }
    }
}
