//! One block, and its index-header while it is needed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use block::fetcher::FetchedBlock;
use block::{BlockError, BlockFiles, BlockId, IndexHeader, filters, index_header, layout};
use model::{Labels, TimeRange};
use objstore::Bucket;
use tokio::sync::Mutex;
use tsdb::meta::BlockMeta;

/// A block that is served.
#[derive(Debug)]
pub struct Block {
    /// Its identifier.
    pub id: BlockId,
    /// Its description.
    pub meta: Arc<BlockMeta>,
    /// The sizes of its files.
    pub files: Arc<BlockFiles>,
    /// The labels of its stream.
    pub external_labels: Labels,
    /// The time of its samples.
    pub range: TimeRange,
    /// Milliseconds between its samples; 0 for raw ones.
    pub resolution_ms: i64,
    header_path: PathBuf,
    header: Mutex<Option<Arc<IndexHeader>>>,
    last_used_ms: AtomicI64,
}

impl Block {
    /// Creates a block whose index-header is, or will be, below `data_dir`.
    pub fn new(fetched: &FetchedBlock, data_dir: &Path) -> Self {
        let meta = Arc::clone(&fetched.meta);
        let id = meta.ulid;
        Self {
            id,
            external_labels: filters::external_labels(&meta),
            range: filters::time_range(&meta),
            resolution_ms: filters::resolution_ms(&meta),
            files: Arc::clone(&fetched.files),
            meta,
            header_path: data_dir.join(id.to_string()).join(index_header::FILE_NAME),
            header: Mutex::new(None),
            last_used_ms: AtomicI64::new(0),
        }
    }

    /// Builds the index-header where there is none on disk yet.
    ///
    /// # Errors
    /// The bucket fails or the index is unsound.
    pub async fn prepare(&self, bucket: &dyn Bucket) -> Result<(), BlockError> {
        match tokio::fs::try_exists(&self.header_path).await {
            Ok(true) => Ok(()),
            _ => self.build(bucket).await,
        }
    }

    async fn build(&self, bucket: &dyn Bucket) -> Result<(), BlockError> {
        index_header::build(bucket, self.id, self.files.index_bytes, &self.header_path).await
    }

    /// Returns the index-header, mapping it if it is not, and building it again if the file is unsound.
    ///
    /// # Errors
    /// The bucket fails or the index is unsound.
    pub async fn header(
        &self,
        bucket: &dyn Bucket,
        now_ms: i64,
    ) -> Result<Arc<IndexHeader>, BlockError> {
        self.last_used_ms.store(now_ms, Ordering::Relaxed);
        let mut slot = self.header.lock().await;
        if let Some(header) = &*slot {
            return Ok(Arc::clone(header));
        }
        let header = match self.open().await {
            Ok(header) => header,
            Err(error) => {
                tracing::warn!(
                    block = %self.id,
                    error = runtime::telemetry::chain(&error),
                    "cannot use the index-header on disk, building it again"
                );
                self.build(bucket).await?;
                self.open().await?
            }
        };
        let header = Arc::new(header);
        *slot = Some(Arc::clone(&header));
        Ok(header)
    }

    async fn open(&self) -> Result<IndexHeader, BlockError> {
        let (id, path) = (self.id, self.header_path.clone());
        let opened = tokio::task::spawn_blocking(move || IndexHeader::open(id, &path)).await;
        opened.unwrap_or_else(|error| {
            let (path, source) = (self.header_path.clone(), std::io::Error::other(error));
            Err(BlockError::Io { path, source })
        })
    }

    /// Unmaps the index-header if nothing has used it since `before_ms`.
    pub fn unload_if_unused(&self, before_ms: i64) {
        if self.last_used_ms.load(Ordering::Relaxed) < before_ms
            && let Ok(mut slot) = self.header.try_lock()
        {
            *slot = None;
        }
    }

    /// Returns the object of the index.
    pub fn index_object(&self) -> String {
        layout::object(self.id, layout::INDEX)
    }
}
