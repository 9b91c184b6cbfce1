//! `sort`, `sort_desc`, `sort_by_label` and `sort_by_label_desc`.

use crate::ast::PosRange;
use crate::plan::SortOrder;

use super::block::{Block, Grid};
use super::exec::{Exec, Operator};
use super::{EngineError, annotate, gosort};

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
        if !self.grid.instant {
            if !self.done {
                self.done = true;
                ex.warn(annotate::sort_in_range_query(self.pos));
            }
            let mut block = self.input.next(ex)?;
            if let (Some(block), SortOrder::Value { .. }) = (&mut block, &self.order) {
                block.drop_histograms();
            }
            return Ok(block);
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
            SortOrder::Value { descending } => gosort::sort(&mut rows, |&a, &b| {
                goes_first(block.row_values(a)[0], block.row_values(b)[0], *descending)
            }),
            SortOrder::Labels { names, descending } => {
                let names: Vec<_> = names.iter().map(|name| ex.symbols.intern(name)).collect();
                gosort::sort(&mut rows, |&a, &b| {
                    let (a, b) = (&block.series[a].labels, &block.series[b].labels);
                    let by_name = names.iter().find_map(|&name| {
                        let (a, b) = (ex.symbols.get(a.get(name)), ex.symbols.get(b.get(name)));
                        (a != b).then(|| natural_first(a, b))
                    });
                    // Both of two values may go first, so the descending order turns the answer
                    // around, not the question.
                    match by_name {
                        Some(first) => first != *descending,
                        None => {
                            let order = a.compare(b, &ex.symbols);
                            if *descending {
                                order.is_gt()
                            } else {
                                order.is_lt()
                            }
                        }
                    }
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

/// Whether `a` goes before `b`; NaN comes last either way. Of two NaN each goes before the other, as
/// in Prometheus.
pub(crate) fn goes_first(a: f64, b: f64, descending: bool) -> bool {
    b.is_nan() || if descending { a > b } else { a < b }
}

/// Whether `a` goes before another text in natural order: runs of digits compare as numbers. Of two
/// texts that only differ in leading zeros each may go before the other, as in Prometheus.
fn natural_first(a: &str, b: &str) -> bool {
    let (chunks_a, chunks_b) = (chunks(a), chunks(b));
    for (i, x) in chunks_a.iter().enumerate() {
        let Some(y) = chunks_b.get(i) else {
            return false;
        };
        let equal = match (number(x), number(y)) {
            (Some(m), Some(n)) if m != n => return m < n,
            (Some(_), Some(_)) => true,
            _ => x == y,
        };
        if !equal {
            return x < y;
        }
        if i + 1 == chunks_a.len() {
            return true;
        }
        if i + 1 == chunks_b.len() {
            return false;
        }
    }
    false
}

/// Reads a chunk of digits; one too large for an integer is a text.
fn number(chunk: &str) -> Option<i64> {
    chunk.parse().ok()
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
        gosort::sort(&mut names, |a, b| natural_first(a, b));
        assert_eq!(names, ["b", "cpu", "cpu1", "cpu1a", "cpu9", "cpu10"]);
    }

    #[test]
    fn leading_zeros_order_nothing() {
        assert!(natural_first("0.1", "0.01") && natural_first("0.01", "0.1"));
        assert!(!natural_first("a1b", "a1") && natural_first("a1", "a1b"));
        assert!(natural_first("10000000000000000000", "9300000000000000000"));
    }
}
