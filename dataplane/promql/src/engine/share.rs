//! Parts of a query that occur more than once are evaluated once.

use std::sync::Arc;

use super::EngineError;
use super::block::{Block, Grid};
use super::exec::{Exec, Operator};

/// The operator of a shared part, run by whoever needs it first.
pub(crate) struct Source {
    pub input: Box<dyn Operator>,
    pub grid: Grid,
}

/// An occurrence of a shared part.
pub(crate) struct Later {
    pub number: usize,
    pub grid: Grid,
    pub done: bool,
}

impl Operator for Later {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        if self.done {
            return Ok(None);
        }
        self.done = true;
        if let Some(mut source) = ex.sources.get_mut(self.number).and_then(Option::take) {
            // Held until the query ends: any later occurrence may ask for it.
            let collected =
                ex.collect(source.input.as_mut(), &source.grid, "a shared expression")?;
            ex.shared[self.number] = Some(Arc::new(collected));
        }
        let Some(shared) = ex.shared.get(self.number).and_then(Clone::clone) else {
            return Err(EngineError::Internal(
                "a shared part has no source".to_owned(),
            ));
        };
        let mut block = ex.block(&self.grid);
        for row in 0..shared.block.rows() {
            block.push_row_of(&shared.block, row);
        }
        Ok((block.rows() > 0).then_some(block))
    }
}
