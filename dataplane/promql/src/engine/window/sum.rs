//! `sum_over_time`, `avg_over_time`, `stddev_over_time` and `stdvar_over_time`.

use crate::engine::kahan::{self, Mean};

use super::{Out, Windows};

/// Floats hold every integer up to here.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Windows that are evaluated together, so that their chains of additions overlap.
const LANES: usize = 8;

/// Replaces `prefix` by running sums if every window's sum is exact, however it is added up: then the
/// compensation is zero throughout and a difference of two running sums is the sum, bit for bit.
///
/// That is the case for multiples of 1/1024 whose absolute sum is small enough.
fn exact_prefix_sums(values: &[f64], prefix: &mut Vec<f64>) -> bool {
    let scale = if values.iter().all(|&v| v.trunc() == v) {
        1.0
    } else {
        1024.0
    };
    let mut total = 0.0;
    let mut exact = true;
    for &value in values {
        let scaled = value * scale;
        // Minus zero is not what an exact sum would start with.
        exact &= scaled.trunc() == scaled && !(value == 0.0 && value.is_sign_negative());
        total += scaled.abs();
    }
    if !exact || !(total < EXACT) {
        return false;
    }
    prefix.clear();
    prefix.reserve(values.len() + 1);
    prefix.push(0.0);
    let mut sum = 0.0;
    for value in values {
        sum += value;
        prefix.push(sum);
    }
    true
}

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

/// `sum_over_time`.
pub(super) fn sum(windows: &Windows<'_>, prefix: &mut Vec<f64>, out: &mut Out<'_>) {
    if exact_prefix_sums(windows.values, prefix) {
        return windows.each_index(1, out, |_, lo, hi| prefix[hi] - prefix[lo]);
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
pub(super) fn avg(windows: &Windows<'_>, prefix: &mut Vec<f64>, out: &mut Out<'_>) {
    if exact_prefix_sums(windows.values, prefix) {
        return windows.each_index(1, out, |_, lo, hi| {
            (prefix[hi] - prefix[lo]) / (hi - lo) as f64
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
