//! Pairs of which at least one is a native histogram.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::annotations::Annotation;
use crate::ast::{BinaryOp, PosRange};
use crate::engine::annotate::{self, HistogramOperation};
use crate::engine::block::{Block, HistogramRow, ones, unset};
use crate::engine::element::with_number;
use crate::engine::exec::Exec;
use crate::engine::histogram::{Incompatible, add, compact, equal, sub};
use model::histogram::{CounterResetHint, FloatHistogram};

use super::floats::Side;

/// The samples of one side.
#[derive(Clone, Copy)]
pub(super) struct Operand<'a> {
    pub floats: Side<'a>,
    histograms: &'a [(u32, Arc<FloatHistogram>)],
}

impl<'a> Operand<'a> {
    pub(super) fn row(block: &'a Block, row: usize) -> Self {
        Self {
            floats: Side::Row(block.row_values(row)),
            histograms: block.row_histograms(row),
        }
    }

    pub(super) fn fill(value: f64) -> Self {
        Self {
            floats: Side::Fill(value),
            histograms: &[],
        }
    }

    pub(super) fn has_histograms(&self) -> bool {
        !self.histograms.is_empty()
    }

    /// Returns the histogram at a step, where there is one.
    fn histogram(&self, step: usize) -> Option<&'a Arc<FloatHistogram>> {
        let at = self
            .histograms
            .binary_search_by_key(&step, |(step, _)| *step as usize);
        at.ok().map(|at| &self.histograms[at].1)
    }
}

/// The results of two rows.
pub(super) struct Pairs {
    /// The steps whose pairs fit together, whether or not they have a result.
    pub succeeded: Vec<u64>,
    /// The steps at which both are floats.
    pub floats: Vec<u64>,
    pub histograms: HistogramRow,
    /// Answers to comparisons with `bool`.
    pub truths: Vec<(usize, bool)>,
}

/// What there is to say of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remark {
    Types(&'static str, &'static str),
    Layouts,
    Conflict(HistogramOperation),
    Reconciled(HistogramOperation),
}

/// The last remark of each step: Prometheus reports one a step.
#[derive(Default)]
pub(super) struct Remarks(BTreeMap<usize, Remark>);

impl Remarks {
    /// Adds them to the answer.
    pub(super) fn report(&mut self, op: BinaryOp, pos: PosRange, ex: &Exec<'_>) {
        let mut reported: Vec<Remark> = Vec::new();
        for remark in std::mem::take(&mut self.0).into_values() {
            if !reported.contains(&remark) {
                reported.push(remark);
                ex.warn(annotation(remark, op, pos));
            }
        }
    }
}

fn annotation(remark: Remark, op: BinaryOp, pos: PosRange) -> Annotation {
    match remark {
        Remark::Types(lhs, rhs) => annotate::incompatible_types(lhs, op, rhs, pos),
        Remark::Layouts => annotate::incompatible_layouts(op, pos),
        Remark::Conflict(operation) => annotate::conflicting_resets(operation, pos),
        Remark::Reconciled(operation) => annotate::reconciled_buckets(operation, pos),
    }
}

/// Computes the pairs at the `present` steps that are not both floats, or that cannot be.
pub(super) fn apply(
    op: BinaryOp,
    return_bool: bool,
    lhs: Operand<'_>,
    rhs: Operand<'_>,
    present: &[u64],
    remarks: &mut Remarks,
) -> Pairs {
    let mut pairs = Pairs {
        succeeded: present.to_vec(),
        floats: present.to_vec(),
        histograms: Vec::new(),
        truths: Vec::new(),
    };
    let trims = matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper);
    for step in ones(present) {
        let sides = (lhs.histogram(step), rhs.histogram(step));
        if matches!(sides, (None, None)) && !trims {
            continue;
        }
        unset(&mut pairs.floats, step);
        let numbers = (lhs.floats.at(step), rhs.floats.at(step));
        match pair(op, sides, numbers) {
            Ok((histogram, keep, remark)) => {
                if let Some(remark) = remark {
                    remarks.0.insert(step, remark);
                }
                if return_bool {
                    pairs.truths.push((step, keep));
                } else if keep {
                    pairs.histograms.push((step as u32, histogram));
                }
            }
            Err(remark) => {
                unset(&mut pairs.succeeded, step);
                remarks.0.insert(step, remark);
            }
        }
    }
    pairs
}

type Sides<'a> = (
    Option<&'a Arc<FloatHistogram>>,
    Option<&'a Arc<FloatHistogram>>,
);

/// Returns the result of a pair, whether a comparison keeps it, and what is to be said of it.
fn pair(
    op: BinaryOp,
    sides: Sides<'_>,
    (left, right): (f64, f64),
) -> Result<(Arc<FloatHistogram>, bool, Option<Remark>), Remark> {
    let scaled = |histogram: &Arc<FloatHistogram>, number: f64| {
        let mut result = FloatHistogram::clone(histogram);
        with_number(op, &mut result, number);
        (Arc::new(result), true, None)
    };
    match (op, sides) {
        (BinaryOp::Mul, (None, Some(histogram))) => Ok(scaled(histogram, left)),
        (
            BinaryOp::Mul | BinaryOp::Div | BinaryOp::TrimLower | BinaryOp::TrimUpper,
            (Some(histogram), None),
        ) => Ok(scaled(histogram, right)),
        (BinaryOp::Eq, (Some(a), Some(b))) => Ok((Arc::clone(a), equal(a, b), None)),
        (BinaryOp::NotEq, (Some(a), Some(b))) => Ok((Arc::clone(a), !equal(a, b), None)),
        (BinaryOp::Add | BinaryOp::Sub, (Some(a), Some(b))) => {
            let mut result = FloatHistogram::clone(a);
            let (outcome, operation) = if op == BinaryOp::Add {
                (add(&mut result, b), HistogramOperation::Addition)
            } else {
                (sub(&mut result, b), HistogramOperation::Subtraction)
            };
            let outcome = outcome.map_err(|Incompatible| Remark::Layouts)?;
            if outcome.collision {
                return Err(Remark::Conflict(operation));
            }
            if op == BinaryOp::Sub {
                result.counter_reset_hint = CounterResetHint::Gauge;
            }
            compact(&mut result);
            let remark = outcome.reconciled.then_some(Remark::Reconciled(operation));
            Ok((Arc::new(result), true, remark))
        }
        _ => {
            let name = |side: Option<&Arc<FloatHistogram>>| match side {
                Some(_) => "histogram",
                None => "float",
            };
            Err(Remark::Types(name(sides.0), name(sides.1)))
        }
    }
}
