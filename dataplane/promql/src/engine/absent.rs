//! `absent` and `absent_over_time`.

use model::Labels;

use crate::symbols::SymbolLabels;

use super::EngineError;
use super::block::{Block, Grid, SeriesMeta, full_word};
use super::exec::{Exec, Operator};

/// 1 at the steps at which the input has nothing.
pub(crate) struct Absent {
    input: Option<Box<dyn Operator>>,
    labels: SymbolLabels,
    grid: Grid,
}

impl Absent {
    pub(crate) fn new(
        input: Box<dyn Operator>,
        labels: &Labels,
        grid: Grid,
        ex: &mut Exec<'_>,
    ) -> Self {
        Self {
            input: Some(input),
            labels: SymbolLabels::intern(labels, &mut ex.symbols),
            grid,
        }
    }
}

impl Operator for Absent {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        let Some(mut input) = self.input.take() else {
            return Ok(None);
        };
        let steps = self.grid.steps;
        let mut missing: Vec<u64> = (0..self.grid.words())
            .map(|word| full_word(word, steps))
            .collect();
        while let Some(block) = input.next(ex)? {
            for row in 0..block.rows() {
                for (missing, present) in missing.iter_mut().zip(block.row_present(row)) {
                    *missing &= !present;
                }
                for (step, _) in block.row_histograms(row) {
                    super::block::unset(&mut missing, *step as usize);
                }
            }
            ex.recycle(block);
            if missing.iter().all(|&word| word == 0) {
                return Ok(None);
            }
        }
        if missing.iter().all(|&word| word == 0) {
            return Ok(None);
        }
        let mut block = ex.block(&self.grid);
        let meta = SeriesMeta {
            labels: std::mem::take(&mut self.labels),
            drop_name: false,
        };
        block.push_constant(meta, 1.0);
        let (_, present) = block.row_mut(0);
        present.copy_from_slice(&missing);
        Ok(Some(block))
    }
}
