//! `rate`, `increase` and `delta` of histograms.

use std::sync::Arc;

use crate::engine::annotate::HistogramOperation::{Addition, Subtraction};
use crate::engine::histogram::{
    Incompatible, add, compact, has_custom_buckets, is_reset, mul, sub, to_schema,
};
use crate::engine::window::{WindowFunc, seconds};
use model::histogram::{CounterResetHint, FloatHistogram};

use super::{Known, Note, Notes, Sample, Window};

/// The increase between the first and the last histogram, extrapolated to the window's edges.
pub(super) fn extrapolated(
    window: &Window<'_>,
    known: &mut Known<'_>,
    notes: &Notes<'_>,
) -> Option<Sample> {
    let counter = window.spec.func != WindowFunc::Delta;
    let gaps = window.values.len() - 1;
    if gaps == 0 {
        return None;
    }
    let mut result = increase(window, counter, known, notes)?;
    let (first, last) = (window.ts[0], window.ts[gaps]);
    let mut to_start = (first - window.start()) as f64 / 1000.0;
    let mut to_end = (window.end() - last) as f64 / 1000.0;
    let sampled = (last - first) as f64 / 1000.0;
    let average = sampled / gaps as f64;
    let threshold = average * 1.1;
    if to_start >= threshold {
        to_start = average / 2.0;
    }
    if counter {
        // A counter cannot have been negative.
        let count = window.values[0].count;
        if result.count > 0.0 && count >= 0.0 {
            let to_zero = sampled * (count / result.count);
            if to_zero < to_start {
                to_start = to_zero;
            }
        }
    }
    if to_end >= threshold {
        to_end = average / 2.0;
    }
    let mut factor = 1.0;
    if sampled != 0.0 {
        factor = (sampled + to_start + to_end) / sampled;
    }
    if window.spec.func == WindowFunc::Rate {
        factor /= seconds(window.spec.range_ms);
    }
    mul(&mut result, factor);
    Some(Sample::Histogram(result))
}

/// The difference of the last and the first histogram; with counters, what was lost in resets is added.
fn increase(
    window: &Window<'_>,
    counter: bool,
    known: &mut Known<'_>,
    notes: &Notes<'_>,
) -> Option<FloatHistogram> {
    let points = window.values;
    let [first, .., last] = points else {
        return None;
    };
    let is_gauge = |h: &FloatHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
    let mixed = || {
        notes.add(Note::MixedSchemas);
        None
    };
    let mut not_a_counter = counter && (is_gauge(first) || is_gauge(last));
    // After a reset the first histogram does not matter, whatever its layout.
    let second = &points[1];
    let nothing = (counter && known.is_reset(window.first + 1)).then(|| {
        Arc::new(FloatHistogram {
            schema: second.schema,
            custom_values: second.custom_values.clone(),
            ..FloatHistogram::default()
        })
    });
    let base = nothing.as_ref().unwrap_or(first);
    let custom = has_custom_buckets(base);
    if has_custom_buckets(last) != custom {
        if not_a_counter {
            notes.add(Note::NotCounter);
        }
        return mixed();
    }
    let mut schema = last.schema.min(base.schema);
    if counter {
        for point in &points[1..points.len() - 1] {
            not_a_counter |= is_gauge(point);
            schema = schema.min(point.schema);
            if has_custom_buckets(point) != custom {
                return mixed();
            }
        }
    }
    let mut h = to_schema(last, schema);
    let mut reconciled = (false, false);
    match sub(&mut h, base) {
        Ok(outcome) => reconciled.0 = outcome.reconciled,
        Err(Incompatible) => return mixed(),
    }
    if counter {
        for (at, point) in points.iter().enumerate().skip(1) {
            let (before, reset) = match &nothing {
                Some(nothing) if at == 1 => (nothing, is_reset(point, nothing)),
                _ => (&points[at - 1], known.is_reset(window.first + at)),
            };
            if reset {
                match add(&mut h, before) {
                    Ok(outcome) => reconciled.1 |= outcome.reconciled,
                    Err(Incompatible) => return mixed(),
                }
            }
        }
    } else if !is_gauge(first) || !is_gauge(last) {
        notes.add(Note::NotGauge);
    }
    for (happened, note) in [
        (not_a_counter, Note::NotCounter),
        (reconciled.0, Note::Reconciled(Subtraction)),
        (reconciled.1, Note::Reconciled(Addition)),
    ] {
        if happened {
            notes.add(note);
        }
    }
    h.counter_reset_hint = CounterResetHint::Gauge;
    compact(&mut h);
    Some(h)
}
