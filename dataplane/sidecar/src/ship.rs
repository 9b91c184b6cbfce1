//! The shipper: uploads each block that Prometheus cuts, once, in order of time.
//!
//! A block is linked into a staging folder, so that Prometheus may delete its own copy meanwhile, gets
//! the external labels in its `meta.json`, and is uploaded with `meta.json` last: a block without it
//! is not there for any reader. What was uploaded is remembered in a file; where that is lost, the
//! bucket is asked.

pub mod local;
pub mod state;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::Labels;
use model::ulid::BlockId;
use objstore::Bucket;
use runtime::clock::Clock;
use serde::Serialize;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::sync::watch;
use tsdb::meta::{BlockFile, BlockMeta, FileHash, Thanos, source};

use crate::metrics::SidecarMetrics;
use crate::prometheus::Flags;
use crate::reload::chain;
use crate::reload::template::hex;
use crate::store::Identity;
use state::ShipperState;

/// How often the data folder is looked at.
const INTERVAL: Duration = Duration::from_secs(30);

/// What may be uploaded and how.
#[derive(Debug, Clone)]
pub struct ShipConfig {
    /// Prometheus' data folder.
    pub folder: PathBuf,
    /// Also blocks that Prometheus compacted itself.
    pub upload_compacted: bool,
    /// Files of a block that go up at once.
    pub concurrency: usize,
    /// Whether `meta.json` gets the SHA-256 of each file.
    pub hash_files: bool,
    /// The file that remembers what was uploaded, in `folder`.
    pub state_file: String,
    /// Upload even where Prometheus compacts blocks on its own.
    pub ignore_unequal_block_size: bool,
    /// Go on with later blocks after one failed.
    pub allow_out_of_order: bool,
    /// Go on past blocks that cannot be read.
    pub skip_corrupted: bool,
}

/// Why a block was not uploaded.
#[derive(Debug, Error)]
pub enum ShipError {
    #[error("cannot {what} {}", path.display())]
    Local {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("block {id} cannot be read: {reason}")]
    Unreadable { id: BlockId, reason: String },
    #[error("block {id} was not uploaded")]
    Upload {
        id: BlockId,
        #[source]
        source: block::BlockError,
    },
    #[error("the bucket cannot be asked for {name}")]
    Bucket {
        name: String,
        #[source]
        source: objstore::BucketError,
    },
    #[error(
        "prometheus compacts blocks on its own (--storage.tsdb.min-block-duration {min} differs from \
         max {max}, milliseconds); make them equal or set --storage.tsdb.delay-compact-file.path={file}"
    )]
    Compacting { min: i64, max: i64, file: String },
}

impl ShipError {
    pub(crate) fn local(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Local {
            what,
            path: path.to_owned(),
            source,
        }
    }
}

/// What the shipper did, for the status page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShipStatus {
    /// Blocks uploaded since the start.
    pub uploaded: u64,
    /// When a block was last uploaded, milliseconds since the epoch.
    pub last_upload_ms: Option<i64>,
    /// Why the last look did not end well.
    pub error: Option<String>,
}

/// Uploads blocks in the background.
pub struct Shipper {
    config: ShipConfig,
    bucket: Arc<dyn Bucket>,
    identity: watch::Receiver<Identity>,
    metrics: SidecarMetrics,
    clock: Arc<dyn Clock>,
    status: watch::Sender<ShipStatus>,
}

impl Shipper {
    #[must_use]
    pub fn new(
        config: ShipConfig,
        bucket: Arc<dyn Bucket>,
        identity: watch::Receiver<Identity>,
        metrics: SidecarMetrics,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let status = watch::Sender::new(ShipStatus::default());
        Self {
            config,
            bucket,
            identity,
            metrics,
            clock,
            status,
        }
    }

    /// Returns what is known now and from now on.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<ShipStatus> {
        self.status.subscribe()
    }

    /// Refuses a Prometheus whose own compaction would make blocks that overlap those uploaded.
    ///
    /// # Errors
    /// [`ShipError::Compacting`].
    pub fn check(&self, flags: &Flags) -> Result<(), ShipError> {
        let delays = Path::new(&flags.delay_compact_file)
            .file_name()
            .is_some_and(|name| name == self.config.state_file.as_str());
        let equal = flags.min_block_duration == flags.max_block_duration;
        if equal || delays || self.config.ignore_unequal_block_size {
            return Ok(());
        }
        Err(ShipError::Compacting {
            min: flags.min_block_duration,
            max: flags.max_block_duration,
            file: self.state_path().display().to_string(),
        })
    }

    /// Says why nothing is uploaded.
    pub fn refuse(&self, err: &ShipError) {
        let text = chain(err);
        tracing::error!(error = text, "uploads are off");
        self.status.send_modify(|status| status.error = Some(text));
    }

    /// Runs until it is dropped.
    ///
    /// # Cancel safety
    /// A block whose upload is interrupted has no `meta.json` in the bucket and goes up again.
    pub async fn run(self) {
        if let Err(err) = local::remove_snapshots(&self.config.folder).await {
            tracing::warn!(error = chain(&err), "leftovers of an earlier upload stay");
        }
        loop {
            let identity = self.identity.borrow().clone();
            if identity.known {
                self.metrics.dir_syncs.inc();
                let outcome = self.sync(&identity.external_labels).await;
                let error = outcome.err().map(|err| chain(&err));
                if let Some(error) = &error {
                    self.metrics.dir_sync_failures.inc();
                    tracing::error!(error, "not all blocks are uploaded, trying again");
                }
                self.status.send_modify(|status| status.error = error);
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    fn state_path(&self) -> PathBuf {
        self.config.folder.join(&self.config.state_file)
    }

    /// Looks at the data folder once and uploads what is new. Returns the number of uploads.
    ///
    /// # Errors
    /// The first failure; blocks after it wait, so that the bucket has no gaps.
    pub async fn sync(&self, external_labels: &Labels) -> Result<u64, ShipError> {
        let found = local::list(&self.config.folder).await?;
        let mut failure = self.note_unreadable(&found.unreadable);
        if failure.is_some() && !self.config.skip_corrupted && !self.config.allow_out_of_order {
            // The unreadable block's time is not known, so any later one may come before it. The
            // others still go up: a gap that is named is better than a bucket that stands still.
            tracing::warn!("going on without the blocks that cannot be read");
        }
        let path = self.state_path();
        let before: BTreeSet<BlockId> = ShipperState::read(&path)
            .await?
            .uploaded
            .into_iter()
            .collect();
        // What is gone from the disk needs no memory.
        let mut state = ShipperState::default();
        let mut uploads = 0;
        for meta in &found.blocks {
            if before.contains(&meta.ulid) {
                state.uploaded.push(meta.ulid);
                continue;
            }
            match self.consider(meta, external_labels).await {
                Ok(Considered::NotOurs) => {}
                Ok(Considered::There) => state.uploaded.push(meta.ulid),
                Ok(Considered::Uploaded) => {
                    uploads += 1;
                    state.uploaded.push(meta.ulid);
                    self.note_upload();
                    // Remembered at once: a crash must not make the next run ask for every block.
                    state.write(&path).await?;
                }
                Err(err) => {
                    self.metrics.upload_failures.inc();
                    failure.get_or_insert(err);
                    if !self.config.allow_out_of_order {
                        // Later blocks that are there already stay remembered.
                        let later = found.blocks.iter().map(|m| m.ulid);
                        let known = later.filter(|id| before.contains(id));
                        let missing: Vec<_> =
                            known.filter(|id| !state.uploaded.contains(id)).collect();
                        state.uploaded.extend(missing);
                        break;
                    }
                }
            }
        }
        state.write(&path).await?;
        self.metrics
            .upload_compacted_done
            .set(i64::from(failure.is_none()));
        failure.map_or(Ok(uploads), Err)
    }

    fn note_unreadable(&self, unreadable: &[(BlockId, String)]) -> Option<ShipError> {
        for (id, reason) in unreadable {
            self.metrics.corrupted_blocks.inc();
            tracing::error!(block = %id, reason, "block cannot be read and is not uploaded");
        }
        if self.config.skip_corrupted {
            return None;
        }
        let (id, reason) = unreadable.first()?.clone();
        Some(ShipError::Unreadable { id, reason })
    }

    fn note_upload(&self) {
        self.metrics.uploads.inc();
        let now = self.clock.now_ms();
        self.status.send_modify(|status| {
            status.uploaded += 1;
            status.last_upload_ms = Some(now);
        });
    }

    async fn consider(
        &self,
        meta: &BlockMeta,
        external_labels: &Labels,
    ) -> Result<Considered, ShipError> {
        if meta.stats.num_samples == 0 {
            return Ok(Considered::NotOurs);
        }
        if meta.compaction.level > 1 && !self.config.upload_compacted {
            return Ok(Considered::NotOurs);
        }
        if self.in_bucket(meta.ulid).await? {
            return Ok(Considered::There);
        }
        for source in meta
            .compaction
            .sources
            .iter()
            .filter(|id| **id != meta.ulid)
        {
            if self.in_bucket(*source).await? {
                tracing::warn!(
                    block = %meta.ulid,
                    source = %source,
                    "block was compacted from one that is in the bucket already, not uploading it"
                );
                return Ok(Considered::NotOurs);
            }
        }
        self.upload(meta, external_labels).await?;
        Ok(Considered::Uploaded)
    }

    async fn in_bucket(&self, id: BlockId) -> Result<bool, ShipError> {
        let name = format!("{id}/{}", tsdb::meta::FILE_NAME);
        let exists = self.bucket.exists(&name).await;
        exists.map_err(|source| ShipError::Bucket { name, source })
    }

    async fn upload(&self, meta: &BlockMeta, external_labels: &Labels) -> Result<(), ShipError> {
        let id = meta.ulid;
        let folder = local::snapshot(&self.config.folder, id).await?;
        let mut meta = meta.clone();
        let mut thanos = Thanos::new(external_labels, source::SIDECAR);
        thanos.files = files(folder.clone(), self.config.hash_files).await?;
        meta.thanos = Some(thanos);
        let path = folder.join(tsdb::meta::FILE_NAME);
        tokio::fs::write(&path, meta.encode())
            .await
            .map_err(|err| ShipError::local("write", &path, err))?;
        block::transfer::upload(
            self.bucket.as_ref(),
            id,
            &folder,
            self.config.concurrency.max(1),
        )
        .await
        .map_err(|source| ShipError::Upload { id, source })?;
        tracing::info!(block = %id, min_time = meta.min_time, max_time = meta.max_time, "uploaded block");
        tokio::fs::remove_dir_all(&folder)
            .await
            .map_err(|err| ShipError::local("remove", &folder, err))
    }
}

/// What became of one block.
enum Considered {
    NotOurs,
    There,
    Uploaded,
}

/// Lists a block's files for its `meta.json`; itself comes without a size.
async fn files(folder: PathBuf, hash: bool) -> Result<Vec<BlockFile>, ShipError> {
    let listing = tokio::task::spawn_blocking(move || {
        let mut names = vec!["index".to_owned()];
        let chunks = folder.join("chunks");
        let entries =
            std::fs::read_dir(&chunks).map_err(|err| ShipError::local("list", &chunks, err))?;
        for entry in entries {
            let entry = entry.map_err(|err| ShipError::local("list", &chunks, err))?;
            names.push(format!("chunks/{}", entry.file_name().to_string_lossy()));
        }
        names.sort();
        let mut files = Vec::with_capacity(names.len() + 1);
        for rel_path in names {
            let path = folder.join(&rel_path);
            let metadata =
                std::fs::metadata(&path).map_err(|err| ShipError::local("read", &path, err))?;
            let hash = if hash { Some(hash_file(&path)?) } else { None };
            let unknown = serde_json::Map::new();
            files.push(BlockFile {
                rel_path,
                size_bytes: metadata.len(),
                hash,
                unknown,
            });
        }
        files.push(BlockFile {
            rel_path: tsdb::meta::FILE_NAME.to_owned(),
            size_bytes: 0,
            hash: None,
            unknown: serde_json::Map::new(),
        });
        Ok(files)
    });
    listing.await.unwrap_or_else(|err| {
        Err(ShipError::local(
            "list",
            Path::new(""),
            io::Error::other(err),
        ))
    })
}

fn hash_file(path: &Path) -> Result<FileHash, ShipError> {
    let failed = |err| ShipError::local("read", path, err);
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = io::Read::read(&mut file, &mut buffer).map_err(failed)?;
        if read == 0 {
            break;
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
    Ok(FileHash {
        hash_func: "SHA256".to_owned(),
        value: hex(&hasher.finalize()),
    })
}

#[cfg(test)]
mod tests;
