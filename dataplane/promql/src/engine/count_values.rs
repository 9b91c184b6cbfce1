//! `count_values`: how many series of a group have the same value.

use hashbrown::HashMap;

use crate::context::Reservation;
use crate::number::format_f;
use crate::symbols::{SymbolId, SymbolLabels};

use super::EngineError;
use super::block::{Block, Grid, SeriesMeta, has, ones, set};
use super::exec::{Exec, Operator};

/// Counts equal values; the value becomes a label.
pub(crate) struct CountValues {
    input: Box<dyn Operator>,
    label: SymbolId,
    names: Vec<SymbolId>,
    without: bool,
    grid: Grid,
    done: bool,
}

impl CountValues {
    pub(crate) fn new(
        input: Box<dyn Operator>,
        label: &str,
        grouping: &[String],
        without: bool,
        grid: Grid,
        ex: &mut Exec<'_>,
    ) -> Self {
        let label = ex.symbols.intern(label);
        let mut names: Vec<SymbolId> = grouping
            .iter()
            .map(|name| ex.symbols.intern(name))
            .collect();
        // The value's label is always one of the group's.
        names.push(if without {
            SymbolId::METRIC_NAME
        } else {
            label
        });
        Self {
            input,
            label,
            names,
            without,
            grid,
            done: false,
        }
    }
}

impl CountValues {
    /// The labels of the group of a series with that value.
    fn labels(&self, series: &SymbolLabels, value: &str, ex: &mut Exec<'_>) -> SymbolLabels {
        let mut labels = series.clone();
        let value = ex.symbols.intern(value);
        labels.set(self.label, value, &ex.symbols);
        labels.retain(|name| self.names.contains(&name) != self.without);
        labels
    }
}

fn count(out: &mut Block, row: usize, step: usize) {
    let (counts, present) = out.row_mut(row);
    counts[step] = if has(present, step) {
        counts[step] + 1.0
    } else {
        1.0
    };
    set(present, step);
}

impl Operator for CountValues {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        if self.done {
            return Ok(None);
        }
        self.done = true;
        let mut out = Block::new(&self.grid);
        let mut rows: HashMap<SymbolLabels, usize> = HashMap::new();
        // The output row of the series at hand for a value seen before.
        let mut known: HashMap<u64, usize> = HashMap::new();
        let mut reservation = Reservation::new(ex.cx.memory());
        while let Some(mut block) = self.input.next(ex)? {
            ex.cx.check()?;
            let histograms = std::mem::take(&mut block.histograms);
            for (row, histograms) in histograms.iter().enumerate() {
                for (step, histogram) in histograms {
                    let text = super::histogram::text(histogram);
                    let labels = self.labels(&block.series[row].labels, &text, ex);
                    let at = *rows.entry(labels).or_insert_with_key(|labels| {
                        let labels = labels.clone();
                        out.push_empty(SeriesMeta {
                            labels,
                            drop_name: false,
                        })
                    });
                    count(&mut out, at, *step as usize);
                }
            }
            for row in 0..block.rows() {
                known.clear();
                let values = block.row_values(row);
                for step in ones(block.row_present(row)) {
                    let value = values[step];
                    // All NaN are one value.
                    let bits = if value.is_nan() {
                        u64::MAX
                    } else {
                        value.to_bits()
                    };
                    let at = *known.entry(bits).or_insert_with(|| {
                        let labels = self.labels(&block.series[row].labels, &format_f(value), ex);
                        *rows.entry(labels).or_insert_with_key(|labels| {
                            let labels = labels.clone();
                            out.push_empty(SeriesMeta {
                                labels,
                                drop_name: false,
                            })
                        })
                    });
                    count(&mut out, at, step);
                }
            }
            reservation.resize(out.size_bytes(), &"count_values")?;
            ex.charge_symbols()?;
            ex.recycle(block);
        }
        Ok((out.rows() > 0).then_some(out))
    }
}
