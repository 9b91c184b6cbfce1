//! The index file: which series a block has, their chunks, and which series have a label.
//!
//! ```text
//! magic 0xBAAAD700 u32 BE, version u8 (1, 2; 3 reads as 2)
//! symbols                 [`Symbols`]: every name and value once, sorted
//! series                  [`SeriesEntry`] by [`SeriesEntry`], from version 2 on aligned to 16 bytes
//! label indices           not read by anything today, and not written
//! postings                [`postings`](crate::postings) lists, aligned to 4 bytes
//! label indices table
//! postings offset table   [`PostingsTable`]: label pair to postings list
//! table of contents       [`Toc`]: where each of these begins, at the end of the file
//! ```
//!
//! Each part decodes from its own bytes alone, so that a reader of a bucket fetches ranges; [`Reader`]
//! puts them together over a whole file. All offsets are counted from the file's beginning, whatever
//! range was fetched.

mod posting_lists;
mod postings_table;
mod reader;
mod select;
mod series;
mod symbol_texts;
mod symbols;
#[cfg(test)]
mod tests;
mod toc;
mod writer;

pub use postings_table::{ALL_POSTINGS, PostingsTable, ValuesIter};
pub use reader::{AllSeries, Reader, resolve_labels};
pub use select::SelectorPlan;
pub use series::{
    ChunkMeta, SeriesEntry, SeriesRef, decode_series, decode_series_unordered, series_length,
};
pub use symbols::{SymbolRef, Symbols};
pub use toc::{TOC_BYTES, Toc};
pub use writer::{FinishedIndex, IndexWriter};

use crate::Corrupt;
use crate::cursor::Cursor;

/// The file's first four bytes.
pub const MAGIC: u32 = 0xBAAA_D700;

/// Bytes before the first section.
pub const HEADER_BYTES: usize = 5;

/// Which of the format's versions a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// Series and symbols are referred to by their offset; the postings table need not be sorted.
    V1,
    /// Series are referred to by a sixteenth of their offset, symbols by their number.
    V2,
}

impl Version {
    /// Decodes the file's header.
    ///
    /// # Errors
    /// No index file, or a version that is not known.
    pub fn decode(header: &[u8]) -> Result<Self, Corrupt> {
        let mut cursor = Cursor::new("index header", header);
        let magic = cursor.be32()?;
        if magic != MAGIC {
            return Err(Corrupt::at(
                "index header",
                format!("magic number is {magic:08x}"),
                0,
            ));
        }
        Self::from_number(cursor.u8()?)
    }

    /// The version of that number, as in the fifth byte of the file.
    ///
    /// # Errors
    /// The version is not known.
    pub fn from_number(version: u8) -> Result<Self, Corrupt> {
        match version {
            1 => Ok(Self::V1),
            // Prometheus reads version 3 exactly as version 2.
            2 | 3 => Ok(Self::V2),
            other => Err(Corrupt::new(
                "index header",
                format!("version {other} is not known"),
            )),
        }
    }
}
