//! The loop that keeps the catalog up to date.
//!
//! It receives nothing and runs at an interval. Each round lists the bucket, hides what the filters say,
//! builds index-headers of new blocks, and replaces the catalog. The first round of a large bucket takes
//! its time: what is loaded is served meanwhile, and answers name what is not. A round that fails changes
//! nothing and is logged; a block that fails is left out, named in answers that miss it, and tried again
//! next round. It ends between rounds, and a round ends at its next wait.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use block::fetcher::{FetcherMetrics, View};
use block::{BlockError, BlockId, Fetcher};
use futures::{StreamExt, stream};
use model::TimeRange;
use objstore::Bucket;
use runtime::probe::Probe;
use runtime::service::Kit;
use runtime::shutdown::Shutdown;

use crate::blocks::Block;
use crate::bucket_store::BucketStore;
use crate::catalog::{Broken, Catalog};
use crate::config::SyncConfig;
use crate::metrics::StoreMetrics;

/// How often index-headers are looked at for being unused.
const UNLOAD_INTERVAL: Duration = Duration::from_secs(60);

/// Waits after a failed first round, doubling up to the second.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// How often the first round shows what it has loaded so far.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Why a block is missing that the first round has not come to yet.
const NOT_LOADED_YET: &str = "it is not loaded yet, the store has only just started";

/// The folder of metas within the data folder, where Thanos has them.
const META_DIR: &str = "meta-syncer";

/// Keeps a [`BucketStore`] up to date.
#[derive(Debug)]
pub struct Syncer {
    store: Arc<BucketStore>,
    bucket: Arc<dyn Bucket>,
    fetcher: Fetcher,
    fetcher_metrics: FetcherMetrics,
    metrics: Arc<StoreMetrics>,
    config: SyncConfig,
    loaded: BTreeMap<BlockId, Arc<Block>>,
    probe: Probe,
    swept: bool,
}

impl Syncer {
    /// Creates the loop for `store`.
    pub fn new(
        store: Arc<BucketStore>,
        bucket: Arc<dyn Bucket>,
        config: SyncConfig,
        metrics: Arc<StoreMetrics>,
        kit: &Kit,
    ) -> Self {
        let fetcher_metrics = FetcherMetrics::register(&kit.metrics);
        let fetcher = Fetcher::new(
            Arc::clone(&bucket),
            Some(config.data_dir.join(META_DIR)),
            config.meta_concurrency,
            fetcher_metrics.clone(),
        );
        Self {
            store,
            bucket,
            fetcher,
            fetcher_metrics,
            metrics,
            config,
            loaded: BTreeMap::new(),
            probe: kit.probe.clone(),
            swept: false,
        }
    }

    /// Runs until shutdown. The process becomes ready with the first blocks that it can serve, or with the
    /// first round that succeeds.
    ///
    /// # Errors
    /// None; the type is what a task group takes.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), std::convert::Infallible> {
        let mut retry = FIRST_RETRY;
        let mut ready = false;
        let mut wait = Duration::ZERO;
        let mut unload = tokio::time::interval(UNLOAD_INTERVAL);
        loop {
            let due = tokio::time::sleep(wait);
            tokio::pin!(due);
            loop {
                tokio::select! {
                    () = shutdown.begun() => return Ok(()),
                    _ = unload.tick() => self.store.unload_unused(),
                    () = &mut due => break,
                }
            }
            let round = tokio::select! {
                () = shutdown.begun() => return Ok(()),
                round = self.round() => round,
            };
            match round {
                Ok(()) => {
                    if !ready {
                        ready = true;
                        self.probe.ready();
                    }
                    wait = self.config.interval;
                }
                Err(error) => {
                    tracing::error!(
                        error = runtime::telemetry::chain(&error),
                        "cannot list the bucket, keeping the blocks known so far"
                    );
                    // A store that knows its blocks can wait for the next round; one that knows none cannot.
                    wait = if ready { self.config.interval } else { retry };
                    retry = (retry * 2).min(LAST_RETRY);
                }
            }
        }
    }

    /// Does one round.
    ///
    /// # Errors
    /// The bucket could not be listed, or a meta not be read for another reason than being unsound.
    pub async fn round(&mut self) -> Result<(), BlockError> {
        let mut view = self.fetcher.fetch().await?;
        for (block, reason) in &view.corrupt {
            tracing::warn!(%block, reason, "skipping a block whose meta cannot be used");
        }
        let now_ms = self.store.clock().now_ms();
        let window = self.config.window.as_ref().map(|window| window(now_ms));
        self.config.filters.time = window;
        self.config
            .filters
            .apply(&mut view, now_ms, &self.fetcher_metrics);
        let broken = self.load(&view, window).await;
        self.drop_gone(&view);
        self.publish(broken, &view, window);
        if !self.swept {
            self.swept = true;
            self.sweep(&view);
        }
        Ok(())
    }

    /// Makes the catalog what is loaded now.
    fn publish(&self, broken: Vec<Broken>, view: &View, window: Option<TimeRange>) {
        self.metrics.blocks_loaded.set(self.loaded.len() as i64);
        let blocks = self.loaded.values().cloned().collect();
        let corrupt = view.corrupt.iter();
        let corrupt = corrupt.map(|(id, reason)| (*id, reason.clone())).collect();
        let catalog = Catalog::new(blocks, broken, window).with_unreadable(corrupt);
        self.store.set_catalog(catalog);
    }

    /// Prepares blocks that are new; returns those that cannot be.
    async fn load(&mut self, view: &View, window: Option<TimeRange>) -> Vec<Broken> {
        let new = view
            .blocks
            .iter()
            .filter(|(id, _)| !self.loaded.contains_key(*id));
        let new: Vec<Arc<Block>> = new
            .map(|(_, fetched)| Arc::new(Block::new(fetched, &self.config.data_dir)))
            .collect();
        let broken_by = |block: &Block, reason: &str| Broken {
            id: block.id,
            external_labels: block.external_labels.clone(),
            range: block.range,
            reason: reason.to_owned(),
        };
        let mut waiting: BTreeMap<BlockId, Arc<Block>> = new
            .iter()
            .map(|block| (block.id, Arc::clone(block)))
            .collect();
        let bucket = Arc::clone(&self.bucket);
        let mut prepared = stream::iter(new)
            .map(|block| async {
                let prepared = block.prepare(&*bucket).await;
                (block, prepared)
            })
            .buffer_unordered(self.config.block_concurrency.max(1));
        let mut broken = Vec::new();
        let started = tokio::time::Instant::now();
        let mut progress = tokio::time::interval_at(started + PROGRESS_INTERVAL, PROGRESS_INTERVAL);
        loop {
            let next = tokio::select! {
                next = prepared.next() => next,
                // Later rounds need not show theirs: what a new block holds is still elsewhere too.
                _ = progress.tick(), if !self.swept && !self.loaded.is_empty() => {
                    let missing = waiting.values().map(|block| broken_by(block, NOT_LOADED_YET));
                    let missing = broken.iter().cloned().chain(missing).collect();
                    self.publish(missing, view, window);
                    self.probe.ready();
                    continue;
                }
            };
            let Some((block, prepared)) = next else {
                return broken;
            };
            waiting.remove(&block.id);
            self.metrics.block_loads.inc();
            match prepared {
                Ok(()) => {
                    self.metrics.last_loaded_ms.set(self.store.clock().now_ms());
                    self.loaded.insert(block.id, block);
                }
                Err(error) => {
                    self.metrics.block_load_failures.inc();
                    let reason = runtime::telemetry::chain(&error);
                    tracing::warn!(block = %block.id, reason, "skipping a block that cannot be read");
                    broken.push(broken_by(&block, &reason));
                }
            }
        }
    }

    /// Forgets blocks that are no longer seen and removes their folders.
    fn drop_gone(&mut self, view: &View) {
        let gone: Vec<BlockId> = self
            .loaded
            .keys()
            .filter(|id| !view.blocks.contains_key(*id))
            .copied()
            .collect();
        for id in gone {
            self.loaded.remove(&id);
            self.metrics.block_drops.inc();
            self.remove_folder(id);
        }
    }

    /// Removes folders that an earlier process left behind.
    fn sweep(&self, view: &View) {
        let Ok(entries) = std::fs::read_dir(&self.config.data_dir) else {
            return;
        };
        for entry in entries.flatten() {
            if let Ok(id) = entry.file_name().to_string_lossy().parse::<BlockId>()
                && !view.blocks.contains_key(&id)
            {
                self.remove_folder(id);
            }
        }
    }

    fn remove_folder(&self, id: BlockId) {
        let folder: PathBuf = self.config.data_dir.join(id.to_string());
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                self.metrics.block_drop_failures.inc();
                tracing::warn!(folder = %folder.display(), %error, "cannot remove a block's folder");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
