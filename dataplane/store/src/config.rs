//! What a store gateway is told: settings that are already usable, no texts to parse.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use block::Filters;
use model::TimeRange;
use runtime::grpc::GrpcConfig;
use runtime::http::HttpConfig;

use crate::cache_config::IndexCacheConfig;
use crate::limits::SeriesLimits;

/// The settings of a store gateway.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Where HTTP is served.
    pub http: HttpConfig,
    /// Where gRPC is served.
    pub grpc: GrpcConfig,
    /// Which blocks there are.
    pub sync: SyncConfig,
    /// How they are read.
    pub read: ReadConfig,
    /// The external label by which pages name blocks; empty for none.
    pub web_label: String,
}

/// Gives the window served at a moment in milliseconds since the Unix epoch, as it may be relative to it.
pub type Window = Arc<dyn Fn(i64) -> TimeRange + Send + Sync>;

/// Which blocks are served and where what is known of them is kept.
#[derive(Clone)]
pub struct SyncConfig {
    /// Folder for index-headers and metas.
    pub data_dir: PathBuf,
    /// How often the bucket is listed.
    pub interval: Duration,
    /// Index-headers built at once.
    pub block_concurrency: usize,
    /// Metas read at once.
    pub meta_concurrency: usize,
    /// Which blocks are hidden. Its `time` is set from [`SyncConfig::window`] at each sync.
    pub filters: Filters,
    /// Only blocks that overlap it are served; `None` for all.
    pub window: Option<Window>,
}

impl std::fmt::Debug for SyncConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SyncConfig")
            .field("data_dir", &self.data_dir)
            .field("interval", &self.interval)
            .field("filters", &self.filters)
            .finish_non_exhaustive()
    }
}

impl Default for SyncConfig {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./data"),
            interval: Duration::from_secs(15 * 60),
            block_concurrency: 20,
            meta_concurrency: block::fetcher::DEFAULT_CONCURRENCY,
            filters: Filters {
                ignore_deletion_marks_delay_ms: Some(24 * 3_600_000),
                ..Filters::default()
            },
            window: None,
        }
    }
}

/// How blocks are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadConfig {
    /// Which postings are kept in memory.
    pub index_cache: IndexCacheConfig,
    /// Bytes of chunks that all requests together may hold while they are fetched.
    pub chunk_pool_bytes: u64,
    /// Series calls answered at once; further ones wait.
    pub series_concurrency: usize,
    /// What one call may use.
    pub limits: SeriesLimits,
    /// An index-header that nothing has used for so long is unmapped.
    pub header_idle_timeout: Duration,
}

impl Default for ReadConfig {
    fn default() -> Self {
        Self {
            index_cache: IndexCacheConfig::of_size(250 << 20),
            chunk_pool_bytes: 2 << 30,
            series_concurrency: 20,
            limits: SeriesLimits::default(),
            header_idle_timeout: Duration::from_secs(300),
        }
    }
}
