//! Series entries: a series' labels as symbols, and where its chunks are.
//!
//! ```text
//! uvarint length, then as many bytes:
//!   uvarint labels, each: uvarint name symbol, uvarint value symbol
//!   uvarint chunks, the first: varint min time, uvarint max - min, uvarint reference
//!           and each next:     uvarint min - previous max, uvarint max - min, varint reference delta
//! u32 BE CRC32-C of those bytes
//! ```

use model::TimeRange;

use super::{SymbolRef, Version};
use crate::Corrupt;
use crate::cursor::{CRC_BYTES, Cursor, verify};
use crate::segment::ChunkRef;

const PLACE: &str = "index series";

/// A series as postings name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesRef(pub u32);

/// What entries are aligned to from version 2 on.
const ALIGN: u64 = 16;

impl SeriesRef {
    /// Where the series' entry begins in the index file.
    pub fn offset(self, version: Version) -> u64 {
        match version {
            Version::V1 => u64::from(self.0),
            Version::V2 => u64::from(self.0) * ALIGN,
        }
    }
}

/// One chunk of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkMeta {
    pub reference: ChunkRef,
    /// Time of the first sample, milliseconds.
    pub min_time: i64,
    /// Time of the last sample, milliseconds.
    pub max_time: i64,
}

impl ChunkMeta {
    /// The time that the chunk covers, both ends included.
    pub fn range(&self) -> TimeRange {
        TimeRange {
            start: self.min_time,
            end: self.max_time,
        }
    }
}

/// A decoded entry; its vectors are used again from series to series.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeriesEntry {
    /// Name and value of each label, in order of name.
    pub labels: Vec<(SymbolRef, SymbolRef)>,
    /// The chunks, in order of time.
    pub chunks: Vec<ChunkMeta>,
}

/// Returns the bytes of the entry that begins `data`, frame included; `None` where `data` does not
/// even hold its length. A reader of ranges that fetched less asks again for so much.
pub fn series_length(data: &[u8]) -> Option<u64> {
    let (length, read) = chunk::varint::read_uvarint(data)?;
    length.checked_add(read as u64 + CRC_BYTES as u64)
}

/// Decodes the entry at the beginning of `data` into `entry`, keeping only chunks that overlap
/// `range`. What follows the entry is not looked at.
///
/// # Errors
/// The entry is cut off, its checksum is wrong, or its chunks are out of order; `entry` holds nothing
/// then.
pub fn decode_series(
    data: &[u8],
    range: TimeRange,
    entry: &mut SeriesEntry,
) -> Result<(), Corrupt> {
    decode_as(Order::Ascending, data, range, entry)
}

/// [`decode_series`] for a reader that can do with chunks in any order, as some writers left them: only
/// that a chunk does not end before it begins is looked at.
///
/// # Errors
/// The entry is cut off or its checksum is wrong; `entry` holds nothing then.
pub fn decode_series_unordered(data: &[u8], entry: &mut SeriesEntry) -> Result<(), Corrupt> {
    decode_as(Order::Any, data, TimeRange::ALL, entry)
}

/// How chunks of a series follow each other.
#[derive(Clone, Copy)]
enum Order {
    Ascending,
    Any,
}

fn decode_as(
    order: Order,
    data: &[u8],
    range: TimeRange,
    entry: &mut SeriesEntry,
) -> Result<(), Corrupt> {
    entry.labels.clear();
    entry.chunks.clear();
    let decoded = decode_into(order, data, range, entry);
    if decoded.is_err() {
        entry.labels.clear();
        entry.chunks.clear();
    }
    decoded
}

fn decode_into(
    order: Order,
    data: &[u8],
    range: TimeRange,
    entry: &mut SeriesEntry,
) -> Result<(), Corrupt> {
    let mut cursor = Cursor::new(PLACE, data);
    let content = cursor.uvarint_bytes()?;
    verify(PLACE, content, cursor.be32()?)?;

    let mut cursor = Cursor::new(PLACE, content);
    let n_labels = cursor.uvarint()?;
    // Two bytes at least for each.
    if n_labels > cursor.remaining() as u64 / 2 {
        return Err(cursor.corrupt("more labels than bytes for them"));
    }
    for _ in 0..n_labels {
        let name = SymbolRef(cursor.uvarint32()?);
        let value = SymbolRef(cursor.uvarint32()?);
        entry.labels.push((name, value));
    }

    let n_chunks = cursor.uvarint()?;
    if n_chunks > cursor.remaining() as u64 / 3 {
        return Err(cursor.corrupt("more chunks than bytes for them"));
    }
    let mut previous: Option<ChunkMeta> = None;
    for _ in 0..n_chunks {
        let chunk = match previous {
            None => {
                let min_time = cursor.varint()?;
                let max_time = later(&mut cursor, min_time)?;
                ChunkMeta {
                    reference: ChunkRef(cursor.uvarint()?),
                    min_time,
                    max_time,
                }
            }
            Some(previous) => {
                let min_time = match order {
                    Order::Ascending => later(&mut cursor, previous.max_time)?,
                    // A step back is written as the distance modulo 2^64.
                    Order::Any => previous
                        .max_time
                        .wrapping_add(cursor.uvarint()?.cast_signed()),
                };
                let max_time = later(&mut cursor, min_time)?;
                let reference = previous.reference.0.checked_add_signed(cursor.varint()?);
                let reference =
                    reference.ok_or_else(|| cursor.corrupt("a chunk reference overflows"))?;
                ChunkMeta {
                    reference: ChunkRef(reference),
                    min_time,
                    max_time,
                }
            }
        };
        if chunk.range().overlaps(&range) {
            entry.chunks.push(chunk);
        }
        previous = Some(chunk);
    }
    Ok(())
}

/// Reads a time that is given as distance from `time`.
fn later(cursor: &mut Cursor<'_>, time: i64) -> Result<i64, Corrupt> {
    let distance = cursor.uvarint()?;
    time.checked_add_unsigned(distance)
        .ok_or_else(|| cursor.corrupt("a chunk's time overflows"))
}
