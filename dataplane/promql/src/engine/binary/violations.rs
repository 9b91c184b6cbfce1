//! Matches that are not as unique as they have to be.

use hashbrown::HashMap;

use crate::engine::EngineError;
use crate::engine::block::{full_word, has};
use crate::engine::exec::Exec;

use super::vector::Binary;

/// What went wrong first. Prometheus evaluates step by step, so the earliest step decides.
#[derive(Default)]
pub(super) struct FirstError(pub Option<(usize, String)>);

impl FirstError {
    pub(super) fn offer(&mut self, step: usize, message: impl FnOnce() -> String) {
        if self.0.as_ref().is_none_or(|(first, _)| step < *first) {
            self.0 = Some((step, message()));
        }
    }
}

impl Binary {
    /// Reports the violation at the earliest step.
    pub(super) fn check(&mut self, ex: &Exec<'_>) -> Result<(), EngineError> {
        let filled = self.fills() != (None, None);
        let overlap = self
            .state
            .duplicates
            .iter()
            .zip(&self.state.many_any)
            .enumerate();
        let steps = overlap.map(|(word, (duplicates, any))| {
            let counts = if filled {
                full_word(word, self.grid.steps)
            } else {
                *any
            };
            (word, duplicates & counts)
        });
        let first = steps
            .filter(|(_, bits)| *bits != 0)
            .map(|(word, bits)| word * 64 + bits.trailing_zeros() as usize)
            .next();
        let mut error = std::mem::take(&mut self.state.error);
        if let Some(step) = first
            && error.0.as_ref().is_none_or(|(other, _)| step <= *other)
        {
            error = FirstError(Some((step, self.describe_duplicate(step, ex))));
        }
        match error.0 {
            None => Ok(()),
            Some((_, message)) => Err(EngineError::Execution(message)),
        }
    }

    fn describe_duplicate(&mut self, step: usize, ex: &Exec<'_>) -> String {
        let side = if self.swapped() { "left" } else { "right" };
        let mut of_group: HashMap<usize, usize> = HashMap::new();
        let Some(one) = &self.state.one else {
            return String::new();
        };
        for (row, meta) in one.block.series.iter().enumerate() {
            if !has(&one.block.row_any(row), step) {
                continue;
            }
            let Some(group) = self.groups.find(&meta.labels) else {
                continue;
            };
            let Some(other) = of_group.insert(group, row) else {
                continue;
            };
            let group = self.groups.labels_of(&meta.labels).resolve(&ex.symbols);
            let mut pair = [
                meta.labels.resolve(&ex.symbols).to_string(),
                one.block.series[other]
                    .labels
                    .resolve(&ex.symbols)
                    .to_string(),
            ];
            pair.sort();
            return format!(
                "found duplicate series for the match group {group} on the {side} hand-side of \
                 the operation: [{}, {}];many-to-many matching not allowed: matching labels must \
                 be unique on one side",
                pair[0], pair[1]
            );
        }
        String::new()
    }
}
