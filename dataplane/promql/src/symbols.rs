//! Label sets as numbers: the strings of one query are interned once, so that grouping, matching
//! and renaming compare `u32`s.

use std::cmp::Ordering;
use std::hash::BuildHasher;

use hashbrown::HashTable;
use model::{Labels, LabelsBuilder};

/// The number of a string in one query's [`SymbolTable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SymbolId(u32);

impl SymbolId {
    /// The empty string.
    pub const EMPTY: Self = Self(0);
    /// `__name__`.
    pub const METRIC_NAME: Self = Self(1);
    /// `__type__`.
    pub const METRIC_TYPE: Self = Self(2);
    /// `__unit__`.
    pub const METRIC_UNIT: Self = Self(3);
    /// `le`, the upper bound of a classic bucket.
    pub const LE: Self = Self(4);

    fn index(self) -> usize {
        self.0 as usize
    }

    /// Returns whether the label describes the metric itself and is dropped when a function changes
    /// what the value means.
    #[must_use]
    pub const fn is_metadata(self) -> bool {
        matches!(
            self,
            Self::METRIC_NAME | Self::METRIC_TYPE | Self::METRIC_UNIT
        )
    }
}

/// The interned strings of one query.
///
/// A storage with its own numbering keeps a map from its numbers to these, so that each distinct
/// string is hashed once per query and not once per series.
pub struct SymbolTable {
    text: String,
    ends: Vec<usize>,
    index: HashTable<u32>,
    hasher: foldhash::fast::FixedState,
}

impl Default for SymbolTable {
    fn default() -> Self {
        Self::new()
    }
}

impl SymbolTable {
    /// Returns a table that holds the well-known symbols only.
    #[must_use]
    pub fn new() -> Self {
        let mut table = Self {
            text: String::new(),
            ends: Vec::new(),
            index: HashTable::new(),
            hasher: foldhash::fast::FixedState::default(),
        };
        for known in ["", "__name__", "__type__", "__unit__", "le"] {
            table.intern(known);
        }
        table
    }

    /// Returns the number of `text`, adding it if it is new.
    pub fn intern(&mut self, text: &str) -> SymbolId {
        let hash = self.hasher.hash_one(text);
        let found = self
            .index
            .find(hash, |&id| slice(&self.text, &self.ends, id) == text);
        if let Some(&id) = found {
            return SymbolId(id);
        }
        // A query that interned 2^32 strings has exceeded every memory limit long before.
        let id = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        self.text.push_str(text);
        self.ends.push(self.text.len());
        let (table_text, ends, hasher) = (&self.text, &self.ends, &self.hasher);
        self.index.insert_unique(hash, id, |&other| {
            hasher.hash_one(slice(table_text, ends, other))
        });
        SymbolId(id)
    }

    /// Returns the number of `text` if some label has used it.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<SymbolId> {
        let hash = self.hasher.hash_one(text);
        self.index
            .find(hash, |&id| slice(&self.text, &self.ends, id) == text)
            .map(|&id| SymbolId(id))
    }

    /// Returns the string of `id`; the empty string for a number of another table.
    #[must_use]
    pub fn get(&self, id: SymbolId) -> &str {
        slice(&self.text, &self.ends, id.0)
    }

    /// Returns the bytes held, for memory accounts.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.text.capacity()
            + self.ends.capacity() * size_of::<usize>()
            + self.index.capacity() * size_of::<u32>()
    }
}

#[inline]
fn slice<'a>(text: &'a str, ends: &[usize], id: u32) -> &'a str {
    let id = id as usize;
    let start = if id == 0 {
        0
    } else {
        ends.get(id - 1).copied().unwrap_or(0)
    };
    let end = ends.get(id).copied().unwrap_or(start);
    text.get(start..end).unwrap_or("")
}

/// A label set in a query's symbols: `(name, value)` in the order of the names' strings, no name
/// twice, no empty value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct SymbolLabels(Vec<(SymbolId, SymbolId)>);

impl SymbolLabels {
    /// Returns the label set of `pairs`, which have to come in order of name and without empty
    /// values, as every storage keeps them.
    #[must_use]
    pub fn from_sorted(pairs: Vec<(SymbolId, SymbolId)>) -> Self {
        Self(pairs)
    }

    /// Interns `labels`.
    #[must_use]
    pub fn intern(labels: &Labels, symbols: &mut SymbolTable) -> Self {
        Self(
            labels
                .iter()
                .map(|label| (symbols.intern(label.name), symbols.intern(label.value)))
                .collect(),
        )
    }

    /// Returns the pairs in order of name.
    #[must_use]
    pub fn pairs(&self) -> &[(SymbolId, SymbolId)] {
        &self.0
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value of `name`; [`SymbolId::EMPTY`] where it is not set.
    #[must_use]
    pub fn get(&self, name: SymbolId) -> SymbolId {
        self.0
            .iter()
            .find(|pair| pair.0 == name)
            .map_or(SymbolId::EMPTY, |pair| pair.1)
    }

    /// Sets `name`, or removes it where `value` is empty.
    pub fn set(&mut self, name: SymbolId, value: SymbolId, symbols: &SymbolTable) {
        let found = self.0.iter().position(|pair| pair.0 == name);
        match (found, value == SymbolId::EMPTY) {
            (Some(at), true) => {
                self.0.remove(at);
            }
            (Some(at), false) => self.0[at].1 = value,
            (None, true) => {}
            (None, false) => {
                let text = symbols.get(name);
                let at = self.0.partition_point(|pair| symbols.get(pair.0) < text);
                self.0.insert(at, (name, value));
            }
        }
    }

    /// Keeps the labels whose name passes.
    pub fn retain(&mut self, mut keep: impl FnMut(SymbolId) -> bool) {
        self.0.retain(|pair| keep(pair.0));
    }

    /// Removes the labels that describe the metric itself: name, type and unit.
    pub fn drop_metadata(&mut self) {
        self.retain(|name| !name.is_metadata());
    }

    /// Compares as [`Labels`] do: label by label, name before value, a prefix first.
    #[must_use]
    pub fn compare(&self, other: &Self, symbols: &SymbolTable) -> Ordering {
        for (a, b) in self.0.iter().zip(&other.0) {
            for (x, y) in [(a.0, b.0), (a.1, b.1)] {
                if x != y {
                    let order = symbols.get(x).cmp(symbols.get(y));
                    if order != Ordering::Equal {
                        return order;
                    }
                }
            }
        }
        self.0.len().cmp(&other.0.len())
    }

    /// Returns the label set as strings.
    #[must_use]
    pub fn resolve(&self, symbols: &SymbolTable) -> Labels {
        let mut builder = LabelsBuilder::with_capacity(
            self.0
                .iter()
                .map(|pair| symbols.get(pair.0).len() + symbols.get(pair.1).len() + 2)
                .sum(),
        );
        for pair in &self.0 {
            builder.push(symbols.get(pair.0), symbols.get(pair.1));
        }
        builder.finish()
    }

    /// Returns the bytes held, for memory accounts.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.0.capacity() * size_of::<(SymbolId, SymbolId)>()
    }
}

impl SymbolTable {
    /// Returns how many strings are interned.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// A table always holds the well-known symbols.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns whether `id` belongs to this table.
    #[must_use]
    pub fn contains(&self, id: SymbolId) -> bool {
        id.index() < self.ends.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_has_one_number() {
        let mut table = SymbolTable::new();
        let a = table.intern("job");
        assert_eq!(table.intern("job"), a);
        assert_eq!(table.get(a), "job");
        assert_eq!(table.intern(""), SymbolId::EMPTY);
        assert_eq!(table.intern("__name__"), SymbolId::METRIC_NAME);
        assert_eq!(table.intern("le"), SymbolId::LE);
        assert_eq!(table.find("absent"), None);
    }

    #[test]
    fn labels_stay_sorted_whatever_the_numbers_are() {
        let mut table = SymbolTable::new();
        let z = table.intern("z");
        let a = table.intern("a");
        let mut labels = SymbolLabels::default();
        labels.set(z, a, &table);
        labels.set(a, z, &table);
        assert_eq!(labels.resolve(&table).to_string(), r#"{a="z", z="a"}"#);
        labels.set(a, SymbolId::EMPTY, &table);
        assert_eq!(labels.resolve(&table).to_string(), r#"{z="a"}"#);
    }
}
