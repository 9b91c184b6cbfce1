//! Arithmetic and comparison operators.

use hashbrown::HashMap;

use crate::ast::{BinaryOp, PosRange, VectorMatchCardinality, VectorMatching};
use crate::engine::EngineError;
use crate::engine::block::{Block, Grid, SeriesMeta, set};
use crate::engine::exec::{Collected, Exec, Operator};
use crate::plan::build::changes_meaning;
use crate::symbols::{SymbolId, SymbolLabels, SymbolTable};

use super::floats::apply;
use super::histograms::{self, Operand, Remarks};
use super::violations::FirstError;
use super::{Bitmaps, Matching};

/// An arithmetic or comparison operator.
pub(crate) struct Binary {
    op: BinaryOp,
    matching: VectorMatching,
    return_bool: bool,
    pos: PosRange,
    include: Vec<SymbolId>,
    pub(super) groups: Matching,
    pub(super) grid: Grid,
    many: Box<dyn Operator>,
    one: Option<Box<dyn Operator>>,
    pub(super) state: State,
}

/// The side that is unique in each group, and what has been seen of the other.
#[derive(Default)]
pub(super) struct State {
    pub(super) one: Option<Collected>,
    /// The rows of the unique side, by group.
    rows: Vec<Vec<usize>>,
    /// Steps at which the group's rows overlap.
    pub(super) duplicates: Vec<u64>,
    /// Steps at which a group has found a partner.
    matched: Bitmaps,
    /// Steps at which a result of these labels exists in a group, where several may share one.
    results: HashMap<(usize, SymbolLabels), usize>,
    result_steps: Bitmaps,
    /// Steps at which the streaming side has anything.
    pub(super) many_any: Vec<u64>,
    pub(super) error: FirstError,
    /// What there is to say of pairs that do not fit.
    remarks: Remarks,
    finished: bool,
}

impl Binary {
    pub(crate) fn new(
        op: BinaryOp,
        (lhs, rhs): (Box<dyn Operator>, Box<dyn Operator>),
        matching: &VectorMatching,
        return_bool: bool,
        pos: PosRange,
        grid: Grid,
        ex: &mut Exec<'_>,
    ) -> Self {
        let (many, one) = if matching.card == VectorMatchCardinality::OneToMany {
            (rhs, lhs)
        } else {
            (lhs, rhs)
        };
        Self {
            op,
            return_bool,
            pos,
            include: matching
                .include
                .iter()
                .map(|name| ex.symbols.intern(name))
                .collect(),
            groups: Matching::new(matching, ex),
            matching: matching.clone(),
            grid,
            many,
            one: Some(one),
            state: State {
                matched: Bitmaps::new(&grid),
                result_steps: Bitmaps::new(&grid),
                ..State::default()
            },
        }
    }

    pub(super) fn swapped(&self) -> bool {
        self.matching.card == VectorMatchCardinality::OneToMany
    }

    /// The values that stand in for a missing element of the streaming and of the unique side.
    pub(super) fn fills(&self) -> (Option<f64>, Option<f64>) {
        // "Left" is the streaming side even where `group_right` swapped the sides: so Prometheus.
        (self.matching.fill.lhs, self.matching.fill.rhs)
    }

    fn read_one(&mut self, ex: &mut Exec<'_>) -> Result<(), EngineError> {
        let Some(mut one) = self.one.take() else {
            return Ok(());
        };
        let collected = ex.collect(one.as_mut(), &self.grid, "one side of a vector operator")?;
        self.state.duplicates = vec![0; self.grid.words()];
        self.state.many_any = vec![0; self.grid.words()];
        let mut seen = Bitmaps::new(&self.grid);
        for (row, meta) in collected.block.series.iter().enumerate() {
            let number = self.groups.number(&meta.labels);
            if number == self.state.rows.len() {
                self.state.rows.push(Vec::new());
            }
            self.state.rows[number].push(row);
            let any = collected.block.row_any(row);
            let steps = seen.get_mut(number).iter_mut().zip(any.iter());
            for ((seen, &present), duplicates) in steps.zip(&mut self.state.duplicates) {
                *duplicates |= *seen & present;
                *seen |= present;
            }
        }
        self.state.one = Some(collected);
        Ok(())
    }

    /// The labels of a result of `many` and `one`.
    fn result_labels(
        &self,
        many: &SymbolLabels,
        one: &SymbolLabels,
        delayed: bool,
        symbols: &SymbolTable,
    ) -> SymbolLabels {
        let mut labels = many.clone();
        if changes_meaning(self.op) || (self.return_bool && !delayed) {
            labels.drop_metadata();
        }
        if self.matching.card == VectorMatchCardinality::OneToOne {
            let names = &self.groups.names;
            if self.matching.on {
                labels.retain(|name| names.contains(&name));
            } else {
                // The name is ignored for matching only.
                let ignored = names.split_last().map_or(&[][..], |(_, rest)| rest);
                labels.retain(|name| !ignored.contains(&name));
            }
        }
        for &name in &self.include {
            labels.set(name, one.get(name), symbols);
        }
        labels
    }

    /// Notes that `labels` have results at `present` steps of a group, and what that violates.
    fn note_results(&mut self, group: usize, labels: &SymbolLabels, present: &[u64]) {
        let one_to_one = self.matching.card == VectorMatchCardinality::OneToOne;
        let matched = self.state.matched.get_mut(group);
        let mut twice = None;
        for (word, (matched, &present)) in matched.iter_mut().zip(present).enumerate() {
            let both = *matched & present;
            if one_to_one && both != 0 && twice.is_none() {
                twice = Some(word * 64 + both.trailing_zeros() as usize);
            }
            *matched |= present;
        }
        if let Some(step) = twice {
            self.state.error.offer(step, || {
                "multiple matches for labels: many-to-one matching must be explicit \
                 (group_left/group_right)"
                    .to_owned()
            });
        }
        if one_to_one {
            return;
        }
        let next = self.state.results.len();
        let index = *self
            .state
            .results
            .entry((group, labels.clone()))
            .or_insert(next);
        let steps = self.state.result_steps.get_mut(index);
        for (word, (steps, &present)) in steps.iter_mut().zip(present).enumerate() {
            let both = *steps & present;
            if both != 0 {
                let step = word * 64 + both.trailing_zeros() as usize;
                self.state.error.offer(step, || {
                    "multiple matches for labels: grouping labels must ensure unique matches"
                        .to_owned()
                });
            }
            *steps |= present;
        }
    }

    /// Appends the results of one pair of rows, where either may be a fill value.
    fn combine(
        &mut self,
        out: &mut Block,
        (group, labels): (usize, SymbolLabels),
        present: Vec<u64>,
        many: Operand<'_>,
        one: Operand<'_>,
    ) {
        let (lhs, rhs) = if self.swapped() {
            (one, many)
        } else {
            (many, one)
        };
        // Only floats leave results at all steps; what fails has not matched either.
        let trims = matches!(self.op, BinaryOp::TrimLower | BinaryOp::TrimUpper);
        let pairs = (trims || lhs.has_histograms() || rhs.has_histograms()).then(|| {
            let remarks = &mut self.state.remarks;
            histograms::apply(self.op, self.return_bool, lhs, rhs, &present, remarks)
        });
        let succeeded = pairs.as_ref().map_or(&present, |pairs| &pairs.succeeded);
        self.note_results(group, &labels, succeeded);
        let drop_name = self.return_bool;
        let row = out.push_empty(SeriesMeta { labels, drop_name });
        let (values, out_present) = out.row_mut(row);
        out_present.copy_from_slice(pairs.as_ref().map_or(&present, |pairs| &pairs.floats));
        let (lhs, rhs) = (lhs.floats, rhs.floats);
        apply(self.op, self.return_bool, lhs, rhs, values, out_present);
        if let Some(pairs) = pairs {
            for (step, holds) in pairs.truths {
                values[step] = f64::from(u8::from(holds));
                set(out_present, step);
            }
            out.set_histograms(row, pairs.histograms);
        }
    }

    /// Matches the rows of a block of the streaming side.
    fn stream(&mut self, block: &Block, ex: &mut Exec<'_>) -> Block {
        let mut out = ex.block(&self.grid);
        let delayed = ex.delayed_names();
        let (_, fill_one) = self.fills();
        let Some(one) = self.state.one.take() else {
            return out;
        };
        for (row, meta) in block.series.iter().enumerate() {
            let many_present = &*block.row_any(row);
            for (any, present) in self.state.many_any.iter_mut().zip(many_present) {
                *any |= present;
            }
            let found = if fill_one.is_some() || self.fills().0.is_some() {
                Some(self.groups.number(&meta.labels))
            } else {
                self.groups.find(&meta.labels)
            };
            let Some(group) = found else { continue };
            let partners = self.state.rows.get(group).cloned().unwrap_or_default();
            let mut missing: Vec<u64> = many_present.to_vec();
            for &partner in &partners {
                let one_present = one.block.row_any(partner);
                let present: Vec<u64> = many_present
                    .iter()
                    .zip(one_present.iter())
                    .map(|(a, b)| a & b)
                    .collect();
                for (missing, present) in missing.iter_mut().zip(&present) {
                    *missing &= !present;
                }
                if present.iter().all(|&word| word == 0) {
                    continue;
                }
                let partner_labels = &one.block.series[partner].labels;
                let labels = self.result_labels(&meta.labels, partner_labels, delayed, &ex.symbols);
                let many = Operand::row(block, row);
                let one = Operand::row(&one.block, partner);
                self.combine(&mut out, (group, labels), present, many, one);
            }
            if let Some(fill) = fill_one
                && missing.iter().any(|&word| word != 0)
            {
                let partner = self.groups.labels_of(&meta.labels);
                let labels = self.result_labels(&meta.labels, &partner, delayed, &ex.symbols);
                let many = Operand::row(block, row);
                self.combine(
                    &mut out,
                    (group, labels),
                    missing,
                    many,
                    Operand::fill(fill),
                );
            }
        }
        self.state.one = Some(one);
        out
    }

    /// What the unique side has and the streaming side has not.
    fn fill_rest(&mut self, ex: &mut Exec<'_>) -> Block {
        let mut out = ex.block(&self.grid);
        let delayed = ex.delayed_names();
        let (Some(fill), _) = self.fills() else {
            return out;
        };
        let Some(one) = self.state.one.take() else {
            return out;
        };
        for (row, meta) in one.block.series.iter().enumerate() {
            let Some(group) = self.groups.find(&meta.labels) else {
                continue;
            };
            let matched = self.state.matched.get_mut(group);
            let rest: Vec<u64> = one
                .block
                .row_any(row)
                .iter()
                .zip(matched.iter())
                .map(|(a, b)| a & !b)
                .collect();
            if rest.iter().all(|&word| word == 0) {
                continue;
            }
            let partner = self.groups.labels_of(&meta.labels);
            let labels = self.result_labels(&partner, &meta.labels, delayed, &ex.symbols);
            let values = Operand::row(&one.block, row);
            self.combine(&mut out, (group, labels), rest, Operand::fill(fill), values);
        }
        self.state.one = Some(one);
        out
    }
}

impl Operator for Binary {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        self.read_one(ex)?;
        loop {
            if self.state.finished {
                return Ok(None);
            }
            let mut out = match self.many.next(ex)? {
                Some(block) => {
                    let out = self.stream(&block, ex);
                    ex.recycle(block);
                    out
                }
                None => {
                    self.state.finished = true;
                    let out = self.fill_rest(ex);
                    self.check(ex)?;
                    self.state.remarks.report(self.op, self.pos, ex);
                    if let Some(one) = self.state.one.take() {
                        ex.let_go(one.samples);
                    }
                    out
                }
            };
            out.drop_empty_rows();
            if out.rows() > 0 {
                return Ok(Some(out));
            }
            ex.recycle(out);
        }
    }
}
