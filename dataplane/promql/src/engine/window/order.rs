//! `quantile_over_time`, `mad_over_time` and the quantile of any numbers.

use std::cmp::Ordering;

use super::{Out, Windows};

/// The φ-quantile of `values`, which are reordered; NaN counts as smaller than every number.
pub(crate) fn quantile_in_place(q: f64, values: &mut [f64]) -> f64 {
    let Some(rank) = Rank::new(q, values.len()) else {
        return out_of_range(q, values.len());
    };
    let (_, &mut low, above) = values.select_nth_unstable_by(rank.low, compare);
    let high = if rank.high == rank.low {
        low
    } else {
        above.iter().copied().min_by(compare).unwrap_or(low)
    };
    rank.between(low, high)
}

fn compare(a: &f64, b: &f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => a.total_cmp(b),
    }
}

/// Between which two of the ordered values a quantile lies, and how far from the lower.
struct Rank {
    low: usize,
    high: usize,
    weight: f64,
}

impl Rank {
    fn new(q: f64, len: usize) -> Option<Self> {
        if len == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let last = len as f64 - 1.0;
        let rank = q * last;
        let low = rank.floor().max(0.0);
        let high = (low + 1.0).min(last);
        Some(Self {
            low: low as usize,
            high: high as usize,
            weight: rank - rank.floor(),
        })
    }

    fn between(&self, low: f64, high: f64) -> f64 {
        low * (1.0 - self.weight) + high * self.weight
    }
}

fn out_of_range(q: f64, len: usize) -> f64 {
    if len == 0 || q.is_nan() {
        f64::NAN
    } else if q < 0.0 {
        f64::NEG_INFINITY
    } else {
        f64::INFINITY
    }
}

/// `quantile_over_time`. The window's numbers are kept sorted; what leaves and enters it is removed
/// and inserted by binary search.
pub(super) fn quantile_over_time(windows: &Windows<'_>, sorted: &mut Vec<f64>, out: &mut Out<'_>) {
    let values = windows.values;
    sorted.clear();
    let mut nans = 0usize;
    let (mut from, mut to) = (0, 0);
    for step in 0..windows.lo.len() {
        let (lo, hi) = windows.bounds(step);
        if lo >= hi {
            continue;
        }
        let q = windows.spec.param(0, step);
        let moved = (lo - from) + (hi - to);
        if lo >= to || moved * 2 > hi - lo {
            sorted.clear();
            sorted.extend(values[lo..hi].iter().filter(|value| !value.is_nan()));
            sorted.sort_unstable_by(f64::total_cmp);
            nans = hi - lo - sorted.len();
        } else {
            for value in &values[from..lo] {
                if value.is_nan() {
                    nans -= 1;
                } else {
                    let at = sorted.partition_point(|v| v.total_cmp(value).is_lt());
                    sorted.remove(at);
                }
            }
            for value in &values[to..hi] {
                if value.is_nan() {
                    nans += 1;
                } else {
                    let at = sorted.partition_point(|v| v.total_cmp(value).is_lt());
                    sorted.insert(at, *value);
                }
            }
        }
        (from, to) = (lo, hi);
        let value = match Rank::new(q, hi - lo) {
            None => out_of_range(q, hi - lo),
            Some(rank) => {
                let nth = |n: usize| if n < nans { f64::NAN } else { sorted[n - nans] };
                rank.between(nth(rank.low), nth(rank.high))
            }
        };
        out.put(step, value);
    }
}

/// `mad_over_time`: the median of the distances from the median.
pub(super) fn mad_over_time(
    windows: &Windows<'_>,
    values: &mut Vec<f64>,
    distances: &mut Vec<f64>,
    out: &mut Out<'_>,
) {
    windows.each(out, |_, _, window| {
        if window.iter().any(|value| value.is_nan()) {
            return Some(f64::NAN);
        }
        values.clear();
        values.extend_from_slice(window);
        let median = quantile_in_place(0.5, values);
        distances.clear();
        distances.extend(window.iter().map(|value| (value - median).abs()));
        Some(quantile_in_place(0.5, distances))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile_in_place(0.5, &mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(quantile_in_place(0.25, &mut [4.0, 2.0]), 2.5);
        assert_eq!(quantile_in_place(1.0, &mut [4.0, f64::NAN, 2.0]), 4.0);
        assert_eq!(quantile_in_place(-0.1, &mut [1.0]), f64::NEG_INFINITY);
        assert_eq!(quantile_in_place(1.1, &mut [1.0]), f64::INFINITY);
        assert!(quantile_in_place(f64::NAN, &mut [1.0]).is_nan());
        assert!(quantile_in_place(0.5, &mut []).is_nan());
    }
}
