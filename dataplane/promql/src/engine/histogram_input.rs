//! The input of `histogram_quantile`, `histogram_quantiles` and `histogram_fraction`: native
//! histograms, and classic ones put together from their buckets' series.

use hashbrown::HashMap;

use crate::ast::PosRange;
use crate::number::parse_float;
use crate::symbols::{SymbolId, SymbolLabels};

use super::EngineError;
use super::annotate;
use super::block::{Block, Grid, has, unset};
use super::classic::Bucket;
use super::exec::{Collected, Exec, Operator};

/// The histograms of a vector.
pub(super) struct Histograms {
    pub collected: Collected,
    pub classic: Vec<Classic>,
    /// The rows of native histograms.
    pub native: Vec<usize>,
}

/// The series of a classic histogram, ordered by bound.
pub(super) struct Classic {
    pub labels: SymbolLabels,
    /// `(bound, row)`.
    rows: Vec<(f64, usize)>,
}

impl Histograms {
    /// Reads a vector. Where a classic and a native histogram of the same labels meet, neither is left.
    pub(super) fn read(
        input: &mut dyn Operator,
        grid: &Grid,
        pos: PosRange,
        ex: &mut Exec<'_>,
    ) -> Result<Self, EngineError> {
        let mut collected = ex.collect(input, grid, "histogram buckets")?;
        ex.let_go(collected.samples);
        let mut numbers: HashMap<SymbolLabels, usize> = HashMap::new();
        let mut classic: Vec<Classic> = Vec::new();
        let mut native = Vec::new();
        let block = &mut collected.block;
        for (row, meta) in block.series.iter().enumerate() {
            if !block.row_histograms(row).is_empty() {
                native.push(row);
            }
            if block.row_present(row).iter().all(|&word| word == 0) {
                continue;
            }
            let le = ex.symbols.get(meta.labels.get(SymbolId::LE));
            let Some(bound) = parse_float(le) else {
                let metric = metric_name(&meta.labels, ex);
                ex.warn(annotate::bad_bucket_label(metric, le, pos));
                continue;
            };
            let mut labels = meta.labels.clone();
            labels.retain(|name| name != SymbolId::LE);
            let number = *numbers.entry(labels).or_insert_with_key(|labels| {
                classic.push(Classic {
                    labels: labels.clone(),
                    rows: Vec::new(),
                });
                classic.len() - 1
            });
            classic[number].rows.push((bound, row));
        }
        for histogram in &mut classic {
            histogram.rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        for &row in &native {
            let Some(&number) = numbers.get(&block.series[row].labels) else {
                continue;
            };
            if part(block, row, &classic[number]) {
                let metric = metric_name(&block.series[row].labels, ex);
                ex.warn(annotate::mixed_classic_and_native(metric, pos));
            }
        }
        Ok(Self {
            collected,
            classic,
            native,
        })
    }
}

/// The metric's name, for messages; it is known only where names are dropped at the end.
pub(super) fn metric_name<'a>(labels: &SymbolLabels, ex: &'a Exec<'_>) -> &'a str {
    if ex.delayed_names() {
        ex.symbols.get(labels.get(SymbolId::METRIC_NAME))
    } else {
        ""
    }
}

/// Removes both histograms from the steps at which both are there; returns whether there was one.
fn part(block: &mut Block, native: usize, classic: &Classic) -> bool {
    let mut histograms = std::mem::take(&mut block.histograms[native]);
    let before = histograms.len();
    histograms.retain(|(step, _)| {
        let step = *step as usize;
        let mut meets = false;
        for &(_, row) in &classic.rows {
            let (_, present) = block.row_mut(row);
            meets |= has(present, step);
            unset(present, step);
        }
        !meets
    });
    let any = histograms.len() < before;
    block.histograms[native] = histograms;
    any
}

/// Gathers the buckets that a histogram has at a step, those of equal bounds added up.
pub(super) fn gather(block: &Block, histogram: &Classic, step: usize, buckets: &mut Vec<Bucket>) {
    buckets.clear();
    for &(upper, row) in &histogram.rows {
        if !has(block.row_present(row), step) {
            continue;
        }
        let count = block.row_values(row)[step];
        match buckets.last_mut() {
            Some(last) if last.upper == upper => last.count += count,
            _ => buckets.push(Bucket { upper, count }),
        }
    }
}
