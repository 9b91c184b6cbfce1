//! The blocks of a bucket.
//!
//! One recursive listing tells which blocks there are, which of their objects exist and how large they
//! are; it costs one request for a thousand objects, where asking each block for its `meta.json` costs
//! one a block. Only metas and marks that are new are then read. Metas are kept on disk, so that a
//! restart reads none.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use futures::{StreamExt, TryStreamExt, stream};
use model::ulid::BlockId;
use objstore::{Bucket, Listing};
use tsdb::meta::BlockMeta;

use crate::error::{BlockError, ErrorKind};
use crate::layout;
use crate::markers::{self, DeletionMark, Marker, NoCompactMark, NoDownsampleMark};

mod metrics;

pub use metrics::FetcherMetrics;

/// The largest `meta.json` that is read.
const MAX_META_BYTES: u64 = 64 << 20;

/// Metas read at once.
pub const DEFAULT_CONCURRENCY: usize = 32;

/// Sizes of a block's objects, as listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockFiles {
    /// Of `meta.json`; absent in a partial block.
    pub meta_bytes: Option<u64>,
    /// Of the index.
    pub index_bytes: Option<u64>,
    /// Of each segment, in order; a gap ends the list.
    pub segment_bytes: Vec<u64>,
    /// When its newest object was written, in milliseconds since the Unix epoch.
    pub last_modified_ms: i64,
    /// Whether there is a no-compact mark.
    pub no_compact_mark: bool,
    /// Whether there is a no-downsample mark.
    pub no_downsample_mark: bool,
    deletion_mark: Option<MarkVersion>,
}

impl BlockFiles {
    /// Whether there is a deletion mark, read or not.
    pub fn has_deletion_mark(&self) -> bool {
        self.deletion_mark.is_some()
    }
}

/// Tells a mark that was read from one that replaced it.
type MarkVersion = (u64, i64);

/// A block that can be read.
#[derive(Debug, Clone)]
pub struct FetchedBlock {
    /// Its description.
    pub meta: Arc<BlockMeta>,
    /// Its objects.
    pub files: Arc<BlockFiles>,
    /// When it was marked for deletion, in seconds since the Unix epoch.
    pub deletion_time: Option<i64>,
}

/// What a bucket holds.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Blocks with a sound meta.
    pub blocks: BTreeMap<BlockId, FetchedBlock>,
    /// Blocks without a meta: being uploaded, being deleted, or left behind.
    pub partial: BTreeMap<BlockId, Arc<BlockFiles>>,
    /// Blocks whose meta is unsound, and how.
    pub corrupt: BTreeMap<BlockId, String>,
}

/// Reads which blocks a bucket holds, again and again.
#[derive(Debug)]
pub struct Fetcher {
    bucket: Arc<dyn Bucket>,
    cache_dir: Option<PathBuf>,
    concurrency: usize,
    metrics: FetcherMetrics,
    known: HashMap<BlockId, Known>,
}

/// What is remembered of a block from one fetch to the next.
#[derive(Debug, Clone)]
struct Known {
    meta: Arc<BlockMeta>,
    meta_bytes: u64,
    mark: Option<(MarkVersion, i64)>,
}

impl Fetcher {
    /// Creates a fetcher. With a `cache_dir`, metas are kept in it between restarts.
    pub fn new(
        bucket: Arc<dyn Bucket>,
        cache_dir: Option<PathBuf>,
        concurrency: usize,
        metrics: FetcherMetrics,
    ) -> Self {
        let concurrency = concurrency.max(1);
        Self {
            bucket,
            cache_dir,
            concurrency,
            metrics,
            known: HashMap::new(),
        }
    }

    /// Lists the bucket and reads what is new in it.
    ///
    /// # Errors
    /// The bucket failed. A listing that broke half-way is an error too, never an emptier view.
    pub async fn fetch(&mut self) -> Result<View, BlockError> {
        self.metrics.syncs.inc();
        let begun = Instant::now();
        let fetched = self.fetch_inner().await;
        match &fetched {
            Ok(view) => {
                self.metrics.seconds.observe(begun.elapsed().as_secs_f64());
                self.metrics.set_state("no-meta-json", view.partial.len());
                self.metrics
                    .set_state("corrupted-meta-json", view.corrupt.len());
            }
            Err(_) => {
                self.metrics.failures.inc();
            }
        }
        fetched
    }

    async fn fetch_inner(&mut self) -> Result<View, BlockError> {
        let listed = self.list().await?;
        let mut view = View::default();
        let mut complete = Vec::new();
        for (block, files) in listed {
            match files.meta_bytes {
                Some(meta_bytes) => complete.push((block, meta_bytes, Arc::new(files))),
                None => {
                    view.partial.insert(block, Arc::new(files));
                }
            }
        }
        let this = &*self;
        let mut reads = stream::iter(complete.into_iter().map(
            async |(block, meta_bytes, files)| {
                let known = this.read_block(block, meta_bytes, &files).await;
                (block, files, known)
            },
        ))
        .buffer_unordered(this.concurrency);
        let mut known_now = HashMap::new();
        while let Some((block, files, known)) = reads.next().await {
            match known {
                Ok(Some(known)) => {
                    let deletion_time = known.mark.map(|(_, time)| time);
                    let meta = Arc::clone(&known.meta);
                    view.blocks.insert(
                        block,
                        FetchedBlock {
                            meta,
                            files,
                            deletion_time,
                        },
                    );
                    known_now.insert(block, known);
                }
                // It went away after it was listed.
                Ok(None) => {
                    view.partial.insert(block, files);
                }
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    let reason = runtime::telemetry::chain(&error);
                    view.corrupt.insert(block, reason);
                }
                Err(error) => return Err(error),
            }
        }
        drop(reads);
        for gone in self
            .known
            .keys()
            .filter(|block| !known_now.contains_key(*block))
        {
            if let Some(folder) = self.cached(*gone) {
                // Left behind it costs a little disk; the next fetch does not look at it.
                let _ = std::fs::remove_dir_all(folder);
            }
        }
        self.known = known_now;
        Ok(view)
    }

    async fn list(&self) -> Result<BTreeMap<BlockId, BlockFiles>, BlockError> {
        let mut blocks: BTreeMap<BlockId, BlockFiles> = BTreeMap::new();
        let mut segments: BTreeMap<(BlockId, u32), u64> = BTreeMap::new();
        let mut entries = self.bucket.iter("", Listing::Recursive);
        while let Some(entry) = entries.try_next().await? {
            let (Some((block, file)), Some(attributes)) =
                (layout::parse(&entry.name), entry.attributes)
            else {
                continue;
            };
            let files = blocks.entry(block).or_default();
            files.last_modified_ms = files.last_modified_ms.max(attributes.last_modified_ms);
            match file {
                layout::META => files.meta_bytes = Some(attributes.size),
                layout::INDEX => files.index_bytes = Some(attributes.size),
                DeletionMark::FILE_NAME => {
                    files.deletion_mark = Some((attributes.size, attributes.last_modified_ms));
                }
                NoCompactMark::FILE_NAME => files.no_compact_mark = true,
                NoDownsampleMark::FILE_NAME => files.no_downsample_mark = true,
                _ => {
                    if let Some(segment) = layout::segment_number(file) {
                        segments.insert((block, segment), attributes.size);
                    }
                }
            }
        }
        for ((block, segment), size) in segments {
            if let Some(files) = blocks.get_mut(&block)
                && files.segment_bytes.len() == segment as usize
            {
                files.segment_bytes.push(size);
            }
        }
        Ok(blocks)
    }

    async fn read_block(
        &self,
        block: BlockId,
        meta_bytes: u64,
        files: &BlockFiles,
    ) -> Result<Option<Known>, BlockError> {
        let known = self
            .known
            .get(&block)
            .filter(|known| known.meta_bytes == meta_bytes);
        let meta = match known {
            Some(known) => Arc::clone(&known.meta),
            None => match self.read_meta(block, meta_bytes).await? {
                Some(meta) => Arc::new(meta),
                None => return Ok(None),
            },
        };
        let mark = match (files.deletion_mark, known.and_then(|known| known.mark)) {
            (None, _) => None,
            (Some(version), Some((seen, time))) if seen == version => Some((version, time)),
            (Some(version), _) => match markers::read::<DeletionMark>(&*self.bucket, block).await {
                Ok(mark) => mark.map(|mark| (version, mark.deletion_time)),
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    // An unreadable mark hides nothing: what is not surely marked is served.
                    tracing::warn!(
                        %block,
                        error = runtime::telemetry::chain(&error),
                        "ignoring an unreadable deletion mark"
                    );
                    None
                }
                Err(error) => return Err(error),
            },
        };
        Ok(Some(Known {
            meta,
            meta_bytes,
            mark,
        }))
    }

    async fn read_meta(
        &self,
        block: BlockId,
        meta_bytes: u64,
    ) -> Result<Option<BlockMeta>, BlockError> {
        let cached = self.cached(block).map(|folder| folder.join(layout::META));
        if let Some(path) = &cached
            && let Ok(bytes) = tokio::fs::read(path).await
            && bytes.len() as u64 == meta_bytes
            && let Ok(meta) = decode_meta(block, &bytes)
        {
            return Ok(Some(meta));
        }
        if meta_bytes > MAX_META_BYTES {
            return Err(BlockError::truncated(
                block,
                layout::META,
                MAX_META_BYTES,
                meta_bytes,
            ));
        }
        let bytes = match self.bucket.get(&layout::object(block, layout::META)).await {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let meta = decode_meta(block, &bytes)?;
        if let Some(path) = &cached
            && let Err(error) = write_atomically(path, &bytes).await
        {
            tracing::warn!(path = %path.display(), %error, "cannot keep a meta on disk");
        }
        Ok(Some(meta))
    }

    fn cached(&self, block: BlockId) -> Option<PathBuf> {
        self.cache_dir
            .as_ref()
            .map(|dir| dir.join(block.to_string()))
    }
}

fn decode_meta(block: BlockId, bytes: &[u8]) -> Result<BlockMeta, BlockError> {
    let mut meta = BlockMeta::decode(bytes).map_err(|source| BlockError::corrupt(block, source))?;
    if meta.ulid != block {
        let what = format!("it describes block {}", meta.ulid).into();
        let source = tsdb::Corrupt {
            what,
            place: layout::META.into(),
            at: None,
        };
        return Err(BlockError::corrupt(block, source));
    }
    // Nothing here reads the list of files, and over thousands of blocks it is most of the memory.
    if let Some(thanos) = &mut meta.thanos {
        thanos.files = Vec::new();
        thanos.segment_files = Vec::new();
    }
    Ok(meta)
}

async fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder).await?;
    }
    let staged = path.with_extension("tmp");
    tokio::fs::write(&staged, bytes).await?;
    tokio::fs::rename(&staged, path).await
}

#[cfg(test)]
mod tests;
