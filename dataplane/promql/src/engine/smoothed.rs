//! `smoothed` instant selectors: values on the line between the samples around a step.

use crate::queryable::Columns;

use super::block::set;
use super::window::{Out, RefTimes, interpolate};

/// Puts, at every step, the sample at that time, the value between its neighbours within the
/// lookback, or the last sample where none follows.
pub(super) fn eval(refs: &RefTimes, lookback_ms: i64, columns: &mut Columns, out: &mut Out<'_>) {
    super::window::drop_stale(columns);
    let (ts, values) = (columns.ts.as_slice(), columns.floats.as_slice());
    for step in 0..refs.grid.steps {
        let at = refs.ts(step);
        let lo = ts.partition_point(|&t| t <= at - lookback_ms);
        let hi = ts.partition_point(|&t| t <= at + lookback_ms);
        let next = lo + ts[lo..hi].partition_point(|&t| t < at);
        let value = if next < hi && ts[next] == at {
            values[next]
        } else if next == lo {
            continue;
        } else if next < hi {
            interpolate(ts, values, next - 1, at, false)
        } else {
            values[next - 1]
        };
        out.values[step] = value;
        set(out.present, step);
    }
}
