//! What happens to series that became equal because a label went.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::symbols::SymbolLabels;

use super::EngineError;
use super::block::{Block, Grid, SeriesMeta, ones, set};
use super::exec::{Exec, Operator};

/// Merges equal series; it is an error if they have a step in common.
pub(crate) struct Merge {
    input: Box<dyn Operator>,
    grid: Grid,
    done: bool,
}

impl Merge {
    pub(crate) fn new(input: Box<dyn Operator>, grid: Grid) -> Self {
        Self {
            input,
            grid,
            done: false,
        }
    }
}

impl Operator for Merge {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        if self.done {
            return Ok(None);
        }
        self.done = true;
        let collected = ex.collect(
            self.input.as_mut(),
            &self.grid,
            "series with changed labels",
        )?;
        ex.let_go(collected.samples);
        let mut block = collected.block;
        merge_equal(&mut block)?;
        Ok((block.rows() > 0).then_some(block))
    }
}

/// Merges equal rows into the first of them.
///
/// # Errors
/// Two equal rows have a sample at the same step.
pub(crate) fn merge_equal(block: &mut Block) -> Result<(), EngineError> {
    let mut first: HashMap<SymbolLabels, usize, foldhash::fast::FixedState> =
        HashMap::with_capacity_and_hasher(block.rows(), foldhash::fast::FixedState::default());
    let mut any = false;
    for row in 0..block.rows() {
        match first.entry(block.series[row].labels.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(row);
            }
            Entry::Occupied(entry) => {
                any = true;
                move_row(block, row, *entry.get())?;
            }
        }
    }
    if any {
        block.drop_empty_rows();
    }
    Ok(())
}

/// Moves the samples of row `from` to the earlier row `to`.
fn move_row(block: &mut Block, from: usize, to: usize) -> Result<(), EngineError> {
    let steps: Vec<usize> = ones(block.row_present(from)).collect();
    for step in steps {
        let value = block.row_values(from)[step];
        let taken = block
            .row_histograms(to)
            .iter()
            .any(|(at, _)| *at as usize == step);
        let (values, present) = block.row_mut(to);
        if taken || super::block::has(present, step) {
            return Err(EngineError::same_labelset());
        }
        values[step] = value;
        set(present, step);
    }
    if !block.row_histograms(from).is_empty() {
        let moved = std::mem::take(&mut block.histograms[from]);
        let present = block.row_present(to);
        let mut all = block.row_histograms(to).to_vec();
        for (step, histogram) in moved {
            let taken =
                super::block::has(present, step as usize) || all.iter().any(|(at, _)| *at == step);
            if taken {
                return Err(EngineError::same_labelset());
            }
            all.push((step, histogram));
        }
        all.sort_by_key(|(step, _)| *step);
        block.set_histograms(to, all);
    }
    let (_, present) = block.row_mut(from);
    present.fill(0);
    block.series[from] = SeriesMeta::default();
    Ok(())
}

/// Passes series on; it is an error if two are equal, whatever their steps.
pub(crate) struct RequireUnique {
    input: Box<dyn Operator>,
    seen: hashbrown::HashSet<SymbolLabels, foldhash::fast::FixedState>,
}

impl RequireUnique {
    pub(crate) fn new(input: Box<dyn Operator>) -> Self {
        Self {
            input,
            seen: hashbrown::HashSet::with_hasher(foldhash::fast::FixedState::default()),
        }
    }
}

impl Operator for RequireUnique {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        let block = self.input.next(ex)?;
        for meta in block.iter().flat_map(|block| &block.series) {
            if !self.seen.insert(meta.labels.clone()) {
                return Err(EngineError::same_labelset());
            }
        }
        Ok(block)
    }
}
