//! `quantile`: needs all values of a group at a step.

use crate::ast::{AggregateOp, PosRange};
use crate::engine::block::{Block, Grid, SeriesMeta, has, set};
use crate::engine::exec::{Exec, Operator};
use crate::engine::scalar::{ScalarOperator, go_max, go_min};
use crate::engine::window::quantile_in_place;
use crate::engine::{EngineError, annotate};

use super::Grouping;

/// The φ-quantile of each group.
pub(crate) struct Quantile {
    input: Box<dyn Operator>,
    param: ScalarOperator,
    groups: Grouping,
    pos: PosRange,
    param_pos: PosRange,
    grid: Grid,
    done: bool,
}

impl Quantile {
    pub(super) fn new(
        input: Box<dyn Operator>,
        param: ScalarOperator,
        groups: Grouping,
        pos: PosRange,
        param_pos: PosRange,
        grid: Grid,
    ) -> Self {
        Self {
            input,
            param,
            groups,
            pos,
            param_pos,
            grid,
            done: false,
        }
    }
}

impl Operator for Quantile {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        if self.done {
            return Ok(None);
        }
        self.done = true;
        let param = self.param.eval(&self.grid, ex)?;
        let mut collected = ex.collect(self.input.as_mut(), &self.grid, "quantile")?;
        ex.let_go(collected.samples);
        let block = &mut collected.block;
        if !block.histograms.is_empty() {
            ex.warn(annotate::ignored_in_aggregation(
                AggregateOp::Quantile,
                self.pos,
            ));
            block.drop_histograms();
        }
        if param.distinct(&self.grid).any(f64::is_nan) {
            ex.warn(annotate::invalid_quantile(f64::NAN, self.param_pos));
        }
        let max = param.distinct(&self.grid).fold(f64::NEG_INFINITY, go_max);
        let min = param.distinct(&self.grid).fold(f64::INFINITY, go_min);
        if max > 1.0 {
            ex.warn(annotate::invalid_quantile(max, self.param_pos));
        }
        if min < 0.0 {
            ex.warn(annotate::invalid_quantile(min, self.param_pos));
        }
        if block.rows() == 0 {
            return Ok(None);
        }
        let mut members: Vec<Vec<usize>> = Vec::new();
        for row in 0..block.rows() {
            let group = self.groups.group_of(&block.series[row].labels);
            if group == members.len() {
                members.push(Vec::new());
            }
            members[group].push(row);
        }
        let mut out = ex.block(&self.grid);
        let mut values = Vec::new();
        for (group, rows) in members.iter().enumerate() {
            ex.cx.check()?;
            let drop_name = rows.iter().any(|&row| block.series[row].drop_name);
            let at = out.push_empty(SeriesMeta {
                labels: self.groups.take_labels(group),
                drop_name,
            });
            let (out_values, out_present) = out.row_mut(at);
            for (step, out_value) in out_values.iter_mut().enumerate() {
                values.clear();
                values.extend(
                    rows.iter()
                        .filter(|&&row| has(block.row_present(row), step))
                        .map(|&row| block.row_values(row)[step]),
                );
                if !values.is_empty() {
                    *out_value = quantile_in_place(param.at(step), &mut values);
                    set(out_present, step);
                }
            }
        }
        out.drop_empty_rows();
        Ok((out.rows() > 0).then_some(out))
    }
}
