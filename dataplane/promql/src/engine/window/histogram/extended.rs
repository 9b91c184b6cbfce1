//! `anchored` and `smoothed` windows of histograms, and values between two of them.

use std::sync::Arc;

use crate::ast::RangeModifier;
use crate::engine::annotate::HistogramOperation::{Addition, Subtraction};
use crate::engine::histogram::{
    Incompatible, add, compact, div, has_custom_buckets, is_reset, mul, sub,
};
use crate::engine::window::{WindowFunc, seconds};
use model::histogram::{CounterResetHint, FloatHistogram};

use super::{Note, Notes, Sample, Window};

type Point<'a> = (i64, &'a Arc<FloatHistogram>);

/// `rate`, `increase` and `delta` between the values at the window's edges.
pub(super) fn rate(window: &Window<'_>, notes: &Notes<'_>) -> Option<Sample> {
    match checked_rate(window, notes) {
        Ok(result) => result.map(Sample::Histogram),
        Err(Incompatible) => {
            notes.add(Note::MixedSchemas);
            None
        }
    }
}

fn checked_rate(
    window: &Window<'_>,
    notes: &Notes<'_>,
) -> Result<Option<FloatHistogram>, Incompatible> {
    let (ts, values) = (window.ts, window.values);
    let (start, end) = (window.start(), window.end());
    let smoothed = window.spec.modifier == Some(RangeModifier::Smoothed);
    let counter = window.spec.func != WindowFunc::Delta;
    let mut last = ts.len() - 1;
    let first = ts[..last]
        .partition_point(|&t| t <= start)
        .saturating_sub(1);
    if smoothed {
        last = ts[..last].partition_point(|&t| t < end);
    }
    if ts[last] <= start || (smoothed && ts[first] > end) {
        return Ok(None);
    }
    let custom = has_custom_buckets(&values[first]);
    let is_gauge = |h: &FloatHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
    for value in values.get(first..=last).unwrap_or_default() {
        if has_custom_buckets(value) != custom {
            return Err(Incompatible);
        }
        if counter && is_gauge(value) {
            notes.add(Note::NotCounter);
        }
    }
    let point = |at: usize| (ts[at], &values[at]);
    let left = if smoothed && ts[first] < start && first + 1 < ts.len() {
        interpolate(point(first), point(first + 1), start, counter, notes)?
    } else {
        FloatHistogram::clone(&values[first])
    };
    let right = if smoothed && last > 0 && ts[last] > end {
        interpolate(point(last - 1), point(last), end, counter, notes)?
    } else {
        FloatHistogram::clone(&values[last])
    };
    if !counter && (!is_gauge(&left) || !is_gauge(&right)) {
        notes.add(Note::NotGauge);
    }
    let mut result = right.clone();
    if sub(&mut result, &left)?.reconciled {
        notes.add(Note::Reconciled(Subtraction));
    }
    if counter {
        let spans_reset = smoothed
            && ts[first] < start
            && values
                .get(first + 1)
                .is_some_and(|next| is_reset(next, &values[first]));
        let lost = lost_in_resets(values, (first, last), &left, &right, spans_reset, notes)?;
        if let Some(lost) = lost
            && add(&mut result, &lost)?.reconciled
        {
            notes.add(Note::Reconciled(Addition));
        }
    }
    if window.spec.func == WindowFunc::Rate {
        div(&mut result, seconds(window.spec.range_ms));
    }
    result.counter_reset_hint = CounterResetHint::Gauge;
    compact(&mut result);
    Ok(Some(result))
}

/// Adds up what the series had at each reset between its values at the edges.
fn lost_in_resets(
    values: &[Arc<FloatHistogram>],
    (first, last): (usize, usize),
    left: &FloatHistogram,
    right: &FloatHistogram,
    left_spans_reset: bool,
    notes: &Notes<'_>,
) -> Result<Option<FloatHistogram>, Incompatible> {
    let mut from = first + 1;
    let mut previous = left;
    if left_spans_reset {
        // The value at the left edge already accounts for the reset behind it.
        previous = &values[first + 1];
        from += 1;
    }
    if from > last {
        return Ok(None);
    }
    let mut lost: Option<FloatHistogram> = None;
    for value in values[from..last]
        .iter()
        .map(Arc::as_ref)
        .chain(std::iter::once(right))
    {
        if is_reset(value, previous) {
            match &mut lost {
                None => lost = Some(previous.clone()),
                Some(lost) => {
                    if add(lost, previous)?.reconciled {
                        notes.add(Note::Reconciled(Addition));
                    }
                }
            }
        }
        previous = value;
    }
    Ok(lost)
}

/// The value at `at` between two histograms; a counter that was reset between them began at zero.
pub(crate) fn interpolate(
    (before_ts, before): Point<'_>,
    (next_ts, next): Point<'_>,
    at: i64,
    counter: bool,
    notes: &Notes<'_>,
) -> Result<FloatHistogram, Incompatible> {
    if at == before_ts {
        return Ok(FloatHistogram::clone(before));
    }
    let mut result = FloatHistogram::clone(next);
    if at == next_ts {
        return Ok(result);
    }
    let fraction = (at - before_ts) as f64 / (next_ts - before_ts) as f64;
    if counter && is_reset(next, before) {
        mul(&mut result, fraction);
        return Ok(result);
    }
    if sub(&mut result, before)?.reconciled {
        notes.add(Note::Reconciled(Subtraction));
    }
    mul(&mut result, fraction);
    if add(&mut result, before)?.reconciled {
        notes.add(Note::Reconciled(Addition));
    }
    Ok(result)
}
