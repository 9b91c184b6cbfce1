//! `sum`, `avg`, `min`, `max`, `count`, `group`, `stddev` and `stdvar`: aggregations that need a few
//! columns a group and no memory of the series.

use hashbrown::HashMap;

use crate::ast::{AggregateOp, PosRange};
use crate::context::Reservation;
use crate::engine::EngineError;
use crate::engine::annotate;
use crate::engine::block::{Block, Grid, SeriesMeta, full_word, ones, set};
use crate::engine::exec::{Exec, Operator};
use crate::engine::kahan::{self, Mean};
use crate::symbols::SymbolId;

use super::Grouping;
use super::histogram::{Cells, Context};

/// Folds series into their groups.
pub(crate) struct Fold {
    op: AggregateOp,
    input: Box<dyn Operator>,
    groups: Grouping,
    pos: PosRange,
    grid: Grid,
    done: bool,
}

impl Fold {
    pub(super) fn new(
        op: AggregateOp,
        input: Box<dyn Operator>,
        groups: Grouping,
        pos: PosRange,
        grid: Grid,
    ) -> Self {
        Self {
            op,
            input,
            groups,
            pos,
            grid,
            done: false,
        }
    }
}

/// The columns of all groups, group after group.
#[derive(Default)]
struct Columns {
    /// The running value: sum, extreme, count or sum of squares.
    value: Vec<f64>,
    /// The compensation of the sum, or the running mean.
    second: Vec<f64>,
    /// How many values a step has seen.
    count: Vec<f64>,
    seen: Vec<u64>,
    drop_name: Vec<bool>,
    /// Means whose sum overflowed, by position.
    overflowed: HashMap<usize, Mean>,
}

impl Operator for Fold {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        if self.done {
            return Ok(None);
        }
        self.done = true;
        let (steps, words) = (self.grid.steps, self.grid.words());
        let (has_second, has_count) = match self.op {
            AggregateOp::Sum => (true, false),
            AggregateOp::Avg | AggregateOp::Stddev | AggregateOp::Stdvar => (true, true),
            _ => (false, false),
        };
        let columns_per_group = 1 + usize::from(has_second) + usize::from(has_count);
        let mut columns = Columns::default();
        let mut cells = Cells::default();
        let mut reservation = Reservation::new(ex.cx.memory());
        while let Some(mut block) = self.input.next(ex)? {
            ex.cx.check()?;
            self.note_histograms(&mut block, ex);
            for row in 0..block.rows() {
                let group = self.groups.group_of(&block.series[row].labels);
                if group == columns.drop_name.len() {
                    let bytes = steps * columns_per_group * size_of::<f64>()
                        + words * size_of::<u64>()
                        + size_of::<SeriesMeta>();
                    reservation.grow(bytes, &self.op)?;
                    let rows = group + 1;
                    columns.value.resize(rows * steps, 0.0);
                    columns
                        .second
                        .resize(rows * steps * usize::from(has_second), 0.0);
                    columns
                        .count
                        .resize(rows * steps * usize::from(has_count), 0.0);
                    columns.seen.resize(rows * words, 0);
                    columns.drop_name.push(false);
                }
                columns.drop_name[group] |= block.series[row].drop_name;
                if !cells.is_empty() {
                    cells.hide_floats(group, steps, block.row_mut(row).1);
                }
                if !block.row_histograms(row).is_empty() {
                    let name = block.series[row].labels.get(SymbolId::METRIC_NAME);
                    let cx = self.context(ex);
                    cells.fold(
                        group,
                        block.row_histograms(row),
                        &columns.seen[group * words..(group + 1) * words],
                        ex.symbols.get(name),
                        &cx,
                        &mut reservation,
                    )?;
                }
                columns.fold(
                    self.op,
                    group,
                    block.row_values(row),
                    block.row_present(row),
                );
            }
            ex.recycle(block);
        }
        columns.finish(self.op);
        let mut out = Block::new(&self.grid);
        out.series = (0..self.groups.len())
            .map(|group| SeriesMeta {
                labels: self.groups.take_labels(group),
                drop_name: columns.drop_name.get(group).copied().unwrap_or(false),
            })
            .collect();
        columns.value.resize(out.series.len() * steps, 0.0);
        columns.seen.resize(out.series.len() * words, 0);
        out.values = columns.value;
        out.present = columns.seen;
        if !cells.is_empty() {
            cells.finish(&mut out, &self.context(ex));
        }
        out.drop_empty_rows();
        Ok((out.rows() > 0).then_some(out))
    }
}

impl Fold {
    fn context<'a, 'q>(&self, ex: &'a Exec<'q>) -> Context<'a, 'q> {
        Context {
            op: self.op,
            pos: self.pos,
            steps: self.grid.steps,
            ex,
        }
    }

    /// What only counts sees histograms as floats; what needs numbers leaves them out and says so.
    fn note_histograms(&self, block: &mut Block, ex: &Exec<'_>) {
        if block.histograms.is_empty() {
            return;
        }
        match self.op {
            AggregateOp::Sum | AggregateOp::Avg => {}
            AggregateOp::Count | AggregateOp::Group => {
                for row in 0..block.rows() {
                    let histograms = std::mem::take(&mut block.histograms[row]);
                    let (_, present) = block.row_mut(row);
                    for (step, _) in histograms {
                        set(present, step as usize);
                    }
                }
                block.drop_histograms();
            }
            _ => {
                ex.warn(annotate::ignored_in_aggregation(self.op, self.pos));
                block.drop_histograms();
            }
        }
    }
}

impl Columns {
    fn fold(&mut self, op: AggregateOp, group: usize, values: &[f64], present: &[u64]) {
        let steps = values.len();
        let words = present.len();
        for (word, &present) in present.iter().enumerate() {
            if present == 0 {
                continue;
            }
            let from = group * steps + word * 64;
            let values = &values[word * 64..steps.min(word * 64 + 64)];
            let range = from..from + values.len();
            let seen = &mut self.seen[group * words + word];
            let (new, both) = (present & !*seen, present & *seen);
            *seen |= present;
            let all = full_word(word, steps);
            match op {
                AggregateOp::Sum => {
                    let sum = &mut self.value[range.clone()];
                    let c = &mut self.second[range];
                    lanes(new, all, values, |i, v| sum[i] = v);
                    lanes(both, all, values, |i, v| {
                        (sum[i], c[i]) = kahan::add(v, sum[i], c[i])
                    });
                }
                AggregateOp::Min => {
                    let min = &mut self.value[range];
                    lanes(new, all, values, |i, v| min[i] = v);
                    lanes(both, all, values, |i, v| {
                        let old = min[i];
                        min[i] = if old > v || old.is_nan() { v } else { old };
                    });
                }
                AggregateOp::Max => {
                    let max = &mut self.value[range];
                    lanes(new, all, values, |i, v| max[i] = v);
                    lanes(both, all, values, |i, v| {
                        let old = max[i];
                        max[i] = if old < v || old.is_nan() { v } else { old };
                    });
                }
                AggregateOp::Count => {
                    let count = &mut self.value[range];
                    lanes(present, all, values, |i, _| count[i] += 1.0);
                }
                AggregateOp::Stddev | AggregateOp::Stdvar => {
                    let squares = &mut self.value[range.clone()];
                    let mean = &mut self.second[range.clone()];
                    let count = &mut self.count[range];
                    lanes(new, all, values, |i, v| {
                        squares[i] = if v.is_finite() { 0.0 } else { f64::NAN };
                        mean[i] = v;
                        count[i] = 1.0;
                    });
                    lanes(both, all, values, |i, v| {
                        count[i] += 1.0;
                        let delta = v - mean[i];
                        mean[i] += delta / count[i];
                        squares[i] += delta * (v - mean[i]);
                    });
                }
                AggregateOp::Avg => self.fold_mean(from, new, both, all, values),
                // `group` needs to know only that something is there.
                _ => {}
            }
        }
    }

    fn fold_mean(&mut self, from: usize, new: u64, both: u64, all: u64, values: &[f64]) {
        let range = from..from + values.len();
        let sum = &mut self.value[range.clone()];
        let c = &mut self.second[range.clone()];
        let count = &mut self.count[range];
        lanes(new, all, values, |i, v| {
            sum[i] = v;
            count[i] = 1.0;
        });
        if both == 0 {
            return;
        }
        let overflows = !self.overflowed.is_empty() || {
            let mut any = false;
            lanes(both, all, values, |i, v| any |= (sum[i] + v).is_infinite());
            any
        };
        if !overflows {
            return lanes(both, all, values, |i, v| {
                (sum[i], c[i]) = kahan::add(v, sum[i], c[i]);
                count[i] += 1.0;
            });
        }
        for i in ones(&[both]) {
            let value = values[i];
            if let Some(mean) = self.overflowed.get_mut(&(from + i)) {
                mean.push(value);
                continue;
            }
            let (t, compensation) = kahan::add(value, sum[i], c[i]);
            if t.is_infinite() {
                let mut mean = Mean::resume(count[i], sum[i], c[i]);
                mean.push(value);
                self.overflowed.insert(from + i, mean);
            } else {
                (sum[i], c[i]) = (t, compensation);
                count[i] += 1.0;
            }
        }
    }

    fn finish(&mut self, op: AggregateOp) {
        match op {
            AggregateOp::Sum => {
                for (sum, c) in self.value.iter_mut().zip(&self.second) {
                    *sum += c;
                }
            }
            AggregateOp::Avg => {
                for ((sum, c), count) in self.value.iter_mut().zip(&self.second).zip(&self.count) {
                    *sum = *sum / count + c / count;
                }
                for (&at, mean) in &self.overflowed {
                    self.value[at] = mean.value();
                }
            }
            AggregateOp::Stdvar | AggregateOp::Stddev => {
                for (squares, count) in self.value.iter_mut().zip(&self.count) {
                    *squares /= count;
                    if op == AggregateOp::Stddev {
                        *squares = squares.sqrt();
                    }
                }
            }
            AggregateOp::Group => self.value.fill(1.0),
            _ => {}
        }
    }
}

/// Calls `f` for the steps in `mask`: as a plain loop where it is `all` of the word, which the
/// compiler can turn into vector instructions.
#[inline(always)]
fn lanes(mask: u64, all: u64, values: &[f64], mut f: impl FnMut(usize, f64)) {
    if mask == 0 {
        return;
    }
    if mask == all {
        for (i, &value) in values.iter().enumerate() {
            f(i, value);
        }
        return;
    }
    let mut rest = mask;
    while rest != 0 {
        let i = rest.trailing_zeros() as usize;
        rest &= rest - 1;
        f(i, values[i]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Folds rows of 70 steps, present where `value` is some, and returns the group's values.
    fn fold(op: AggregateOp, rows: &[[Option<f64>; 70]]) -> Vec<Option<f64>> {
        let mut columns = Columns {
            value: vec![0.0; 70],
            second: vec![0.0; 70],
            count: vec![0.0; 70],
            seen: vec![0; 2],
            ..Columns::default()
        };
        for row in rows {
            let mut present = [0u64; 2];
            let values = row.map(Option::unwrap_or_default);
            for (step, value) in row.iter().enumerate() {
                if value.is_some() {
                    set(&mut present, step);
                }
            }
            columns.fold(op, 0, &values, &present);
        }
        columns.finish(op);
        (0..70)
            .map(|step| crate::engine::block::has(&columns.seen, step).then(|| columns.value[step]))
            .collect()
    }

    #[test]
    fn every_step_is_folded_on_its_own() {
        let rows: Vec<[Option<f64>; 70]> = (0..7u32)
            .map(|row| {
                std::array::from_fn(|step| {
                    let step = step as u32;
                    (!(step * 7 + row * 3).is_multiple_of(5) || step < 3)
                        .then(|| f64::from(row * 31 + step) / 3.0)
                })
            })
            .collect();
        for step in 0..70 {
            let values: Vec<f64> = rows.iter().filter_map(|row| row[step]).collect();
            let expect = |value: f64| (!values.is_empty()).then_some(value);
            let mut mean = values.first().map(|&first| Mean::new(first));
            for &value in values.iter().skip(1) {
                if let Some(mean) = &mut mean {
                    mean.push(value);
                }
            }
            assert_eq!(
                fold(AggregateOp::Avg, &rows)[step],
                mean.map(|mean| mean.value())
            );
            let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert_eq!(fold(AggregateOp::Max, &rows)[step], expect(max));
            assert_eq!(
                fold(AggregateOp::Count, &rows)[step],
                expect(values.len() as f64)
            );
        }
    }

    #[test]
    fn an_overflowing_mean_is_incremental() {
        let rows = [[Some(1e308); 70], [Some(1e308); 70], [Some(1e308); 70]];
        assert_eq!(fold(AggregateOp::Avg, &rows)[69], Some(1e308));
        assert_eq!(fold(AggregateOp::Sum, &rows)[0], Some(f64::INFINITY));
    }
}
