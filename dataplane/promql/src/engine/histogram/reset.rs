//! Counter resets between two histograms of a series.

use model::histogram::{CounterResetHint, FloatHistogram, Span, bucket_indices};

use super::bounds::{coarser, exponential, is_exponential};
use super::buckets::counts;
use super::{custom, has_custom_buckets, zero};

/// Whether the series was reset between `before` and `now`: by the hint, or because any count fell.
pub(crate) fn is_reset(now: &FloatHistogram, before: &FloatHistogram) -> bool {
    match now.counter_reset_hint {
        CounterResetHint::Reset => return true,
        CounterResetHint::NotReset => return false,
        CounterResetHint::Unknown | CounterResetHint::Gauge => {}
    }
    if now.count < before.count {
        return true;
    }
    if has_custom_buckets(now) {
        if !has_custom_buckets(before) {
            return true;
        }
        if now.custom_values != before.custom_values {
            return custom::is_reset(now, before);
        }
    }
    // A finer resolution and a narrower zero bucket come with a reset only.
    if now.schema > before.schema || now.zero_threshold < before.zero_threshold {
        return true;
    }
    let wide = zero::widen(before, now.zero_threshold, None);
    if wide.threshold != now.zero_threshold || now.zero_count < wide.count {
        return true;
    }
    fell(
        now,
        before,
        (&now.positive_spans, &now.positive_buckets),
        (&before.positive_spans, &before.positive_buckets),
    ) || fell(
        now,
        before,
        (&now.negative_spans, &now.negative_buckets),
        (&before.negative_spans, &before.negative_buckets),
    )
}

/// Whether a bucket outside the zero bucket has less than before, or is gone.
fn fell(
    now: &FloatHistogram,
    before: &FloatHistogram,
    (spans, buckets): (&[Span], &[f64]),
    (old_spans, old_buckets): (&[Span], &[f64]),
) -> bool {
    let threshold = now.zero_threshold;
    let skips = threshold != 0.0 && is_exponential(now.schema);
    let inside = |index: i32| skips && exponential(index, now.schema) <= threshold;
    if now.schema == before.schema && spans == old_spans && buckets.len() == old_buckets.len() {
        let skipped = if skips {
            bucket_indices(spans)
                .take_while(|index| inside(*index))
                .count()
        } else {
            0
        };
        let pairs = buckets.iter().zip(old_buckets).skip(skipped);
        return pairs.fold(false, |any, (new, old)| any | (new < old));
    }
    let mut current = counts(spans, buckets)
        .skip_while(|(index, _)| inside(*index))
        .peekable();
    let mut previous = counts(old_spans, old_buckets)
        .map(|(index, count)| {
            let index = if before.schema == now.schema {
                index
            } else {
                coarser(index, before.schema, now.schema)
            };
            (index, count)
        })
        .peekable();
    let mut outside = false;
    while let Some((index, mut old)) = previous.next() {
        while let Some((_, more)) = previous.next_if(|(next, _)| *next == index) {
            old += more;
        }
        if !outside && inside(index) {
            continue;
        }
        outside = true;
        while current.next_if(|(other, _)| *other < index).is_some() {}
        let new = current.next_if(|(other, _)| *other == index);
        // A bucket without observations may come and go.
        match new {
            None if old != 0.0 => return true,
            Some((_, new)) if new < old => return true,
            _ => {}
        }
    }
    false
}
