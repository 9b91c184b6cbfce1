//! Windows of series that hold native histograms, alone or beside floats.

use std::sync::Arc;

use crate::context::QueryContext;
use model::histogram::FloatHistogram;

use super::{Out, WindowFunc, Windows, Work};

/// A series with floats and histograms and the windows over both.
pub(super) struct Mixed<'a> {
    pub floats: Windows<'a>,
    pub ts: &'a [i64],
    pub values: &'a [Arc<FloatHistogram>],
    pub lo: &'a [u32],
    pub hi: &'a [u32],
}

impl Mixed<'_> {
    /// Evaluates what is defined without arithmetic on histograms. Functions of floats see the
    /// floats; those that need one kind of sample give nothing for a window of both.
    pub(super) fn eval(&self, name: &str, out: &mut Out<'_>, cx: &QueryContext) {
        let spec = self.floats.spec;
        let mut floats_only = self.floats.lo.to_vec();
        for step in 0..self.lo.len() {
            let (lo, hi) = self.floats.bounds(step);
            let (histogram_lo, histogram_hi) = (self.lo[step] as usize, self.hi[step] as usize);
            let histograms = histogram_hi - histogram_lo;
            if histograms == 0 {
                continue;
            }
            let floats = hi - lo;
            // The float function below must not see this window.
            let hide = |floats_only: &mut Vec<u32>| floats_only[step] = hi as u32;
            match spec.func {
                WindowFunc::CountOverTime => {
                    out.put(step, (floats + histograms) as f64);
                    hide(&mut floats_only);
                }
                WindowFunc::PresentOverTime => {
                    out.put(step, 1.0);
                    hide(&mut floats_only);
                }
                WindowFunc::FirstOverTime | WindowFunc::TsOfFirstOverTime => {
                    let float_is_first = floats > 0 && self.floats.ts[lo] < self.ts[histogram_lo];
                    if !float_is_first {
                        self.take(step, histogram_lo, out);
                        hide(&mut floats_only);
                    }
                }
                WindowFunc::LastOverTime | WindowFunc::TsOfLastOverTime => {
                    let float_is_last =
                        floats > 0 && self.ts[histogram_hi - 1] < self.floats.ts[hi - 1];
                    if !float_is_last {
                        self.take(step, histogram_hi - 1, out);
                        hide(&mut floats_only);
                    }
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
                    if floats > 0 {
                        cx.annotate(spec.ignored_info(name));
                    }
                }
                _ => {
                    if floats > 0 {
                        cx.annotate(spec.mixed_warning(name));
                    }
                    hide(&mut floats_only);
                }
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

    fn take(&self, step: usize, index: usize, out: &mut Out<'_>) {
        match self.floats.spec.func {
            WindowFunc::FirstOverTime | WindowFunc::LastOverTime => {
                out.histograms
                    .push((step as u32, Arc::clone(&self.values[index])));
            }
            _ => out.put(step, self.ts[index] as f64 / 1000.0),
        }
    }
}
