//! The operators `</` and `>/`: what lies beyond a value is cut off.

use model::histogram::FloatHistogram;

use super::buckets::{Bucket, negative, positive, zero};
use super::{compact, has_custom_buckets};

/// Removes the observations above `at`, or below it. Within a bucket they are taken to be distributed
/// as quantiles take them to be.
pub(crate) fn trim(h: &mut FloatHistogram, at: f64, upper: bool) {
    let cut = Cut {
        at,
        upper,
        linear: has_custom_buckets(h),
    };
    let mut totals = Totals::default();
    let above: Vec<Bucket> = positive(h).collect();
    let below: Vec<Bucket> = negative(h).collect();
    let has_positive = totals.keep(&above, &mut h.positive_buckets, &cut, true);
    let has_negative = totals.keep(&below, &mut h.negative_buckets, &cut, false);
    if h.zero_count > 0.0 {
        let (kept, middle) = cut.zero_bucket(zero(h), has_negative, has_positive);
        if h.zero_count != kept {
            h.zero_count = kept;
            totals.changed = true;
        }
        totals.sum += middle * kept;
        totals.count += kept;
    }
    if totals.changed {
        h.count = totals.count;
        h.sum = totals.sum;
        compact(h);
    }
}

#[derive(Default)]
struct Totals {
    count: f64,
    sum: f64,
    changed: bool,
}

impl Totals {
    /// Trims one side; returns whether it had any observation.
    fn keep(&mut self, side: &[Bucket], counts: &mut [f64], cut: &Cut, is_positive: bool) -> bool {
        let mut any = false;
        for (bucket, count) in side.iter().zip(counts) {
            if bucket.count == 0.0 {
                continue;
            }
            any = true;
            let (kept, middle) = cut.bucket(*bucket, is_positive);
            self.count += kept;
            self.sum += middle * kept;
            if *count != kept {
                *count = kept;
                self.changed = true;
            }
        }
        any
    }
}

struct Cut {
    at: f64,
    /// Whether what is above goes.
    upper: bool,
    linear: bool,
}

impl Cut {
    /// Returns how many observations stay and what they are on average.
    fn bucket(&self, bucket: Bucket, is_positive: bool) -> (f64, f64) {
        let (keep_all, contains) = if self.upper {
            (bucket.upper <= self.at, bucket.lower < self.at)
        } else {
            (bucket.lower >= self.at, bucket.upper > self.at)
        };
        if keep_all {
            let middle = self.middle(bucket.lower, bucket.upper, is_positive);
            return (bucket.count, middle);
        }
        if !contains {
            return (0.0, 0.0);
        }
        if bucket.lower == f64::NEG_INFINITY || bucket.upper == f64::INFINITY {
            return self.unbounded(bucket);
        }
        let under = if self.at <= bucket.lower {
            0.0
        } else if self.at >= bucket.upper {
            bucket.count
        } else {
            bucket.count * bucket.fraction_below(self.at, self.linear)
        };
        if self.upper {
            (under, self.middle(bucket.lower, self.at, is_positive))
        } else {
            let middle = self.middle(self.at, bucket.upper, is_positive);
            (bucket.count - under, middle)
        }
    }

    /// A bucket without a lower or an upper bound: how its observations are distributed is not known,
    /// except that they are taken to be positive where the upper bound is.
    fn unbounded(&self, bucket: Bucket) -> (f64, f64) {
        let Bucket {
            lower,
            upper,
            count,
        } = bucket;
        let at = self.at;
        let finite = |value: f64| if value.is_infinite() { 0.0 } else { value };
        if lower == f64::NEG_INFINITY {
            if self.upper {
                if at >= upper {
                    return (count, 0.0);
                }
                if at > 0.0 && upper > 0.0 && upper != f64::INFINITY {
                    return (count * at / upper, at / 2.0);
                }
                if upper <= 0.0 {
                    return (count, at);
                }
                return (0.0, finite(upper));
            }
            if at <= lower {
                return (count, 0.0);
            }
            if at >= 0.0 && upper > at && upper != f64::INFINITY {
                return (count * (1.0 - at / upper), (at + upper) / 2.0);
            }
            return (0.0, finite(upper));
        }
        if !self.upper && at >= lower {
            return (count, at);
        }
        (0.0, finite(lower))
    }

    fn zero_bucket(&self, bucket: Bucket, has_negative: bool, has_positive: bool) -> (f64, f64) {
        let (mut lower, mut upper) = (bucket.lower, bucket.upper);
        if has_negative && !has_positive {
            upper = 0.0;
        }
        if has_positive && !has_negative {
            lower = 0.0;
        }
        let at = self.at;
        let all = (bucket.count, (lower + upper) / 2.0);
        let (fraction, middle) = match (self.upper, at <= lower, at >= upper) {
            (true, true, _) | (false, false, true) => return (0.0, 0.0),
            (true, false, true) | (false, true, _) => return all,
            (true, false, false) => ((at - lower) / (upper - lower), (lower + at) / 2.0),
            (false, false, false) => ((upper - at) / (upper - lower), (at + upper) / 2.0),
        };
        (bucket.count * fraction, middle)
    }

    /// What observations between two bounds are on average.
    fn middle(&self, lower: f64, upper: f64, is_positive: bool) -> f64 {
        if lower.is_infinite() {
            if upper.is_infinite() {
                return 0.0;
            }
            return if upper > 0.0 { upper / 2.0 } else { upper };
        }
        if upper.is_infinite() {
            return lower;
        }
        if self.linear {
            return (lower + upper) / 2.0;
        }
        let geometric = (lower * upper).abs().sqrt();
        if is_positive { geometric } else { -geometric }
    }
}
