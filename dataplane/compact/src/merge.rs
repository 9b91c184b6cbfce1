//! Several blocks into one, series by series.
//!
//! - [`symbols`]: one symbol table, so that series compare as numbers;
//! - [`source`]: the blocks that go in; [`chunks`]: their chunk bytes, fetched ahead;
//! - [`overlap`]: chunks that overlap or lose samples are decoded, merged and encoded anew. All others
//!   pass through as they are: checksum verified, bytes unchanged.

pub mod chunks;
pub mod overlap;
pub mod source;
pub mod symbols;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use bytes::Bytes;
use model::TimeRange;
use tsdb::block::{EncodedChunk, StreamWriter, TimedChunk};
use tsdb::index::{ChunkMeta, SymbolRef};
use tsdb::segment::{RawChunk, decode_chunk};

use crate::error::CompactError;
use overlap::Dedup;
use source::{Cursor, Source};

/// What a merge did, beside writing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MergeStats {
    /// Chunks whose bytes were not touched.
    pub passed_through: u64,
    /// Chunks that were decoded, because they overlapped or lost samples.
    pub reencoded: u64,
    /// Exact copies that were left out.
    pub duplicates: u64,
    /// Series whose chunks stood out of order in a source.
    pub out_of_order_series: u64,
}

/// Writes all series of `sources`, which are in order of time, cut to `range`. Checks `stop` between
/// series. Blocks its thread while bytes come.
///
/// # Errors
/// A source is not sound, the bucket or the output fails, or `stop` says so.
pub fn merge<W: Write, S: FnMut(u32, &[u8]) -> io::Result<()>>(
    sources: Vec<Source>,
    range: TimeRange,
    dedup: Dedup,
    writer: &mut StreamWriter<W, S>,
    stop: &dyn Fn() -> bool,
) -> Result<MergeStats, CompactError> {
    let indexes: Vec<_> = sources.iter().map(|source| &source.index).collect();
    let maps = symbols::merge_symbols(&indexes, |text| writer.index().add_symbol(text))?;
    let mut cursors = Vec::with_capacity(sources.len());
    for (source, map) in sources.into_iter().zip(maps) {
        let mut cursor = Cursor::new(source, map)?;
        cursor.advance()?;
        cursors.push(cursor);
    }
    let mut series = Series::new(range, dedup);
    let mut labels: Vec<(SymbolRef, SymbolRef)> = Vec::new();
    loop {
        if stop() {
            return Err(CompactError::Canceled);
        }
        let Some(least) = cursors.iter().filter_map(Cursor::labels).min() else {
            return Ok(series.stats);
        };
        labels.clear();
        labels.extend_from_slice(least);
        series.clear();
        for cursor in &mut cursors {
            if cursor.labels() == Some(&labels) {
                series.take(cursor)?;
                cursor.advance()?;
            }
        }
        let chunks = series.combine()?;
        if !chunks.is_empty() {
            writer.add_series(&labels, &chunks)?;
        }
    }
}

/// One series while its chunks are put together.
struct Series {
    range: TimeRange,
    dedup: Dedup,
    parts: Vec<Part>,
    encoded: Vec<Piece>,
    stats: MergeStats,
}

/// A chunk of a source with its frame.
pub(crate) struct Part {
    block: block::BlockId,
    meta: ChunkMeta,
    framed: Bytes,
    /// What of it is deleted or outside of the block.
    deleted: Vec<TimeRange>,
}

/// A chunk of the new block.
enum Piece {
    /// As it was, by its number among the parts.
    Passed(usize),
    Encoded(EncodedChunk),
}

impl Part {
    pub(crate) fn chunk(&self) -> Result<RawChunk<'_>, CompactError> {
        decode_chunk(&self.framed).map_err(|corrupt| CompactError::Corrupt {
            block: self.block,
            source: tsdb::Corrupt {
                place: self.meta.reference.segment_name().into(),
                at: Some(u64::from(self.meta.reference.offset())),
                ..corrupt
            },
        })
    }

    pub(crate) fn corrupt(&self, corrupt: &chunk::Corrupt) -> CompactError {
        CompactError::Corrupt {
            block: self.block,
            source: tsdb::Corrupt::in_chunk(corrupt, self.meta.reference),
        }
    }

    pub(crate) fn is_deleted(&self, t: i64) -> bool {
        self.deleted.iter().any(|range| range.contains(t))
    }
}

impl Series {
    fn new(range: TimeRange, dedup: Dedup) -> Self {
        Self {
            range,
            dedup,
            parts: Vec::new(),
            encoded: Vec::new(),
            stats: MergeStats::default(),
        }
    }

    fn clear(&mut self) {
        self.parts.clear();
        self.encoded.clear();
    }

    /// Adds the chunks of a source's current series.
    fn take(&mut self, cursor: &mut Cursor) -> Result<(), CompactError> {
        let ordered = cursor.chunks().is_sorted_by(|a, b| a.max_time < b.min_time);
        if !ordered {
            self.stats.out_of_order_series += 1;
        }
        for i in 0..cursor.chunks().len() {
            let Some(meta) = cursor.chunks().get(i).copied() else {
                break;
            };
            let range = meta.range();
            if !range.overlaps(&self.range) {
                continue;
            }
            let mut deleted: Vec<TimeRange> = cursor
                .deleted()
                .iter()
                .filter(|deleted| deleted.overlaps(&range))
                .copied()
                .collect();
            if deleted
                .iter()
                .any(|deleted| deleted.start <= range.start && range.end <= deleted.end)
            {
                continue;
            }
            if range.start < self.range.start {
                deleted.push(TimeRange::new(i64::MIN, self.range.start - 1));
            }
            if range.end > self.range.end {
                deleted.push(TimeRange::new(self.range.end + 1, i64::MAX));
            }
            let framed = cursor.source.chunks.framed(meta.reference)?;
            self.parts.push(Part {
                block: cursor.block(),
                meta,
                framed,
                deleted,
            });
        }
        Ok(())
    }

    /// Puts the chunks in order and together.
    fn combine(&mut self) -> Result<Vec<TimedChunk<'_>>, CompactError> {
        let by_time = |part: &Part| (part.meta.min_time, part.meta.max_time);
        if !self.parts.is_sorted_by_key(by_time) {
            self.parts.sort_by_key(by_time);
        }
        let mut start = 0;
        while start < self.parts.len() {
            let end = self.run(start);
            let run = self.parts.get(start..end).unwrap_or_default();
            let (distinct, copies) = without_copies(run);
            self.stats.duplicates += copies;
            match distinct.as_slice() {
                [only] if only.deleted.is_empty() => {
                    self.stats.passed_through += 1;
                    self.encoded.push(Piece::Passed(start));
                }
                _ => {
                    self.stats.reencoded += distinct.len() as u64;
                    let chunks = overlap::merge(&distinct, self.dedup)?;
                    self.encoded.extend(chunks.into_iter().map(Piece::Encoded));
                }
            }
            start = end;
        }
        let timed = self.encoded.iter().filter_map(|piece| match piece {
            Piece::Encoded(chunk) => Some(Ok(chunk.timed())),
            Piece::Passed(number) => self.parts.get(*number).map(|part| {
                Ok(TimedChunk {
                    min_time: part.meta.min_time,
                    max_time: part.meta.max_time,
                    chunk: part.chunk()?,
                })
            }),
        });
        timed.collect()
    }

    /// Returns where the chunks that overlap the one at `start`, and each other, end.
    fn run(&self, start: usize) -> usize {
        let mut end_time = i64::MIN;
        let overlapping = self.parts.iter().skip(start).take_while(|part| {
            let first = end_time == i64::MIN;
            let overlaps = first || part.meta.min_time <= end_time;
            end_time = end_time.max(part.meta.max_time);
            overlaps
        });
        start + overlapping.count()
    }
}

/// Leaves out chunks that equal the one kept before them, as replicas of a backfilled block have them.
fn without_copies(run: &[Part]) -> (Vec<&Part>, u64) {
    let mut distinct: Vec<&Part> = Vec::with_capacity(run.len());
    for part in run {
        let copy = distinct.last().is_some_and(|last| {
            last.meta.range() == part.meta.range()
                && last.framed == part.framed
                && last.deleted == part.deleted
        });
        if !copy {
            distinct.push(part);
        }
    }
    let copies = (run.len() - distinct.len()) as u64;
    (distinct, copies)
}
