//! Compensated summation, bit for bit as Prometheus sums.

/// Adds `inc` to the running `sum` with compensation `c` (Neumaier's variant) and returns both.
///
/// The result is only Prometheus' if every operation rounds on its own: no fused multiply-add.
#[inline(always)]
pub(crate) fn add(inc: f64, sum: f64, c: f64) -> (f64, f64) {
    let t = sum + inc;
    let larger_sum = (sum - t) + inc;
    let larger_inc = (inc - t) + sum;
    let correction = if sum.abs() >= inc.abs() {
        larger_sum
    } else {
        larger_inc
    };
    // Once the sum is infinite, a compensation would turn it into NaN.
    let c = if t.is_infinite() { 0.0 } else { c + correction };
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
    use super::*;

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
