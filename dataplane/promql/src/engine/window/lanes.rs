//! Sums over several windows side by side.
//!
//! A compensated sum is a chain of dependent additions. Windows of neighbouring steps are added up
//! together, one lane each, so that their chains overlap and the compiler can put lanes into vector
//! registers. Four lanes keep the sums of a regression in registers. Within a lane the order of additions is that of the window.

use crate::engine::kahan;

use super::{Out, Windows};

/// Windows that are evaluated together.
pub(super) const LANES: usize = 4;

/// A number for each window.
pub(super) type Lanes = [f64; LANES];

/// A compensated sum in each lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sums {
    sum: Lanes,
    c: Lanes,
}

impl Sums {
    pub(super) fn new(start: f64) -> Self {
        Self {
            sum: [start; LANES],
            c: [0.0; LANES],
        }
    }

    #[expect(clippy::needless_range_loop, reason = "the compiler unrolls it")]
    #[inline(always)]
    pub(super) fn add_all(&mut self, values: &Lanes) {
        for lane in 0..LANES {
            self.add(lane, values[lane]);
        }
    }

    #[inline(always)]
    pub(super) fn add(&mut self, lane: usize, value: f64) {
        (self.sum[lane], self.c[lane]) = kahan::add(value, self.sum[lane], self.c[lane]);
    }

    /// Sum and compensation.
    pub(super) fn pair(&self, lane: usize) -> (f64, f64) {
        (self.sum[lane], self.c[lane])
    }

    #[inline(always)]
    pub(super) fn total(&self, lane: usize) -> f64 {
        self.sum[lane] + self.c[lane]
    }

    #[expect(clippy::needless_range_loop, reason = "the compiler unrolls it")]
    #[inline(always)]
    pub(super) fn totals(&self) -> Lanes {
        let mut totals = [0.0; LANES];
        for lane in 0..LANES {
            totals[lane] = self.total(lane);
        }
        totals
    }
}

/// What is accumulated over the samples of `LANES` windows.
pub(super) trait Accumulate {
    /// Takes one sample of every window.
    fn push_all(&mut self, ts: &[i64; LANES], values: &Lanes);

    /// Takes one sample of one window.
    fn push(&mut self, lane: usize, ts: i64, value: f64);

    /// The result of a window of the samples `lo..hi`.
    fn finish(&self, lane: usize, step: usize, lo: usize, hi: usize) -> f64;
}

/// Accumulates all windows of at least `min` samples. `start` gets the steps and first samples of the
/// windows of one batch; a lane without window repeats another's and is ignored.
#[expect(clippy::needless_range_loop, reason = "the compiler unrolls it")]
#[inline(always)]
pub(super) fn accumulate<A: Accumulate>(
    windows: &Windows<'_>,
    min: usize,
    out: &mut Out<'_>,
    start: impl Fn([usize; LANES], [usize; LANES]) -> A,
) {
    let (ts, values) = (windows.ts, windows.values);
    if values.is_empty() {
        return;
    }
    let count = windows.lo.len();
    let mut step = 0;
    while step < count {
        let steps: [usize; LANES] = std::array::from_fn(|lane| (step + lane).min(count - 1));
        let bounds = steps.map(|step| windows.bounds(step));
        let lo = bounds.map(|(lo, _)| lo);
        let shortest = bounds.iter().map(|(lo, hi)| hi - lo).min().unwrap_or(0);
        let mut accumulator = start(steps, lo.map(|lo| lo.min(values.len() - 1)));
        // Loops over lanes rather than iterators: the compiler unrolls them.
        let (mut lane_ts, mut lane_values) = ([0; LANES], [0.0; LANES]);
        for k in 0..shortest {
            for lane in 0..LANES {
                lane_ts[lane] = ts[lo[lane] + k];
                lane_values[lane] = values[lo[lane] + k];
            }
            accumulator.push_all(&lane_ts, &lane_values);
        }
        for lane in 0..LANES.min(count - step) {
            let (lo, hi) = bounds[lane];
            if hi < lo + min {
                continue;
            }
            for i in lo + shortest..hi {
                accumulator.push(lane, ts[i], values[i]);
            }
            out.put(step + lane, accumulator.finish(lane, step + lane, lo, hi));
        }
        step += LANES;
    }
}
