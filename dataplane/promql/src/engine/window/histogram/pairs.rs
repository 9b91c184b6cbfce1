//! `changes` and `resets` where samples may be of either kind.

use crate::ast::RangeModifier;
use crate::engine::histogram::equal;
use crate::engine::window::WindowFunc;

use super::{Known, Window};

#[derive(Clone, Copy)]
enum Of {
    Float(f64),
    /// Its index in the window.
    Histogram(usize),
}

/// Counts the neighbours between which something changed, or a counter was reset. A change of kind is
/// both.
pub(super) fn count(window: &Window<'_>, known: &mut Known<'_>) -> Option<f64> {
    let (mut float, mut histogram) = first(window)?;
    let resets = window.spec.func == WindowFunc::Resets;
    let mut previous = None;
    let mut count = 0.0;
    loop {
        let next_float = window.float_ts.get(float);
        let next_histogram = window.ts.get(histogram);
        let current = match (next_float, next_histogram) {
            (None, None) => return Some(count),
            (Some(ts), other) if other.is_none_or(|other| ts <= other) => {
                float += 1;
                Of::Float(window.floats[float - 1])
            }
            _ => {
                histogram += 1;
                Of::Histogram(histogram - 1)
            }
        };
        let counts = match (previous.replace(current), current) {
            (None, _) => false,
            (Some(Of::Float(before)), Of::Float(now)) if resets => now < before,
            (Some(Of::Float(before)), Of::Float(now)) => {
                now != before && !(now.is_nan() && before.is_nan())
            }
            (Some(Of::Histogram(_)), Of::Histogram(now)) if resets => {
                known.is_reset(window.first + now)
            }
            (Some(Of::Histogram(before)), Of::Histogram(now)) => {
                !equal(&window.values[now], &window.values[before])
            }
            _ => true,
        };
        count += f64::from(u8::from(counts));
    }
}

/// Returns the index of the first float and of the first histogram that count: with `anchored` the last
/// sample at or before the start, and everything behind it.
fn first(window: &Window<'_>) -> Option<(usize, usize)> {
    if window.spec.modifier != Some(RangeModifier::Anchored) {
        return Some((0, 0));
    }
    let start = window.start();
    let float = window.float_ts.partition_point(|ts| *ts <= start);
    let histogram = window.ts.partition_point(|ts| *ts <= start);
    if float >= window.float_ts.len() && histogram >= window.ts.len() {
        return None;
    }
    let float_anchor = float.checked_sub(1).map(|at| window.float_ts[at]);
    let histogram_anchor = histogram.checked_sub(1).map(|at| window.ts[at]);
    Some(match (float_anchor, histogram_anchor) {
        (None, None) => (0, 0),
        (Some(ts), other) if other.is_none_or(|other| ts >= other) => (float - 1, histogram),
        _ => (float, histogram - 1),
    })
}
