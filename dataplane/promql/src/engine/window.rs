//! Functions over the samples of one series in a sliding window.
//!
//! A series is decoded once; two indexes per step (`lo..hi` of its samples) describe all windows.
//! What can be carried from one window to the next without changing a bit of the result is carried:
//! counter resets as a sparse list, changes as running counts, extremes in a monotonic queue,
//! integer sums as prefix sums. What cannot (compensated sums of arbitrary floats) is summed again
//! per window, several windows side by side.

mod exact;
mod extended;
mod extreme;
mod histogram;
mod lanes;
mod order;
mod rate;
mod regression;
mod sum;
mod xrate;

use crate::ast::{PosRange, RangeModifier};
use crate::context::QueryContext;
use crate::queryable::Columns;

use super::EngineError;
use super::block::{Grid, HistogramRow, set};
use super::scalar::ScalarColumn;

pub(crate) use extended::{extend, interpolate};
pub(crate) use histogram::{Note, Notes, interpolate as interpolate_histograms};
pub(crate) use order::quantile_in_place;
pub(crate) use xrate::EXTENDED_LOOKBACK_MS;

/// A function of a range vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum WindowFunc {
    Rate,
    Increase,
    Delta,
    Irate,
    Idelta,
    Changes,
    Resets,
    Deriv,
    PredictLinear,
    DoubleExponentialSmoothing,
    AvgOverTime,
    CountOverTime,
    FirstOverTime,
    LastOverTime,
    MadOverTime,
    MaxOverTime,
    MinOverTime,
    PresentOverTime,
    QuantileOverTime,
    StddevOverTime,
    StdvarOverTime,
    SumOverTime,
    TsOfFirstOverTime,
    TsOfLastOverTime,
    TsOfMaxOverTime,
    TsOfMinOverTime,
    Xrate,
    Xincrease,
    Xdelta,
}

/// The times an evaluation refers to: those of its steps, shifted, or one fixed time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RefTimes {
    pub grid: Grid,
    pub at: Option<i64>,
    pub offset: i64,
}

impl RefTimes {
    #[inline]
    pub(crate) fn ts(&self, step: usize) -> i64 {
        self.at
            .unwrap_or_else(|| self.grid.ts(step))
            .saturating_sub(self.offset)
    }
}

/// A window function with everything it needs beside samples.
pub(crate) struct WindowSpec {
    pub func: WindowFunc,
    pub refs: RefTimes,
    pub range_ms: i64,
    pub modifier: Option<RangeModifier>,
    pub lookback_ms: i64,
    pub params: Vec<ScalarColumn>,
    /// Where the range vector stands in the query, for annotations.
    pub pos: PosRange,
}

/// Buffers that one worker uses again and again.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub columns: Columns,
    lo: Vec<u32>,
    hi: Vec<u32>,
    histogram_lo: Vec<u32>,
    histogram_hi: Vec<u32>,
    work: Work,
}

/// What functions need while they work.
#[derive(Debug, Default)]
struct Work {
    indexes: Vec<u32>,
    floats: Vec<f64>,
    more_floats: Vec<f64>,
    exact: exact::ExactSums,
    edges: rate::Edges,
}

/// The samples of a series and the windows over them.
struct Windows<'a> {
    ts: &'a [i64],
    values: &'a [f64],
    lo: &'a [u32],
    hi: &'a [u32],
    spec: &'a WindowSpec,
}

impl<'a> Windows<'a> {
    fn bounds(&self, step: usize) -> (usize, usize) {
        (self.lo[step] as usize, self.hi[step] as usize)
    }

    /// Calls `f` for every window that has samples and stores what it returns.
    fn each(
        &self,
        out: &mut Out<'_>,
        mut f: impl FnMut(usize, &'a [i64], &'a [f64]) -> Option<f64>,
    ) {
        for step in 0..self.lo.len() {
            let (lo, hi) = self.bounds(step);
            if lo < hi
                && let Some(value) = f(step, &self.ts[lo..hi], &self.values[lo..hi])
            {
                out.put(step, value);
            }
        }
    }

    /// As `each`, by index, where only windows of at least `min` samples count.
    #[inline(always)]
    fn each_index(
        &self,
        min: usize,
        out: &mut Out<'_>,
        mut f: impl FnMut(usize, usize, usize) -> f64,
    ) {
        for step in 0..self.lo.len() {
            let (lo, hi) = self.bounds(step);
            if hi >= lo + min {
                out.put(step, f(step, lo, hi));
            }
        }
    }
}

/// Where a row's results go.
pub(crate) struct Out<'a> {
    pub values: &'a mut [f64],
    pub present: &'a mut [u64],
    pub histograms: &'a mut HistogramRow,
}

impl Out<'_> {
    #[inline]
    fn put(&mut self, step: usize, value: f64) {
        self.values[step] = value;
        set(self.present, step);
    }
}

impl WindowSpec {
    pub(crate) fn param(&self, index: usize, step: usize) -> f64 {
        self.params
            .get(index)
            .map_or(f64::NAN, |param| param.at(step))
    }

    /// How far the window reaches beyond its two ends.
    pub(crate) fn reach(&self) -> (i64, i64) {
        if matches!(
            self.func,
            WindowFunc::Xrate | WindowFunc::Xincrease | WindowFunc::Xdelta
        ) {
            return (EXTENDED_LOOKBACK_MS, 0);
        }
        match self.modifier {
            None => (0, 0),
            Some(RangeModifier::Anchored) => (self.lookback_ms, 0),
            Some(RangeModifier::Smoothed) => (self.lookback_ms, self.lookback_ms),
        }
    }

    /// Evaluates the function for the series in `scratch.columns` into an empty row.
    ///
    /// `name` is the metric's name, for annotations.
    ///
    /// # Errors
    /// A parameter is nothing that the function can work with.
    pub(crate) fn eval(
        &self,
        name: &str,
        scratch: &mut Scratch,
        out: &mut Out<'_>,
        cx: &QueryContext,
    ) -> Result<(), EngineError> {
        let Scratch {
            columns,
            lo,
            hi,
            histogram_lo,
            histogram_hi,
            work,
        } = scratch;
        drop_stale(columns);
        let (before, after) = self.reach();
        bounds(
            &columns.ts,
            &self.refs,
            self.range_ms + before,
            after,
            lo,
            hi,
        );
        let windows = Windows {
            ts: &columns.ts,
            values: &columns.floats,
            lo,
            hi,
            spec: self,
        };
        if !columns.histograms.is_empty() {
            bounds(
                &columns.histogram_ts,
                &self.refs,
                self.range_ms + before,
                after,
                histogram_lo,
                histogram_hi,
            );
            let mixed = histogram::Mixed {
                floats: windows,
                ts: &columns.histogram_ts,
                values: &columns.histograms,
                lo: histogram_lo,
                hi: histogram_hi,
            };
            self.check_factors(mixed.lo, mixed.hi)?;
            self.check_factors(lo, hi)?;
            mixed.eval(name, out, cx);
            return Ok(());
        }
        self.check_factors(lo, hi)?;
        self.eval_floats(&windows, work, out, cx);
        Ok(())
    }

    /// Refuses factors that cannot smooth. A factor is looked at only where a window has samples.
    fn check_factors(&self, lo: &[u32], hi: &[u32]) -> Result<(), EngineError> {
        if self.func != WindowFunc::DoubleExponentialSmoothing {
            return Ok(());
        }
        for step in (0..lo.len()).filter(|&step| lo[step] < hi[step]) {
            for (index, (factor, symbol)) in [("smoothing", "sf"), ("trend", "tf")]
                .into_iter()
                .enumerate()
            {
                let value = self.param(index, step);
                if value <= 0.0 || value >= 1.0 {
                    return Err(EngineError::execution(format!(
                        "invalid {factor} factor. Expected: 0 < {symbol} < 1, got: {value:.6}"
                    )));
                }
            }
        }
        Ok(())
    }

    fn eval_floats(
        &self,
        windows: &Windows<'_>,
        work: &mut Work,
        out: &mut Out<'_>,
        cx: &QueryContext,
    ) {
        let Work {
            indexes,
            floats,
            more_floats,
            exact,
            edges,
        } = work;
        if self.modifier.is_some() {
            return extended::eval(windows, out);
        }
        match self.func {
            WindowFunc::Rate => rate::extrapolated::<true>(windows, indexes, edges, out),
            WindowFunc::Increase => rate::extrapolated::<true>(windows, indexes, edges, out),
            WindowFunc::Delta => rate::extrapolated::<false>(windows, indexes, edges, out),
            WindowFunc::Irate => rate::instant(windows, true, out),
            WindowFunc::Idelta => rate::instant(windows, false, out),
            WindowFunc::Changes => rate::count_pairs(windows, indexes, out, |previous, current| {
                current != previous && !(current.is_nan() && previous.is_nan())
            }),
            WindowFunc::Resets => {
                rate::count_pairs(windows, indexes, out, |previous, current| {
                    current < previous
                });
            }
            WindowFunc::Deriv | WindowFunc::PredictLinear => regression::regress(windows, out),
            WindowFunc::DoubleExponentialSmoothing => regression::smooth(windows, out),
            WindowFunc::AvgOverTime => sum::avg(windows, exact, out),
            WindowFunc::SumOverTime => sum::sum(windows, exact, out),
            WindowFunc::StddevOverTime => sum::variance(windows, out, f64::sqrt),
            WindowFunc::StdvarOverTime => sum::variance(windows, out, |variance| variance),
            WindowFunc::CountOverTime => {
                windows.each_index(1, out, |_, lo, hi| (hi - lo) as f64);
            }
            WindowFunc::PresentOverTime => windows.each_index(1, out, |_, _, _| 1.0),
            WindowFunc::FirstOverTime => {
                windows.each_index(1, out, |_, lo, _| windows.values[lo]);
            }
            WindowFunc::LastOverTime => {
                windows.each_index(1, out, |_, _, hi| windows.values[hi - 1]);
            }
            WindowFunc::TsOfFirstOverTime => {
                windows.each_index(1, out, |_, lo, _| windows.ts[lo] as f64 / 1000.0);
            }
            WindowFunc::TsOfLastOverTime => {
                windows.each_index(1, out, |_, _, hi| windows.ts[hi - 1] as f64 / 1000.0);
            }
            WindowFunc::MaxOverTime => extreme::values::<true>(windows, floats, out),
            WindowFunc::MinOverTime => extreme::values::<false>(windows, floats, out),
            WindowFunc::TsOfMaxOverTime => {
                extreme::times(windows, indexes, out, extreme::Kind::LastMax);
            }
            WindowFunc::TsOfMinOverTime => {
                extreme::times(windows, indexes, out, extreme::Kind::LastMin);
            }
            WindowFunc::QuantileOverTime => {
                self.warn_about_quantiles(windows, cx);
                order::quantile_over_time(windows, floats, out);
            }
            WindowFunc::MadOverTime => order::mad_over_time(windows, floats, more_floats, out),
            WindowFunc::Xrate | WindowFunc::Xincrease | WindowFunc::Xdelta => {
                xrate::eval(windows, out);
            }
        }
    }

    fn warn_about_quantiles(&self, windows: &Windows<'_>, cx: &QueryContext) {
        let Some(param) = self.params.first() else {
            return;
        };
        for step in 0..windows.lo.len() {
            let (lo, hi) = windows.bounds(step);
            let q = param.at(step);
            if lo < hi && !(0.0..=1.0).contains(&q) {
                cx.annotate(super::annotate::invalid_quantile(q, self.pos));
                if param.is_constant() {
                    return;
                }
            }
        }
    }
}

/// Removes stale markers, which windows never contain.
pub(super) fn drop_stale(columns: &mut Columns) {
    if columns
        .floats
        .iter()
        .any(|&value| model::is_stale_nan(value))
    {
        let mut kept = 0;
        for i in 0..columns.floats.len() {
            if !model::is_stale_nan(columns.floats[i]) {
                columns.floats[kept] = columns.floats[i];
                columns.ts[kept] = columns.ts[i];
                kept += 1;
            }
        }
        columns.floats.truncate(kept);
        columns.ts.truncate(kept);
    }
    if columns
        .histograms
        .iter()
        .any(|histogram| histogram.is_stale())
    {
        let mut keep = columns
            .histograms
            .iter()
            .map(|histogram| !histogram.is_stale());
        columns.histogram_ts.retain(|_| keep.next().unwrap_or(true));
        columns.histograms.retain(|histogram| !histogram.is_stale());
    }
}

/// Finds, for every step, the samples in `(ref - before, ref + after]`.
fn bounds(
    ts: &[i64],
    refs: &RefTimes,
    before: i64,
    after: i64,
    lo: &mut Vec<u32>,
    hi: &mut Vec<u32>,
) {
    let steps = refs.grid.steps;
    lo.clear();
    hi.clear();
    lo.reserve(steps);
    hi.reserve(steps);
    let (mut low, mut high) = (Cursor::default(), Cursor::default());
    // A series of more than 2^32 samples would need 64 GiB of columns.
    for step in 0..steps {
        let end = refs.ts(step).saturating_add(after);
        let start = refs.ts(step).saturating_sub(before);
        let high = high.advance(ts, end);
        let low = low.advance(ts, start).min(high);
        lo.push(low as u32);
        hi.push(high as u32);
    }
}

/// Walks over ascending times, expecting each walk to be as long as the one before.
#[derive(Default)]
pub(crate) struct Cursor {
    at: usize,
    stride: usize,
}

impl Cursor {
    /// Returns the number of times up to and including `until`, which never decreases.
    #[inline(always)]
    pub(crate) fn advance(&mut self, ts: &[i64], until: i64) -> usize {
        let from = self.at;
        let mut at = (from + self.stride).min(ts.len());
        while at > from && ts[at - 1] > until {
            at -= 1;
        }
        while at < ts.len() && ts[at] <= until {
            at += 1;
        }
        self.stride = at - from;
        self.at = at;
        at
    }
}

/// Returns a duration in seconds, rounded as Go's `Duration.Seconds` rounds.
pub(crate) fn seconds(ms: i64) -> f64 {
    (ms / 1_000) as f64 + ((ms % 1_000) * 1_000_000) as f64 / 1e9
}

#[cfg(test)]
mod tests;
