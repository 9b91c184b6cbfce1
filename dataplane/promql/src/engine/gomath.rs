//! Hyperbolic inverses by the formulas that Go's library uses, which the usual ones of Rust's
//! standard library differ from by more than rounding, sine, cosine and tangent
//! ([`trigonometry`]), and powers of two ([`powers`]).

mod powers;
mod trigonometry;

pub(super) use powers::{exp2, log2};
pub(super) use trigonometry::{cos, sin, tan};

const LN2: f64 = std::f64::consts::LN_2;
/// Above it, one more is not seen under the square root.
const LARGE: f64 = 268_435_456.0;
const NEAR_ZERO: f64 = 1.0 / LARGE;

pub(super) fn acosh(x: f64) -> f64 {
    if x < 1.0 || x.is_nan() {
        f64::NAN
    } else if x == 1.0 {
        0.0
    } else if x >= LARGE {
        x.ln() + LN2
    } else if x > 2.0 {
        (2.0 * x - 1.0 / (x + (x * x - 1.0).sqrt())).ln()
    } else {
        let t = x - 1.0;
        (t + (2.0 * t + t * t).sqrt()).ln_1p()
    }
}

pub(super) fn asinh(x: f64) -> f64 {
    if x.is_nan() || x.is_infinite() {
        return x;
    }
    let a = x.abs();
    let result = if a > LARGE {
        a.ln() + LN2
    } else if a > 2.0 {
        (2.0 * a + 1.0 / ((a * a + 1.0).sqrt() + a)).ln()
    } else if a < NEAR_ZERO {
        a
    } else {
        (a + a * a / (1.0 + (1.0 + a * a).sqrt())).ln_1p()
    };
    result.copysign(x)
}

pub(super) fn atanh(x: f64) -> f64 {
    if !(-1.0..=1.0).contains(&x) {
        return f64::NAN;
    }
    let a = x.abs();
    let result = if a == 1.0 {
        f64::INFINITY
    } else if a < NEAR_ZERO {
        a
    } else if a < 0.5 {
        let t = a + a;
        0.5 * (t + t * a / (1.0 - a)).ln_1p()
    } else {
        0.5 * ((a + a) / (1.0 - a)).ln_1p()
    };
    result.copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverses_invert() {
        for x in [1e-10, 0.3, 0.7, 1.5, 3.0, 20.0] {
            assert!((asinh(x).sinh() / x - 1.0).abs() < 1e-12, "{x}");
            assert!((acosh(x.cosh()) - x).abs() < 1e-6, "{x}");
            assert!((atanh(x.tanh()) - x).abs() < 1e-6 * x || x > 10.0, "{x}");
            assert_eq!(asinh(-x), -asinh(x));
        }
        assert_eq!(atanh(1.0), f64::INFINITY);
        assert!(acosh(0.5).is_nan());
    }
}
