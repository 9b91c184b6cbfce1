//! What there is to say of the histograms of a series, each thing once.

use std::cell::Cell;

use crate::annotations::Annotation;
use crate::ast::PosRange;
use crate::context::QueryContext;
use crate::engine::annotate::{self, HistogramOperation};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Note {
    MixedSamples,
    /// Histograms beside floats that alone are looked at.
    Ignored,
    NotCounter,
    NotGauge,
    MixedSchemas,
    Conflict(HistogramOperation),
    Reconciled(HistogramOperation),
}

impl Note {
    fn bit(self) -> u32 {
        let operation = |operation| match operation {
            HistogramOperation::Addition => 0,
            HistogramOperation::Subtraction => 1,
            HistogramOperation::Aggregation => 2,
        };
        1 << match self {
            Self::MixedSamples => 0,
            Self::Ignored => 1,
            Self::NotCounter => 2,
            Self::NotGauge => 3,
            Self::MixedSchemas => 4,
            Self::Conflict(of) => 5 + operation(of),
            Self::Reconciled(of) => 8 + operation(of),
        }
    }
}

/// Adds notes on one series to the answer.
pub(crate) struct Notes<'a> {
    name: &'a str,
    pos: PosRange,
    cx: &'a QueryContext,
    added: Cell<u32>,
}

impl<'a> Notes<'a> {
    pub(crate) fn new(name: &'a str, pos: PosRange, cx: &'a QueryContext) -> Self {
        Self {
            name,
            pos,
            cx,
            added: Cell::new(0),
        }
    }

    pub(crate) fn add(&self, note: Note) {
        let bit = note.bit();
        if self.added.get() & bit == 0 {
            self.added.set(self.added.get() | bit);
            self.cx.annotate(self.annotation(note));
        }
    }

    fn annotation(&self, note: Note) -> Annotation {
        let (name, pos) = (self.name, self.pos);
        match note {
            Note::MixedSamples => annotate::mixed_samples(name, pos),
            Note::Ignored => annotate::ignored_in_mixed_range(name, pos),
            Note::NotCounter => annotate::not_a_counter(name, pos),
            Note::NotGauge => annotate::not_a_gauge(name, pos),
            Note::MixedSchemas => annotate::mixed_schemas(name, pos),
            Note::Conflict(operation) => annotate::conflicting_resets(operation, pos),
            Note::Reconciled(operation) => annotate::reconciled_buckets(operation, pos),
        }
    }
}
