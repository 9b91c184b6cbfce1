//! Windows of series that hold native histograms, alone or beside floats.

mod extended;
mod instant;
mod notes;
mod pairs;
mod rate;
mod total;

use std::sync::Arc;

use crate::context::QueryContext;
use crate::engine::histogram::is_reset;
use model::histogram::FloatHistogram;

use super::{Out, WindowFunc, WindowSpec, Windows, Work};

pub(crate) use extended::interpolate;
pub(crate) use notes::{Note, Notes};

/// A series with floats and histograms and the windows over both.
pub(super) struct Mixed<'a> {
    pub floats: Windows<'a>,
    pub ts: &'a [i64],
    pub values: &'a [Arc<FloatHistogram>],
    pub lo: &'a [u32],
    pub hi: &'a [u32],
}

/// The samples of one window.
struct Window<'a> {
    spec: &'a WindowSpec,
    step: usize,
    float_ts: &'a [i64],
    floats: &'a [f64],
    ts: &'a [i64],
    values: &'a [Arc<FloatHistogram>],
    /// The index of the window's first histogram in the series.
    first: usize,
}

impl Window<'_> {
    fn end(&self) -> i64 {
        self.spec.refs.ts(self.step)
    }

    fn start(&self) -> i64 {
        self.end().saturating_sub(self.spec.range_ms)
    }

    fn is_mixed(&self) -> bool {
        !self.floats.is_empty() && !self.values.is_empty()
    }
}

/// What has been found out about neighbours in a series, which many windows share.
struct Known<'a> {
    values: &'a [Arc<FloatHistogram>],
    resets: Vec<Option<bool>>,
}

impl Known<'_> {
    /// Whether the series was reset before its histogram `at`.
    fn is_reset(&mut self, at: usize) -> bool {
        let (Some(before), Some(now)) = (at.checked_sub(1), self.values.get(at)) else {
            return false;
        };
        if self.resets.is_empty() {
            self.resets.resize(self.values.len(), None);
        }
        *self.resets[at].get_or_insert_with(|| is_reset(now, &self.values[before]))
    }
}

impl Mixed<'_> {
    /// Evaluates the windows that have histograms here and leaves the others to the functions of
    /// floats.
    pub(super) fn eval(&self, name: &str, out: &mut Out<'_>, cx: &QueryContext) {
        let spec = self.floats.spec;
        let notes = Notes::new(name, spec.pos, cx);
        let mut known = Known {
            values: self.values,
            resets: Vec::new(),
        };
        let mut floats_only = self.floats.lo.to_vec();
        for (step, (from, to)) in self.lo.iter().zip(self.hi).enumerate() {
            let (lo, hi) = self.floats.bounds(step);
            let (from, to) = (*from as usize, *to as usize);
            if from == to {
                continue;
            }
            let window = Window {
                spec,
                step,
                float_ts: &self.floats.ts[lo..hi],
                floats: &self.floats.values[lo..hi],
                ts: &self.ts[from..to],
                values: &self.values[from..to],
                first: from,
            };
            if evaluate(&window, &mut known, &notes, out) {
                // The functions of floats must not see this window.
                floats_only[step] = hi as u32;
            }
        }
        let windows = Windows {
            ts: self.floats.ts,
            values: self.floats.values,
            lo: &floats_only,
            hi: self.floats.hi,
            spec,
        };
        spec.eval_floats(&windows, &mut Work::default(), out, cx);
    }
}

/// Evaluates a window that has histograms; returns false where only its floats count.
fn evaluate(
    window: &Window<'_>,
    known: &mut Known<'_>,
    notes: &Notes<'_>,
    out: &mut Out<'_>,
) -> bool {
    let step = window.step;
    let has_floats = !window.floats.is_empty();
    let result = match window.spec.func {
        WindowFunc::CountOverTime => {
            out.put(step, (window.floats.len() + window.values.len()) as f64);
            return true;
        }
        WindowFunc::PresentOverTime => {
            out.put(step, 1.0);
            return true;
        }
        WindowFunc::FirstOverTime | WindowFunc::TsOfFirstOverTime => {
            if has_floats && window.float_ts[0] < window.ts[0] {
                return false;
            }
            take(window, 0, out);
            return true;
        }
        WindowFunc::LastOverTime | WindowFunc::TsOfLastOverTime => {
            let last = window.ts.len() - 1;
            if window
                .float_ts
                .last()
                .is_some_and(|ts| window.ts[last] < *ts)
            {
                return false;
            }
            take(window, last, out);
            return true;
        }
        WindowFunc::MadOverTime
        | WindowFunc::MaxOverTime
        | WindowFunc::MinOverTime
        | WindowFunc::TsOfMaxOverTime
        | WindowFunc::TsOfMinOverTime
        | WindowFunc::StddevOverTime
        | WindowFunc::StdvarOverTime
        | WindowFunc::QuantileOverTime
        | WindowFunc::Deriv
        | WindowFunc::PredictLinear
        | WindowFunc::DoubleExponentialSmoothing => {
            if has_floats {
                notes.add(Note::Ignored);
            }
            return false;
        }
        WindowFunc::Changes | WindowFunc::Resets => {
            if let Some(count) = pairs::count(window, known) {
                out.put(step, count);
            }
            return true;
        }
        WindowFunc::Irate | WindowFunc::Idelta => instant::value(window, known, notes),
        _ if window.is_mixed() => {
            notes.add(Note::MixedSamples);
            return true;
        }
        // Thanos has no such rate of histograms either.
        WindowFunc::Xrate | WindowFunc::Xincrease | WindowFunc::Xdelta => None,
        WindowFunc::SumOverTime => total::sum(window, notes),
        WindowFunc::AvgOverTime => total::avg(window, notes),
        WindowFunc::Rate | WindowFunc::Increase | WindowFunc::Delta => {
            if window.spec.modifier.is_some() {
                extended::rate(window, notes)
            } else {
                rate::extrapolated(window, known, notes)
            }
        }
    };
    match result {
        None => {}
        Some(Sample::Float(value)) => out.put(step, value),
        Some(Sample::Histogram(value)) => out.histograms.push((step as u32, Arc::new(value))),
    }
    true
}

/// A result of either kind.
enum Sample {
    Float(f64),
    Histogram(FloatHistogram),
}

fn take(window: &Window<'_>, index: usize, out: &mut Out<'_>) {
    match window.spec.func {
        WindowFunc::FirstOverTime | WindowFunc::LastOverTime => {
            out.histograms
                .push((window.step as u32, Arc::clone(&window.values[index])));
        }
        _ => out.put(window.step, window.ts[index] as f64 / 1000.0),
    }
}
