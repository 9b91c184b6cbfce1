//! Step columns: the values of a batch of series at every step of an evaluation.

use std::borrow::Cow;
use std::sync::Arc;

use crate::queryable::histogram_bytes;
use crate::symbols::SymbolLabels;
use model::histogram::FloatHistogram;

/// The steps of an evaluation, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Grid {
    pub start: i64,
    /// At least 1.
    pub step: i64,
    pub steps: usize,
    /// Whether the evaluation ends where it starts; a single step may also be all that fits in.
    pub instant: bool,
}

impl Grid {
    pub(crate) fn new(start: i64, end: i64, step: i64) -> Self {
        let step = step.max(1);
        let steps = if end < start {
            0
        } else {
            usize::try_from((i128::from(end) - i128::from(start)) / i128::from(step) + 1)
                .unwrap_or(usize::MAX)
        };
        Self {
            start,
            step,
            steps,
            instant: start == end,
        }
    }

    #[inline]
    pub(crate) fn ts(&self, step: usize) -> i64 {
        self.start
            .wrapping_add((step as i64).wrapping_mul(self.step))
    }

    /// The last step; the start where there is none.
    pub(crate) fn end(&self) -> i64 {
        self.ts(self.steps.saturating_sub(1))
    }

    /// The evaluation of a part that is the same at every step.
    pub(crate) fn first_only(&self) -> Self {
        Self {
            steps: self.steps.min(1),
            instant: true,
            ..*self
        }
    }

    pub(crate) fn words(&self) -> usize {
        self.steps.div_ceil(64)
    }
}

/// The labels of a row.
#[derive(Debug, Clone, Default)]
pub(crate) struct SeriesMeta {
    pub labels: SymbolLabels,
    /// Whether the metric's name has to go at the end, where that is delayed.
    pub drop_name: bool,
}

/// The histograms of one row: `(step, value)`, ascending.
pub(crate) type HistogramRow = Vec<(u32, Arc<FloatHistogram>)>;

/// A batch of series: for each a row of `steps` values and a bitmap of the steps at which the series
/// has a float. The value of an absent step means nothing.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub steps: usize,
    pub words: usize,
    pub series: Vec<SeriesMeta>,
    pub values: Vec<f64>,
    pub present: Vec<u64>,
    /// Empty where no row has a histogram, else one entry a row.
    pub histograms: Vec<HistogramRow>,
}

impl Block {
    pub(crate) fn new(grid: &Grid) -> Self {
        Self {
            steps: grid.steps,
            words: grid.words(),
            ..Self::default()
        }
    }

    /// Empties the block for another use; the allocations stay.
    pub(crate) fn reset(&mut self, grid: &Grid) {
        self.steps = grid.steps;
        self.words = grid.words();
        self.series.clear();
        self.values.clear();
        self.present.clear();
        self.histograms.clear();
    }

    pub(crate) fn rows(&self) -> usize {
        self.series.len()
    }

    #[inline]
    pub(crate) fn row_values(&self, row: usize) -> &[f64] {
        &self.values[row * self.steps..(row + 1) * self.steps]
    }

    #[inline]
    pub(crate) fn row_present(&self, row: usize) -> &[u64] {
        &self.present[row * self.words..(row + 1) * self.words]
    }

    #[inline]
    pub(crate) fn row_mut(&mut self, row: usize) -> (&mut [f64], &mut [u64]) {
        (
            &mut self.values[row * self.steps..(row + 1) * self.steps],
            &mut self.present[row * self.words..(row + 1) * self.words],
        )
    }

    pub(crate) fn row_histograms(&self, row: usize) -> &[(u32, Arc<FloatHistogram>)] {
        self.histograms.get(row).map_or(&[], Vec::as_slice)
    }

    /// The steps at which a row has a float or a histogram.
    pub(crate) fn row_any(&self, row: usize) -> Cow<'_, [u64]> {
        let present = self.row_present(row);
        let histograms = self.row_histograms(row);
        if histograms.is_empty() {
            return Cow::Borrowed(present);
        }
        let mut any = present.to_vec();
        for (step, _) in histograms {
            set(&mut any, *step as usize);
        }
        Cow::Owned(any)
    }

    /// Appends a row without samples and returns its number.
    pub(crate) fn push_empty(&mut self, meta: SeriesMeta) -> usize {
        let row = self.series.len();
        self.series.push(meta);
        self.values.resize((row + 1) * self.steps, 0.0);
        self.present.resize((row + 1) * self.words, 0);
        if !self.histograms.is_empty() {
            self.histograms.push(Vec::new());
        }
        row
    }

    /// Appends a row that has `value` at every step.
    pub(crate) fn push_constant(&mut self, meta: SeriesMeta, value: f64) {
        let row = self.push_empty(meta);
        let steps = self.steps;
        let (values, present) = self.row_mut(row);
        values.fill(value);
        fill(present, steps);
    }

    pub(crate) fn set_histograms(&mut self, row: usize, histograms: HistogramRow) {
        if histograms.is_empty() {
            return;
        }
        if self.histograms.is_empty() {
            self.histograms.resize_with(self.series.len(), Vec::new);
        }
        self.histograms[row] = histograms;
    }

    pub(crate) fn row_is_empty(&self, row: usize) -> bool {
        self.row_present(row).iter().all(|&word| word == 0) && self.row_histograms(row).is_empty()
    }

    /// Removes the rows for which `keep` is false; the order stays.
    pub(crate) fn retain_rows(&mut self, mut keep: impl FnMut(&Self, usize) -> bool) {
        let rows = self.rows();
        let mut kept = 0;
        for row in 0..rows {
            if !keep(self, row) {
                continue;
            }
            if kept != row {
                self.series.swap(kept, row);
                self.values
                    .copy_within(row * self.steps..(row + 1) * self.steps, kept * self.steps);
                self.present
                    .copy_within(row * self.words..(row + 1) * self.words, kept * self.words);
                if !self.histograms.is_empty() {
                    self.histograms.swap(kept, row);
                }
            }
            kept += 1;
        }
        self.truncate(kept);
    }

    /// Keeps the first `rows` rows.
    pub(crate) fn truncate(&mut self, rows: usize) {
        self.series.truncate(rows);
        self.values.truncate(rows * self.steps);
        self.present.truncate(rows * self.words);
        if !self.histograms.is_empty() {
            self.histograms.truncate(rows);
        }
    }

    pub(crate) fn drop_empty_rows(&mut self) {
        self.retain_rows(|block, row| !block.row_is_empty(row));
    }

    /// Forgets the histograms, for operations that know floats only.
    pub(crate) fn drop_histograms(&mut self) {
        self.histograms.clear();
        self.drop_empty_rows();
    }

    /// Appends all rows of `other`, which has the same steps.
    pub(crate) fn append(&mut self, mut other: Self) {
        if self.rows() == 0 {
            *self = other;
            return;
        }
        let rows = self.rows();
        if !other.histograms.is_empty() || !self.histograms.is_empty() {
            self.histograms.resize_with(rows, Vec::new);
            other.histograms.resize_with(other.rows(), Vec::new);
            self.histograms.append(&mut other.histograms);
        }
        self.series.append(&mut other.series);
        self.values.append(&mut other.values);
        self.present.append(&mut other.present);
    }

    /// Appends a copy of one row of `other`, which has the same steps.
    pub(crate) fn push_row_of(&mut self, other: &Self, row: usize) {
        let at = self.rows();
        self.series.push(other.series[row].clone());
        self.values.extend_from_slice(other.row_values(row));
        self.present.extend_from_slice(other.row_present(row));
        if !self.histograms.is_empty() {
            self.histograms.push(Vec::new());
        }
        self.set_histograms(at, other.row_histograms(row).to_vec());
    }

    /// The bytes held, for the memory account.
    pub(crate) fn size_bytes(&self) -> usize {
        self.values.capacity() * size_of::<f64>()
            + self.present.capacity() * size_of::<u64>()
            + self
                .series
                .iter()
                .map(|meta| meta.labels.size_bytes() + 8)
                .sum::<usize>()
            + self
                .histograms
                .iter()
                .flatten()
                .map(|(_, h)| histogram_bytes(h))
                .sum::<usize>()
    }

    /// The samples held, for the sample limit.
    pub(crate) fn samples(&self) -> usize {
        self.present
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum::<usize>()
            + self.histograms.iter().map(Vec::len).sum::<usize>()
    }
}

/// Returns whether a step is present.
#[inline]
pub(crate) fn has(present: &[u64], step: usize) -> bool {
    present[step >> 6] >> (step & 63) & 1 != 0
}

#[inline]
pub(crate) fn set(present: &mut [u64], step: usize) {
    present[step >> 6] |= 1 << (step & 63);
}

#[inline]
pub(crate) fn unset(present: &mut [u64], step: usize) {
    present[step >> 6] &= !(1 << (step & 63));
}

/// Marks the first `steps` steps as present.
pub(crate) fn fill(present: &mut [u64], steps: usize) {
    for (i, word) in present.iter_mut().enumerate() {
        *word = full_word(i, steps);
    }
}

/// Returns word `index` of the bitmap in which all of `steps` steps are present.
#[inline]
pub(crate) fn full_word(index: usize, steps: usize) -> u64 {
    let rest = steps.saturating_sub(index * 64);
    if rest >= 64 {
        u64::MAX
    } else {
        (1 << rest) - 1
    }
}

/// Iterates over the steps that are present.
#[inline]
pub(crate) fn ones(present: &[u64]) -> impl Iterator<Item = usize> + '_ {
    present.iter().enumerate().flat_map(|(i, &word)| {
        let mut rest = word;
        std::iter::from_fn(move || {
            if rest == 0 {
                return None;
            }
            let bit = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            Some(i * 64 + bit)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_can_be_removed() {
        let grid = Grid::new(0, 99, 1);
        let mut block = Block::new(&grid);
        for value in [1.0, 2.0, 3.0] {
            block.push_constant(SeriesMeta::default(), value);
        }
        let (_, present) = block.row_mut(1);
        present.fill(0);
        block.drop_empty_rows();
        assert_eq!(block.rows(), 2);
        assert_eq!(block.row_values(1)[99], 3.0);
        assert_eq!(ones(block.row_present(1)).count(), 100);
    }

    #[test]
    fn a_grid_ends_at_its_last_step() {
        assert_eq!(Grid::new(0, 25, 10).steps, 3);
        assert_eq!(Grid::new(0, 25, 10).end(), 20);
        assert_eq!(Grid::new(5, 4, 10).steps, 0);
        assert_eq!(Grid::new(i64::MIN, i64::MAX, 1).steps, usize::MAX);
    }
}
