//! Addition, subtraction, scaling and equality.

use model::histogram::{CounterResetHint, FloatHistogram, Span};

use super::layout::{Side, add as add_side, others, reduce, sides};
use super::{Incompatible, Outcome, check_kind, custom, has_custom_buckets, zero};

/// Adds `other` to `h`.
///
/// # Errors
/// One has custom buckets and the other has not; nothing is changed then.
pub(crate) fn add(h: &mut FloatHistogram, other: &FloatHistogram) -> Result<Outcome, Incompatible> {
    combine(h, other, 1.0)
}

/// Subtracts `other` from `h`.
///
/// # Errors
/// As [`add`].
pub(crate) fn sub(h: &mut FloatHistogram, other: &FloatHistogram) -> Result<Outcome, Incompatible> {
    combine(h, other, -1.0)
}

fn combine(
    h: &mut FloatHistogram,
    other: &FloatHistogram,
    sign: f64,
) -> Result<Outcome, Incompatible> {
    check_kind(h, other)?;
    let mut outcome = Outcome {
        collision: merge_hints(h, other),
        reconciled: false,
    };
    let signed = |value: f64| if sign < 0.0 { -value } else { value };
    if !has_custom_buckets(h) {
        let (count, _) = zero::reconcile(h, None, other);
        h.zero_count += signed(count);
    }
    h.count += signed(other.count);
    h.sum += signed(other.sum);
    if has_custom_buckets(h) && h.custom_values != other.custom_values {
        outcome.reconciled = true;
        let common = custom::common_bounds(&h.custom_values, &other.custom_values);
        let mut side = Side {
            spans: &mut h.positive_spans,
            buckets: &mut h.positive_buckets,
            compensation: None,
        };
        let [theirs, _] = others(other);
        let bounds = (h.custom_values.as_slice(), other.custom_values.as_slice());
        custom::add(&mut side, theirs, bounds, &common, sign);
        h.custom_values = common;
        return Ok(outcome);
    }
    if other.schema < h.schema {
        let from = h.schema;
        for mut side in sides(h) {
            reduce(&mut side, from, other.schema);
        }
        h.schema = other.schema;
    }
    let reduced = (other.schema > h.schema).then(|| super::to_schema(other, h.schema));
    let other = reduced.as_ref().unwrap_or(other);
    let (schema, threshold) = (h.schema, h.zero_threshold);
    for (mut side, other) in sides(h).into_iter().zip(others(other)) {
        add_side(&mut side, other, schema, threshold, sign);
    }
    Ok(outcome)
}

/// Gives `h` the hint of a sum with `other`; returns whether the hints contradict each other.
pub(super) fn merge_hints(h: &mut FloatHistogram, other: &FloatHistogram) -> bool {
    use CounterResetHint::{Gauge, Unknown};
    let (ours, theirs) = (h.counter_reset_hint, other.counter_reset_hint);
    let collision = ours != theirs
        && ![ours, theirs]
            .iter()
            .any(|hint| matches!(hint, Gauge | Unknown));
    h.counter_reset_hint = if ours == theirs {
        ours
    } else if ours == Gauge || theirs == Gauge {
        Gauge
    } else {
        Unknown
    };
    collision
}

/// Multiplies all counts and the sum.
pub(crate) fn mul(h: &mut FloatHistogram, factor: f64) {
    each_number(h, |value| value * factor);
    if factor < 0.0 {
        h.counter_reset_hint = CounterResetHint::Gauge;
    }
}

/// Divides all counts and the sum; by zero, no bucket is left.
pub(crate) fn div(h: &mut FloatHistogram, divisor: f64) {
    each_number(h, |value| value / divisor);
    if divisor == 0.0 {
        h.positive_spans.clear();
        h.positive_buckets.clear();
        h.negative_spans.clear();
        h.negative_buckets.clear();
    } else if divisor < 0.0 {
        h.counter_reset_hint = CounterResetHint::Gauge;
    }
}

fn each_number(h: &mut FloatHistogram, f: impl Fn(f64) -> f64) {
    h.zero_count = f(h.zero_count);
    h.count = f(h.count);
    h.sum = f(h.sum);
    let buckets = h.positive_buckets.iter_mut().chain(&mut h.negative_buckets);
    for bucket in buckets {
        *bucket = f(*bucket);
    }
}

/// Whether two histograms are the same to the last bit, hints aside.
pub(crate) fn equal(a: &FloatHistogram, b: &FloatHistogram) -> bool {
    let bits = |values: &[f64]| {
        values
            .iter()
            .map(|value| value.to_bits())
            .collect::<Vec<_>>()
    };
    let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
    a.schema == b.schema
        && same(a.count, b.count)
        && same(a.sum, b.sum)
        && (!has_custom_buckets(a) || a.custom_values == b.custom_values)
        && a.zero_threshold == b.zero_threshold
        && same(a.zero_count, b.zero_count)
        && filled(&a.negative_spans).eq(filled(&b.negative_spans))
        && filled(&a.positive_spans).eq(filled(&b.positive_spans))
        && bits(&a.negative_buckets) == bits(&b.negative_buckets)
        && bits(&a.positive_buckets) == bits(&b.positive_buckets)
}

/// Spans that have buckets, those without joined to the next.
fn filled(spans: &[Span]) -> impl Iterator<Item = Span> + '_ {
    let mut gap = 0i32;
    spans.iter().filter_map(move |span| {
        let offset = gap.wrapping_add(span.offset);
        gap = if span.length == 0 { offset } else { 0 };
        (span.length > 0).then_some(Span {
            offset,
            length: span.length,
        })
    })
}
