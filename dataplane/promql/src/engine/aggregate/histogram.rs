//! `sum` and `avg` of native histograms.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::annotations::Annotation;
use crate::ast::{AggregateOp, PosRange};
use crate::context::Reservation;
use crate::engine::EngineError;
use crate::engine::annotate::{self, HistogramOperation};
use crate::engine::block::{Block, HistogramRow, has, unset};
use crate::engine::exec::Exec;
use crate::engine::histogram::{HintsSeen, Incompatible, Mean, Outcome, Sum, compact};
use crate::queryable::histogram_bytes;
use model::histogram::FloatHistogram;

/// The histograms of all groups, by position: `group * steps + step`.
#[derive(Default)]
pub(super) struct Cells(BTreeMap<usize, Cell>);

/// What the histograms of a group have come to at a step.
struct Cell {
    /// Nothing where a float came first: such a mix has no result.
    total: Option<Total>,
    hints: HintsSeen,
    /// Exponential and custom buckets came together; nothing more is looked at.
    incompatible: bool,
}

enum Total {
    Sum(Sum),
    Mean(Mean),
}

impl Total {
    fn new(op: AggregateOp, first: &FloatHistogram) -> Self {
        if op == AggregateOp::Avg {
            Self::Mean(Mean::new(first))
        } else {
            Self::Sum(Sum::new(first))
        }
    }

    fn add(&mut self, other: &FloatHistogram) -> Result<Outcome, Incompatible> {
        match self {
            Self::Sum(sum) => sum.add(other),
            Self::Mean(mean) => mean.push(other),
        }
    }

    fn finish(self) -> FloatHistogram {
        let mut total = match self {
            Self::Sum(sum) => sum.finish(),
            Self::Mean(mean) => mean.finish(),
        };
        compact(&mut total);
        total
    }
}

/// The aggregation that histograms are folded for.
pub(super) struct Context<'a, 'q> {
    pub op: AggregateOp,
    pub pos: PosRange,
    pub steps: usize,
    pub ex: &'a Exec<'q>,
}

impl Cells {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Hides the floats of a row from groups that nothing can be added to any more.
    pub(super) fn hide_floats(&self, group: usize, steps: usize, present: &mut [u64]) {
        let range = group * steps..(group + 1) * steps;
        for (&at, cell) in self.0.range(range) {
            if cell.incompatible {
                unset(present, at - group * steps);
            }
        }
    }

    /// Adds the histograms of a row to its group, of which `seen` has the steps with floats.
    pub(super) fn fold(
        &mut self,
        group: usize,
        row: &[(u32, Arc<FloatHistogram>)],
        seen: &[u64],
        name: &str,
        cx: &Context<'_, '_>,
        reservation: &mut Reservation,
    ) -> Result<(), EngineError> {
        let mut bytes = 0;
        for (step, histogram) in row {
            let step = *step as usize;
            let cell = self.0.entry(group * cx.steps + step).or_insert_with(|| {
                bytes += size_of::<Cell>() + histogram_bytes(histogram);
                Cell {
                    total: None,
                    hints: HintsSeen::default(),
                    incompatible: false,
                }
            });
            if cell.incompatible {
                continue;
            }
            let Some(total) = &mut cell.total else {
                if !has(seen, step) {
                    cell.hints.note(histogram);
                    cell.total = Some(Total::new(cx.op, histogram));
                }
                continue;
            };
            cell.hints.note(histogram);
            match total.add(histogram) {
                Ok(outcome) if outcome.reconciled => {
                    let operation = HistogramOperation::Aggregation;
                    cx.ex.warn(annotate::reconciled_buckets(operation, cx.pos));
                }
                Ok(_) => {}
                Err(Incompatible) => {
                    cx.ex.warn(annotate::mixed_schemas(name, cx.pos));
                    cell.incompatible = true;
                }
            }
        }
        Ok(reservation.grow(bytes, &cx.op)?)
    }

    /// Puts the results into the groups' rows.
    pub(super) fn finish(self, out: &mut Block, cx: &Context<'_, '_>) {
        let mut rows: BTreeMap<usize, HistogramRow> = BTreeMap::new();
        let mut warn: Vec<Annotation> = Vec::new();
        for (at, cell) in self.0 {
            let (group, step) = (at / cx.steps, at % cx.steps);
            let (_, present) = out.row_mut(group);
            if has(present, step) {
                unset(present, step);
                warn.push(annotate::mixed_samples_in_aggregation(cx.pos));
                continue;
            }
            let Some(total) = cell.total.filter(|_| !cell.incompatible) else {
                continue;
            };
            if cell.hints.collide() {
                let operation = HistogramOperation::Aggregation;
                warn.push(annotate::conflicting_resets(operation, cx.pos));
            }
            rows.entry(group)
                .or_default()
                .push((step as u32, Arc::new(total.finish())));
        }
        warn.dedup();
        for annotation in warn {
            cx.ex.warn(annotation);
        }
        for (group, row) in rows {
            out.set_histograms(group, row);
        }
    }
}
