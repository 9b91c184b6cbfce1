//! A block made anew: without some series or times, with other labels, or with its chunks put in order.

mod change_log;
mod chunks;
mod requests;

use std::collections::BTreeMap;
use std::path::Path;

use block::{layout, transfer};
use model::relabel::{RelabelConfig, relabel};
use model::ulid::BlockId;
use model::{Labels, TimeRange};
use objstore::{Bucket, Content};
use serde_json::Value;
use tsdb::block::{BlockReader, BlockWriter, EncodedChunk, WrittenBlock};
use tsdb::index::{ALL_POSTINGS, SeriesEntry, SeriesRef};
use tsdb::meta::{BlockFile, Rewrite, Thanos, source};
use tsdb::postings::Postings;

pub use self::change_log::ChangeLog;
pub use self::requests::Deletion;
use crate::error::ToolError;

/// The file in a rewritten block that tells what was changed.
pub const CHANGE_LOG: &str = "change.log";

/// What is to be different.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Series, or times of them, that go.
    pub deletions: Vec<Deletion>,
    /// How labels change; a series that is dropped by it goes.
    pub relabel: Vec<RelabelConfig>,
    /// The relabeling as it was written, for the block's meta.
    pub relabel_source: Vec<Value>,
}

impl Changes {
    /// Reads relabelings from YAML as Prometheus has them.
    ///
    /// # Errors
    /// No such list, or a relabeling that cannot work.
    pub fn with_relabelings(self, yaml: &str) -> Result<Self, ToolError> {
        let invalid =
            |error: serde_saphyr::Error| ToolError::Invalid(format!("relabelings: {error}"));
        Ok(Self {
            relabel: serde_saphyr::from_str(yaml).map_err(invalid)?,
            relabel_source: serde_saphyr::from_str(yaml).map_err(invalid)?,
            ..self
        })
    }
}

/// Returns a name for a block made now.
pub fn new_id(now_ms: i64) -> BlockId {
    BlockId::from_parts(u64::try_from(now_ms).unwrap_or_default(), rand::random())
}

/// A block made anew, and what was changed in it.
#[derive(Debug)]
pub struct Rewritten {
    /// The block; `None` where nothing is left of it.
    pub block: Option<WrittenBlock>,
    /// What was changed.
    pub log: ChangeLog,
}

/// Makes a block anew, named `new`. Chunks that nothing changes keep their bytes; those out of order are put
/// in order, and those that overlap are made one.
///
/// # Errors
/// The block is not sound, or two of its series become equal by their labels and share time.
pub fn rewrite(
    reader: &BlockReader,
    changes: &Changes,
    new: BlockId,
) -> Result<Rewritten, ToolError> {
    let block = reader.meta.ulid;
    let unsound = || ToolError::unsound(block);
    let (name, value) = ALL_POSTINGS;
    let mut postings = reader.index.postings(name, value).map_err(unsound())?;
    let mut entry = SeriesEntry::default();
    let mut log = ChangeLog::default();
    let mut series: BTreeMap<Labels, Vec<EncodedChunk>> = BTreeMap::new();
    while let Some(reference) = postings.next() {
        let range = TimeRange::ALL;
        reader
            .index
            .series(SeriesRef(reference), range, &mut entry)
            .map_err(unsound())?;
        let labels = reader.index.labels(&entry).map_err(unsound())?;
        let gone = requests::deleted(&changes.deletions, &labels);
        let mut chunks = Vec::with_capacity(entry.chunks.len());
        for meta in &entry.chunks {
            let raw = reader.chunk(meta.reference).map_err(unsound())?;
            chunks.push(EncodedChunk {
                min_time: meta.min_time,
                max_time: meta.max_time,
                encoding: raw.encoding,
                data: raw.data.to_vec(),
            });
        }
        let before = chunks.len();
        let failed = |reason: String| ToolError::Rewrite { block, reason };
        let chunks = chunks::without(chunks, &gone)
            .and_then(chunks::in_order)
            .map_err(|reason| failed(format!("series {labels}: {reason}")))?;
        if !gone.is_empty() {
            log.deleted(&labels, &gone);
        }
        if chunks.is_empty() {
            continue;
        }
        if chunks.len() != before && gone.is_empty() {
            log.repaired(&labels);
        }
        let Some(relabeled) = relabel(&labels, &changes.relabel) else {
            log.dropped(&labels);
            continue;
        };
        if relabeled != labels {
            log.relabeled(&labels, &relabeled);
        }
        let merged = series.entry(relabeled).or_default();
        merged.extend(chunks);
    }
    let mut writer = BlockWriter::new();
    let empty = series.is_empty();
    for (labels, mut chunks) in series {
        chunks.sort_by_key(|chunk| (chunk.min_time, chunk.max_time));
        let apart = chunks
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a.max_time < b.min_time));
        if !apart {
            let reason = format!("several series become {labels} and share time");
            return Err(ToolError::Rewrite { block, reason });
        }
        writer.add(labels, chunks);
    }
    if empty {
        return Ok(Rewritten { block: None, log });
    }
    let mut written = writer
        .finish(new, Some(thanos(reader, changes)))
        .map_err(|error| ToolError::Rewrite {
            block,
            reason: error.to_string(),
        })?;
    describe(&mut written, reader);
    Ok(Rewritten {
        block: Some(written),
        log,
    })
}

/// What the new block says of its origin.
fn thanos(reader: &BlockReader, changes: &Changes) -> Thanos {
    let mut thanos = reader.meta.thanos.clone().unwrap_or_default();
    thanos.rewrites.push(Rewrite {
        sources: reader.meta.compaction.sources.clone(),
        deletions_applied: changes.deletions.iter().map(Deletion::as_applied).collect(),
        relabels_applied: changes.relabel_source.clone(),
        ..Rewrite::default()
    });
    thanos.source = source::BUCKET_REWRITE.to_owned();
    thanos.segment_files = Vec::new();
    thanos.files = Vec::new();
    thanos.upload_time = None;
    thanos
}

/// The new block stands for the old one's time and level.
fn describe(written: &mut WrittenBlock, reader: &BlockReader) {
    let meta = &mut written.meta;
    meta.min_time = reader.meta.min_time;
    meta.max_time = reader.meta.max_time;
    meta.compaction.level = reader.meta.compaction.level;
    if let Some(thanos) = &mut meta.thanos {
        let files = written
            .files
            .iter()
            .filter(|(name, _)| name != layout::META);
        thanos.files = files
            .map(|(name, bytes)| BlockFile {
                rel_path: name.clone(),
                size_bytes: bytes.len() as u64,
                hash: None,
                unknown: serde_json::Map::new(),
            })
            .collect();
    }
    let encoded = meta.encode();
    if let Some((_, bytes)) = written
        .files
        .iter_mut()
        .find(|(name, _)| name == layout::META)
    {
        *bytes = encoded;
    }
}

/// Puts a block that was made anew into the bucket by way of `folder`, its change log before its meta.
///
/// # Errors
/// The disk or the bucket fails; the block is then not visible.
pub async fn publish(
    bucket: &dyn Bucket,
    written: &WrittenBlock,
    log: Option<&ChangeLog>,
    folder: &Path,
) -> Result<(), ToolError> {
    let block = written.meta.ulid;
    let folder = folder.join(block.to_string());
    let chunks = folder.join(layout::CHUNKS);
    tokio::fs::create_dir_all(&chunks)
        .await
        .map_err(ToolError::io(&chunks))?;
    for (name, bytes) in &written.files {
        let path = folder.join(name);
        tokio::fs::write(&path, bytes)
            .await
            .map_err(ToolError::io(&path))?;
    }
    if let Some(log) = log {
        let text = Content::from(log.to_string().into_bytes());
        bucket
            .upload(&layout::object(block, CHANGE_LOG), text)
            .await?;
    }
    transfer::upload(bucket, block, &folder, 1).await?;
    Ok(())
}
