//! Flags of `hindsight store`.

use std::path::PathBuf;
use std::sync::Arc;

use ::store::config::Window;
use ::store::{Config, IndexCacheConfig, ReadConfig, SeriesLimits, SyncConfig};
use anyhow::Context;
use block::Filters;
use clap::{ArgAction, Args};
use model::TimeRange;
use runtime::content::PathOrContent;
use runtime::grpc::GrpcConfig;
use runtime::http::HttpConfig;
use runtime::units::{ByteSize, HumanDuration};

use super::process::{
    END_OF_TIME, GrpcArgs, HttpArgs, LogArgs, ObjstoreArgs, SeriesLimitArgs, time_ms,
};
use super::selector::SelectorArgs;

/// The earliest and the latest time that the flags' defaults mean.
pub(super) const MIN_TIME: &str = "0000-01-01T00:00:00Z";
pub(super) const MAX_TIME: &str = END_OF_TIME;

/// A store gateway.
#[derive(Debug, Clone, Args)]
pub struct StoreArgs {
    #[command(flatten)]
    pub log: LogArgs,
    #[command(flatten)]
    pub http: HttpArgs,
    #[command(flatten)]
    pub grpc: GrpcArgs,
    #[command(flatten)]
    pub limits: SeriesLimitArgs,
    #[command(flatten)]
    pub settings: StoreSettings,
}

/// What a store gateway needs beside its listeners.
#[derive(Debug, Clone, Args)]
pub struct StoreSettings {
    #[command(flatten)]
    pub objstore: ObjstoreArgs,
    #[command(flatten)]
    pub selector: SelectorArgs,

    /// Folder for index-headers and the like; what is in it can be lost.
    #[arg(
        id = "data-dir",
        long = "data-dir",
        default_value = "./data",
        value_name = "PATH"
    )]
    pub data_dir: PathBuf,
    /// How often the bucket is listed.
    #[arg(
        id = "sync-block-duration",
        long = "sync-block-duration",
        default_value = "15m"
    )]
    pub sync_interval: HumanDuration,
    /// Index-headers built at once.
    #[arg(
        id = "block-sync-concurrency",
        long = "block-sync-concurrency",
        default_value_t = 20,
        value_name = "COUNT"
    )]
    pub sync_concurrency: usize,
    /// Metas read at once.
    #[arg(
        id = "block-meta-fetch-concurrency",
        long = "block-meta-fetch-concurrency",
        default_value_t = 32,
        value_name = "COUNT"
    )]
    pub meta_concurrency: usize,
    /// Blocks before this time are not served: RFC 3339 or relative to now, e.g. -6w.
    #[arg(id = "min-time", long = "min-time", default_value = MIN_TIME, allow_hyphen_values = true, value_name = "TIME")]
    pub min_time: String,
    /// Blocks after this time are not served.
    #[arg(id = "max-time", long = "max-time", default_value = MAX_TIME, allow_hyphen_values = true, value_name = "TIME")]
    pub max_time: String,
    /// Blocks uploaded less than so long ago are not served yet.
    #[arg(
        id = "consistency-delay",
        long = "consistency-delay",
        default_value = "0s"
    )]
    pub consistency_delay: HumanDuration,
    /// How long blocks that are marked for deletion are still served.
    #[arg(
        id = "ignore-deletion-marks-delay",
        long = "ignore-deletion-marks-delay",
        default_value = "24h"
    )]
    pub ignore_deletion_marks_delay: HumanDuration,

    /// Memory for postings and series.
    #[arg(
        id = "index-cache-size",
        long = "index-cache-size",
        default_value = "250MB",
        value_name = "BYTES"
    )]
    pub index_cache_size: ByteSize,
    /// Path to a YAML file with the index cache's configuration.
    #[arg(
        id = "index-cache.config-file",
        long = "index-cache.config-file",
        value_name = "PATH"
    )]
    pub index_cache_config_file: Option<PathBuf>,
    /// The index cache's configuration itself; excludes the file. Of its types only IN-MEMORY has an
    /// effect; in place of a shared cache is one in memory.
    #[arg(
        id = "index-cache.config",
        long = "index-cache.config",
        value_name = "CONTENT"
    )]
    pub index_cache_config: Option<String>,
    /// Memory that the chunks of all requests together may take while they are fetched.
    #[arg(
        id = "chunk-pool-size",
        long = "chunk-pool-size",
        default_value = "2GB",
        value_name = "BYTES"
    )]
    pub chunk_pool_size: ByteSize,
    /// Series calls answered at once; further ones wait.
    #[arg(
        id = "store.grpc.series-max-concurrency",
        long = "store.grpc.series-max-concurrency",
        default_value_t = 20,
        value_name = "COUNT"
    )]
    pub series_concurrency: usize,
    /// Bytes a single Series call may fetch; 0 is no limit.
    #[arg(
        id = "store.grpc.downloaded-bytes-limit",
        long = "store.grpc.downloaded-bytes-limit",
        default_value = "0",
        value_name = "BYTES"
    )]
    pub downloaded_bytes_limit: ByteSize,
    /// An index-header that nobody used for so long is unmapped.
    #[arg(
        id = "store.index-header-lazy-reader-idle-timeout",
        long = "store.index-header-lazy-reader-idle-timeout",
        default_value = "5m",
        hide = true
    )]
    pub header_idle_timeout: HumanDuration,

    /// Serve no page; there is none yet.
    #[arg(id = "web.disable", long = "web.disable", action = ArgAction::Set, default_value_t = false, hide = true)]
    pub web_disable: bool,
    /// External label by which pages name blocks.
    #[arg(
        id = "bucket-web-label",
        long = "bucket-web-label",
        default_value = "",
        value_name = "NAME"
    )]
    pub web_label: String,
}

impl StoreSettings {
    /// Returns usable settings.
    ///
    /// # Errors
    /// A value that cannot be used; the error names the flag.
    pub fn config(
        &self,
        http: HttpConfig,
        grpc: GrpcConfig,
        limits: &SeriesLimitArgs,
        now_ms: i64,
    ) -> anyhow::Result<Config> {
        let ms = |delay: HumanDuration| i64::try_from(delay.0.as_millis()).unwrap_or(i64::MAX);
        Ok(Config {
            http,
            grpc,
            sync: SyncConfig {
                data_dir: self.data_dir.clone(),
                interval: self.sync_interval.0,
                block_concurrency: self.sync_concurrency,
                meta_concurrency: self.meta_concurrency,
                filters: Filters {
                    relabel: self.selector.relabel()?,
                    consistency_delay_ms: ms(self.consistency_delay),
                    ignore_deletion_marks_delay_ms: Some(ms(self.ignore_deletion_marks_delay)),
                    ..Filters::default()
                },
                window: self.window(now_ms)?,
            },
            read: ReadConfig {
                index_cache: self.index_cache()?,
                chunk_pool_bytes: self.chunk_pool_size.0,
                series_concurrency: self.series_concurrency,
                limits: SeriesLimits {
                    series: limits.series,
                    samples: limits.samples,
                    bytes: self.downloaded_bytes_limit.0,
                },
                header_idle_timeout: self.header_idle_timeout.0,
            },
            web_label: self.web_label.clone(),
        })
    }

    /// Returns the index cache's settings; without a configuration it is in memory and of the flag's size.
    fn index_cache(&self) -> anyhow::Result<IndexCacheConfig> {
        let flags = PathOrContent {
            flag: "index-cache.config",
            content: self.index_cache_config.clone(),
            path: self.index_cache_config_file.clone(),
        };
        match flags.load()? {
            None => Ok(IndexCacheConfig::of_size(self.index_cache_size.0)),
            Some(text) => Ok(IndexCacheConfig::parse(&text, self.index_cache_size.0)?),
        }
    }

    /// Returns the window served, which moves with time where it is given relative to it.
    fn window(&self, now_ms: i64) -> anyhow::Result<Option<Window>> {
        time_ms(&self.min_time, now_ms).context("--min-time")?;
        time_ms(&self.max_time, now_ms).context("--max-time")?;
        if (self.min_time.as_str(), self.max_time.as_str()) == (MIN_TIME, MAX_TIME) {
            return Ok(None);
        }
        let (min, max) = (self.min_time.clone(), self.max_time.clone());
        Ok(Some(Arc::new(move |now_ms| {
            // Both were read once above; what they are relative to does not change whether they can be.
            let at = |text: &str, otherwise| time_ms(text, now_ms).unwrap_or(otherwise);
            TimeRange::new(at(&min, i64::MIN), at(&max, i64::MAX))
        })))
    }
}
