//! The local extract of a block's index: its symbols and its postings offset table, in Thanos' format.
//!
//! ```text
//! u32 BE magic 0xBAAAD792, u8 version 1, u8 version of the index,
//! u64 BE where the postings offset table begins in the index
//! the index's symbols section, as it is
//! the index from its postings offset table to its end, as it is
//! u64 BE where the symbols begin here, u64 BE where the table begins here, u32 BE CRC32-C of these 16 bytes
//! ```
//!
//! It is built by range reads: of a large index only the parts copied here are ever fetched.

use std::path::Path;

use bytes::Bytes;
use model::ulid::BlockId;
use tsdb::Corrupt;
use tsdb::index::{PostingsTable, Symbols, TOC_BYTES, Toc, Version};

use crate::error::BlockError;

mod build;

pub use build::build;

/// The file's name in the folder of its block.
pub const FILE_NAME: &str = "index-header";

/// The file's first four bytes.
pub const MAGIC: u32 = 0xBAAA_D792;

/// The only version there is.
pub const VERSION: u8 = 1;

/// Bytes before the symbols.
pub const HEAD_BYTES: usize = 14;

/// Bytes of the file's own table of contents.
pub const OWN_TOC_BYTES: usize = 20;

const PLACE: &str = "index-header";

/// A checked index-header.
#[derive(Debug, Clone)]
pub struct IndexHeader {
    version: Version,
    toc: Toc,
    symbols: Symbols,
    postings: PostingsTable,
}

impl IndexHeader {
    /// Maps the file of a block and checks it.
    ///
    /// # Errors
    /// `NotFound` is not an error kind here: a file that is absent is an `Io` error. An unsound file is
    /// `Corrupt`; it should be removed and built again.
    pub fn open(block: BlockId, path: &Path) -> Result<Self, BlockError> {
        let file = std::fs::File::open(path).map_err(BlockError::io(path))?;
        #[expect(
            unsafe_code,
            reason = "the file is written whole, renamed into place and never changed after that"
        )]
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(BlockError::io(path))?;
        Self::decode(Bytes::from_owner(map)).map_err(|source| BlockError::corrupt(block, source))
    }

    /// Checks the file's bytes from end to end.
    ///
    /// # Errors
    /// Any part of it is unsound.
    pub fn decode(data: Bytes) -> Result<Self, Corrupt> {
        let corrupt = |what: String| Corrupt {
            what: what.into(),
            place: PLACE.into(),
            at: None,
        };
        let Some((head, _)) = data.split_first_chunk::<HEAD_BYTES>() else {
            return Err(corrupt(format!("the file has only {} bytes", data.len())));
        };
        let [m0, m1, m2, m3, version, index_version, at @ ..] = *head;
        let magic = u32::from_be_bytes([m0, m1, m2, m3]);
        if magic != MAGIC {
            return Err(corrupt(format!("magic number is {magic:08x}")));
        }
        if version != VERSION {
            return Err(corrupt(format!("version {version} is not known")));
        }
        let index_version = Version::from_number(index_version)?;
        let Some((body, own_toc)) = data.split_last_chunk::<OWN_TOC_BYTES>() else {
            return Err(corrupt("the table of contents is cut off".to_owned()));
        };
        let (symbols, table) = decode_own_toc(own_toc, body.len()).map_err(corrupt)?;
        let toc = Toc::decode(body)?;
        if toc.postings_table != u64::from_be_bytes(at) {
            return Err(corrupt(
                "the head and the index disagree where the table is".to_owned(),
            ));
        }
        if table
            .checked_add(TOC_BYTES)
            .is_none_or(|end| end > body.len())
        {
            return Err(corrupt("the postings offset table is cut off".to_owned()));
        }
        Ok(Self {
            version: index_version,
            toc,
            symbols: Symbols::decode(data.slice(symbols..table), index_version, toc.symbols)?,
            postings: PostingsTable::decode(
                data.slice(table..body.len()),
                index_version,
                toc.postings_end(),
            )?,
        })
    }

    /// Returns the index's version, by which series are referred to.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Returns where the sections of the index are.
    pub fn toc(&self) -> &Toc {
        &self.toc
    }

    /// Returns the names and values of all labels.
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// Returns where each label's postings are in the index.
    pub fn postings(&self) -> &PostingsTable {
        &self.postings
    }
}

/// Returns where symbols and postings table begin.
fn decode_own_toc(toc: &[u8; OWN_TOC_BYTES], body_bytes: usize) -> Result<(usize, usize), String> {
    let [
        s0,
        s1,
        s2,
        s3,
        s4,
        s5,
        s6,
        s7,
        t0,
        t1,
        t2,
        t3,
        t4,
        t5,
        t6,
        t7,
        c0,
        c1,
        c2,
        c3,
    ] = *toc;
    let content = toc.get(..OWN_TOC_BYTES - 4).unwrap_or_default();
    let (actual, expected) = (
        crc32c::crc32c(content),
        u32::from_be_bytes([c0, c1, c2, c3]),
    );
    if actual != expected {
        return Err(format!(
            "checksum is {actual:08x} where {expected:08x} was written"
        ));
    }
    let symbols = u64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
    let table = u64::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7]);
    let place = |at: u64| usize::try_from(at).ok().filter(|at| *at <= body_bytes);
    match (place(symbols), place(table)) {
        (Some(symbols), Some(table)) if HEAD_BYTES <= symbols && symbols <= table => {
            Ok((symbols, table))
        }
        _ => Err("sections are out of order".to_owned()),
    }
}

fn encode_head(index_version: u8, postings_table: u64) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&MAGIC.to_be_bytes());
    head[4] = VERSION;
    head[5] = index_version;
    head[6..].copy_from_slice(&postings_table.to_be_bytes());
    head
}

fn encode_own_toc(symbols: u64, table: u64) -> [u8; OWN_TOC_BYTES] {
    let mut toc = [0; OWN_TOC_BYTES];
    toc[..8].copy_from_slice(&symbols.to_be_bytes());
    toc[8..16].copy_from_slice(&table.to_be_bytes());
    let checksum = crc32c::crc32c(&toc[..16]);
    toc[16..].copy_from_slice(&checksum.to_be_bytes());
    toc
}

#[cfg(test)]
mod tests;
