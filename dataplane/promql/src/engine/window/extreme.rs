//! `max_over_time`, `min_over_time` and the times of the extremes.
//!
//! A window's samples are two runs: of the older one the extreme of every suffix is known, of the newer
//! one the extreme so far. A sample that leaves shortens the older run; when that is used up, all that
//! is in the window becomes the older run. Each sample is looked at twice, without a branch that could
//! be mispredicted. Times of extremes, which are rarely asked for, come from a monotonic queue.

use super::{Out, Windows};

/// Which sample of a window wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The last of the largest.
    LastMax,
    /// The last of the smallest.
    LastMin,
}

impl Kind {
    /// Returns whether a sample in the queue can never win again once `new` is there.
    #[inline(always)]
    fn is_beaten(self, queued: f64, new: f64) -> bool {
        match self {
            Self::LastMax => queued <= new,
            Self::LastMin => queued >= new,
        }
    }
}

/// The extreme of each window. NaN never wins against a number; in a window of nothing else the last
/// one does. Of equal values the first wins, so that the sign of a zero is Prometheus'.
pub(super) fn values<const MAX: bool>(
    windows: &Windows<'_>,
    suffixes: &mut Vec<f64>,
    out: &mut Out<'_>,
) {
    let later = |earlier: f64, later: f64| {
        let wins = if MAX {
            later > earlier
        } else {
            later < earlier
        };
        if wins | earlier.is_nan() {
            later
        } else {
            earlier
        }
    };
    let values = windows.values;
    // `suffixes[i]` is the extreme of `values[middle - 1 - i..middle]`, `newer` that of
    // `values[middle..seen]`.
    let (mut middle, mut seen) = (0, 0);
    let mut newer = f64::NAN;
    suffixes.clear();
    for step in 0..windows.lo.len() {
        let (lo, hi) = windows.bounds(step);
        if lo >= hi {
            continue;
        }
        if lo >= middle {
            suffixes.clear();
            let mut extreme = f64::NAN;
            for &value in values[lo..hi].iter().rev() {
                extreme = later(value, extreme);
                suffixes.push(extreme);
            }
            (middle, seen) = (hi, hi);
            newer = f64::NAN;
        } else {
            for &value in &values[seen..hi] {
                newer = later(newer, value);
            }
            seen = hi;
        }
        let older = suffixes[middle - 1 - lo];
        out.put(
            step,
            if middle == hi {
                older
            } else {
                later(older, newer)
            },
        );
    }
}

/// Finds the time of each window's extreme with a monotonic queue: every sample enters and leaves it
/// once. NaN never wins against a number; in a window of nothing else the last one does.
pub(super) fn times(windows: &Windows<'_>, queue: &mut Vec<u32>, out: &mut Out<'_>, kind: Kind) {
    let values = windows.values;
    queue.clear();
    let mut head = 0;
    let mut seen = 0;
    for step in 0..windows.lo.len() {
        let (lo, hi) = windows.bounds(step);
        if lo >= hi {
            continue;
        }
        if seen < lo {
            queue.clear();
            head = 0;
            seen = lo;
        }
        for i in seen..hi {
            let value = values[i];
            if value.is_nan() {
                continue;
            }
            while queue.len() > head
                && queue
                    .last()
                    .is_some_and(|&last| kind.is_beaten(values[last as usize], value))
            {
                queue.pop();
            }
            queue.push(i as u32);
        }
        seen = seen.max(hi);
        while queue.get(head).is_some_and(|&first| (first as usize) < lo) {
            head += 1;
        }
        let winner = queue.get(head).map_or(hi - 1, |&first| first as usize);
        out.put(step, windows.ts[winner] as f64 / 1000.0);
    }
}
