//! Quantiles and fractions of classic histograms: cumulative counts by upper bound.

use crate::annotations::Monotonicity;

/// Differences between cumulative counts below this relative size are rounding.
const TOLERANCE: f64 = 1e-12;

/// The cumulative count up to a bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bucket {
    pub upper: f64,
    pub count: f64,
}

/// The φ-quantile of cumulative buckets, which are made monotonic first; also returns what that took.
pub(super) fn bucket_quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, Option<Monotonicity>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if buckets
        .last()
        .is_none_or(|last| last.upper != f64::INFINITY)
    {
        return (f64::NAN, None);
    }
    let forced = make_monotonic(buckets);
    let [.., before_last, last] = *buckets.as_slice() else {
        return (f64::NAN, forced);
    };
    if last.count == 0.0 {
        return (f64::NAN, forced);
    }
    let mut rank = q * last.count;
    // As a binary search, whose answer for NaN counts is part of the contract.
    let (mut low, mut high) = (0, buckets.len() - 1);
    while low < high {
        let middle = usize::midpoint(low, high);
        if buckets[middle].count >= rank {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    let found = buckets[low];
    let value = if low == buckets.len() - 1 {
        before_last.upper
    } else if low == 0 && found.upper <= 0.0 {
        found.upper
    } else {
        let (mut start, mut count) = (0.0, found.count);
        if low > 0 {
            let below = buckets[low - 1];
            start = below.upper;
            count -= below.count;
            rank -= below.count;
        }
        start + (found.upper - start) * (rank / count)
    };
    (value, forced)
}

fn make_monotonic(buckets: &mut [Bucket]) -> Option<Monotonicity> {
    let mut forced: Option<Monotonicity> = None;
    let mut previous = buckets.first()?.count;
    for bucket in &mut buckets[1..] {
        let current = bucket.count;
        if current == previous {
            continue;
        }
        if almost_equal(previous, current) {
            bucket.count = previous;
            continue;
        }
        if current < previous {
            bucket.count = previous;
            let so_far = forced.get_or_insert(Monotonicity {
                min_ts: 0,
                max_ts: 0,
                min_bucket: bucket.upper,
                max_bucket: bucket.upper,
                max_diff: 0.0,
                count: 1,
            });
            so_far.min_bucket = so_far.min_bucket.min(bucket.upper);
            so_far.max_bucket = so_far.max_bucket.max(bucket.upper);
            so_far.max_diff = so_far.max_diff.max(previous - current);
            continue;
        }
        previous = current;
    }
    forced
}

fn almost_equal(a: f64, b: f64) -> bool {
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    let sum = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

/// The part of the observations between two values.
pub(super) fn bucket_fraction(lower: f64, upper: f64, buckets: &[Bucket]) -> f64 {
    let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else {
        return f64::NAN;
    };
    if last.upper != f64::INFINITY || last.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    // Where the first bound is positive, nothing is observed below zero.
    let mut bucket_lower = if first.upper <= 0.0 {
        f64::NEG_INFINITY
    } else {
        0.0
    };
    let (mut rank, mut lower_rank, mut upper_rank) = (0.0, None, None);
    for bucket in buckets {
        let rank_at = |value: f64| {
            if bucket_lower == f64::NEG_INFINITY {
                return bucket.count;
            }
            rank + (bucket.count - rank) * (value - bucket_lower) / (bucket.upper - bucket_lower)
        };
        for (value, found) in [(lower, &mut lower_rank), (upper, &mut upper_rank)] {
            if found.is_none() && bucket_lower >= value {
                *found = Some(rank);
            }
            if found.is_none() && bucket_lower < value && bucket.upper > value {
                *found = Some(rank_at(value));
            }
        }
        if lower_rank.is_some() && upper_rank.is_some() {
            break;
        }
        rank = bucket.count;
        bucket_lower = bucket.upper;
    }
    let capped = |rank: Option<f64>| match rank {
        Some(rank) if rank > last.count => last.count,
        Some(rank) => rank,
        None => last.count,
    };
    (capped(upper_rank) - capped(lower_rank)) / last.count
}
