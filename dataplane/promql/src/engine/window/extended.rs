//! `anchored` and `smoothed` range vectors: the window's edges get a sample of their own.

use crate::ast::RangeModifier;
use crate::queryable::Columns;

use super::{Out, WindowFunc, Windows, seconds};

/// Evaluates a function whose windows reach beyond their edges by the lookback.
pub(super) fn eval(windows: &Windows<'_>, out: &mut Out<'_>) {
    let spec = windows.spec;
    let smoothed = spec.modifier == Some(RangeModifier::Smoothed);
    windows.each(out, |step, ts, values| {
        let end = spec.refs.ts(step);
        let start = end - spec.range_ms;
        match spec.func {
            WindowFunc::Changes | WindowFunc::Resets => {
                let anchor = anchored_first(ts, start)?;
                let count = values[anchor..].windows(2).filter(|pair| {
                    if spec.func == WindowFunc::Resets {
                        pair[1] < pair[0]
                    } else {
                        pair[1] != pair[0] && !(pair[1].is_nan() && pair[0].is_nan())
                    }
                });
                Some(count.count() as f64)
            }
            func => {
                let counter = func != WindowFunc::Delta;
                let increase = increase(ts, values, start, end, smoothed, counter)?;
                Some(if func == WindowFunc::Rate {
                    increase / seconds(spec.range_ms)
                } else {
                    increase
                })
            }
        }
    });
}

/// Returns the last sample at or before the start; the first where there is none. Nothing where no
/// sample lies after the start.
fn anchored_first(ts: &[i64], start: i64) -> Option<usize> {
    let after = ts.partition_point(|&t| t <= start);
    (after < ts.len()).then(|| after.saturating_sub(1))
}

fn increase(
    ts: &[i64],
    values: &[f64],
    start: i64,
    end: i64,
    smoothed: bool,
    counter: bool,
) -> Option<f64> {
    let mut last = ts.len() - 1;
    let mut first = ts[..last]
        .partition_point(|&t| t <= start)
        .saturating_sub(1);
    if smoothed {
        last = ts[..last].partition_point(|&t| t < end);
    }
    if ts[last] <= start || (smoothed && ts[first] > end) {
        return None;
    }
    let left = left_value(ts, values, first, start, smoothed, counter);
    let right = right_value(ts, values, last, end, smoothed, counter);
    let mut result = right - left;
    if counter {
        if ts[first] <= start {
            first += 1;
        }
        let mut inside_end = last + 1;
        if ts[last] >= end {
            inside_end -= 1;
        }
        let inside = values.get(first..inside_end).unwrap_or_default();
        result += resets_between(left, right, inside);
    }
    Some(result)
}

fn left_value(
    ts: &[i64],
    values: &[f64],
    first: usize,
    start: i64,
    smoothed: bool,
    counter: bool,
) -> f64 {
    if smoothed && ts[first] < start && first + 1 < ts.len() {
        return interpolate(ts, values, first, start, counter);
    }
    values[first]
}

fn right_value(
    ts: &[i64],
    values: &[f64],
    last: usize,
    end: i64,
    smoothed: bool,
    counter: bool,
) -> f64 {
    if smoothed && last > 0 && ts[last] > end {
        return interpolate(ts, values, last - 1, end, counter);
    }
    values[last]
}

/// The value at `at` on the line from sample `i` to the next; a counter that was reset between them
/// began at zero.
pub(crate) fn interpolate(ts: &[i64], values: &[f64], i: usize, at: i64, counter: bool) -> f64 {
    let (mut y1, y2) = (values[i], values[i + 1]);
    if counter && y2 < y1 {
        y1 = 0.0;
    }
    y1 + (y2 - y1) * (at - ts[i]) as f64 / (ts[i + 1] - ts[i]) as f64
}

fn resets_between(left: f64, right: f64, inside: &[f64]) -> f64 {
    let mut correction = 0.0;
    let mut previous = left;
    for &value in inside.iter().chain(std::iter::once(&right)) {
        if value < previous {
            correction += previous;
        }
        previous = value;
    }
    correction
}

/// The samples of a range vector whose edges `(start, end)` have samples of their own, from the samples
/// in `(from, to]`.
pub(crate) fn extend(
    columns: &mut Columns,
    modifier: RangeModifier,
    (from, to): (i64, i64),
    (start, end): (i64, i64),
) -> Vec<(i64, f64)> {
    super::drop_stale(columns);
    let smoothed = modifier == RangeModifier::Smoothed;
    let to = if smoothed { to } else { end };
    let lo = columns.ts.partition_point(|&t| t <= from);
    let hi = columns.ts.partition_point(|&t| t <= to);
    if lo >= hi {
        return Vec::new();
    }
    let (ts, values) = (&columns.ts[lo..hi], &columns.floats[lo..hi]);
    let mut last = ts.len() - 1;
    let mut first = ts[..last]
        .partition_point(|&t| t <= start)
        .saturating_sub(1);
    if smoothed {
        last = ts[..last].partition_point(|&t| t < end);
    }
    if ts[last] <= start {
        return Vec::new();
    }
    let left = left_value(ts, values, first, start, smoothed, false);
    let right = right_value(ts, values, last, end, smoothed, false);
    if ts[first] <= start {
        first += 1;
    }
    let inside_end = if ts[last] >= end { last } else { last + 1 };
    let mut out = vec![(start, left)];
    if first < inside_end {
        out.extend(
            ts[first..inside_end]
                .iter()
                .copied()
                .zip(values[first..inside_end].iter().copied()),
        );
    }
    out.push((end, right));
    out
}
