//! From operators to the values of an answer.

use std::sync::Arc;

use model::Labels;

use crate::annotations::Annotation;
use crate::context::Reservation;
use crate::plan::{RangeSource, Selector};
use crate::queryable::{Columns, SelectRequest, Series};
use crate::value::{SampleValue, SeriesResult, VectorSample};

use super::EngineError;
use super::block::{Block, Grid, ones};
use super::build;
use super::exec::{Exec, Operator};
use super::merge::merge_equal;
use super::scalar::ScalarColumn;

/// Drops the names whose removal was put off; it is an error if series become equal by that.
fn drop_delayed_names(block: &mut Block, ex: &Exec<'_>) -> Result<(), EngineError> {
    if !ex.delayed_names() {
        return Ok(());
    }
    for meta in &mut block.series {
        if std::mem::take(&mut meta.drop_name) {
            meta.labels.drop_metadata();
        }
    }
    merge_equal(block)
}

/// The elements of an instant query.
pub(super) fn vector(
    operator: &mut dyn Operator,
    grid: &Grid,
    ex: &mut Exec<'_>,
) -> Result<Vec<VectorSample>, EngineError> {
    let mut collected = ex.collect(operator, grid, "the result")?;
    drop_delayed_names(&mut collected.block, ex)?;
    let block = &collected.block;
    let mut samples = Vec::with_capacity(block.rows());
    for (row, meta) in block.series.iter().enumerate() {
        let value = match block.row_histograms(row).first() {
            Some((_, histogram)) => SampleValue::Histogram(Arc::clone(histogram)),
            None => SampleValue::Float(block.row_values(row)[0]),
        };
        let labels = meta.labels.resolve(&ex.symbols);
        samples.push(VectorSample {
            labels,
            ts: grid.start,
            value,
        });
    }
    Ok(samples)
}

/// The series of a range query, sorted by labels.
pub(super) fn matrix(
    operator: &mut dyn Operator,
    grid: &Grid,
    ex: &mut Exec<'_>,
) -> Result<Vec<SeriesResult>, EngineError> {
    let mut all = Vec::new();
    let mut reservation = Reservation::new(ex.cx.memory());
    if ex.delayed_names() {
        let mut collected = ex.collect(operator, grid, "the result")?;
        drop_delayed_names(&mut collected.block, ex)?;
        append(&collected.block, grid, ex, &mut all);
    } else {
        while let Some(block) = operator.next(ex)? {
            ex.cx.check()?;
            let samples = block.samples();
            ex.hold(samples)?;
            reservation.grow(16 * samples, &"the result")?;
            append(&block, grid, ex, &mut all);
            ex.recycle(block);
        }
    }
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(all)
}

fn append(block: &Block, grid: &Grid, ex: &Exec<'_>, all: &mut Vec<SeriesResult>) {
    for (row, meta) in block.series.iter().enumerate() {
        let values = block.row_values(row);
        let present = block.row_present(row);
        let count = present.iter().map(|word| word.count_ones() as usize).sum();
        let mut floats = Vec::with_capacity(count);
        floats.extend(ones(present).map(|step| (grid.ts(step), values[step])));
        let histograms = block
            .row_histograms(row)
            .iter()
            .map(|(step, histogram)| (grid.ts(*step as usize), Arc::clone(histogram)))
            .collect();
        all.push(SeriesResult {
            labels: meta.labels.resolve(&ex.symbols),
            floats,
            histograms,
        });
    }
}

/// A scalar over several steps.
pub(super) fn scalar_series(column: &ScalarColumn, grid: &Grid) -> SeriesResult {
    SeriesResult {
        labels: Labels::empty(),
        floats: (0..grid.steps)
            .map(|step| (grid.ts(step), column.at(step)))
            .collect(),
        histograms: Vec::new(),
    }
}

/// The samples of a range vector.
pub(super) fn range(
    source: &RangeSource,
    grid: &Grid,
    ex: &mut Exec<'_>,
) -> Result<Vec<SeriesResult>, EngineError> {
    match source {
        RangeSource::Selector(selector) => samples(selector, grid, ex),
        RangeSource::Subquery(subquery) => {
            let inner = build::subquery_grid(subquery, grid);
            super::check_steps(inner.steps)?;
            let mut operator = build::vector(&subquery.input, &inner, ex)?;
            matrix(operator.as_mut(), &inner, ex)
        }
    }
}

fn samples(
    selector: &Selector,
    grid: &Grid,
    ex: &mut Exec<'_>,
) -> Result<Vec<SeriesResult>, EngineError> {
    let end = selector
        .at
        .unwrap_or(grid.start)
        .saturating_sub(selector.offset_ms);
    let start = end.saturating_sub(selector.range_ms);
    let request = SelectRequest {
        matchers: &selector.matchers,
        range: selector.time,
        hints: selector.hints.clone(),
    };
    let mut set = ex.queryable.select(&request, ex.cx)?;
    let mut all = Vec::new();
    let mut reservation = Reservation::new(ex.cx.memory());
    let mut columns = Columns::default();
    while let Some(Series { labels, mut data }) = set.next(&mut ex.symbols)? {
        ex.cx.check()?;
        columns.clear();
        while data.next_batch(&mut columns)? {}
        ex.stats.series += 1;
        ex.stats.samples += (columns.ts.len() + columns.histograms.len()) as u64;
        let inside = |ts: i64| start < ts && ts <= end;
        let series = match selector.modifier {
            None => SeriesResult {
                labels: labels.resolve(&ex.symbols),
                floats: columns
                    .ts
                    .iter()
                    .zip(&columns.floats)
                    .filter(|(ts, value)| inside(**ts) && !model::is_stale_nan(**value))
                    .map(|(&ts, &value)| (ts, value))
                    .collect(),
                histograms: columns
                    .histogram_ts
                    .iter()
                    .zip(&columns.histograms)
                    .filter(|(ts, histogram)| inside(**ts) && !histogram.is_stale())
                    .map(|(&ts, histogram)| (ts, Arc::clone(histogram)))
                    .collect(),
            },
            Some(modifier) => {
                if !columns.histograms.is_empty() {
                    let name = if modifier == crate::ast::RangeModifier::Smoothed {
                        "smoothed"
                    } else {
                        "anchored"
                    };
                    return Err(EngineError::execution(format!(
                        "{name} modifier is not supported with histograms"
                    )));
                }
                let (before, after) = (start - ex.lookback_ms(), end);
                SeriesResult {
                    labels: labels.resolve(&ex.symbols),
                    floats: super::window::extend(
                        &mut columns,
                        modifier,
                        (before, after + ex.lookback_ms()),
                        (start, end),
                    ),
                    histograms: Vec::new(),
                }
            }
        };
        let count = series.floats.len() + series.histograms.len();
        if count > 0 {
            ex.hold(count)?;
            reservation.grow(16 * count + series.labels.size_bytes(), &selector.text)?;
            all.push(series);
        }
    }
    for warning in set.warnings() {
        ex.cx.annotate(Annotation::storage(warning));
    }
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(all)
}
