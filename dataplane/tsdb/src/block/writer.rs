//! Making a block's files.

use std::collections::{BTreeMap, BTreeSet};

use chunk::{Encoding, XorAppender, sample_count};
use model::Labels;
use model::ulid::BlockId;

use super::INDEX_FILE_NAME;
use crate::WriteError;
use crate::index::{ChunkMeta, IndexWriter};
use crate::meta::{self, BlockMeta, IndexStats, Thanos};
use crate::segment::{DEFAULT_SEGMENT_BYTES, RawChunk, SegmentWriter, segment_name};

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
        let mut segments = SegmentWriter::new(self.segment_bytes.unwrap_or(DEFAULT_SEGMENT_BYTES));
        let mut index = IndexWriter::new();
        // Prometheus keeps the unnamed label of all series among the symbols.
        let mut symbols = BTreeSet::from([""]);
        for label in self.series.keys().flat_map(Labels::iter) {
            symbols.extend([label.name, label.value]);
        }
        for symbol in symbols {
            index.add_symbol(symbol)?;
        }

        let times = self.series.values().flatten();
        let min_time = times
            .clone()
            .map(|chunk| chunk.min_time)
            .min()
            .unwrap_or_default();
        let max_time = times.map(|chunk| chunk.max_time).max().unwrap_or_default();
        let mut block_meta = BlockMeta::new(ulid, min_time, max_time.saturating_add(1));
        let stats = &mut block_meta.stats;
        let mut chunk_max_size = 0;
        for (labels, chunks) in &self.series {
            let raw: Vec<RawChunk<'_>> = chunks
                .iter()
                .map(|chunk| RawChunk {
                    encoding: chunk.encoding,
                    data: &chunk.data,
                })
                .collect();
            let references = segments.write_chunks(&raw)?;
            let metas: Vec<ChunkMeta> = references
                .into_iter()
                .zip(chunks)
                .map(|(reference, chunk)| ChunkMeta {
                    reference,
                    min_time: chunk.min_time,
                    max_time: chunk.max_time,
                })
                .collect();
            index.add_series(labels, &metas)?;
            for chunk in chunks {
                chunk_max_size = chunk_max_size.max(framed_bytes(chunk));
                stats.num_chunks += 1;
                let samples = sample_count(chunk.encoding, &chunk.data).map_or(0, u64::from);
                stats.num_samples += samples;
                if chunk.encoding.is_float() {
                    stats.num_float_samples += samples;
                } else if chunk.encoding.is_histogram() {
                    stats.num_histogram_samples += samples;
                }
            }
        }
        stats.num_series = self.series.len() as u64;

        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        let collected = segments.take(|segment, bytes| {
            files.push((segment_name(segment), bytes.to_vec()));
            Ok::<(), std::convert::Infallible>(())
        });
        let Ok(()) = collected;
        let index = index.finish()?;
        block_meta.thanos = thanos.map(|thanos| Thanos {
            index_stats: IndexStats {
                series_max_size: index.series_max_bytes,
                chunk_max_size,
                ..IndexStats::default()
            },
            ..thanos
        });
        files.push((INDEX_FILE_NAME.to_owned(), index.bytes));
        files.push((meta::FILE_NAME.to_owned(), block_meta.encode()));
        Ok(WrittenBlock {
            meta: block_meta,
            files,
        })
    }
}

/// Bytes that the chunk takes in its segment.
fn framed_bytes(chunk: &EncodedChunk) -> u64 {
    let length = chunk.data.len() as u64;
    chunk::varint::uvarint_len(length) as u64 + 1 + length + crate::CRC_BYTES as u64
}
