//! Postings: sorted lists of series, and the set algebra that selectors are answered with.
//!
//! ```text
//! u32 BE length, u32 BE count, count × u32 BE series reference, u32 BE CRC32-C
//! ```
//!
//! A list in the index is read in place ([`BigEndianPostings`]); combinations of lists are iterators
//! over iterators. `seek` gallops, so that intersecting a short list with a long one costs about the
//! short one.

mod algebra;
#[cfg(test)]
mod tests;

pub use algebra::{Intersection, Union, Without, intersect, merge, without};

use crate::Corrupt;
use crate::cursor::{Cursor, framed};

const PLACE: &str = "index postings";

/// An ascending list of series references that is walked once, forwards.
pub trait Postings {
    /// Returns the reference the list stands at; `None` at its end.
    fn current(&mut self) -> Option<u32>;

    /// Moves behind the current reference.
    fn advance(&mut self);

    /// Moves to the first reference that is at least `target`; never back.
    fn seek(&mut self, target: u32);

    /// Returns the current reference and moves behind it.
    fn next(&mut self) -> Option<u32> {
        let current = self.current();
        self.advance();
        current
    }

    /// Collects what remains.
    fn collect_all(&mut self) -> Vec<u32> {
        let mut all = Vec::new();
        while let Some(reference) = self.next() {
            all.push(reference);
        }
        all
    }
}

impl<P: Postings + ?Sized> Postings for Box<P> {
    fn current(&mut self) -> Option<u32> {
        (**self).current()
    }

    fn advance(&mut self) {
        (**self).advance();
    }

    fn seek(&mut self, target: u32) {
        (**self).seek(target);
    }
}

/// Decodes the list at the beginning of `data`, which begins with its length and may go on behind it.
///
/// # Errors
/// The list is cut off, its checksum is wrong, or its count does not fit its length. The order of
/// references is not checked: the checksum vouches for it.
pub fn decode_postings(data: &[u8]) -> Result<BigEndianPostings<'_>, Corrupt> {
    let content = framed(PLACE, data)?;
    let mut cursor = Cursor::new(PLACE, content);
    let count = cursor.be32()? as usize;
    let (references, rest) = content.get(4..).unwrap_or_default().as_chunks::<4>();
    if references.len() != count || !rest.is_empty() {
        return Err(cursor.corrupt(format!(
            "{} bytes for {count} references",
            content.len().saturating_sub(4)
        )));
    }
    Ok(BigEndianPostings { references })
}

/// A list in the bytes of an index.
#[derive(Debug, Clone, Copy, Default)]
pub struct BigEndianPostings<'a> {
    references: &'a [[u8; 4]],
}

impl BigEndianPostings<'_> {
    /// How many references remain.
    pub fn len(&self) -> usize {
        self.references.len()
    }

    pub fn is_empty(&self) -> bool {
        self.references.is_empty()
    }
}

impl Postings for BigEndianPostings<'_> {
    fn current(&mut self) -> Option<u32> {
        self.references
            .first()
            .map(|bytes| u32::from_be_bytes(*bytes))
    }

    fn advance(&mut self) {
        self.references = self.references.get(1..).unwrap_or_default();
    }

    fn seek(&mut self, target: u32) {
        let skipped = gallop(self.references, |bytes| u32::from_be_bytes(*bytes) < target);
        self.references = self.references.get(skipped..).unwrap_or_default();
    }
}

/// A list in memory.
#[derive(Debug, Clone, Copy)]
pub struct ListPostings<'a> {
    references: &'a [u32],
}

impl<'a> ListPostings<'a> {
    /// `references` ascend.
    pub fn new(references: &'a [u32]) -> Self {
        debug_assert!(references.is_sorted(), "postings ascend");
        Self { references }
    }
}

impl Postings for ListPostings<'_> {
    fn current(&mut self) -> Option<u32> {
        self.references.first().copied()
    }

    fn advance(&mut self) {
        self.references = self.references.get(1..).unwrap_or_default();
    }

    fn seek(&mut self, target: u32) {
        let skipped = gallop(self.references, |reference| *reference < target);
        self.references = self.references.get(skipped..).unwrap_or_default();
    }
}

/// Returns how many of the first elements are `before`, looking near the front first.
fn gallop<T>(list: &[T], before: impl Fn(&T) -> bool) -> usize {
    let mut step = 1;
    let mut start = 0;
    while list.get(start + step - 1).is_some_and(&before) {
        start += step;
        step *= 2;
    }
    let end = (start + step - 1).min(list.len());
    start
        + list
            .get(start..end)
            .unwrap_or_default()
            .partition_point(before)
}

/// Bytes of an encoded list of `count` references, frame included.
pub(crate) fn encoded_bytes(count: u64) -> u64 {
    count.saturating_mul(4).saturating_add(12)
}

/// Writes the encoded list of `count` ascending `references`, frame included.
///
/// # Errors
/// The list exceeds four gibibytes, or `out` fails.
pub fn write_postings(
    count: usize,
    references: impl Iterator<Item = u32>,
    out: &mut impl std::io::Write,
) -> Result<(), crate::WriteError> {
    const PIECE_BYTES: usize = 64 << 10;
    let length = count
        .checked_mul(4)
        .and_then(|n| n.checked_add(4))
        .and_then(|n| u32::try_from(n).ok())
        .ok_or(crate::WriteError::TooLarge {
            what: "a postings list",
        })?;
    let failed = || crate::WriteError::io("a postings list");
    // The length is not under the checksum.
    out.write_all(&length.to_be_bytes()).map_err(failed())?;
    let mut piece = Vec::with_capacity((length as usize).min(PIECE_BYTES + 4));
    piece.extend_from_slice(&(length / 4 - 1).to_be_bytes());
    let mut checksum = 0;
    for reference in references {
        piece.extend_from_slice(&reference.to_be_bytes());
        if piece.len() >= PIECE_BYTES {
            checksum = crc32c::crc32c_append(checksum, &piece);
            out.write_all(&piece).map_err(failed())?;
            piece.clear();
        }
    }
    checksum = crc32c::crc32c_append(checksum, &piece);
    piece.extend_from_slice(&checksum.to_be_bytes());
    out.write_all(&piece).map_err(failed())
}
