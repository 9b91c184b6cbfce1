//! `histogram_quantile`, `histogram_quantiles` and `histogram_fraction`.

use hashbrown::HashMap;

use crate::annotations::Monotonicity;
use crate::ast::PosRange;
use crate::number::format_open_metrics;
use crate::symbols::{SymbolId, SymbolLabels};

use super::block::{Block, Grid, SeriesMeta, set};
use super::classic::{bucket_fraction, bucket_quantile};
use super::exec::{Exec, Operator};
use super::histogram;
use super::histogram_input::{Histograms, gather, metric_name};
use super::leaf::drop_name;
use super::scalar::{ScalarColumn, ScalarOperator};
use super::{EngineError, annotate};

/// Quantiles of each histogram.
pub(crate) struct Quantiles {
    input: Box<dyn Operator>,
    quantiles: Vec<(ScalarOperator, PosRange)>,
    label: Option<SymbolId>,
    pos: PosRange,
    grid: Grid,
    done: bool,
}

impl Quantiles {
    pub(crate) fn new(
        input: Box<dyn Operator>,
        quantiles: Vec<(ScalarOperator, PosRange)>,
        label: Option<&str>,
        pos: PosRange,
        grid: Grid,
        ex: &mut Exec<'_>,
    ) -> Self {
        let label = label.map(|label| ex.symbols.intern(label));
        Self {
            input,
            quantiles,
            label,
            pos,
            grid,
            done: false,
        }
    }
}

impl Operator for Quantiles {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        if self.done {
            return Ok(None);
        }
        self.done = true;
        let mut columns: Vec<ScalarColumn> = Vec::with_capacity(self.quantiles.len());
        for (operator, pos) in &mut self.quantiles {
            let column = operator.eval(&self.grid, ex)?;
            for q in column
                .distinct(&self.grid)
                .filter(|q| !(0.0..=1.0).contains(q))
            {
                ex.warn(annotate::invalid_quantile(q, *pos));
            }
            columns.push(column);
        }
        let histograms = Histograms::read(self.input.as_mut(), &self.grid, self.pos, ex)?;
        let block = &histograms.collected.block;
        let mut out = ex.block(&self.grid);
        let mut buckets = Vec::new();
        for column in &columns {
            for &row in &histograms.native {
                ex.cx.check()?;
                let labels = &block.series[row].labels;
                let mut results = Results::new(labels, self.label);
                for (step, histogram) in block.row_histograms(row) {
                    let step = *step as usize;
                    let q = column.at(step);
                    let (value, note) = histogram::quantile(q, histogram);
                    if let Some(note) = note {
                        let name = metric_name(labels, ex);
                        ex.warn(annotate::observed_nan(note, name, self.pos));
                    }
                    results.put(&mut out, step, q, value, ex);
                }
            }
            for histogram in &histograms.classic {
                ex.cx.check()?;
                let mut results = Results::new(&histogram.labels, self.label);
                for step in 0..self.grid.steps {
                    gather(block, histogram, step, &mut buckets);
                    if buckets.is_empty() {
                        continue;
                    }
                    let q = column.at(step);
                    let (value, forced) = bucket_quantile(q, &mut buckets);
                    if let Some(forced) = forced {
                        let name = metric_name(&histogram.labels, ex);
                        let ts = self.grid.ts(step);
                        let forced = Monotonicity {
                            min_ts: ts,
                            max_ts: ts,
                            ..forced
                        };
                        ex.warn(annotate::forced_monotonicity(name, self.pos, forced));
                    }
                    results.put(&mut out, step, q, value, ex);
                }
            }
        }
        Ok((out.rows() > 0).then_some(out))
    }
}

/// The part of each histogram's observations between two bounds.
pub(crate) struct Fraction {
    input: Box<dyn Operator>,
    lower: ScalarOperator,
    upper: ScalarOperator,
    pos: PosRange,
    grid: Grid,
    done: bool,
}

impl Fraction {
    pub(crate) fn new(
        input: Box<dyn Operator>,
        lower: ScalarOperator,
        upper: ScalarOperator,
        pos: PosRange,
        grid: Grid,
    ) -> Self {
        Self {
            input,
            lower,
            upper,
            pos,
            grid,
            done: false,
        }
    }
}

impl Operator for Fraction {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        if self.done {
            return Ok(None);
        }
        self.done = true;
        let lower = self.lower.eval(&self.grid, ex)?;
        let upper = self.upper.eval(&self.grid, ex)?;
        let histograms = Histograms::read(self.input.as_mut(), &self.grid, self.pos, ex)?;
        let block = &histograms.collected.block;
        let mut out = ex.block(&self.grid);
        let mut buckets = Vec::new();
        for &row in &histograms.native {
            ex.cx.check()?;
            let labels = &block.series[row].labels;
            let mut results = Results::new(labels, None);
            for (step, histogram) in block.row_histograms(row) {
                let step = *step as usize;
                let (lower, upper) = (lower.at(step), upper.at(step));
                let (value, note) = histogram::fraction(lower, upper, histogram);
                if let Some(note) = note {
                    let name = metric_name(labels, ex);
                    ex.warn(annotate::observed_nan(note, name, self.pos));
                }
                results.put(&mut out, step, 0.0, value, ex);
            }
        }
        for histogram in &histograms.classic {
            ex.cx.check()?;
            let mut results = Results::new(&histogram.labels, None);
            for step in 0..self.grid.steps {
                gather(block, histogram, step, &mut buckets);
                if !buckets.is_empty() {
                    let value = bucket_fraction(lower.at(step), upper.at(step), &buckets);
                    results.put(&mut out, step, 0.0, value, ex);
                }
            }
        }
        Ok((out.rows() > 0).then_some(out))
    }
}

/// The rows of the results of one histogram.
struct Results<'a> {
    labels: &'a SymbolLabels,
    /// The label that tells quantiles apart.
    label: Option<SymbolId>,
    rows: HashMap<u64, usize>,
}

impl<'a> Results<'a> {
    fn new(labels: &'a SymbolLabels, label: Option<SymbolId>) -> Self {
        Self {
            labels,
            label,
            rows: HashMap::new(),
        }
    }

    fn put(&mut self, out: &mut Block, step: usize, q: f64, value: f64, ex: &mut Exec<'_>) {
        // With a label for the quantile, a quantile that changes makes several series.
        let key = self.label.map_or(0, |_| q.to_bits());
        let row = *self.rows.entry(key).or_insert_with(|| {
            let mut meta = SeriesMeta {
                labels: self.labels.clone(),
                drop_name: false,
            };
            drop_name(&mut meta, ex.options.features.delayed_name_removal);
            if let Some(label) = self.label {
                let text = ex.symbols.intern(&format_open_metrics(q));
                meta.labels.set(label, text, &ex.symbols);
            }
            out.push_empty(meta)
        });
        let (values, present) = out.row_mut(row);
        values[step] = value;
        set(present, step);
    }
}
