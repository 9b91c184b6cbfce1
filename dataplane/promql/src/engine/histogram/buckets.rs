//! Walks over the buckets of a histogram.

use model::histogram::{FloatHistogram, Span, bucket_indices};

use crate::engine::gomath::log2;

use super::bounds::bound;
use super::has_custom_buckets;

/// One bucket with its bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bucket {
    pub lower: f64,
    pub upper: f64,
    pub count: f64,
}

impl Bucket {
    /// How much of the bucket's width lies below `value`, which is inside its finite bounds: linear, or
    /// along the logarithms.
    pub(super) fn fraction_below(&self, value: f64, linear: bool) -> f64 {
        if linear {
            return (value - self.lower) / (self.upper - self.lower);
        }
        let lower = log2(self.lower.abs());
        let upper = log2(self.upper.abs());
        let at = log2(value.abs());
        if value > 0.0 {
            (at - lower) / (upper - lower)
        } else {
            1.0 - ((at - upper) / (lower - upper))
        }
    }
}

/// Iterates over `(index, count)`.
pub(super) fn counts<'a>(
    spans: &'a [Span],
    buckets: &'a [f64],
) -> impl Iterator<Item = (i32, f64)> + 'a {
    bucket_indices(spans).zip(buckets.iter().copied())
}

/// Iterates over the positive buckets, from zero upwards.
pub(super) fn positive(h: &FloatHistogram) -> impl Iterator<Item = Bucket> + '_ {
    counts(&h.positive_spans, &h.positive_buckets).map(|(index, count)| Bucket {
        lower: bound(index.wrapping_sub(1), h.schema, &h.custom_values),
        upper: bound(index, h.schema, &h.custom_values),
        count,
    })
}

/// Iterates over the negative buckets, from zero downwards.
pub(super) fn negative(h: &FloatHistogram) -> impl Iterator<Item = Bucket> + '_ {
    counts(&h.negative_spans, &h.negative_buckets).map(|(index, count)| Bucket {
        lower: -bound(index, h.schema, &[]),
        upper: -bound(index.wrapping_sub(1), h.schema, &[]),
        count,
    })
}

/// The bucket around zero.
pub(super) fn zero(h: &FloatHistogram) -> Bucket {
    Bucket {
        lower: -h.zero_threshold,
        upper: h.zero_threshold,
        count: h.zero_count,
    }
}

/// A filled bucket, as answers show it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HistogramBucket {
    pub lower: f64,
    pub upper: f64,
    pub lower_inclusive: bool,
    pub upper_inclusive: bool,
    pub count: f64,
}

/// Returns the filled buckets of a histogram from the lowest to the highest, with Prometheus' bounds.
#[must_use]
pub fn histogram_buckets(histogram: &FloatHistogram) -> Vec<HistogramBucket> {
    let custom = has_custom_buckets(histogram);
    let zero_at = if !custom && histogram.zero_count > 0.0 {
        histogram.negative_buckets.len()
    } else {
        usize::MAX
    };
    all(histogram)
        .into_iter()
        .enumerate()
        .filter(|(_, bucket)| bucket.count != 0.0)
        .map(|(at, bucket)| {
            let is_zero = at == zero_at;
            HistogramBucket {
                lower: bucket.lower,
                upper: bucket.upper,
                lower_inclusive: is_zero
                    || if custom {
                        bucket.lower == f64::NEG_INFINITY
                    } else {
                        bucket.lower < 0.0
                    },
                upper_inclusive: is_zero || custom || bucket.upper > 0.0,
                count: bucket.count,
            }
        })
        .collect()
}

/// Returns all buckets from the lowest to the highest. Buckets that reach into the zero bucket end
/// there.
pub(super) fn all(h: &FloatHistogram) -> Vec<Bucket> {
    let clip = |mut bucket: Bucket| {
        let threshold = h.zero_threshold;
        if bucket.upper < 0.0 && bucket.upper > -threshold {
            bucket.upper = -threshold;
        } else if bucket.lower > 0.0 && bucket.lower < threshold {
            bucket.lower = threshold;
        }
        bucket
    };
    let mut buckets = Vec::with_capacity(h.positive_buckets.len() + h.negative_buckets.len() + 1);
    if !has_custom_buckets(h) {
        buckets.extend(negative(h).map(clip));
        buckets.reverse();
        if h.zero_count > 0.0 {
            buckets.push(zero(h));
        }
    }
    buckets.extend(positive(h).map(clip));
    buckets
}
