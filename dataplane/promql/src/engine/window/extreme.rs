//! `max_over_time`, `min_over_time` and the times of the extremes.

use super::{Out, Windows};

/// Which sample of a window wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The first of the largest.
    Max,
    /// The first of the smallest.
    Min,
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
            Self::Max => queued < new,
            Self::Min => queued > new,
            Self::LastMax => queued <= new,
            Self::LastMin => queued >= new,
        }
    }
}

/// Finds each window's winner with a monotonic queue: every sample enters and leaves it once. NaN
/// never wins against a number; in a window of nothing else the last one does.
pub(super) fn over_time(
    windows: &Windows<'_>,
    queue: &mut Vec<u32>,
    out: &mut Out<'_>,
    kind: Kind,
    time: bool,
) {
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
        let value = if time {
            windows.ts[winner] as f64 / 1000.0
        } else {
            values[winner]
        };
        out.put(step, value);
    }
}
