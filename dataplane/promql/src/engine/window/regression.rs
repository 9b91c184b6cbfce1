//! `deriv`, `predict_linear` and `double_exponential_smoothing`.

use super::lanes::{Accumulate, LANES, Lanes, Sums, accumulate};
use super::{Out, WindowFunc, WindowSpec, Windows};

/// The sums of a least-squares regression over `(x, y)`, each compensated.
struct Regression<'a> {
    spec: &'a WindowSpec,
    /// The time at which x is zero, in milliseconds.
    origin: [i64; LANES],
    first: Lanes,
    is_constant: [bool; LANES],
    x: Sums,
    y: Sums,
    xy: Sums,
    xx: Sums,
}

impl Regression<'_> {
    /// Returns slope and intercept.
    fn line(&self, lane: usize, count: usize) -> (f64, f64) {
        if self.is_constant[lane] {
            if self.first[lane].is_infinite() {
                return (f64::NAN, f64::NAN);
            }
            return (0.0, self.first[lane]);
        }
        let n = count as f64;
        let (x, y) = (self.x.total(lane), self.y.total(lane));
        let (xy, xx) = (self.xy.total(lane), self.xx.total(lane));
        let covariance = xy - x * y / n;
        let variance = xx - x * x / n;
        let slope = covariance / variance;
        (slope, y / n - slope * x / n)
    }
}

impl Accumulate for Regression<'_> {
    #[inline(always)]
    fn push_all(&mut self, ts: &[i64; LANES], values: &Lanes) {
        let (mut x, mut xy, mut xx) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        for lane in 0..LANES {
            self.is_constant[lane] &= values[lane] == self.first[lane];
            x[lane] = (ts[lane] - self.origin[lane]) as f64 / 1e3;
            xy[lane] = x[lane] * values[lane];
            xx[lane] = x[lane] * x[lane];
        }
        self.x.add_all(&x);
        self.y.add_all(values);
        self.xy.add_all(&xy);
        self.xx.add_all(&xx);
    }

    fn push(&mut self, lane: usize, ts: i64, value: f64) {
        self.is_constant[lane] &= value == self.first[lane];
        let x = (ts - self.origin[lane]) as f64 / 1e3;
        self.x.add(lane, x);
        self.y.add(lane, value);
        self.xy.add(lane, x * value);
        self.xx.add(lane, x * x);
    }

    fn finish(&self, lane: usize, step: usize, lo: usize, hi: usize) -> f64 {
        let (slope, intercept) = self.line(lane, hi - lo);
        if self.spec.func == WindowFunc::Deriv {
            return slope;
        }
        slope * self.spec.param(0, step) + intercept
    }
}

/// `deriv`, the slope per second, and `predict_linear`, the value some seconds after the step.
pub(super) fn regress(windows: &Windows<'_>, out: &mut Out<'_>) {
    let spec = windows.spec;
    accumulate(windows, 2, out, |steps, lo| Regression {
        spec,
        // An origin near the samples keeps the slope's x small and exact.
        origin: if spec.func == WindowFunc::Deriv {
            lo.map(|lo| windows.ts[lo])
        } else {
            steps.map(|step| spec.refs.grid.ts(step))
        },
        first: lo.map(|lo| windows.values[lo]),
        is_constant: [true; LANES],
        x: Sums::new(0.0),
        y: Sums::new(0.0),
        xy: Sums::new(0.0),
        xx: Sums::new(0.0),
    });
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
