//! Zero buckets of different width: the narrower one is widened over the buckets beside it.

use model::histogram::FloatHistogram;

use crate::engine::kahan;

use super::buckets::{negative, positive};
use super::layout::{Side, compact_side};
use super::sum::Compensation;

/// A zero bucket after widening.
#[derive(Debug, Clone, Copy)]
pub(super) struct Widened {
    pub count: f64,
    pub threshold: f64,
    /// What rounding has lost of the count.
    pub lost: f64,
}

/// Returns what the zero bucket would be if it reached as far as `threshold`, or further where that
/// lies inside a filled bucket.
pub(super) fn widen(
    h: &FloatHistogram,
    threshold: f64,
    compensation: Option<&Compensation>,
) -> Widened {
    let mut lost = compensation.map_or(0.0, |c| c.zero_count);
    if threshold.total_cmp(&h.zero_threshold).is_le() || threshold.is_nan() {
        return Widened {
            count: h.zero_count,
            threshold: h.zero_threshold,
            lost,
        };
    }
    let mut threshold = threshold;
    'wider: loop {
        let mut count = h.zero_count;
        for (at, bucket) in positive(h).enumerate() {
            if bucket.lower >= threshold {
                break;
            }
            (count, lost) = kahan::add(bucket.count, count, lost);
            if let Some(c) = compensation.and_then(|c| c.positive.get(at)) {
                (count, lost) = kahan::add(*c, count, lost);
            }
            if bucket.upper > threshold {
                if bucket.count != 0.0 {
                    threshold = bucket.upper;
                }
                break;
            }
        }
        for (at, bucket) in negative(h).enumerate() {
            if bucket.upper <= -threshold {
                break;
            }
            (count, lost) = kahan::add(bucket.count, count, lost);
            if let Some(c) = compensation.and_then(|c| c.negative.get(at)) {
                (count, lost) = kahan::add(*c, count, lost);
            }
            if bucket.lower < -threshold {
                // The positive buckets have to be looked at again with the wider bucket.
                if bucket.count != 0.0 && -bucket.lower > threshold {
                    threshold = -bucket.lower;
                    continue 'wider;
                }
                break;
            }
        }
        return Widened {
            count,
            threshold,
            lost,
        };
    }
}

/// Widens the zero bucket of `h` until it is at least as wide as that of `other`, and returns the count
/// that the zero bucket of `other` has at the same width, and what rounding has lost of it.
pub(super) fn reconcile(
    h: &mut FloatHistogram,
    mut compensation: Option<&mut Compensation>,
    other: &FloatHistogram,
) -> (f64, f64) {
    let (mut count, mut threshold, mut lost) = (other.zero_count, other.zero_threshold, 0.0);
    if threshold.is_nan() || h.zero_threshold.is_nan() {
        return (count, lost);
    }
    while threshold != h.zero_threshold {
        if h.zero_threshold > threshold {
            let wide = widen(other, h.zero_threshold, None);
            (count, threshold, lost) = (wide.count, wide.threshold, wide.lost);
        }
        if threshold > h.zero_threshold {
            let wide = widen(h, threshold, compensation.as_deref());
            h.zero_count = wide.count;
            h.zero_threshold = wide.threshold;
            if let Some(c) = compensation.as_deref_mut() {
                c.zero_count = wide.lost;
            }
            empty_inside(h, compensation.as_deref_mut());
        }
    }
    (count, lost)
}

/// Removes the buckets inside the zero bucket, whose counts it already has.
fn empty_inside(h: &mut FloatHistogram, mut compensation: Option<&mut Compensation>) {
    let threshold = h.zero_threshold;
    let above = positive(h)
        .take_while(|bucket| bucket.lower < threshold)
        .count();
    let below = negative(h)
        .take_while(|bucket| bucket.upper > -threshold)
        .count();
    h.positive_buckets
        .iter_mut()
        .take(above)
        .for_each(|b| *b = 0.0);
    h.negative_buckets
        .iter_mut()
        .take(below)
        .for_each(|b| *b = 0.0);
    if let Some(c) = compensation.as_deref_mut() {
        c.positive.iter_mut().take(above).for_each(|b| *b = 0.0);
        c.negative.iter_mut().take(below).for_each(|b| *b = 0.0);
    }
    let (positive, negative) = match compensation {
        Some(c) => (Some(&mut c.positive), Some(&mut c.negative)),
        None => (None, None),
    };
    compact_side(&mut Side {
        spans: &mut h.positive_spans,
        buckets: &mut h.positive_buckets,
        compensation: positive,
    });
    compact_side(&mut Side {
        spans: &mut h.negative_spans,
        buckets: &mut h.negative_buckets,
        compensation: negative,
    });
}
