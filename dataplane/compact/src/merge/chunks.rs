//! The chunks of a block in the bucket, read in the order in which they lie.
//!
//! Series come in the order in which their chunks were written, so that reading goes forwards through
//! the segments: a window of bytes is held and the next one is under way. A reference that points
//! elsewhere begins a new window there.

use std::ops::Range;
use std::sync::Arc;

use block::{BlockId, layout};
use bytes::{Bytes, BytesMut};
use objstore::{Bucket, BucketError};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tsdb::segment::{ChunkRef, MAX_CHUNK_HEADER_BYTES, chunk_length, segment_name};

use crate::error::CompactError;

/// Bytes fetched at once. Twice as many are held for each block.
const WINDOW_BYTES: u64 = 4 << 20;

/// Reads a block's chunks with their frames.
#[derive(Debug)]
pub struct ChunkReader {
    bucket: Arc<dyn Bucket>,
    block: BlockId,
    /// Sizes of the segments.
    segments: Vec<u64>,
    /// Where fetches run; this reader itself is used by a thread that may block.
    handle: Handle,
    segment: u32,
    /// Where the window begins in the segment.
    start: u64,
    window: Bytes,
    ahead: Option<Ahead>,
}

#[derive(Debug)]
struct Ahead {
    segment: u32,
    range: Range<u64>,
    bytes: JoinHandle<Result<Bytes, BucketError>>,
}

impl Drop for ChunkReader {
    fn drop(&mut self) {
        if let Some(ahead) = self.ahead.take() {
            ahead.bytes.abort();
        }
    }
}

impl ChunkReader {
    pub fn new(
        bucket: Arc<dyn Bucket>,
        block: BlockId,
        segments: Vec<u64>,
        handle: Handle,
    ) -> Self {
        Self {
            bucket,
            block,
            segments,
            handle,
            segment: 0,
            start: 0,
            window: Bytes::new(),
            ahead: None,
        }
    }

    /// Returns the chunk with its frame, not verified. Blocks while it is fetched.
    ///
    /// # Errors
    /// The bucket fails, or there is no such place.
    pub fn framed(&mut self, reference: ChunkRef) -> Result<Bytes, CompactError> {
        let (segment, offset) = (reference.segment(), u64::from(reference.offset()));
        let Some(&size) = self.segments.get(segment as usize) else {
            return Err(self.corrupt(reference, "the segment does not exist"));
        };
        if offset >= size {
            return Err(self.corrupt(reference, "the chunk lies behind the segment's end"));
        }
        let mut needed = MAX_CHUNK_HEADER_BYTES.min(size - offset);
        loop {
            let have = self.held(segment, offset);
            let have_bytes = have.as_ref().map_or(0, |bytes| bytes.len() as u64);
            if let Some(bytes) = have
                && have_bytes >= needed
            {
                let Some(length) = chunk_length(&bytes) else {
                    return Err(self.corrupt(reference, "the chunk's length is no number"));
                };
                if length > size - offset {
                    return Err(self.corrupt(reference, "the chunk is cut off"));
                }
                if length <= have_bytes {
                    // Bounded by what is held, which is in memory.
                    return Ok(bytes.slice(..usize::try_from(length).unwrap_or(usize::MAX)));
                }
                needed = length;
            }
            self.fill(segment, offset, needed, size)?;
        }
    }

    /// The bytes of the window from `offset` on.
    fn held(&self, segment: u32, offset: u64) -> Option<Bytes> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        (segment == self.segment && from <= self.window.len()).then(|| self.window.slice(from..))
    }

    /// Makes the window begin at `offset` and hold at least `needed` bytes.
    fn fill(
        &mut self,
        segment: u32,
        offset: u64,
        needed: u64,
        size: u64,
    ) -> Result<(), CompactError> {
        let tail = self.held(segment, offset).unwrap_or_default();
        let mut at = offset + tail.len() as u64;
        let mut pieces = vec![tail];
        while at - offset < needed {
            let range = at..(at + WINDOW_BYTES.max(needed - (at - offset))).min(size);
            let piece = match self.ahead.take() {
                Some(ahead) if ahead.segment == segment && ahead.range.start == at => {
                    at = ahead.range.end;
                    self.wait(ahead)?
                }
                other => {
                    if let Some(other) = other {
                        other.bytes.abort();
                    }
                    at = range.end;
                    let ahead = self.fetch(segment, range);
                    self.wait(ahead)?
                }
            };
            pieces.push(piece);
        }
        self.window = match pieces.as_slice() {
            [tail, piece] if tail.is_empty() => piece.clone(),
            pieces => {
                let mut window = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
                for piece in pieces {
                    window.extend_from_slice(piece);
                }
                window.freeze()
            }
        };
        (self.segment, self.start) = (segment, offset);
        let next = self.segments.get(segment as usize + 1).copied();
        self.ahead = if at < size {
            Some(self.fetch(segment, at..(at + WINDOW_BYTES).min(size)))
        } else {
            // The next segment's first chunk lies behind its header.
            let begin = tsdb::segment::HEADER_BYTES as u64;
            next.filter(|&size| size > begin)
                .map(|size| self.fetch(segment + 1, begin..(begin + WINDOW_BYTES).min(size)))
        };
        Ok(())
    }

    fn fetch(&self, segment: u32, range: Range<u64>) -> Ahead {
        let bucket = Arc::clone(&self.bucket);
        let object = layout::object(self.block, &segment_name(segment));
        let wanted = range.clone();
        let bytes = self
            .handle
            .spawn(async move { bucket.get_range(&object, wanted).await });
        Ahead {
            segment,
            range,
            bytes,
        }
    }

    fn wait(&self, ahead: Ahead) -> Result<Bytes, CompactError> {
        let bytes = self
            .handle
            .block_on(ahead.bytes)
            .map_err(|error| CompactError::Task(error.to_string()))??;
        let wanted = ahead.range.end - ahead.range.start;
        if bytes.len() as u64 != wanted {
            return Err(CompactError::Short {
                object: layout::object(self.block, &segment_name(ahead.segment)),
                got: bytes.len() as u64,
                wanted,
            });
        }
        Ok(bytes)
    }

    fn corrupt(&self, reference: ChunkRef, what: &'static str) -> CompactError {
        CompactError::Corrupt {
            block: self.block,
            source: tsdb::Corrupt {
                what: what.into(),
                place: reference.segment_name().into(),
                at: Some(u64::from(reference.offset())),
            },
        }
    }
}
