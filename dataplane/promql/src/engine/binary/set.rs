//! `and`, `or` and `unless`.

use crate::ast::{BinaryOp, VectorMatching};
use crate::engine::EngineError;
use crate::engine::block::{Block, Grid, has, set};
use crate::engine::exec::{Exec, Operator};

use super::{Bitmaps, Matching};

/// A set operator. Of the side read first only the steps at which each match group has something are
/// kept.
pub(crate) struct SetOperation {
    op: BinaryOp,
    /// Read first.
    first: Option<Box<dyn Operator>>,
    second: Box<dyn Operator>,
    groups: Matching,
    present: Bitmaps,
    grid: Grid,
}

impl SetOperation {
    pub(crate) fn new(
        op: BinaryOp,
        lhs: Box<dyn Operator>,
        rhs: Box<dyn Operator>,
        matching: &VectorMatching,
        grid: Grid,
        ex: &mut Exec<'_>,
    ) -> Self {
        let (first, second) = if op == BinaryOp::Or {
            (lhs, rhs)
        } else {
            (rhs, lhs)
        };
        let groups = Matching::new(matching, ex);
        Self {
            op,
            first: Some(first),
            second,
            groups,
            present: Bitmaps::new(&grid),
            grid,
        }
    }

    /// Notes at which steps the groups of a block have something.
    fn note(&mut self, block: &Block) {
        for (row, meta) in block.series.iter().enumerate() {
            let group = self.groups.number(&meta.labels);
            let steps = self.present.get_mut(group);
            for (steps, present) in steps.iter_mut().zip(block.row_present(row)) {
                *steps |= present;
            }
            for (step, _) in block.row_histograms(row) {
                set(steps, *step as usize);
            }
        }
    }

    /// Keeps the steps of a block at which its groups have something, or have nothing.
    fn filter(&mut self, block: &mut Block) {
        let wanted = self.op == BinaryOp::And;
        let none = vec![0; self.grid.words()];
        for row in 0..block.rows() {
            let group = self.groups.find(&block.series[row].labels);
            let steps = group.map_or(none.as_slice(), |group| self.present.get(group));
            let (_, present) = block.row_mut(row);
            for (present, steps) in present.iter_mut().zip(steps) {
                *present &= if wanted { *steps } else { !*steps };
            }
            if let Some(histograms) = block.histograms.get_mut(row) {
                histograms.retain(|(step, _)| has(steps, *step as usize) == wanted);
            }
        }
        block.drop_empty_rows();
    }
}

impl Operator for SetOperation {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        while let Some(mut first) = self.first.take() {
            let Some(block) = first.next(ex)? else { break };
            self.note(&block);
            self.first = Some(first);
            if self.op == BinaryOp::Or {
                return Ok(Some(block));
            }
            ex.recycle(block);
        }
        loop {
            let Some(mut block) = self.second.next(ex)? else {
                return Ok(None);
            };
            self.filter(&mut block);
            if block.rows() > 0 {
                return Ok(Some(block));
            }
            ex.recycle(block);
        }
    }
}
