//! Windows over the steps of an inner query.

use std::sync::Arc;

use crate::symbols::SymbolId;
use model::histogram::{CounterResetHint, FloatHistogram};

use super::EngineError;
use super::block::{Block, Grid, HistogramRow, ones};
use super::exec::{Exec, Operator};
use super::leaf::{drop_name, eval_params, note_names};
use super::scalar::ScalarOperator;
use super::window::{Out, Scratch, WindowFunc, WindowSpec};

/// A window function whose samples are another vector's steps.
pub(crate) struct SubqueryWindow {
    input: Box<dyn Operator>,
    inner: Grid,
    grid: Grid,
    spec: WindowSpec,
    params: Vec<ScalarOperator>,
    started: bool,
    scratch: Scratch,
    checked: Vec<SymbolId>,
}

impl SubqueryWindow {
    pub(crate) fn new(
        input: Box<dyn Operator>,
        inner: Grid,
        grid: Grid,
        spec: WindowSpec,
        params: Vec<ScalarOperator>,
    ) -> Self {
        Self {
            input,
            inner,
            grid,
            spec,
            params,
            started: false,
            scratch: Scratch::default(),
            checked: Vec::new(),
        }
    }
}

/// A hint is about the sample before, which steps may have left out.
fn without_hint(histogram: &Arc<FloatHistogram>) -> Arc<FloatHistogram> {
    match histogram.counter_reset_hint {
        CounterResetHint::Gauge | CounterResetHint::Unknown => Arc::clone(histogram),
        CounterResetHint::Reset | CounterResetHint::NotReset => Arc::new(FloatHistogram {
            counter_reset_hint: CounterResetHint::Unknown,
            ..FloatHistogram::clone(histogram)
        }),
    }
}

impl Operator for SubqueryWindow {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        if !self.started {
            self.started = true;
            self.spec.params = eval_params(&mut self.params, &self.grid, ex)?;
        }
        let keeps_name = matches!(
            self.spec.func,
            WindowFunc::FirstOverTime | WindowFunc::LastOverTime
        );
        let is_counter = matches!(self.spec.func, WindowFunc::Rate | WindowFunc::Increase);
        let delayed = ex.delayed_names();
        loop {
            let Some(mut input) = self.input.next(ex)? else {
                return Ok(None);
            };
            let mut block = ex.block(&self.grid);
            let mut names = Vec::new();
            for row in 0..input.rows() {
                ex.cx.check()?;
                let columns = &mut self.scratch.columns;
                columns.clear();
                let values = input.row_values(row);
                for step in ones(input.row_present(row)) {
                    columns.ts.push(self.inner.ts(step));
                    columns.floats.push(values[step]);
                }
                for (step, histogram) in input.row_histograms(row) {
                    columns.histogram_ts.push(self.inner.ts(*step as usize));
                    columns.histograms.push(without_hint(histogram));
                }
                let mut meta = std::mem::take(&mut input.series[row]);
                let name = ex
                    .symbols
                    .get(meta.labels.get(SymbolId::METRIC_NAME))
                    .to_owned();
                if !keeps_name {
                    drop_name(&mut meta, delayed);
                }
                let at = block.push_empty(meta);
                let mut histograms = HistogramRow::new();
                let (values, present) = block.row_mut(at);
                let mut out = Out {
                    values,
                    present,
                    histograms: &mut histograms,
                };
                self.spec.eval(&name, &mut self.scratch, &mut out, ex.cx)?;
                block.set_histograms(at, histograms);
                if block.row_is_empty(at) {
                    block.truncate(at);
                } else if is_counter && block.row_present(at).iter().any(|&word| word != 0) {
                    names.push(name);
                }
            }
            note_names(&names, &self.spec, &mut self.checked, ex);
            ex.recycle(input);
            if block.rows() > 0 {
                return Ok(Some(block));
            }
            ex.recycle(block);
        }
    }
}
