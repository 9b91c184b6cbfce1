//! Base-two logarithm and power, rounded as Go's library rounds them: quantiles inside exponential
//! buckets are interpolated with them. Methods and coefficients are those of FreeBSD's `e_log.c` and
//! `e_exp.c`, which Go's library follows.

const LN2_HI: f64 = 0.693_147_180_369_123_8;
const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;

/// Splits a positive normal number into a fraction in `[0.5, 1)` and an exponent.
fn split(x: f64) -> (f64, i32) {
    let (x, scaled) = if x < f64::MIN_POSITIVE {
        (x * 2f64.powi(52), 52)
    } else {
        (x, 0)
    };
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1022;
    let fraction = f64::from_bits(bits & !(0x7ff << 52) | (1022 << 52));
    (fraction, exponent - scaled)
}

fn ln_of_fraction(x: f64) -> f64 {
    const L1: f64 = 0.666_666_666_666_673_5;
    const L2: f64 = 0.399_999_999_994_094_2;
    const L3: f64 = 0.285_714_287_436_623_9;
    const L4: f64 = 0.222_221_984_321_497_84;
    const L5: f64 = 0.181_835_721_616_180_5;
    const L6: f64 = 0.153_138_376_992_093_73;
    const L7: f64 = 0.147_981_986_051_165_86;
    let (mut fraction, mut exponent) = split(x);
    if fraction < std::f64::consts::FRAC_1_SQRT_2 {
        fraction *= 2.0;
        exponent -= 1;
    }
    let f = fraction - 1.0;
    let k = f64::from(exponent);
    let s = f / (2.0 + f);
    let s2 = s * s;
    let s4 = s2 * s2;
    let t1 = s2 * (L1 + s4 * (L3 + s4 * (L5 + s4 * L7)));
    let t2 = s4 * (L2 + s4 * (L4 + s4 * L6));
    let r = t1 + t2;
    let half_square = 0.5 * f * f;
    k * LN2_HI - ((half_square - (s * (half_square + r) + k * LN2_LO)) - f)
}

/// The logarithm to base two; exact for powers of two.
pub(in crate::engine) fn log2(x: f64) -> f64 {
    if x.is_nan() || x == f64::INFINITY {
        return x;
    }
    if x <= 0.0 {
        return if x == 0.0 {
            f64::NEG_INFINITY
        } else {
            f64::NAN
        };
    }
    let (fraction, exponent) = split(x);
    if fraction == 0.5 {
        return f64::from(exponent - 1);
    }
    ln_of_fraction(fraction) * std::f64::consts::LOG2_E + f64::from(exponent)
}

/// Two to the power of `x`.
pub(in crate::engine) fn exp2(x: f64) -> f64 {
    const P1: f64 = 0.166_666_666_666_666_66;
    const P2: f64 = -0.002_777_777_777_701_559_3;
    const P3: f64 = 6.613_756_321_437_934e-05;
    const P4: f64 = -1.653_390_220_546_525_2e-06;
    const P5: f64 = 4.138_136_797_057_238_5e-08;
    if x.is_nan() {
        return x;
    }
    if x > 1_023.999_999_999_999_9 {
        return f64::INFINITY;
    }
    if x < -1.074e3 {
        return 0.0;
    }
    let k = if x > 0.0 {
        (x + 0.5).trunc()
    } else {
        (x - 0.5).trunc()
    };
    let t = x - k;
    let (hi, lo) = (t * LN2_HI, -t * LN2_LO);
    let r = hi - lo;
    let t = r * r;
    let c = r - t * (P1 + t * (P2 + t * (P3 + t * (P4 + t * P5))));
    let y = 1.0 - ((lo - (r * c) / (2.0 - c)) - hi);
    // In two steps, so that only the last one can round.
    let k = k as i32;
    y * 2f64.powi(k / 2) * 2f64.powi(k - k / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two_are_exact_and_others_close() {
        for exponent in -1000..1000 {
            assert_eq!(log2(2f64.powi(exponent)), f64::from(exponent));
            assert_eq!(exp2(f64::from(exponent)), 2f64.powi(exponent));
        }
        for i in 1..1000 {
            let x = f64::from(i) * 0.37;
            assert!((log2(x) - x.log2()).abs() <= 1e-14 * x.log2().abs().max(1.0));
            assert!((exp2(x - 180.0) / (x - 180.0).exp2() - 1.0).abs() < 1e-14);
        }
        assert_eq!(log2(0.0), f64::NEG_INFINITY);
        assert_eq!(exp2(2000.0), f64::INFINITY);
    }
}
