//! Making a block's files.

use std::collections::{BTreeMap, BTreeSet};

use chunk::{Encoding, XorAppender};
use model::Labels;
use model::ulid::BlockId;

use super::{INDEX_FILE_NAME, StreamWriter, TimedChunk};
use crate::WriteError;
use crate::meta::{self, BlockMeta, Thanos};
use crate::segment::{DEFAULT_SEGMENT_BYTES, RawChunk, segment_name};

/// Samples after which Prometheus begins a new chunk.
pub const SAMPLES_PER_CHUNK: usize = 120;

/// A chunk that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedChunk {
    /// Time of the first sample, milliseconds.
    pub min_time: i64,
    /// Time of the last sample, milliseconds.
    pub max_time: i64,
    pub encoding: Encoding,
    pub data: Vec<u8>,
}

impl EncodedChunk {
    /// The chunk as [`StreamWriter`] takes it.
    pub fn timed(&self) -> TimedChunk<'_> {
        TimedChunk {
            min_time: self.min_time,
            max_time: self.max_time,
            chunk: RawChunk {
                encoding: self.encoding,
                data: &self.data,
            },
        }
    }
}

/// Encodes float samples, which are in order of time, into chunks of [`SAMPLES_PER_CHUNK`].
pub fn cut_float_chunks(samples: &[(i64, f64)]) -> Vec<EncodedChunk> {
    let encode = |samples: &[(i64, f64)]| {
        let ((min_time, _), (max_time, _)) = (samples.first()?, samples.last()?);
        let mut appender = XorAppender::new();
        for &(t, value) in samples {
            appender.append(t, value);
        }
        let data = appender.finish();
        Some(EncodedChunk {
            min_time: *min_time,
            max_time: *max_time,
            encoding: Encoding::Xor,
            data,
        })
    };
    samples
        .chunks(SAMPLES_PER_CHUNK)
        .filter_map(encode)
        .collect()
}

/// Collects series and makes a block of them; the same series make the same files.
#[derive(Debug, Default)]
pub struct BlockWriter {
    series: BTreeMap<Labels, Vec<EncodedChunk>>,
    segment_bytes: Option<u64>,
}

/// A block's files, in the order in which they are to be written or uploaded: the meta last.
#[derive(Debug)]
pub struct WrittenBlock {
    pub meta: BlockMeta,
    /// Name in the block and content.
    pub files: Vec<(String, Vec<u8>)>,
}

impl BlockWriter {
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits segments to so many bytes instead of [`DEFAULT_SEGMENT_BYTES`].
    #[must_use]
    pub fn with_segment_bytes(mut self, segment_bytes: u64) -> Self {
        self.segment_bytes = Some(segment_bytes);
        self
    }

    /// Adds chunks to a series, which is new or has only earlier ones.
    pub fn add(&mut self, labels: Labels, chunks: Vec<EncodedChunk>) {
        self.series.entry(labels).or_default().extend(chunks);
    }

    /// Makes the block. Its time range is the chunks' unless `thanos` callers widen it afterwards.
    ///
    /// # Errors
    /// A series' chunks are out of order, or something is larger than the format can say.
    pub fn finish(self, ulid: BlockId, thanos: Option<Thanos>) -> Result<WrittenBlock, WriteError> {
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        let segment_bytes = self.segment_bytes.unwrap_or(DEFAULT_SEGMENT_BYTES);
        let mut writer = StreamWriter::new(Vec::new(), segment_bytes, |segment, bytes: &[u8]| {
            let name = segment_name(segment);
            match files.last_mut() {
                Some((last, content)) if *last == name => content.extend_from_slice(bytes),
                _ => files.push((name, bytes.to_vec())),
            }
            Ok(())
        });
        // Prometheus keeps the unnamed label of all series among the symbols.
        let mut symbols = BTreeSet::from([""]);
        for label in self.series.keys().flat_map(Labels::iter) {
            symbols.extend([label.name, label.value]);
        }
        for symbol in symbols {
            writer.index().add_symbol(symbol)?;
        }
        for (labels, chunks) in &self.series {
            let timed: Vec<TimedChunk<'_>> = chunks.iter().map(EncodedChunk::timed).collect();
            let labels = writer.index().symbol_refs(labels)?;
            writer.add_series(&labels, &timed)?;
        }
        let streamed = writer.finish()?;
        let (min_time, max_time) = streamed.times.unwrap_or_default();
        let mut block_meta = BlockMeta::new(ulid, min_time, max_time.saturating_add(1));
        block_meta.stats = streamed.stats;
        block_meta.thanos = thanos.map(|thanos| Thanos {
            index_stats: streamed.index_stats,
            ..thanos
        });
        files.push((INDEX_FILE_NAME.to_owned(), streamed.index.out));
        files.push((meta::FILE_NAME.to_owned(), block_meta.encode()));
        Ok(WrittenBlock {
            meta: block_meta,
            files,
        })
    }
}
