//! `rate`, `increase`, `delta`, `irate`, `idelta`, `changes` and `resets`.

use crate::engine::block::set;

use super::{Out, WindowFunc, Windows, seconds};

/// What is known of each window's edges, as columns, so that the arithmetic can be done on several
/// windows at once.
#[derive(Debug, Default)]
pub(super) struct Edges {
    /// Milliseconds from the window's start to its first sample.
    to_start: Vec<f64>,
    /// Milliseconds from its last sample to its end.
    to_end: Vec<f64>,
    /// Milliseconds from its first sample to its last.
    sampled: Vec<f64>,
    /// Samples after the first.
    gaps: Vec<f64>,
    first: Vec<f64>,
    difference: Vec<f64>,
}

impl Edges {
    fn clear(&mut self, steps: usize) {
        let columns = [
            &mut self.to_start,
            &mut self.to_end,
            &mut self.sampled,
            &mut self.gaps,
            &mut self.first,
            &mut self.difference,
        ];
        for column in columns {
            // What stands for a window without result has to be harmless, not meaningful.
            column.resize(steps, 1.0);
        }
    }
}

/// `rate` and `increase` (of a `COUNTER`) and `delta`, extrapolated to the window's edges.
///
/// The counter's resets are found once per series; a window adds those inside it, in order, to the
/// difference of its last and first sample, as a scan of all its samples would.
pub(super) fn extrapolated<const COUNTER: bool>(
    windows: &Windows<'_>,
    resets: &mut Vec<u32>,
    edges: &mut Edges,
    out: &mut Out<'_>,
) {
    let (ts, values) = (windows.ts, windows.values);
    let steps = windows.lo.len();
    resets.clear();
    if COUNTER {
        find_drops(values, resets);
    }
    edges.clear(steps);
    let range = windows.spec.range_ms;
    let mut first_reset = 0;
    for step in 0..steps {
        let (lo, hi) = windows.bounds(step);
        if hi < lo + 2 {
            continue;
        }
        set(out.present, step);
        let mut difference = values[hi - 1] - values[lo];
        if COUNTER && !resets.is_empty() {
            while first_reset < resets.len() && resets[first_reset] as usize <= lo {
                first_reset += 1;
            }
            for &reset in &resets[first_reset..] {
                if reset as usize >= hi {
                    break;
                }
                difference += values[reset as usize - 1];
            }
        }
        let end = windows.spec.refs.ts(step);
        edges.difference[step] = difference;
        edges.first[step] = values[lo];
        edges.to_start[step] = (ts[lo] - (end - range)) as f64;
        edges.to_end[step] = (end - ts[hi - 1]) as f64;
        edges.sampled[step] = (ts[hi - 1] - ts[lo]) as f64;
        edges.gaps[step] = (hi - lo - 1) as f64;
    }
    let divisor = if windows.spec.func == WindowFunc::Rate {
        seconds(range)
    } else {
        1.0
    };
    extrapolate::<COUNTER>(edges, divisor, &mut out.values[..steps]);
}

fn extrapolate<const COUNTER: bool>(edges: &Edges, divisor: f64, out: &mut [f64]) {
    let columns = edges.to_start.iter().zip(&edges.to_end).zip(&edges.sampled);
    let columns = columns
        .zip(&edges.gaps)
        .zip(&edges.first)
        .zip(&edges.difference);
    for (out, (((((to_start, to_end), sampled), gaps), first), difference)) in
        out.iter_mut().zip(columns)
    {
        let mut to_start = to_start / 1000.0;
        let mut to_end = to_end / 1000.0;
        let sampled = sampled / 1000.0;
        let average = sampled / gaps;
        let (threshold, half) = (average * 1.1, average / 2.0);
        to_start = if to_start >= threshold {
            half
        } else {
            to_start
        };
        if COUNTER {
            // A counter cannot have been negative: where its line reaches zero inside the window,
            // it started there.
            let to_zero = sampled * (first / difference);
            let zero_is_inside = (*difference > 0.0) & (*first >= 0.0) & (to_zero < to_start);
            to_start = if zero_is_inside { to_zero } else { to_start };
        }
        to_end = if to_end >= threshold { half } else { to_end };
        let factor = (sampled + to_start + to_end) / sampled;
        let factor = if sampled == 0.0 { 1.0 } else { factor };
        *out = difference * (factor / divisor);
    }
}

/// Samples looked at together: most stretches of a counter have no reset.
const STRETCH: usize = 64;

/// Lists the samples that are below the one before.
fn find_drops(values: &[f64], drops: &mut Vec<u32>) {
    let followers = values.get(1..).unwrap_or_default();
    for (stretch, (before, after)) in values
        .chunks(STRETCH)
        .zip(followers.chunks(STRETCH))
        .enumerate()
    {
        let any = before
            .iter()
            .zip(after)
            .fold(false, |any, (before, after)| any | (after < before));
        if any {
            for (i, (before, after)) in before.iter().zip(after).enumerate() {
                if after < before {
                    drops.push((stretch * STRETCH + i + 1) as u32);
                }
            }
        }
    }
}

/// `irate` and `idelta`: the last two samples of the window.
pub(super) fn instant(windows: &Windows<'_>, rate: bool, out: &mut Out<'_>) {
    windows.each(out, |_, ts, values| {
        let [.., previous, current] = *values else {
            return None;
        };
        let [.., previous_ts, current_ts] = *ts else {
            return None;
        };
        let interval = current_ts - previous_ts;
        if interval == 0 {
            return None;
        }
        let reset = rate && current < previous;
        let value = if reset { current } else { current - previous };
        Some(if rate {
            value / (interval as f64 / 1000.0)
        } else {
            value
        })
    });
}

/// `changes` and `resets`: how many neighbours satisfy `counts`.
pub(super) fn count_pairs(
    windows: &Windows<'_>,
    running: &mut Vec<u32>,
    out: &mut Out<'_>,
    counts: impl Fn(f64, f64) -> bool,
) {
    running.clear();
    running.push(0);
    let mut count = 0;
    for pair in windows.values.windows(2) {
        count += u32::from(counts(pair[0], pair[1]));
        running.push(count);
    }
    windows.each_index(1, out, |_, lo, hi| f64::from(running[hi - 1] - running[lo]));
}
