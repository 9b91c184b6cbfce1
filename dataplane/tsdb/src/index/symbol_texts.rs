//! The texts of the symbols that an index in the making has, by number and by text.

use super::SymbolRef;
use crate::WriteError;

/// Ascending texts, one behind the other.
#[derive(Debug, Default)]
pub(super) struct SymbolTexts {
    bytes: String,
    /// Where each text ends.
    ends: Vec<usize>,
}

impl SymbolTexts {
    /// Adds a text behind all others.
    pub(super) fn push(&mut self, text: &str) -> Result<SymbolRef, WriteError> {
        let number = u32::try_from(self.ends.len()).map_err(|_| WriteError::TooLarge {
            what: "the symbol table",
        })?;
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len());
        Ok(SymbolRef(number))
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns the text of a number; the empty one for a number that there is not.
    pub(super) fn get(&self, number: u32) -> &str {
        let number = number as usize;
        let start = number
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .copied()
            .unwrap_or_default();
        self.ends
            .get(number)
            .and_then(|&end| self.bytes.get(start..end))
            .unwrap_or_default()
    }

    pub(super) fn last(&self) -> Option<&str> {
        let last = self.ends.len().checked_sub(1)?;
        u32::try_from(last).ok().map(|last| self.get(last))
    }

    pub(super) fn find(&self, text: &str) -> Option<SymbolRef> {
        let (mut low, mut high) = (0, u32::try_from(self.ends.len()).ok()?);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle).cmp(text) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(SymbolRef(middle)),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}
