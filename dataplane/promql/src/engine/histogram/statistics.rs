//! Quantiles, fractions and the variance of a histogram's observations.

use model::histogram::FloatHistogram;

use crate::engine::gomath::{exp2, log2};
use crate::engine::kahan;

use super::buckets::{Bucket, all};
use super::has_custom_buckets;

/// What observations of NaN did to a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NanNote {
    /// The quantile lies among them.
    Result,
    /// They count as larger than everything else.
    Skew,
    /// They are in no fraction.
    Excluded,
}

/// The φ-quantile. Within a bucket, observations are taken to be spread evenly along the logarithms, in
/// custom and zero buckets evenly.
pub(crate) fn quantile(q: f64, h: &FloatHistogram) -> (f64, Option<NanNote>) {
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if h.count == 0.0 || q.is_nan() {
        return (f64::NAN, None);
    }
    let custom = has_custom_buckets(h);
    // Observations of NaN are in no bucket, so that only the way up meets the right rank.
    let upwards = h.sum.is_nan() || q < 0.5;
    let mut buckets = all(h);
    let mut rank = if upwards {
        q * h.count
    } else {
        buckets.reverse();
        (1.0 - q) * h.count
    };
    let mut bucket = Bucket {
        lower: 0.0,
        upper: 0.0,
        count: 0.0,
    };
    let mut count = 0.0;
    let mut rest = buckets.iter();
    for next in rest.by_ref() {
        bucket = *next;
        if bucket.count == 0.0 {
            continue;
        }
        count += bucket.count;
        if count >= rank {
            break;
        }
    }
    if custom {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return (bucket.upper, None);
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return (bucket.lower, None);
        }
    } else if bucket.lower < 0.0 && bucket.upper > 0.0 {
        clip_zero_bucket(h, &mut bucket);
    }
    // Rounding may have counted more than there are.
    if count > h.count {
        count = h.count;
    }
    if count < rank {
        if h.sum.is_nan() {
            return (f64::NAN, Some(NanNote::Result));
        }
        return (bucket.upper, None);
    }
    if upwards {
        rank -= count - bucket.count;
    } else {
        rank = count - rank;
    }
    let mut note = None;
    if h.sum.is_nan() {
        // Prometheus goes on with the last of all buckets.
        for next in rest {
            bucket = *next;
            count += bucket.count;
        }
        if count < h.count {
            note = Some(NanNote::Skew);
        }
    }
    let fraction = rank / bucket.count;
    if custom || (bucket.lower <= 0.0 && bucket.upper >= 0.0) {
        return (
            bucket.lower + (bucket.upper - bucket.lower) * fraction,
            note,
        );
    }
    let lower = log2(bucket.lower.abs());
    let upper = log2(bucket.upper.abs());
    let value = if bucket.lower > 0.0 {
        exp2(lower + (upper - lower) * fraction)
    } else {
        -exp2(upper + (lower - upper) * (1.0 - fraction))
    };
    (value, note)
}

/// Where all other buckets are on one side, so is the zero bucket.
fn clip_zero_bucket(h: &FloatHistogram, bucket: &mut Bucket) {
    match (h.negative_buckets.is_empty(), h.positive_buckets.is_empty()) {
        (true, false) => bucket.lower = 0.0,
        (false, true) => bucket.upper = 0.0,
        _ => {}
    }
}

/// The part of all observations that lies between two values.
pub(crate) fn fraction(lower: f64, upper: f64, h: &FloatHistogram) -> (f64, Option<NanNote>) {
    if h.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return (f64::NAN, None);
    }
    if lower >= upper {
        return (0.0, None);
    }
    let custom = has_custom_buckets(h);
    let (mut count, mut rank) = (0.0, 0.0);
    let (mut lower_rank, mut upper_rank) = (None, None);
    let buckets = all(h);
    let mut rest = buckets.iter();
    for next in rest.by_ref() {
        let mut bucket = *next;
        count += bucket.count;
        let is_zero = bucket.lower <= 0.0 && bucket.upper >= 0.0;
        if is_zero {
            clip_zero_bucket(h, &mut bucket);
        }
        let rank_at = |value: f64| {
            let linear = custom || is_zero;
            if linear && bucket.lower == f64::NEG_INFINITY {
                return bucket.count;
            }
            rank + bucket.count * bucket.fraction_below(value, linear)
        };
        for (value, found) in [(lower, &mut lower_rank), (upper, &mut upper_rank)] {
            if found.is_none() && bucket.lower >= value {
                *found = Some(rank);
            }
        }
        if lower_rank.is_some() && upper_rank.is_some() {
            break;
        }
        for (value, found) in [(lower, &mut lower_rank), (upper, &mut upper_rank)] {
            if found.is_none() && bucket.lower < value && bucket.upper > value {
                *found = Some(rank_at(value));
            }
        }
        if lower_rank.is_some() && upper_rank.is_some() {
            break;
        }
        rank += bucket.count;
    }
    let mut note = None;
    if h.sum.is_nan() {
        count += rest.map(|bucket| bucket.count).sum::<f64>();
        if count < h.count {
            note = Some(NanNote::Excluded);
        }
    } else {
        count = h.count;
    }
    let capped = |rank: Option<f64>| match rank {
        Some(rank) if rank > count => count,
        Some(rank) => rank,
        None => count,
    };
    ((capped(upper_rank) - capped(lower_rank)) / h.count, note)
}

/// The variance, each observation taken to be in the middle of its bucket.
pub(crate) fn variance(h: &FloatHistogram) -> f64 {
    let mean = h.sum / h.count;
    let (mut sum, mut c) = (0.0, 0.0);
    for bucket in all(h) {
        if bucket.count == 0.0 {
            continue;
        }
        let value = if has_custom_buckets(h) {
            (bucket.upper + bucket.lower) / 2.0
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            let middle = (bucket.upper * bucket.lower).sqrt();
            if bucket.upper < 0.0 { -middle } else { middle }
        };
        let delta = value - mean;
        (sum, c) = kahan::add(bucket.count * delta * delta, sum, c);
    }
    (sum + c) / h.count
}
