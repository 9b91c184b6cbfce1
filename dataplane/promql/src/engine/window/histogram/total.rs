//! `sum_over_time` and `avg_over_time` of histograms.

use crate::engine::annotate::HistogramOperation::Aggregation;
use crate::engine::histogram::{HintsSeen, Incompatible, Mean, Outcome, Sum};
use model::histogram::FloatHistogram;

use super::{Note, Notes, Sample, Window};

pub(super) fn sum(window: &Window<'_>, notes: &Notes<'_>) -> Option<Sample> {
    let mut sum = Sum::new(window.values.first()?);
    fold(window, notes, |histogram| sum.add(histogram))?;
    Some(Sample::Histogram(sum.finish()))
}

pub(super) fn avg(window: &Window<'_>, notes: &Notes<'_>) -> Option<Sample> {
    let mut mean = Mean::new(window.values.first()?);
    fold(window, notes, |histogram| mean.push(histogram))?;
    Some(Sample::Histogram(mean.finish()))
}

/// Adds all histograms behind the first; returns nothing where they do not fit together.
fn fold(
    window: &Window<'_>,
    notes: &Notes<'_>,
    mut add: impl FnMut(&FloatHistogram) -> Result<Outcome, Incompatible>,
) -> Option<()> {
    let mut hints = HintsSeen::default();
    let mut reconciled = false;
    for (at, histogram) in window.values.iter().enumerate() {
        hints.note(histogram);
        if at == 0 {
            continue;
        }
        match add(histogram) {
            Ok(outcome) => reconciled |= outcome.reconciled,
            Err(Incompatible) => {
                notes.add(Note::MixedSchemas);
                return None;
            }
        }
    }
    if hints.collide() {
        notes.add(Note::Conflict(Aggregation));
    }
    if reconciled {
        notes.add(Note::Reconciled(Aggregation));
    }
    Some(())
}
