//! What a compactor is told: settings that are already usable, no texts to parse.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use block::Filters;
use model::TimeRange;
use runtime::http::HttpConfig;

use crate::merge::overlap::Dedup;
use crate::plan::MAX_LEVEL;
use crate::retention::Policy;

/// The settings of a compactor.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Where HTTP is served; `None` for a compactor that does what there is to do and ends.
    pub http: Option<HttpConfig>,
    /// The external label by which pages name blocks; empty for none.
    pub web_label: String,
    pub work: WorkConfig,
}

/// Gives the window worked on at a moment in milliseconds since the Unix epoch.
pub type Window = Arc<dyn Fn(i64) -> TimeRange + Send + Sync>;

/// What is compacted, downsampled and deleted, and how.
#[derive(Clone)]
pub struct WorkConfig {
    /// Folder for indexes and what is under way. What is in it can be lost.
    pub data_dir: PathBuf,
    /// Which part of the bucket this compactor works on: the name of its lease.
    pub shard: String,
    /// How long to wait between two rounds; `None` for a single one.
    pub wait_interval: Option<Duration>,
    /// How often marked and abandoned blocks are deleted while waiting.
    pub cleanup_interval: Duration,
    /// Metas read at once.
    pub meta_concurrency: usize,
    /// Which blocks are left alone. Its `time` is set from [`WorkConfig::window`] at each round.
    pub filters: Filters,
    /// Only blocks that overlap it are worked on; `None` for all.
    pub window: Option<Window>,
    /// External labels by which replicas differ and which are dropped.
    pub replica_labels: Vec<String>,
    pub dedup: Dedup,
    /// Whether blocks that overlap are merged.
    pub vertical: bool,
    pub max_level: usize,
    pub max_index_bytes: u64,
    /// Compactions at once.
    pub concurrency: usize,
    /// Indexes fetched at once for one compaction.
    pub fetch_concurrency: usize,
    pub downsampling: bool,
    /// Blocks downsampled at once.
    pub downsample_concurrency: usize,
    pub retention: Policy,
    /// Expired blocks are named and not marked.
    pub retention_dry_run: bool,
    /// How long after it was marked a block is deleted.
    pub delete_delay: Duration,
}

impl std::fmt::Debug for WorkConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkConfig")
            .field("data_dir", &self.data_dir)
            .field("shard", &self.shard)
            .field("wait_interval", &self.wait_interval)
            .field("filters", &self.filters)
            .field("replica_labels", &self.replica_labels)
            .field("dedup", &self.dedup)
            .field("retention", &self.retention)
            .field("delete_delay", &self.delete_delay)
            .finish_non_exhaustive()
    }
}

impl Default for WorkConfig {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./data"),
            shard: "0".to_owned(),
            wait_interval: None,
            cleanup_interval: Duration::from_secs(300),
            meta_concurrency: block::fetcher::DEFAULT_CONCURRENCY,
            filters: Filters {
                consistency_delay_ms: 30 * 60_000,
                ..Filters::default()
            },
            window: None,
            replica_labels: Vec::new(),
            dedup: Dedup::OneToOne,
            vertical: false,
            max_level: MAX_LEVEL,
            max_index_bytes: 64 << 30,
            concurrency: 1,
            fetch_concurrency: 1,
            downsampling: true,
            downsample_concurrency: 1,
            retention: Policy {
                downsampling: true,
                ..Policy::default()
            },
            retention_dry_run: false,
            delete_delay: Duration::from_secs(48 * 3600),
        }
    }
}
