//! `rate`, `increase`, `delta`, `irate`, `idelta`, `changes` and `resets`.

use super::{Out, WindowFunc, Windows, seconds};

/// `rate` and `increase` (of a `COUNTER`) and `delta`, extrapolated to the window's edges.
///
/// The counter's resets are found once per series; a window adds those inside it, in order, to the
/// difference of its last and first sample, as a scan of all its samples would.
pub(super) fn extrapolated<const COUNTER: bool>(
    windows: &Windows<'_>,
    resets: &mut Vec<u32>,
    differences: &mut Vec<f64>,
    out: &mut Out<'_>,
) {
    let (ts, values) = (windows.ts, windows.values);
    let steps = windows.lo.len();
    differences.clear();
    differences.resize(steps, 0.0);
    resets.clear();
    if COUNTER {
        find_drops(values, resets);
    }
    let mut first_reset = 0;
    for step in 0..steps {
        let (lo, hi) = windows.bounds(step);
        if hi < lo + 2 {
            continue;
        }
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
        differences[step] = difference;
    }
    let range = windows.spec.range_ms;
    let divisor = if windows.spec.func == WindowFunc::Rate {
        seconds(range)
    } else {
        1.0
    };
    for step in 0..steps {
        let (lo, hi) = windows.bounds(step);
        if hi < lo + 2 {
            continue;
        }
        let end = windows.spec.refs.ts(step);
        let (first_ts, last_ts) = (ts[lo], ts[hi - 1]);
        let mut to_start = (first_ts - (end - range)) as f64 / 1000.0;
        let mut to_end = (end - last_ts) as f64 / 1000.0;
        let sampled = (last_ts - first_ts) as f64 / 1000.0;
        let average = sampled / (hi - lo - 1) as f64;
        let threshold = average * 1.1;
        if to_start >= threshold {
            to_start = average / 2.0;
        }
        let difference = differences[step];
        if COUNTER {
            // A counter cannot have been negative: where its line reaches zero inside the window,
            // it started there.
            let first = values[lo];
            if difference > 0.0 && first >= 0.0 {
                let to_zero = sampled * (first / difference);
                if to_zero < to_start {
                    to_start = to_zero;
                }
            }
        }
        if to_end >= threshold {
            to_end = average / 2.0;
        }
        let mut factor = 1.0;
        if sampled != 0.0 {
            factor = (sampled + to_start + to_end) / sampled;
        }
        out.put(step, difference * (factor / divisor));
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
