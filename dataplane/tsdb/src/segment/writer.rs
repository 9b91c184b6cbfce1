//! Writing segments.

use chunk::varint;

use super::{ChunkRef, HEADER_BYTES, MAGIC, RawChunk, VERSION};
use crate::WriteError;
use crate::cursor::CRC_BYTES;

/// What a segment grows to before the next is begun.
pub const DEFAULT_SEGMENT_BYTES: u64 = 512 * 1024 * 1024;

/// The most bytes that Prometheus reckons for a chunk's length.
const MAX_LENGTH_BYTES: u64 = 5;

/// Frames chunks and cuts segments where Prometheus would; the caller takes the bytes out as they
/// come and writes them where it likes.
#[derive(Debug)]
pub struct SegmentWriter {
    segment_bytes: u64,
    /// Number of the current segment and its length, taken bytes included.
    segment: u32,
    length: u64,
    /// Bytes of the current segment not taken yet.
    pending: Vec<u8>,
    /// Where in `pending` new segments begin.
    cuts: Vec<usize>,
}

impl SegmentWriter {
    /// Segments stay below `segment_bytes` unless a single chunk is larger. At most four gibibytes,
    /// which is as far as references reach.
    pub fn new(segment_bytes: u64) -> Self {
        Self {
            segment_bytes: segment_bytes.min(u64::from(u32::MAX)),
            segment: 0,
            length: 0,
            pending: Vec::new(),
            cuts: Vec::new(),
        }
    }

    /// Appends one series' chunks, which come in order of time, and returns their references.
    ///
    /// # Errors
    /// A chunk does not fit a segment, or there are too many segments.
    pub fn write_chunks<'a>(
        &mut self,
        chunks: impl IntoIterator<Item = &'a RawChunk<'a>>,
    ) -> Result<Vec<ChunkRef>, WriteError> {
        let mut references = Vec::new();
        // Prometheus decides by the sum over the series' chunks since the last cut, with each chunk's
        // length at its longest, and does the same here for byte-identical files.
        let mut batch = 0;
        let mut counted_from = self.length.max(HEADER_BYTES as u64);
        for (i, chunk) in chunks.into_iter().enumerate() {
            let size = MAX_LENGTH_BYTES + 1 + chunk.data.len() as u64 + CRC_BYTES as u64;
            batch += size;
            let begun = counted_from > HEADER_BYTES as u64;
            if (i != 0 || begun) && batch + counted_from > self.segment_bytes {
                self.cut()?;
                batch = size;
                counted_from = HEADER_BYTES as u64;
            }
            references.push(self.write_chunk(chunk)?);
        }
        Ok(references)
    }

    fn write_chunk(&mut self, chunk: &RawChunk<'_>) -> Result<ChunkRef, WriteError> {
        if self.length == 0 {
            self.begin();
        }
        let offset = u32::try_from(self.length).map_err(|_| WriteError::TooLarge {
            what: "a chunk segment",
        })?;
        let start = self.pending.len();
        varint::put_uvarint(&mut self.pending, chunk.data.len() as u64);
        let content = self.pending.len();
        self.pending.push(chunk.encoding as u8);
        self.pending.extend_from_slice(chunk.data);
        let checksum = crc32c::crc32c(self.pending.get(content..).unwrap_or_default());
        self.pending.extend_from_slice(&checksum.to_be_bytes());
        self.length += (self.pending.len() - start) as u64;
        Ok(ChunkRef::new(self.segment, offset))
    }

    fn cut(&mut self) -> Result<(), WriteError> {
        self.segment = self.segment.checked_add(1).ok_or(WriteError::TooLarge {
            what: "the number of chunk segments",
        })?;
        self.cuts.push(self.pending.len());
        self.begin();
        Ok(())
    }

    fn begin(&mut self) {
        self.pending.extend_from_slice(&MAGIC.to_be_bytes());
        self.pending.extend_from_slice(&[VERSION, 0, 0, 0]);
        self.length = HEADER_BYTES as u64;
    }

    /// Bytes that wait to be taken.
    pub fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    /// Hands the waiting bytes to `sink`, with the number of the segment each piece is appended to,
    /// and forgets them.
    ///
    /// # Errors
    /// What `sink` answers; the bytes are forgotten then too.
    pub fn take<E>(&mut self, mut sink: impl FnMut(u32, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let pending = std::mem::take(&mut self.pending);
        let cuts = std::mem::take(&mut self.cuts);
        let mut start = 0;
        let first = u64::from(self.segment) - cuts.len() as u64;
        for (segment, end) in (first..).zip(cuts.into_iter().chain([pending.len()])) {
            let piece = pending.get(start..end).unwrap_or_default();
            if !piece.is_empty() {
                sink(u32::try_from(segment).unwrap_or(u32::MAX), piece)?;
            }
            start = end;
        }
        Ok(())
    }
}

impl Default for SegmentWriter {
    fn default() -> Self {
        Self::new(DEFAULT_SEGMENT_BYTES)
    }
}
