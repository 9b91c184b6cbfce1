//! Histograms whose custom bounds differ: both are brought to the bounds they have in common.

use model::histogram::FloatHistogram;

use crate::engine::kahan;

use super::buckets::counts;
use super::layout::{Other, Side, SpanBuilder};

/// Returns the bounds that are in both lists.
pub(super) fn common_bounds(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut common = Vec::new();
    let mut b = b.iter().peekable();
    for bound in a {
        while b.next_if(|other| *other < bound).is_some() {}
        if b.next_if(|other| *other == bound).is_some() {
            common.push(*bound);
        }
    }
    common
}

/// Adds or subtracts the buckets of `other`, which has other bounds.
pub(super) fn add(
    side: &mut Side<'_>,
    other: Other<'_>,
    (bounds, other_bounds): (&[f64], &[f64]),
    common: &[f64],
    sign: f64,
) {
    let mut target = Target {
        sums: vec![(0.0, 0.0); common.len() + 1],
        common,
    };
    let own = Other {
        spans: side.spans,
        buckets: side.buckets,
        compensation: side.compensation.as_deref().map(Vec::as_slice),
    };
    target.map(own, bounds, 1.0);
    target.map(other, other_bounds, sign);
    let mut builder = SpanBuilder::default();
    let mut buckets = Vec::new();
    let mut compensation = Vec::new();
    for (index, (sum, c)) in (0i32..).zip(&target.sums) {
        if *sum != 0.0 || *c != 0.0 {
            builder.push(index);
            buckets.push(*sum);
            compensation.push(*c);
        }
    }
    *side.spans = builder.spans;
    *side.buckets = buckets;
    if let Some(c) = &mut side.compensation {
        **c = compensation;
    }
}

struct Target<'a> {
    /// The sum of each bucket and what rounding has lost of it.
    sums: Vec<(f64, f64)>,
    common: &'a [f64],
}

impl Target<'_> {
    fn map(&mut self, from: Other<'_>, bounds: &[f64], sign: f64) {
        for (at, (index, value)) in counts(from.spans, from.buckets).enumerate() {
            let bound = usize::try_from(index).ok().and_then(|i| bounds.get(i));
            let target = bound.map_or(self.common.len(), |bound| {
                self.common.partition_point(|common| common < bound)
            });
            let Some((sum, c)) = self.sums.get_mut(target) else {
                continue;
            };
            let value = if sign < 0.0 { -value } else { value };
            (*sum, *c) = kahan::add(value, *sum, *c);
            if let Some(lost) = from.compensation.and_then(|values| values.get(at)) {
                (*sum, *c) = kahan::add(*lost, *sum, *c);
            }
        }
    }
}

/// Whether any bucket of the bounds that both have in common is smaller than it was.
pub(super) fn is_reset(now: &FloatHistogram, before: &FloatHistogram) -> bool {
    let (bounds_now, bounds_before) = (&now.custom_values, &before.custom_values);
    let upper = |bounds: &[f64], index: i32| {
        usize::try_from(index)
            .ok()
            .and_then(|i| bounds.get(i).copied())
            .unwrap_or(f64::INFINITY)
    };
    let mut now = counts(&now.positive_spans, &now.positive_buckets).peekable();
    let mut before = counts(&before.positive_spans, &before.positive_buckets).peekable();
    let common = common_bounds(bounds_now, bounds_before);
    for bound in common.into_iter().chain(std::iter::once(f64::INFINITY)) {
        let (mut sum_now, mut sum_before) = (0.0, 0.0);
        while let Some((_, count)) = now.next_if(|(index, _)| upper(bounds_now, *index) <= bound) {
            sum_now += count;
        }
        while let Some((_, count)) =
            before.next_if(|(index, _)| upper(bounds_before, *index) <= bound)
        {
            sum_before += count;
        }
        if sum_now < sum_before {
            return true;
        }
    }
    false
}
