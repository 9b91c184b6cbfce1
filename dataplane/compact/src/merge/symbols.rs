//! One table of symbols out of several, and how each source's symbols are called in it.

use std::collections::HashMap;

use tsdb::WriteError;
use tsdb::index::{Reader, SymbolRef, Version};

/// How a source's symbols are called in the new block.
#[derive(Debug)]
pub enum SymbolMap {
    /// By number.
    Numbered(Vec<SymbolRef>),
    /// By offset, as version 1 names them.
    ByOffset(HashMap<SymbolRef, SymbolRef>),
}

impl SymbolMap {
    fn new(version: Version) -> Self {
        match version {
            Version::V1 => Self::ByOffset(HashMap::new()),
            Version::V2 => Self::Numbered(Vec::new()),
        }
    }

    /// Returns a symbol of the source in the new block.
    pub fn get(&self, symbol: SymbolRef) -> Option<SymbolRef> {
        match self {
            Self::Numbered(numbers) => numbers.get(symbol.0 as usize).copied(),
            Self::ByOffset(offsets) => offsets.get(&symbol).copied(),
        }
    }

    fn push(&mut self, index: &Reader, text: &str, symbol: SymbolRef) {
        match self {
            Self::Numbered(numbers) => numbers.push(symbol),
            Self::ByOffset(offsets) => {
                if let Some(offset) = index.symbols().find(text) {
                    offsets.insert(offset, symbol);
                }
            }
        }
    }
}

/// Gives `add` each symbol of the sources once, in order, and remembers what it is called.
///
/// # Errors
/// What `add` answers.
pub fn merge_symbols(
    sources: &[&Reader],
    mut add: impl FnMut(&str) -> Result<SymbolRef, WriteError>,
) -> Result<Vec<SymbolMap>, WriteError> {
    let mut iterators: Vec<_> = sources
        .iter()
        .map(|index| index.symbols().iter().peekable())
        .collect();
    let mut maps: Vec<SymbolMap> = sources
        .iter()
        .map(|index| SymbolMap::new(index.version()))
        .collect();
    loop {
        let texts = iterators
            .iter_mut()
            .filter_map(|iterator| iterator.peek().copied());
        let Some(text) = texts.min() else {
            return Ok(maps);
        };
        let symbol = add(text)?;
        for ((iterator, map), index) in iterators.iter_mut().zip(&mut maps).zip(sources) {
            if iterator.next_if_eq(&text).is_some() {
                map.push(index, text, symbol);
            }
        }
    }
}
