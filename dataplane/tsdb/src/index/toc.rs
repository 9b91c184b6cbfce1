//! The table of contents at the end of the file.

use crate::Corrupt;
use crate::cursor::{CRC_BYTES, Cursor, verify};

/// Bytes of the table of contents, its checksum included.
pub const TOC_BYTES: usize = 6 * 8 + CRC_BYTES;

const PLACE: &str = "index table of contents";

/// Where each section begins, in bytes from the file's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Toc {
    pub symbols: u64,
    pub series: u64,
    pub label_indices: u64,
    pub label_indices_table: u64,
    pub postings: u64,
    pub postings_table: u64,
}

impl Toc {
    /// Decodes the last [`TOC_BYTES`] of `data`, which ends where the file ends.
    ///
    /// # Errors
    /// Too short, a wrong checksum, or sections out of order.
    pub fn decode(data: &[u8]) -> Result<Self, Corrupt> {
        let Some((_, toc)) = data.split_last_chunk::<TOC_BYTES>() else {
            return Err(Corrupt::new(
                PLACE,
                format!("the file has only {} bytes", data.len()),
            ));
        };
        let mut cursor = Cursor::new(PLACE, toc);
        let toc = Self {
            symbols: cursor.be64()?,
            series: cursor.be64()?,
            label_indices: cursor.be64()?,
            label_indices_table: cursor.be64()?,
            postings: cursor.be64()?,
            postings_table: cursor.be64()?,
        };
        let (content, _) = data
            .split_last_chunk::<CRC_BYTES>()
            .unwrap_or((data, &[0; CRC_BYTES]));
        let content = content
            .get(content.len() + CRC_BYTES - TOC_BYTES..)
            .unwrap_or_default();
        verify(PLACE, content, cursor.be32()?)?;
        if toc.symbols > toc.series
            || toc.series > toc.postings
            || toc.postings > toc.postings_table
        {
            return Err(Corrupt::new(PLACE, "sections are out of order"));
        }
        Ok(toc)
    }

    /// Encodes the table with its checksum.
    pub fn encode(&self) -> [u8; TOC_BYTES] {
        let mut bytes = Vec::with_capacity(TOC_BYTES);
        for offset in [
            self.symbols,
            self.series,
            self.label_indices,
            self.label_indices_table,
            self.postings,
            self.postings_table,
        ] {
            bytes.extend_from_slice(&offset.to_be_bytes());
        }
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
        let mut toc = [0; TOC_BYTES];
        toc.copy_from_slice(&bytes);
        toc
    }

    /// Where the last postings list ends at the latest.
    pub fn postings_end(&self) -> u64 {
        [self.label_indices_table, self.postings_table]
            .into_iter()
            .filter(|&offset| offset > self.postings)
            .min()
            .unwrap_or(self.postings_table)
    }
}
