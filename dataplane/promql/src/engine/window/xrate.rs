//! Thanos' `xrate`, `xincrease` and `xdelta`: differences to the last sample before the window, without
//! extrapolation.

use super::{Out, WindowFunc, Windows};

/// How far before a window its sample before may lie: Thanos' default.
pub(crate) const EXTENDED_LOOKBACK_MS: i64 = 3_600_000;

/// Evaluates windows that reach beyond their start by [`EXTENDED_LOOKBACK_MS`].
pub(super) fn eval(windows: &Windows<'_>, out: &mut Out<'_>) {
    let spec = windows.spec;
    // A series appears at the first sample that is read of it.
    let appeared = windows.ts.first().copied().unwrap_or_default();
    windows.each(out, |step, ts, values| {
        let end = spec.refs.ts(step);
        let start = end - spec.range_ms;
        // Of what lies before the window only the last sample counts.
        let from = ts.partition_point(|&t| t <= start).saturating_sub(1);
        let window = Window {
            ts: &ts[from..],
            values: &values[from..],
            start,
            end,
            range_ms: spec.range_ms,
        };
        window.rate(spec.func, appeared)
    });
}

struct Window<'a> {
    ts: &'a [i64],
    values: &'a [f64],
    start: i64,
    end: i64,
    range_ms: i64,
}

impl Window<'_> {
    fn rate(&self, func: WindowFunc, appeared: i64) -> Option<f64> {
        let (ts, values) = (self.ts, self.values);
        let (first, last) = (*values.first()?, *values.last()?);
        let (first_ts, last_ts) = (*ts.first()?, *ts.last()?);
        let counter = func != WindowFunc::Xdelta;
        let increase = func == WindowFunc::Xincrease;
        let is_flat = values.windows(2).all(|pair| pair[0] == pair[1]);
        if increase && is_flat && self.end <= appeared.saturating_add(self.range_ms) {
            // A counter that has just appeared came up from zero.
            return Some(first);
        }
        let mut sampled = (last_ts - first_ts) as f64;
        let mut average = sampled / (ts.len() - 1) as f64;
        let mut from = 0;
        if !increase && (self.start - first_ts) as f64 > average {
            // The sample before the window is too far away.
            let [_, second, _, ..] = ts else {
                return Some(0.0);
            };
            from = 1;
            sampled = (last_ts - second) as f64;
            average = sampled / (ts.len() - 2) as f64;
        }
        let mut result = last - values[from];
        if counter {
            let mut previous = 0.0;
            let mut correction = 0.0;
            for &value in &values[from..] {
                if value < previous {
                    correction += previous;
                }
                previous = value;
            }
            result += correction;
        }
        let seconds = (self.range_ms / 1000) as f64;
        let to_end = (self.end - last_ts) as f64;
        if !increase && ts[from] <= self.start && to_end < average {
            // The samples cover the whole window.
            result *= seconds / (sampled / 1000.0);
        }
        Some(if func == WindowFunc::Xrate {
            result / seconds
        } else {
            result
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(func: WindowFunc, ts: &[i64], values: &[f64], appeared: i64) -> Option<f64> {
        let window = Window {
            ts,
            values,
            start: 60_000,
            end: 120_000,
            range_ms: 60_000,
        };
        window.rate(func, appeared)
    }

    #[test]
    fn the_sample_before_the_window_counts() {
        let (ts, values) = ([50_000, 80_000, 110_000], [10.0, 20.0, 5.0]);
        // 10 up, a reset, 5 up.
        assert_eq!(rate(WindowFunc::Xincrease, &ts, &values, 0), Some(15.0));
        assert_eq!(rate(WindowFunc::Xdelta, &ts, &values, 0), Some(-5.0));
        assert_eq!(rate(WindowFunc::Xrate, &ts, &values, 0), Some(0.25));
    }

    #[test]
    fn a_new_counter_came_from_zero_and_a_far_sample_is_left_out() {
        let xincrease = |appeared| rate(WindowFunc::Xincrease, &[90_000], &[7.0], appeared);
        assert_eq!(xincrease(90_000), Some(7.0));
        assert_eq!(xincrease(0), Some(0.0));
        let far = [-3_000_000, 110_000];
        let slow = rate(WindowFunc::Xrate, &far, &[1.0, 9.0], 0).unwrap_or_default();
        assert!((slow - 8.0 / 3110.0).abs() < 1e-12);
        let far = [-3_000_000, 100_000, 110_000];
        assert_eq!(
            rate(WindowFunc::Xrate, &far, &[1.0, 9.0, 12.0], 0),
            Some(0.05)
        );
    }
}
