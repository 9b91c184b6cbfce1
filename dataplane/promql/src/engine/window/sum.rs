//! `sum_over_time`, `avg_over_time`, `stddev_over_time` and `stdvar_over_time`.

use crate::engine::kahan::Mean;

use super::exact::ExactSums;
use super::lanes::{Accumulate, LANES, Lanes, Sums, accumulate};
use super::{Out, Windows};

/// Windows have to hold so many samples on average for running sums to be worth their making.
const WORTH_PREFIX: usize = 4;

fn worth_prefix(windows: &Windows<'_>) -> bool {
    let inside: usize = windows
        .lo
        .iter()
        .zip(windows.hi)
        .map(|(lo, hi)| (hi - lo) as usize)
        .sum();
    inside > WORTH_PREFIX * windows.values.len().max(windows.lo.len())
}

/// `sum_over_time`.
pub(super) fn sum(windows: &Windows<'_>, exact: &mut ExactSums, out: &mut Out<'_>) {
    if worth_prefix(windows) && exact.prepare(windows.values) {
        return windows.each_index(1, out, |_, lo, hi| exact.sum(lo, hi));
    }
    accumulate(windows, 1, out, |_, _| Total(Sums::new(0.0)));
}

/// The sum of each window.
struct Total(Sums);

impl Accumulate for Total {
    #[inline(always)]
    fn push_all(&mut self, _: &[i64; LANES], values: &Lanes) {
        self.0.add_all(values);
    }

    fn push(&mut self, lane: usize, _: i64, value: f64) {
        self.0.add(lane, value);
    }

    fn finish(&self, lane: usize, _: usize, _: usize, _: usize) -> f64 {
        let (sum, c) = self.0.pair(lane);
        if sum.is_infinite() { sum } else { sum + c }
    }
}

/// `avg_over_time`.
pub(super) fn avg(windows: &Windows<'_>, exact: &mut ExactSums, out: &mut Out<'_>) {
    if worth_prefix(windows) && exact.prepare(windows.values) {
        if exact.needs_no_compensation() {
            return windows.each_index(1, out, |_, lo, hi| exact.sum(lo, hi) / (hi - lo) as f64);
        }
        // Sum and compensation are divided on their own, so the sum as it was rounded matters.
        return plain_sums(windows, |step, lo, hi, sum| {
            let count = (hi - lo) as f64;
            out.put(step, sum / count + exact.compensation(lo, hi, sum) / count);
        });
    }
    // The mean starts with the first sample. Beginning with minus zero and adding it leaves the sample
    // as it is, the sign of its zero included, and the compensation at zero.
    accumulate(windows, 1, out, |_, _| {
        Average(Sums::new(-0.0), windows.values)
    });
}

/// The mean of each window, out of the series' values.
struct Average<'a>(Sums, &'a [f64]);

impl Accumulate for Average<'_> {
    #[inline(always)]
    fn push_all(&mut self, _: &[i64; LANES], values: &Lanes) {
        self.0.add_all(values);
    }

    fn push(&mut self, lane: usize, _: i64, value: f64) {
        self.0.add(lane, value);
    }

    fn finish(&self, lane: usize, _: usize, lo: usize, hi: usize) -> f64 {
        let (sum, c) = self.0.pair(lane);
        if sum.is_finite() {
            let count = (hi - lo) as f64;
            return sum / count + c / count;
        }
        let values = self.1;
        let mut mean = Mean::new(values[lo]);
        for &value in &values[lo + 1..hi] {
            mean.push(value);
        }
        mean.value()
    }
}

/// Windows that are added up together: enough additions in flight to hide the time one takes.
const CHAINS: usize = 8;

/// Adds up every window in order, without compensation, several windows at a time so that their
/// chains of additions overlap.
fn plain_sums(windows: &Windows<'_>, mut put: impl FnMut(usize, usize, usize, f64)) {
    let values = windows.values;
    let steps = windows.lo.len();
    let mut step = 0;
    while step < steps {
        let lanes = (steps - step).min(CHAINS);
        let bounds: [(usize, usize); CHAINS] =
            std::array::from_fn(|lane| windows.bounds((step + lane).min(steps - 1)));
        let shortest = bounds.iter().map(|(lo, hi)| hi - lo).min().unwrap_or(0);
        // Minus zero and a first sample are that sample, whatever the sign of its zero.
        let mut sums = [-0.0; CHAINS];
        let [a, b, c, d, e, f, g, h] = bounds.map(|(lo, _)| &values[lo..lo + shortest]);
        for (((((((a, b), c), d), e), f), g), h) in
            a.iter().zip(b).zip(c).zip(d).zip(e).zip(f).zip(g).zip(h)
        {
            for (sum, value) in sums.iter_mut().zip([a, b, c, d, e, f, g, h]) {
                *sum += value;
            }
        }
        for (lane, (lo, hi)) in bounds.into_iter().take(lanes).enumerate() {
            if lo < hi {
                let sum = values[lo + shortest..hi]
                    .iter()
                    .fold(sums[lane], |sum, v| sum + v);
                put(step + lane, lo, hi, sum);
            }
        }
        step += lanes;
    }
}

/// `stdvar_over_time`, and `stddev_over_time` by way of `result`.
pub(super) fn variance(windows: &Windows<'_>, out: &mut Out<'_>, result: impl Fn(f64) -> f64) {
    accumulate(windows, 1, out, |_, _| Variance {
        count: [0.0; LANES],
        mean: Sums::new(0.0),
        squares: Sums::new(0.0),
        result: &result,
    });
}

/// Welford's variance, compensated.
struct Variance<'a, F> {
    count: Lanes,
    mean: Sums,
    squares: Sums,
    result: &'a F,
}

impl<F: Fn(f64) -> f64> Accumulate for Variance<'_, F> {
    #[inline(always)]
    fn push_all(&mut self, _: &[i64; LANES], values: &Lanes) {
        for count in &mut self.count {
            *count += 1.0;
        }
        let before = self.mean.totals();
        let (mut delta, mut share, mut square) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        for lane in 0..LANES {
            delta[lane] = values[lane] - before[lane];
            share[lane] = delta[lane] / self.count[lane];
        }
        self.mean.add_all(&share);
        let after = self.mean.totals();
        for lane in 0..LANES {
            square[lane] = delta[lane] * (values[lane] - after[lane]);
        }
        self.squares.add_all(&square);
    }

    fn push(&mut self, lane: usize, _: i64, value: f64) {
        self.count[lane] += 1.0;
        let delta = value - self.mean.total(lane);
        self.mean.add(lane, delta / self.count[lane]);
        self.squares
            .add(lane, delta * (value - self.mean.total(lane)));
    }

    fn finish(&self, lane: usize, _: usize, _: usize, _: usize) -> f64 {
        (self.result)(self.squares.total(lane) / self.count[lane])
    }
}
