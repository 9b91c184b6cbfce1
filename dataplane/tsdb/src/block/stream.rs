//! Making a block as its series come, however large it becomes.

use std::io::{self, Write};

use chunk::{Encoding, sample_count};

use crate::WriteError;
use crate::index::{ChunkMeta, FinishedIndex, IndexWriter, SymbolRef};
use crate::meta::{IndexStats, Stats};
use crate::segment::{RawChunk, SegmentWriter, framed_bytes};

/// Bytes of segments that wait before they are handed out.
const PENDING_BYTES: usize = 1 << 20;

/// A chunk that is to be written, by whomever its bytes are owned.
#[derive(Debug, Clone, Copy)]
pub struct TimedChunk<'a> {
    /// Time of the first sample, milliseconds.
    pub min_time: i64,
    /// Time of the last sample, milliseconds.
    pub max_time: i64,
    pub chunk: RawChunk<'a>,
}

/// Takes series in order and gives out the block's bytes as they come: the index to `W`, segments to
/// `S`, which is told the segment's number each piece belongs to. Held are the symbols, a byte or two
/// for each label of each series, and a mebibyte of segments.
#[derive(Debug)]
pub struct StreamWriter<W, S> {
    index: IndexWriter<W>,
    segments: SegmentWriter,
    sink: S,
    stats: Stats,
    chunk_max_size: u64,
    times: Option<(i64, i64)>,
    metas: Vec<ChunkMeta>,
}

/// What a block turned out to be.
#[derive(Debug)]
pub struct StreamedBlock<W> {
    pub index: FinishedIndex<W>,
    pub stats: Stats,
    pub index_stats: IndexStats,
    /// Times of the first and the last sample; absent in a block without series.
    pub times: Option<(i64, i64)>,
}

impl<W: Write, S: FnMut(u32, &[u8]) -> io::Result<()>> StreamWriter<W, S> {
    /// Begins a block whose segments have at most `segment_bytes`.
    pub fn new(index: W, segment_bytes: u64, sink: S) -> Self {
        Self {
            index: IndexWriter::new(index),
            segments: SegmentWriter::new(segment_bytes),
            sink,
            stats: Stats::default(),
            chunk_max_size: 0,
            times: None,
            metas: Vec::new(),
        }
    }

    /// The index, for its symbols: all are added before the first series.
    pub fn index(&mut self) -> &mut IndexWriter<W> {
        &mut self.index
    }

    /// Adds a series; label sets ascend, its chunks ascend and do not overlap.
    ///
    /// # Errors
    /// Something is out of order or larger than the format can say, or an output fails.
    pub fn add_series(
        &mut self,
        labels: &[(SymbolRef, SymbolRef)],
        chunks: &[TimedChunk<'_>],
    ) -> Result<(), WriteError> {
        let references = self
            .segments
            .write_chunks(chunks.iter().map(|chunk| &chunk.chunk))?;
        self.metas.clear();
        for (reference, chunk) in references.into_iter().zip(chunks) {
            self.metas.push(ChunkMeta {
                reference,
                min_time: chunk.min_time,
                max_time: chunk.max_time,
            });
            self.count(chunk);
        }
        self.index.add_series(labels, &self.metas)?;
        self.stats.num_series += 1;
        if self.segments.pending_bytes() >= PENDING_BYTES {
            self.take_segments()?;
        }
        Ok(())
    }

    fn count(&mut self, chunk: &TimedChunk<'_>) {
        let RawChunk { encoding, data } = chunk.chunk;
        let stats = &mut self.stats;
        stats.num_chunks += 1;
        let samples = match encoding {
            Encoding::Aggregate => chunk::AggregateChunk::decode(data)
                .map_or(0, |aggregates| u64::from(aggregates.sample_count())),
            _ => sample_count(encoding, data).map_or(0, u64::from),
        };
        stats.num_samples += samples;
        if encoding.is_float() {
            stats.num_float_samples += samples;
        } else if encoding.is_histogram() {
            stats.num_histogram_samples += samples;
        }
        self.chunk_max_size = self.chunk_max_size.max(framed_bytes(data.len() as u64));
        self.times = Some(match self.times {
            None => (chunk.min_time, chunk.max_time),
            Some((min, max)) => (min.min(chunk.min_time), max.max(chunk.max_time)),
        });
    }

    fn take_segments(&mut self) -> Result<(), WriteError> {
        self.segments
            .take(&mut self.sink)
            .map_err(WriteError::io("a chunk segment"))
    }

    /// Completes the block but for its meta.
    ///
    /// # Errors
    /// As [`StreamWriter::add_series`].
    pub fn finish(mut self) -> Result<StreamedBlock<W>, WriteError> {
        self.take_segments()?;
        let index = self.index.finish()?;
        Ok(StreamedBlock {
            index_stats: IndexStats {
                series_max_size: index.series_max_bytes,
                chunk_max_size: self.chunk_max_size,
                ..IndexStats::default()
            },
            index,
            stats: self.stats,
            times: self.times,
        })
    }
}
