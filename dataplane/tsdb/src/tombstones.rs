//! Tombstones: ranges of series that were deleted but are still in the chunks.
//!
//! ```text
//! magic 0x0130BA30 u32 BE, format u8 1
//! each range: uvarint series, varint first millisecond, varint last
//! u32 BE CRC32-C of the ranges
//! ```

use std::collections::BTreeMap;

use chunk::varint;
use model::TimeRange;

use crate::Corrupt;
use crate::cursor::{CRC_BYTES, Cursor, verify};

/// The file's name in a block.
pub const FILE_NAME: &str = "tombstones";

const MAGIC: u32 = 0x0130_BA30;
const FORMAT: u8 = 1;

/// Deleted ranges by series; the ranges of a series are disjoint and in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tombstones {
    series: BTreeMap<u64, Vec<TimeRange>>,
}

impl Tombstones {
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes the file.
    ///
    /// # Errors
    /// A wrong checksum, or no tombstones of a known format.
    pub fn decode(data: &[u8]) -> Result<Self, Corrupt> {
        let mut cursor = Cursor::new(FILE_NAME, data);
        let magic = cursor.be32()?;
        if magic != MAGIC {
            return Err(Corrupt::at(
                FILE_NAME,
                format!("magic number is {magic:08x}"),
                0,
            ));
        }
        let format = cursor.u8()?;
        if format != FORMAT {
            return Err(Corrupt::at(
                FILE_NAME,
                format!("format {format} is not known"),
                4,
            ));
        }
        let length = cursor
            .remaining()
            .checked_sub(CRC_BYTES)
            .ok_or_else(|| cursor.corrupt("the checksum is cut off"))?;
        let ranges = cursor.bytes(length)?;
        verify(FILE_NAME, ranges, cursor.be32()?)?;

        let mut tombstones = Self::new();
        let mut cursor = Cursor::new(FILE_NAME, ranges);
        while cursor.remaining() > 0 {
            let series = cursor.uvarint()?;
            let range = TimeRange {
                start: cursor.varint()?,
                end: cursor.varint()?,
            };
            if range.is_empty() {
                return Err(cursor.corrupt("a range ends before it begins"));
            }
            tombstones.delete(series, range);
        }
        Ok(tombstones)
    }

    /// Encodes the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut ranges = Vec::new();
        for (&series, deleted) in &self.series {
            for range in deleted {
                varint::put_uvarint(&mut ranges, series);
                varint::put_varint(&mut ranges, range.start);
                varint::put_varint(&mut ranges, range.end);
            }
        }
        let mut out = Vec::with_capacity(ranges.len() + 9);
        out.extend_from_slice(&MAGIC.to_be_bytes());
        out.push(FORMAT);
        out.extend_from_slice(&ranges);
        out.extend_from_slice(&crc32c::crc32c(&ranges).to_be_bytes());
        out
    }

    /// Marks `range` of `series` as deleted; ranges that overlap or touch become one.
    pub fn delete(&mut self, series: u64, range: TimeRange) {
        let ranges = self.series.entry(series).or_default();
        // Of those in order: before it and apart, then overlapping or touching, then behind.
        let before = ranges.partition_point(|other| other.end.saturating_add(1) < range.start);
        let touching = ranges.partition_point(|other| other.start <= range.end.saturating_add(1));
        let joined = ranges
            .get(before..touching)
            .unwrap_or_default()
            .iter()
            .fold(range, |joined, other| TimeRange {
                start: joined.start.min(other.start),
                end: joined.end.max(other.end),
            });
        ranges.splice(before..touching.max(before), [joined]);
    }

    /// Returns the deleted ranges of `series`, both ends included, in order.
    pub fn of(&self, series: u64) -> &[TimeRange] {
        self.series
            .get(&series)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.series.values().map(Vec::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn deletions_join_and_come_back(
            deletions in prop::collection::vec((0u64..3, 0i64..40, 0i64..6), 0..20),
        ) {
            let mut tombstones = Tombstones::new();
            for &(series, start, length) in &deletions {
                tombstones.delete(series, TimeRange { start, end: start + length });
            }
            for series in 0..3 {
                for t in -1..50 {
                    let expected = deletions.iter().any(|&(s, start, length)| {
                        s == series && start <= t && t <= start + length
                    });
                    let found = tombstones.of(series).iter().any(|range| range.contains(t));
                    prop_assert_eq!(found, expected, "series {} at {}", series, t);
                }
                for pair in tombstones.of(series).windows(2) {
                    prop_assert!(pair[0].end + 1 < pair[1].start);
                }
            }
            prop_assert_eq!(Tombstones::decode(&tombstones.encode()), Ok(tombstones));
        }

        #[test]
        fn flipped_and_cut_files_are_refused(bit in 0usize..200) {
            let mut tombstones = Tombstones::new();
            tombstones.delete(1, TimeRange { start: i64::MIN, end: 17 });
            tombstones.delete(900, TimeRange { start: -5, end: i64::MAX });
            let mut data = tombstones.encode();
            let bit = bit % (data.len() * 8);
            data[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Tombstones::decode(&data).is_err());
            data[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Tombstones::decode(&data[..bit / 8]).is_err());
        }
    }
}
