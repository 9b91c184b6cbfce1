//! Carrying a planned compaction out.
//!
//! Plan, then this: fetch the sources' indexes, merge into a [`Stage`], publish, mark the sources. Each
//! step can be broken off: before the new block's meta is there nothing happened, after it the sources
//! are superseded and the next round marks what was left unmarked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use block::fetcher::View;
use block::markers::{DeletionMark, NoCompactMark};
use block::{BlockId, layout, markers, transfer};
use futures::{StreamExt, TryStreamExt, stream};
use model::TimeRange;
use objstore::Bucket;
use runtime::clock::Clock;
use runtime::shutdown::Shutdown;
use tokio::runtime::Handle;
use tsdb::index::Reader;
use tsdb::meta::BlockMeta;
use tsdb::tombstones::{self, Tombstones};

use crate::error::CompactError;
use crate::group::GroupKey;
use crate::lease::Guard;
use crate::lineage;
use crate::merge::chunks::ChunkReader;
use crate::merge::overlap::Dedup;
use crate::merge::source::Source;
use crate::merge::{MergeStats, merge};
use crate::stage::{Stage, StagedBlock, open_index};

/// What every step needs.
#[derive(Debug, Clone)]
pub struct Tools {
    pub bucket: Arc<dyn Bucket>,
    /// Folder for what is under way.
    pub data_dir: PathBuf,
    pub guard: Guard,
    pub clock: Arc<dyn Clock>,
    pub shutdown: Shutdown,
    /// Indexes fetched at once for one compaction.
    pub fetch_concurrency: usize,
}

/// What a compaction came to.
#[derive(Debug)]
pub struct Compacted {
    /// The new block; none where the sources have no sample that remains.
    pub block: Option<BlockMeta>,
    pub merged: MergeStats,
}

impl Tools {
    /// Returns a fresh identifier.
    pub fn new_id(&self) -> BlockId {
        let now = u64::try_from(self.clock.now_ms()).unwrap_or_default();
        BlockId::from_parts(now, rand::random::<u128>() >> 48)
    }

    /// Makes one block of several and marks them for deletion.
    ///
    /// # Errors
    /// Whatever failed; nothing is marked then unless the new block is there.
    pub async fn compact(
        &self,
        key: &GroupKey,
        blocks: &[BlockId],
        view: &View,
        dedup: Dedup,
    ) -> Result<Compacted, CompactError> {
        let sources = self.open(blocks, view).await?;
        let metas: Vec<Arc<BlockMeta>> = sources
            .iter()
            .map(|source| Arc::clone(&source.meta))
            .collect();
        let mut meta = lineage::merged(self.new_id(), &metas, key);
        let range = TimeRange::new(meta.min_time, meta.max_time.saturating_sub(1));
        let (stage, mut writer) =
            Stage::begin(Arc::clone(&self.bucket), meta.ulid, &self.data_dir)?;
        let stop = self.shutdown.clone();
        let work = move || {
            let merged = merge(sources, range, dedup, &mut writer, &|| stop.has_begun())?;
            Ok((writer.finish()?, merged))
        };
        let (staged, merged) = match run_blocking(work).await {
            Ok(done) => done,
            Err(error) => return Err(self.abandon(stage, meta.ulid, error).await),
        };
        let block = if staged.stats.num_series == 0 {
            drop(stage);
            None
        } else {
            fill_in(&mut meta, &staged, self.clock.now_ms());
            Some(stage.publish(staged, meta, &self.guard).await?)
        };
        for block in blocks {
            self.mark_for_deletion(*block, "source of compacted block")
                .await?;
        }
        Ok(Compacted { block, merged })
    }

    /// Removes what a failed block has in the bucket, as far as that goes, and returns why it failed.
    pub(crate) async fn abandon(
        &self,
        stage: Stage,
        block: BlockId,
        error: CompactError,
    ) -> CompactError {
        let error = stage.failure().await.unwrap_or(error);
        if let Err(error) = transfer::delete(&*self.bucket, block).await {
            tracing::debug!(%block, error = runtime::telemetry::chain(&error), "leaving a partial block to cleaning");
        }
        error
    }

    /// Opens blocks for merging: their indexes are fetched, their chunks as they are read.
    pub(crate) async fn open(
        &self,
        blocks: &[BlockId],
        view: &View,
    ) -> Result<Vec<Source>, CompactError> {
        let mut opening = Vec::with_capacity(blocks.len());
        for block in blocks {
            opening.push(self.open_one(*block, view));
        }
        stream::iter(opening)
            .buffered(self.fetch_concurrency.max(1))
            .try_collect()
            .await
    }

    async fn open_one(&self, block: BlockId, view: &View) -> Result<Source, CompactError> {
        let gone = |what: &str| {
            let what = what.to_owned();
            CompactError::Block(block::BlockError::Incomplete { block, what })
        };
        let fetched = view.blocks.get(&block).ok_or_else(|| gone("it is gone"))?;
        let size = fetched
            .files
            .index_bytes
            .ok_or_else(|| gone("its index is missing"))?;
        std::fs::create_dir_all(&self.data_dir).map_err(CompactError::io(&self.data_dir))?;
        let path = self
            .data_dir
            .join(format!("{block}-{}.index", self.new_id()));
        let _removed_at_end = Removed(&path);
        let short = |object: String, got: u64, wanted: u64| CompactError::Short {
            object,
            got,
            wanted,
        };
        match transfer::download_file(&*self.bucket, block, layout::INDEX, size, &path).await {
            // The size was listed: what is missing was lost on the way, and says nothing of the block.
            Err(block::BlockError::Corrupt { .. }) => {
                let got = std::fs::metadata(&path).map_or(0, |file| file.len());
                return Err(short(layout::object(block, layout::INDEX), got, size));
            }
            done => done?,
        }
        // A map of a removed file is good until it is dropped.
        let bytes = open_index(&path)?;
        let index = Reader::decode(bytes).map_err(CompactError::corrupt(block))?;
        let object = layout::object(block, tombstones::FILE_NAME);
        let tombstones = match self.bucket.get(&object).await {
            Ok(bytes) => {
                let size = self.bucket.attributes(&object).await?.size;
                if bytes.len() as u64 != size {
                    return Err(short(object, bytes.len() as u64, size));
                }
                Tombstones::decode(&bytes).map_err(CompactError::corrupt(block))?
            }
            Err(error) if error.is_not_found() => Tombstones::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(Source {
            meta: Arc::clone(&fetched.meta),
            index,
            chunks: ChunkReader::new(
                Arc::clone(&self.bucket),
                block,
                fetched.files.segment_bytes.clone(),
                Handle::current(),
            ),
            tombstones,
        })
    }

    /// Marks a block unless it is marked already.
    ///
    /// # Errors
    /// The lease is lost or the bucket fails.
    pub async fn mark_for_deletion(
        &self,
        block: BlockId,
        details: &str,
    ) -> Result<(), CompactError> {
        let object = layout::object(block, DELETION_MARK);
        if self.bucket.exists(&object).await? {
            return Ok(());
        }
        let mark = DeletionMark {
            id: block,
            version: markers::VERSION,
            details: details.to_owned(),
            deletion_time: self.clock.now_ms().div_euclid(1000),
        };
        self.guard
            .during(markers::write(&*self.bucket, &mark))
            .await
    }

    /// Puts a block aside.
    ///
    /// # Errors
    /// The lease is lost or the bucket fails.
    pub async fn mark_no_compact(
        &self,
        block: BlockId,
        reason: &str,
        details: &str,
    ) -> Result<(), CompactError> {
        let mark = NoCompactMark {
            id: block,
            version: markers::VERSION,
            details: details.to_owned(),
            no_compact_time: self.clock.now_ms().div_euclid(1000),
            reason: reason.to_owned(),
        };
        self.guard
            .during(markers::write(&*self.bucket, &mark))
            .await
    }
}

impl Tools {
    /// Looks whether a block has all files, in the size its meta says.
    ///
    /// # Errors
    /// Something is missing or cannot be told.
    pub async fn verify_complete(&self, block: BlockId, view: &View) -> Result<(), CompactError> {
        let incomplete =
            |what: String| CompactError::Block(block::BlockError::Incomplete { block, what });
        let fetched = view
            .blocks
            .get(&block)
            .ok_or_else(|| incomplete("it is gone".to_owned()))?;
        // What was fetched does not keep the list of files.
        let bytes = self
            .bucket
            .get(&layout::object(block, layout::META))
            .await?;
        let meta = BlockMeta::decode(&bytes).map_err(CompactError::corrupt(block))?;
        let files = &fetched.files;
        let listed = meta.thanos.map(|thanos| thanos.files).unwrap_or_default();
        for file in listed.iter().filter(|file| file.size_bytes > 0) {
            let there = match layout::segment_number(&file.rel_path) {
                Some(segment) => files.segment_bytes.get(segment as usize).copied(),
                None if file.rel_path == layout::INDEX => files.index_bytes,
                None => continue,
            };
            if there != Some(file.size_bytes) {
                let name = &file.rel_path;
                return Err(incomplete(format!(
                    "{name} has {there:?} bytes instead of {}",
                    file.size_bytes
                )));
            }
        }
        if files.index_bytes.is_none() || files.segment_bytes.is_empty() {
            return Err(incomplete(
                "its index or its segments are missing".to_owned(),
            ));
        }
        Ok(())
    }
}

const DELETION_MARK: &str = <DeletionMark as markers::Marker>::FILE_NAME;

/// Enters into a meta what its block turned out to be.
pub(crate) fn fill_in(meta: &mut BlockMeta, staged: &StagedBlock, now_ms: i64) {
    meta.stats = staged.stats.clone();
    if let Some(thanos) = &mut meta.thanos {
        thanos.index_stats = staged.index_stats.clone();
        thanos.upload_time = jiff::Timestamp::from_millisecond(now_ms)
            .ok()
            .map(|now| now.to_string());
    }
}

/// Runs work that computes, and waits for bytes, on a thread of its own.
pub(crate) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CompactError> + Send + 'static,
) -> Result<T, CompactError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(CompactError::Task(error.to_string())),
    }
}

/// Removes a file when it goes out of scope.
struct Removed<'a>(&'a Path);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        // What is left is removed with the folder at the next start.
        let _ = std::fs::remove_file(self.0);
    }
}
