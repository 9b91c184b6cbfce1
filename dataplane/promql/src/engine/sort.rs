//! `sort`, `sort_desc`, `sort_by_label` and `sort_by_label_desc`.

use std::cmp::Ordering;

use crate::ast::PosRange;
use crate::plan::SortOrder;

use super::block::{Block, Grid};
use super::exec::{Exec, Operator};
use super::{EngineError, annotate};

/// Orders an instant vector. Over several steps the order means nothing, since a matrix is sorted by
/// labels.
pub(crate) struct Sort {
    input: Box<dyn Operator>,
    order: SortOrder,
    pos: PosRange,
    grid: Grid,
    done: bool,
}

impl Sort {
    pub(crate) fn new(
        input: Box<dyn Operator>,
        order: &SortOrder,
        pos: PosRange,
        grid: Grid,
    ) -> Self {
        Self {
            input,
            order: order.clone(),
            pos,
            grid,
            done: false,
        }
    }
}

impl Operator for Sort {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        if self.grid.steps != 1 {
            if !self.done {
                self.done = true;
                ex.warn(annotate::sort_in_range_query(self.pos));
            }
            return self.input.next(ex);
        }
        if self.done {
            return Ok(None);
        }
        self.done = true;
        let mut collected = ex.collect(self.input.as_mut(), &self.grid, "a sorted vector")?;
        ex.let_go(collected.samples);
        let block = &mut collected.block;
        if matches!(self.order, SortOrder::Value { .. }) {
            block.drop_histograms();
        }
        let mut rows: Vec<usize> = (0..block.rows()).collect();
        match &self.order {
            SortOrder::Value { descending } => rows.sort_by(|&a, &b| {
                by_value(block.row_values(a)[0], block.row_values(b)[0], *descending)
            }),
            SortOrder::Labels { names, descending } => {
                let names: Vec<_> = names.iter().map(|name| ex.symbols.intern(name)).collect();
                rows.sort_by(|&a, &b| {
                    let (a, b) = (&block.series[a].labels, &block.series[b].labels);
                    let order = names
                        .iter()
                        .map(|&name| {
                            let (a, b) = (ex.symbols.get(a.get(name)), ex.symbols.get(b.get(name)));
                            natural(a, b)
                        })
                        .find(|order| order.is_ne())
                        .unwrap_or_else(|| a.compare(b, &ex.symbols));
                    if *descending { order.reverse() } else { order }
                });
            }
        }
        let mut sorted = ex.block(&self.grid);
        for row in rows {
            sorted.push_row_of(block, row);
        }
        Ok((sorted.rows() > 0).then_some(sorted))
    }
}

/// Orders floats; NaN comes last either way.
pub(crate) fn by_value(a: f64, b: f64, descending: bool) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => {
            let order = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
            if descending { order.reverse() } else { order }
        }
    }
}

/// Natural order: runs of digits compare as numbers.
fn natural(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let (chunks_a, chunks_b) = (chunks(a), chunks(b));
    for (x, y) in chunks_a.iter().zip(&chunks_b) {
        if x == y {
            continue;
        }
        let digits = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        if digits(x) && digits(y) {
            let (m, n) = (x.trim_start_matches('0'), y.trim_start_matches('0'));
            let order = m.len().cmp(&n.len()).then_with(|| m.cmp(n));
            if order.is_ne() {
                return order;
            }
            continue;
        }
        return x.cmp(y);
    }
    chunks_a.len().cmp(&chunks_b.len())
}

/// Splits a text where digits begin or end.
fn chunks(text: &str) -> Vec<&str> {
    let mut chunks = Vec::new();
    let mut start = 0;
    let mut digits = None;
    for (at, c) in text.char_indices() {
        let is_digit = c.is_ascii_digit();
        if digits.is_some_and(|digits| digits != is_digit) {
            chunks.push(&text[start..at]);
            start = at;
        }
        digits = Some(is_digit);
    }
    if start < text.len() {
        chunks.push(&text[start..]);
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_texts_are_numbers() {
        let mut names = ["cpu10", "cpu9", "cpu", "cpu1a", "cpu1", "b"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["b", "cpu", "cpu1", "cpu1a", "cpu9", "cpu10"]);
    }
}
