//! Compensated summation, bit for bit as Prometheus sums.

/// Adds `inc` to the running `sum` with compensation `c` (Neumaier's variant) and returns both.
///
/// Written so that it compiles to selections instead of branches. The result is only Prometheus' if
/// every operation rounds on its own: no fused multiply-add.
#[inline(always)]
pub(crate) fn add(inc: f64, sum: f64, c: f64) -> (f64, f64) {
    let t = sum + inc;
    let sum_is_larger = sum.abs() >= inc.abs();
    let larger = if sum_is_larger { sum } else { inc };
    let smaller = if sum_is_larger { inc } else { sum };
    let corrected = c + ((larger - t) + smaller);
    // Once the sum is infinite, a compensation would turn it into NaN.
    let c = if t.abs() == f64::INFINITY {
        0.0
    } else {
        corrected
    };
    (t, c)
}

/// The arithmetic mean as Prometheus computes it: a compensated sum that is divided at the end, or,
/// once that sum overflows, an incremental mean.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mean {
    count: f64,
    sum: f64,
    mean: f64,
    c: f64,
    incremental: bool,
}

impl Mean {
    #[inline]
    pub(crate) fn new(first: f64) -> Self {
        Self {
            count: 1.0,
            sum: first,
            mean: 0.0,
            c: 0.0,
            incremental: false,
        }
    }

    /// Continues from a sum of `count` values that did not overflow.
    #[inline]
    pub(crate) fn resume(count: f64, sum: f64, c: f64) -> Self {
        Self {
            count,
            sum,
            mean: 0.0,
            c,
            incremental: false,
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let (sum, c) = add(value, self.sum, self.c);
            if !sum.is_infinite() {
                (self.sum, self.c) = (sum, c);
                return;
            }
            self.incremental = true;
            self.mean = self.sum / (self.count - 1.0);
            self.c /= self.count - 1.0;
        }
        let q = (self.count - 1.0) / self.count;
        (self.mean, self.c) = add(value / self.count, q * self.mean, q * self.c);
    }

    #[inline]
    pub(crate) fn value(&self) -> f64 {
        if self.incremental {
            self.mean + self.c
        } else {
            self.sum / self.count + self.c / self.count
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As Prometheus writes it.
    fn add_by_magnitude(inc: f64, sum: f64, c: f64) -> (f64, f64) {
        let t = sum + inc;
        let c = if t.is_infinite() {
            0.0
        } else if sum.abs() >= inc.abs() {
            c + ((sum - t) + inc)
        } else {
            c + ((inc - t) + sum)
        };
        (t, c)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn selections_are_the_branches_of_prometheus(
            values in prop::collection::vec(
                prop_oneof![4 => any::<f64>(), 4 => -1e3..1e3f64, 1 => Just(f64::MAX), 1 => Just(-0.0)],
                1..8,
            ),
        ) {
            let (mut ours, mut theirs) = ((0.0, 0.0), (0.0, 0.0));
            for value in values {
                ours = add(value, ours.0, ours.1);
                theirs = add_by_magnitude(value, theirs.0, theirs.1);
                prop_assert!(ours.0.to_bits() == theirs.0.to_bits() || ours.0.is_nan() && theirs.0.is_nan());
                prop_assert!(ours.1.to_bits() == theirs.1.to_bits() || theirs.0.is_nan(), "{ours:?} {theirs:?}");
            }
        }
    }

    fn sum(values: &[f64]) -> f64 {
        let (sum, c) = values
            .iter()
            .fold((0.0, 0.0), |(sum, c), &v| add(v, sum, c));
        if sum.is_infinite() { sum } else { sum + c }
    }

    #[test]
    fn small_terms_are_not_lost() {
        assert_eq!(sum(&[1.0, 1e100, 1.0, -1e100]), 2.0);
        assert_eq!(sum(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert!(sum(&[f64::NAN, 1.0]).is_nan());
    }

    #[test]
    fn a_mean_survives_an_overflowing_sum() {
        let mut mean = Mean::new(1e308);
        for _ in 0..3 {
            mean.push(1e308);
        }
        assert_eq!(mean.value(), 1e308);
        let mut small = Mean::new(1.0);
        small.push(2.0);
        assert_eq!(small.value(), 1.5);
    }
}
