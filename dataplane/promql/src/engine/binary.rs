//! Operators between two vectors.
//!
//! Each series gets the number of its match group from the symbols of its labels when it arrives. The
//! side whose groups must be unique is read first; the other streams past it.
//!
//! In reading order: match groups, `vector` (the operator), `floats` and `histograms` (the pairs),
//! `violations` (matches that are not unique), `set` (`and`, `or`, `unless`).

mod floats;
mod histograms;
pub(crate) mod set;
mod vector;
mod violations;

use hashbrown::HashMap;

use crate::ast::VectorMatching;
use crate::symbols::{SymbolId, SymbolLabels};

use super::block::Grid;
use super::exec::Exec;

pub(crate) use vector::Binary;

/// Numbers the match groups of series.
pub(crate) struct Matching {
    names: Vec<SymbolId>,
    on: bool,
    numbers: HashMap<Box<[(SymbolId, SymbolId)]>, usize, foldhash::fast::FixedState>,
    key: Vec<(SymbolId, SymbolId)>,
}

impl Matching {
    fn new(matching: &VectorMatching, ex: &mut Exec<'_>) -> Self {
        let mut names: Vec<SymbolId> = matching
            .labels
            .iter()
            .map(|name| ex.symbols.intern(name))
            .collect();
        if !matching.on {
            names.push(SymbolId::METRIC_NAME);
        }
        Self {
            names,
            on: matching.on,
            numbers: HashMap::with_hasher(foldhash::fast::FixedState::default()),
            key: Vec::new(),
        }
    }

    fn fill_key(&mut self, labels: &SymbolLabels) {
        self.key.clear();
        let pairs = labels.pairs().iter();
        self.key
            .extend(pairs.filter(|pair| self.names.contains(&pair.0) == self.on));
    }

    /// Returns the number of the series' group, a new one if needed.
    fn number(&mut self, labels: &SymbolLabels) -> usize {
        self.fill_key(labels);
        if let Some(&number) = self.numbers.get(self.key.as_slice()) {
            return number;
        }
        let number = self.numbers.len();
        self.numbers.insert(self.key.as_slice().into(), number);
        number
    }

    /// Returns the number of the series' group if it has one.
    fn find(&mut self, labels: &SymbolLabels) -> Option<usize> {
        self.fill_key(labels);
        self.numbers.get(self.key.as_slice()).copied()
    }

    /// The labels that matching is about.
    fn labels_of(&mut self, labels: &SymbolLabels) -> SymbolLabels {
        self.fill_key(labels);
        SymbolLabels::from_sorted(self.key.clone())
    }
}

/// A bitmap of steps for each of many things.
#[derive(Default)]
struct Bitmaps {
    words: usize,
    bits: Vec<u64>,
}

impl Bitmaps {
    fn new(grid: &Grid) -> Self {
        Self {
            words: grid.words(),
            bits: Vec::new(),
        }
    }

    fn grow(&mut self, len: usize) {
        if self.bits.len() < len * self.words {
            self.bits.resize(len * self.words, 0);
        }
    }

    fn get(&self, index: usize) -> &[u64] {
        self.bits
            .get(index * self.words..(index + 1) * self.words)
            .unwrap_or(&[])
    }

    fn get_mut(&mut self, index: usize) -> &mut [u64] {
        self.grow(index + 1);
        &mut self.bits[index * self.words..(index + 1) * self.words]
    }
}
