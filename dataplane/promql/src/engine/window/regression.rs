//! `deriv`, `predict_linear` and `double_exponential_smoothing`.

use crate::engine::kahan;

use super::sum::side_by_side;
use super::{Out, Windows};

/// Sums of a least-squares regression over `(x, y)`, each compensated.
#[derive(Debug, Clone, Copy)]
struct Sums {
    /// The time at which x is zero, in milliseconds.
    origin: i64,
    first: f64,
    is_constant: bool,
    x: (f64, f64),
    y: (f64, f64),
    xy: (f64, f64),
    xx: (f64, f64),
}

impl Sums {
    fn new(origin: i64, first: f64) -> Self {
        let zero = (0.0, 0.0);
        Self {
            origin,
            first,
            is_constant: true,
            x: zero,
            y: zero,
            xy: zero,
            xx: zero,
        }
    }

    #[inline(always)]
    fn push(&mut self, ts: i64, value: f64) {
        self.is_constant &= value == self.first;
        let x = (ts - self.origin) as f64 / 1e3;
        self.x = kahan::add(x, self.x.0, self.x.1);
        self.y = kahan::add(value, self.y.0, self.y.1);
        self.xy = kahan::add(x * value, self.xy.0, self.xy.1);
        self.xx = kahan::add(x * x, self.xx.0, self.xx.1);
    }

    /// Returns slope and intercept.
    fn line(&self, count: usize) -> (f64, f64) {
        if self.is_constant {
            if self.first.is_infinite() {
                return (f64::NAN, f64::NAN);
            }
            return (0.0, self.first);
        }
        let n = count as f64;
        let (x, y) = (self.x.0 + self.x.1, self.y.0 + self.y.1);
        let (xy, xx) = (self.xy.0 + self.xy.1, self.xx.0 + self.xx.1);
        let covariance = xy - x * y / n;
        let variance = xx - x * x / n;
        let slope = covariance / variance;
        (slope, y / n - slope * x / n)
    }
}

/// `deriv`: the slope per second.
pub(super) fn deriv(windows: &Windows<'_>, out: &mut Out<'_>) {
    side_by_side(
        windows,
        out,
        2,
        // An origin near the samples keeps x small and exact.
        |_, lo| Sums::new(windows.ts[lo], windows.values[lo]),
        Sums::push,
        |_, sums, lo, hi| sums.line(hi - lo).0,
    );
}

/// `predict_linear`: the value some seconds after the step, whatever the offset.
pub(super) fn predict_linear(windows: &Windows<'_>, out: &mut Out<'_>) {
    let spec = windows.spec;
    side_by_side(
        windows,
        out,
        2,
        |step, lo| Sums::new(spec.refs.grid.ts(step), windows.values[lo]),
        Sums::push,
        |step, sums, lo, hi| {
            let (slope, intercept) = sums.line(hi - lo);
            slope * spec.param(0, step) + intercept
        },
    );
}

/// `double_exponential_smoothing`.
pub(super) fn smooth(windows: &Windows<'_>, out: &mut Out<'_>) {
    let spec = windows.spec;
    windows.each(out, |step, _, values| {
        let [first, second, ..] = *values else {
            return None;
        };
        let (smoothing, trend) = (spec.param(0, step), spec.param(1, step));
        let (mut before, mut smoothed) = (0.0, first);
        let mut slope = second - first;
        for (i, value) in values.iter().enumerate().skip(1) {
            let scaled = smoothing * value;
            if i > 1 {
                let x = trend * (smoothed - before);
                let y = (1.0 - trend) * slope;
                slope = x + y;
            }
            let y = (1.0 - smoothing) * (smoothed + slope);
            (before, smoothed) = (smoothed, scaled + y);
        }
        Some(smoothed)
    });
}
