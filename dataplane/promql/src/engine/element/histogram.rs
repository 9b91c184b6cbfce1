//! What is computed of each native histogram on its own.

use std::sync::Arc;

use crate::ast::BinaryOp;
use crate::engine::block::{Block, Grid, HistogramRow, set};
use crate::engine::histogram::{compact, div, mul, trim, variance};
use crate::engine::scalar::ScalarColumn;
use model::histogram::FloatHistogram;

use super::fn_id::OfHistogram;

fn number(func: OfHistogram, h: &FloatHistogram) -> f64 {
    match func {
        OfHistogram::Avg => h.sum / h.count,
        OfHistogram::Count => h.count,
        OfHistogram::Sum => h.sum,
        OfHistogram::Stddev => variance(h).sqrt(),
        OfHistogram::Stdvar => variance(h),
    }
}

/// Replaces histograms by a number of each; floats have none.
pub(super) fn function(func: OfHistogram, block: &mut Block) {
    block.present.fill(0);
    to_floats(block, |_, histogram| number(func, histogram));
}

/// Replaces histograms, and floats, by the time of their step.
pub(super) fn timestamps(grid: &Grid, block: &mut Block) {
    to_floats(block, |step, _| grid.ts(step) as f64 / 1000.0);
}

fn to_floats(block: &mut Block, f: impl Fn(usize, &FloatHistogram) -> f64) {
    for (row, histograms) in std::mem::take(&mut block.histograms)
        .into_iter()
        .enumerate()
    {
        let (values, present) = block.row_mut(row);
        for (step, histogram) in histograms {
            let step = step as usize;
            values[step] = f(step, &histogram);
            set(present, step);
        }
    }
}

pub(super) fn negate(block: &mut Block) {
    for (_, histogram) in block.histograms.iter_mut().flatten() {
        mul(Arc::make_mut(histogram), -1.0);
    }
}

/// Computes an operator with a number; returns whether there was a histogram that it does not know.
pub(super) fn operator(
    op: BinaryOp,
    swapped: bool,
    scalar: &ScalarColumn,
    block: &mut Block,
) -> bool {
    let is_known = match op {
        BinaryOp::Mul => true,
        BinaryOp::Div | BinaryOp::TrimLower | BinaryOp::TrimUpper => !swapped,
        _ => false,
    };
    if !is_known {
        let any = block.histograms.iter().any(|row| !row.is_empty());
        block.histograms.clear();
        return any;
    }
    for (step, histogram) in block.histograms.iter_mut().flatten() {
        with_number(op, Arc::make_mut(histogram), scalar.at(*step as usize));
    }
    false
}

/// Computes `h op number`, where that is defined.
pub(crate) fn with_number(op: BinaryOp, h: &mut FloatHistogram, number: f64) {
    match op {
        BinaryOp::Mul => {
            mul(h, number);
            compact(h);
        }
        BinaryOp::Div => {
            div(h, number);
            compact(h);
        }
        BinaryOp::TrimLower => trim(h, number, false),
        BinaryOp::TrimUpper => trim(h, number, true),
        _ => {}
    }
}

/// Repeats a histogram at every step.
pub(super) fn repeat(histogram: &Arc<FloatHistogram>, steps: usize) -> HistogramRow {
    (0..steps as u32)
        .map(|step| (step, Arc::clone(histogram)))
        .collect()
}
