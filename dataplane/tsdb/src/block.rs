//! A whole block: reading its files together, and making them.

mod stream;
#[cfg(test)]
mod tests;
mod writer;

use bytes::Bytes;
use chunk::{Columns, Encoding};
use model::{Labels, Matcher, TimeRange};
pub use stream::{StreamWriter, StreamedBlock, TimedChunk};
pub use writer::{BlockWriter, EncodedChunk, SAMPLES_PER_CHUNK, WrittenBlock, cut_float_chunks};

use crate::Corrupt;
use crate::index::{Reader, SeriesEntry, SeriesRef};
use crate::meta::BlockMeta;
use crate::segment::{ChunkRef, RawChunk, Segment};
use crate::tombstones::Tombstones;

/// The name of the index in a block.
pub const INDEX_FILE_NAME: &str = "index";

/// A block over its files' bytes, which may be memory maps.
#[derive(Debug, Clone)]
pub struct BlockReader {
    pub meta: BlockMeta,
    pub index: Reader,
    pub tombstones: Tombstones,
    segments: Vec<Segment>,
}

/// A series of a block with its samples' chunks.
#[derive(Debug, Clone)]
pub struct Series<'a> {
    pub labels: Labels,
    /// Each with the time it covers, in order.
    pub chunks: Vec<(TimeRange, RawChunk<'a>)>,
}

impl BlockReader {
    /// Puts a block together. `segments` come in order of their names; `tombstones` are empty where
    /// the block has no such file.
    ///
    /// # Errors
    /// A file's header, or a part of the index that is needed at once, is not sound.
    pub fn new(
        meta: BlockMeta,
        index: Bytes,
        segments: Vec<Bytes>,
        tombstones: Tombstones,
    ) -> Result<Self, Corrupt> {
        let segments = segments
            .into_iter()
            .map(Segment::decode)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            meta,
            index: Reader::decode(index)?,
            tombstones,
            segments,
        })
    }

    /// Returns a chunk.
    ///
    /// # Errors
    /// There is none, or it is not sound.
    pub fn chunk(&self, reference: ChunkRef) -> Result<RawChunk<'_>, Corrupt> {
        self.segments
            .get(reference.segment() as usize)
            .ok_or_else(|| Corrupt::new("chunk segment", "a chunk's segment does not exist"))
            .and_then(|segment| segment.chunk(reference.offset()))
            .map_err(|corrupt| Corrupt {
                place: reference.segment_name().into(),
                ..corrupt
            })
    }

    /// Returns the series that satisfy all of `matchers`, in order, with the chunks that overlap
    /// `range`; a series without such chunks is left out.
    ///
    /// # Errors
    /// The index or a chunk is not sound.
    pub fn select(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<Series<'_>>, Corrupt> {
        let mut selected = Vec::new();
        let mut entry = SeriesEntry::default();
        for reference in self.index.select(matchers)? {
            self.index.series(reference, range, &mut entry)?;
            if entry.chunks.is_empty() {
                continue;
            }
            let chunks = entry.chunks.iter().map(|meta| {
                self.chunk(meta.reference)
                    .map(|chunk| (meta.range(), chunk))
            });
            selected.push(Series {
                labels: self.index.labels(&entry)?,
                chunks: chunks.collect::<Result<_, _>>()?,
            });
        }
        Ok(selected)
    }

    /// Reads everything once: each series, each chunk, each sample's time against what the index and
    /// the block's meta say of it.
    ///
    /// # Errors
    /// The first thing that is not sound.
    pub fn verify(&self) -> Result<(), Corrupt> {
        let (name, value) = crate::index::ALL_POSTINGS;
        let mut postings = self.index.postings(name, value)?;
        let mut entry = SeriesEntry::default();
        let mut last: Option<Labels> = None;
        while let Some(reference) = crate::postings::Postings::next(&mut postings) {
            self.index
                .series(SeriesRef(reference), TimeRange::ALL, &mut entry)?;
            let labels = self.index.labels(&entry)?;
            if last.as_ref().is_some_and(|last| labels <= *last) {
                return Err(Corrupt::new("index series", "series are out of order"));
            }
            for meta in &entry.chunks {
                let chunk = self.chunk(meta.reference)?;
                self.verify_times(meta.reference, meta.range(), chunk)?;
            }
            last = Some(labels);
        }
        Ok(())
    }

    fn verify_times(
        &self,
        reference: ChunkRef,
        range: TimeRange,
        chunk: RawChunk<'_>,
    ) -> Result<(), Corrupt> {
        let wrong = |what: &'static str| Corrupt {
            what: what.into(),
            place: reference.segment_name().into(),
            at: Some(u64::from(reference.offset())),
        };
        if range.start < self.meta.min_time || range.end >= self.meta.max_time {
            return Err(wrong("a chunk lies outside the block's time range"));
        }
        let Encoding::Xor = chunk.encoding else {
            return Ok(());
        };
        let mut columns = Columns::new();
        chunk::decode_xor(chunk.data, &mut columns)
            .map_err(|corrupt| Corrupt::in_chunk(&corrupt, reference))?;
        let times = columns.timestamps();
        if times.first() != Some(&range.start) || times.last() != Some(&range.end) {
            return Err(wrong("a chunk's samples are not where the index says"));
        }
        if !times.is_sorted_by(|a, b| a < b) {
            return Err(wrong("a chunk's samples are out of order"));
        }
        Ok(())
    }
}
