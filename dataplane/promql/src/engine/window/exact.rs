//! Exact sums of any stretch of a series, and with them what a compensated summation gives.
//!
//! Neumaier's compensation adds up the rounding errors of the running sum, each of which is a float.
//! As long as that sum of errors is itself exact, running sum plus compensation is the exact sum, and
//! their float sum is the exact sum rounded once, however long the stretch and in whatever order. So
//! where the values' exponents are close enough for the compensation to be exact, two integers from a
//! list of running sums answer for any window, bit for bit.

/// Running sums in units of a power of two.
#[derive(Debug, Default)]
pub(super) struct ExactSums {
    /// The sum of the first n values, in units.
    prefix: Vec<i128>,
    /// The unit and its inverse.
    unit: f64,
    inverse: f64,
    /// Whether no running sum ever needs rounding, so that there is nothing to compensate.
    needs_no_compensation: bool,
}

/// Exponents beyond which scaling could leave the normal floats.
const LARGEST_EXPONENT: i32 = 900;

impl ExactSums {
    /// Adds up `values`. Returns false where a compensated sum of some stretch might not be exact.
    pub(super) fn prepare(&mut self, values: &[f64]) -> bool {
        let mut total = 0.0f64;
        let mut lowest = i32::MAX;
        for &value in values {
            total += value.abs();
            if value != 0.0 {
                let (_, mantissa, exponent) = parts(value);
                lowest = lowest.min(exponent + mantissa.trailing_zeros().cast_signed());
            }
        }
        if !total.is_finite() {
            return false;
        }
        let lowest = if lowest == i32::MAX { 0 } else { lowest };
        // One above, since the total is rounded.
        let highest = parts(total).2 + 53 + 1;
        let count_bits = (usize::BITS - values.len().leading_zeros()).cast_signed();
        let in_range = lowest > -LARGEST_EXPONENT && highest < LARGEST_EXPONENT;
        let fits = highest - lowest < 120;
        // Each error is at most half a unit in the last place of a sum not above the total, and all
        // are multiples of the unit: their sum has to stay below 2^53 units.
        let compensation_is_exact = count_bits + highest - 53 <= 53 + lowest;
        if !(in_range && fits && compensation_is_exact) {
            return false;
        }
        self.unit = power_of_two(lowest);
        self.inverse = power_of_two(-lowest);
        self.needs_no_compensation = highest - lowest <= 53;
        self.prefix.clear();
        self.prefix.reserve(values.len() + 1);
        let mut sum = 0i128;
        self.prefix.push(sum);
        for &value in values {
            let (negative, mantissa, exponent) = parts(value);
            let shift = exponent - lowest;
            let magnitude = if shift >= 0 {
                i128::from(mantissa) << shift
            } else {
                // Only zero bits go: the unit is the lowest bit that is set anywhere.
                i128::from(mantissa) >> (-shift).min(63)
            };
            sum += if negative { -magnitude } else { magnitude };
            self.prefix.push(sum);
        }
        true
    }

    /// The compensated sum of values `lo..hi`.
    #[inline]
    pub(super) fn sum(&self, lo: usize, hi: usize) -> f64 {
        (self.prefix[hi] - self.prefix[lo]) as f64 * self.unit
    }

    /// Whether sums are exact without compensation.
    pub(super) fn needs_no_compensation(&self) -> bool {
        self.needs_no_compensation
    }

    /// The compensation of values `lo..hi` whose running sum came to `sum`.
    #[inline]
    pub(super) fn compensation(&self, lo: usize, hi: usize, sum: f64) -> f64 {
        let exact = self.prefix[hi] - self.prefix[lo];
        (exact - (sum * self.inverse) as i128) as f64 * self.unit
    }
}

/// Sign, mantissa and exponent: `mantissa · 2^exponent`.
#[inline]
fn parts(value: f64) -> (bool, u64, i32) {
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let biased = ((bits >> 52) & 0x7ff) as i32;
    let (mantissa, exponent) = if biased == 0 {
        (fraction, -1074)
    } else {
        (fraction | 1 << 52, biased - 1075)
    };
    (bits >> 63 != 0, mantissa, exponent)
}

/// `2^exponent`, for exponents of normal floats.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::kahan;

    #[test]
    fn exact_sums_are_compensated_sums() {
        let mut state = 7u64;
        let mut random = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as f64 / f64::from(1u32 << 31) - 0.5
        };
        for scale in [1.0, 1e-9, 1e12, 0.1] {
            let values: Vec<f64> = (0..2_000)
                .map(|i| random() * scale * if i % 7 == 0 { 100.0 } else { 1.0 })
                .collect();
            let mut exact = ExactSums::default();
            assert!(exact.prepare(&values));
            for (lo, hi) in [(0, 2_000), (3, 4), (17, 1_500), (5, 5)] {
                let (sum, c) = values[lo..hi]
                    .iter()
                    .fold((0.0, 0.0), |(sum, c), &v| kahan::add(v, sum, c));
                assert_eq!(exact.sum(lo, hi).to_bits(), (sum + c).to_bits());
                assert_eq!(exact.compensation(lo, hi, sum), c);
            }
        }
    }

    #[test]
    fn what_might_be_inexact_is_refused() {
        let mut exact = ExactSums::default();
        for values in [
            [1.0, f64::NAN].as_slice(),
            &[1.0, f64::INFINITY],
            &[1e300, 1e300],
            &[1.0, 1e-60],
            &[1e-320, 1.0],
        ] {
            assert!(!exact.prepare(values), "{values:?}");
        }
        assert!(exact.prepare(&[]));
        assert!(exact.prepare(&[0.0, -0.0]));
        assert_eq!(exact.sum(0, 2).to_bits(), 0);
    }
}
