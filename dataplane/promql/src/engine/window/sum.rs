//! `sum_over_time`, `avg_over_time`, `stddev_over_time` and `stdvar_over_time`.

use crate::engine::kahan::{self, Mean};

use super::exact::ExactSums;
use super::{Out, Windows};

/// Windows that are evaluated together, so that their chains of additions overlap.
const LANES: usize = 8;

/// Runs `update` over every window's samples, `LANES` windows at a time. `init` gets the step and the
/// index of the first sample, `finish` the step and the number of samples.
#[inline(always)]
pub(super) fn side_by_side<S: Copy>(
    windows: &Windows<'_>,
    out: &mut Out<'_>,
    min: usize,
    init: impl Fn(usize, usize) -> S,
    update: impl Fn(&mut S, i64, f64),
    finish: impl Fn(usize, S, usize, usize) -> f64,
) {
    let (ts, values) = (windows.ts, windows.values);
    let steps = windows.lo.len();
    let mut step = 0;
    while step < steps {
        let lanes = (steps - step).min(LANES);
        if lanes == LANES {
            let lo: [usize; LANES] = std::array::from_fn(|lane| windows.bounds(step + lane).0);
            let hi: [usize; LANES] = std::array::from_fn(|lane| windows.bounds(step + lane).1);
            let shortest = (0..LANES)
                .map(|lane| hi[lane] - lo[lane])
                .min()
                .unwrap_or(0);
            if shortest >= min.max(1) {
                let mut states: [S; LANES] =
                    std::array::from_fn(|lane| init(step + lane, lo[lane]));
                let lane_ts: [&[i64]; LANES] =
                    std::array::from_fn(|lane| &ts[lo[lane]..lo[lane] + shortest]);
                let lane_values: [&[f64]; LANES] =
                    std::array::from_fn(|lane| &values[lo[lane]..lo[lane] + shortest]);
                for k in 0..shortest {
                    for lane in 0..LANES {
                        update(&mut states[lane], lane_ts[lane][k], lane_values[lane][k]);
                    }
                }
                for lane in 0..LANES {
                    for i in lo[lane] + shortest..hi[lane] {
                        update(&mut states[lane], ts[i], values[i]);
                    }
                    let value = finish(step + lane, states[lane], lo[lane], hi[lane]);
                    out.put(step + lane, value);
                }
                step += LANES;
                continue;
            }
        }
        for step in step..step + lanes {
            let (lo, hi) = windows.bounds(step);
            if hi >= lo + min.max(1) {
                let mut state = init(step, lo);
                for i in lo..hi {
                    update(&mut state, ts[i], values[i]);
                }
                out.put(step, finish(step, state, lo, hi));
            }
        }
        step += lanes;
    }
}

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
    side_by_side(
        windows,
        out,
        1,
        |_, _| (0.0, 0.0),
        |(sum, c), _, value| (*sum, *c) = kahan::add(value, *sum, *c),
        |_, (sum, c), _, _| if f64::is_infinite(sum) { sum } else { sum + c },
    );
}

/// `avg_over_time`.
pub(super) fn avg(windows: &Windows<'_>, exact: &mut ExactSums, out: &mut Out<'_>) {
    if worth_prefix(windows) && exact.prepare(windows.values) {
        // Sum and compensation are divided on their own, so the sum as it was rounded matters.
        return plain_sums(windows, |step, lo, hi, sum| {
            let count = (hi - lo) as f64;
            out.put(step, sum / count + exact.compensation(lo, hi, sum) / count);
        });
    }
    let values = windows.values;
    side_by_side(
        windows,
        out,
        1,
        // The mean starts with the first sample. Beginning with minus zero and adding it leaves the
        // sample as it is, the sign of its zero included, and the compensation at zero.
        |_, _| (-0.0, 0.0),
        |(sum, c), _, value| (*sum, *c) = kahan::add(value, *sum, *c),
        |_, (sum, c), lo, hi| {
            if f64::is_finite(sum) {
                let count = (hi - lo) as f64;
                return sum / count + c / count;
            }
            let mut mean = Mean::new(values[lo]);
            for &value in &values[lo + 1..hi] {
                mean.push(value);
            }
            mean.value()
        },
    );
}

/// Adds up every window in order, without compensation, several windows at a time so that their
/// chains of additions overlap.
fn plain_sums(windows: &Windows<'_>, mut put: impl FnMut(usize, usize, usize, f64)) {
    let values = windows.values;
    let steps = windows.lo.len();
    let mut step = 0;
    while step < steps {
        let lanes = (steps - step).min(LANES);
        let bounds: [(usize, usize); LANES] =
            std::array::from_fn(|lane| windows.bounds((step + lane).min(steps - 1)));
        let shortest = bounds.iter().map(|(lo, hi)| hi - lo).min().unwrap_or(0);
        // Minus zero and a first sample are that sample, whatever the sign of its zero.
        let mut sums = [-0.0; LANES];
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
    #[derive(Clone, Copy)]
    struct State {
        count: f64,
        mean: (f64, f64),
        squares: (f64, f64),
    }
    side_by_side(
        windows,
        out,
        1,
        |_, _| State {
            count: 0.0,
            mean: (0.0, 0.0),
            squares: (0.0, 0.0),
        },
        |state, _, value| {
            state.count += 1.0;
            let delta = value - (state.mean.0 + state.mean.1);
            state.mean = kahan::add(delta / state.count, state.mean.0, state.mean.1);
            state.squares = kahan::add(
                delta * (value - (state.mean.0 + state.mean.1)),
                state.squares.0,
                state.squares.1,
            );
        },
        |_, state, _, _| result((state.squares.0 + state.squares.1) / state.count),
    );
}
