//! Flags of `hindsight sidecar`.

use std::path::PathBuf;

use ::sidecar::Config;
use ::sidecar::reload::ReloadConfig;
use ::sidecar::reload::template::Lookup;
use ::sidecar::ship::ShipConfig;
use ::sidecar::store::SeriesLimits;
use anyhow::{Context, bail};
use clap::{ArgAction, Args};
use runtime::units::HumanDuration;

use super::process::{GrpcArgs, HttpArgs, LogArgs, ObjstoreArgs, SeriesLimitArgs, path, time_ms};

/// Stands beside a Prometheus.
#[derive(Debug, Clone, Args)]
pub struct SidecarArgs {
    #[command(flatten)]
    pub log: LogArgs,
    #[command(flatten)]
    pub http: HttpArgs,
    #[command(flatten)]
    pub grpc: GrpcArgs,
    #[command(flatten)]
    pub objstore: ObjstoreArgs,
    #[command(flatten)]
    pub limits: SeriesLimitArgs,

    /// Address of the Prometheus beside it.
    #[arg(
        id = "prometheus.url",
        long = "prometheus.url",
        default_value = "http://localhost:9090",
        value_name = "URL"
    )]
    pub prometheus_url: String,
    /// How often Prometheus' external labels are read.
    #[arg(
        id = "prometheus.get_config_interval",
        long = "prometheus.get_config_interval",
        default_value = "30s"
    )]
    pub get_config_interval: HumanDuration,
    /// How long Prometheus may take to tell them.
    #[arg(
        id = "prometheus.get_config_timeout",
        long = "prometheus.get_config_timeout",
        default_value = "30s"
    )]
    pub get_config_timeout: HumanDuration,
    /// Prometheus' data folder, from which blocks are uploaded.
    #[arg(
        id = "tsdb.path",
        long = "tsdb.path",
        default_value = "./data",
        value_name = "PATH"
    )]
    pub tsdb_path: PathBuf,
    /// Data before this time is not offered: RFC 3339 or relative to now, e.g. -2d.
    #[arg(
        id = "min-time",
        long = "min-time",
        default_value = "0000-01-01T00:00:00Z",
        allow_hyphen_values = true
    )]
    pub min_time: String,

    /// Template of Prometheus' configuration; $(VAR) in it is replaced from the environment.
    #[arg(
        id = "reloader.config-file",
        long = "reloader.config-file",
        default_value = "",
        value_name = "PATH"
    )]
    pub config_file: String,
    /// Where the configuration is written for Prometheus.
    #[arg(
        id = "reloader.config-envsubst-file",
        long = "reloader.config-envsubst-file",
        default_value = "",
        value_name = "PATH"
    )]
    pub config_envsubst_file: String,
    /// Folder with rules; a change in it reloads Prometheus (repeated).
    #[arg(
        id = "reloader.rule-dir",
        long = "reloader.rule-dir",
        value_name = "PATH"
    )]
    pub rule_dir: Vec<PathBuf>,
    /// How often everything is compared even without a notice of change.
    #[arg(
        id = "reloader.watch-interval",
        long = "reloader.watch-interval",
        default_value = "3m"
    )]
    pub watch_interval: HumanDuration,
    /// How long after a failed reload it is tried again.
    #[arg(
        id = "reloader.retry-interval",
        long = "reloader.retry-interval",
        default_value = "5s"
    )]
    pub retry_interval: HumanDuration,
    /// How Prometheus is told: http.
    #[arg(
        id = "reloader.method",
        long = "reloader.method",
        default_value = "http",
        hide = true
    )]
    pub reload_method: String,

    /// Also upload blocks that Prometheus compacted itself.
    #[arg(id = "shipper.upload-compacted", long = "shipper.upload-compacted", action = ArgAction::Set, default_value_t = false)]
    pub upload_compacted: bool,
    /// Files of a block uploaded at once; 0 is one.
    #[arg(
        id = "shipper.upload-concurrency",
        long = "shipper.upload-concurrency",
        default_value_t = 0,
        value_name = "COUNT"
    )]
    pub upload_concurrency: usize,
    /// File in the data folder that remembers what was uploaded.
    #[arg(
        id = "shipper.meta-file-name",
        long = "shipper.meta-file-name",
        default_value = "thanos.shipper.json",
        value_name = "NAME"
    )]
    pub meta_file_name: String,
    /// Put file hashes into meta.json: SHA256 or nothing.
    #[arg(
        id = "hash-func",
        long = "hash-func",
        default_value = "",
        value_name = "NAME"
    )]
    pub hash_func: String,
    /// Upload even where Prometheus compacts blocks on its own.
    #[arg(id = "shipper.ignore-unequal-block-size", long = "shipper.ignore-unequal-block-size", action = ArgAction::Set, default_value_t = false, hide = true)]
    pub ignore_unequal_block_size: bool,
    /// Go on with later blocks after one failed.
    #[arg(id = "shipper.allow-out-of-order-uploads", long = "shipper.allow-out-of-order-uploads", action = ArgAction::Set, default_value_t = false, hide = true)]
    pub allow_out_of_order: bool,
    /// Go on past blocks that cannot be read.
    #[arg(id = "shipper.skip-corrupted-blocks", long = "shipper.skip-corrupted-blocks", action = ArgAction::Set, default_value_t = false, hide = true)]
    pub skip_corrupted: bool,
}

impl SidecarArgs {
    /// Returns usable settings.
    ///
    /// # Errors
    /// A value that cannot be used; the error names the flag.
    pub fn config(&self, now_ms: i64) -> anyhow::Result<Config> {
        if self.reload_method != "http" {
            bail!(
                "--reloader.method={} is not supported; use http",
                self.reload_method
            );
        }
        if !matches!(self.hash_func.as_str(), "" | "SHA256") {
            bail!(
                "--hash-func={} is no hash function; use SHA256 or leave it out",
                self.hash_func
            );
        }
        Ok(Config {
            prometheus_url: self.prometheus_url.clone(),
            get_config_interval: self.get_config_interval.0,
            get_config_timeout: self.get_config_timeout.0,
            min_time: time_ms(&self.min_time, now_ms).context("--min-time")?,
            reload: ReloadConfig {
                config_file: path(&self.config_file),
                output_file: path(&self.config_envsubst_file),
                rule_dirs: self.rule_dir.clone(),
                watch_interval: self.watch_interval.0,
                retry_interval: self.retry_interval.0,
            },
            variables: Lookup::environment(),
            ship: ShipConfig {
                folder: self.tsdb_path.clone(),
                upload_compacted: self.upload_compacted,
                concurrency: self.upload_concurrency.max(1),
                hash_files: !self.hash_func.is_empty(),
                state_file: self.meta_file_name.clone(),
                ignore_unequal_block_size: self.ignore_unequal_block_size,
                allow_out_of_order: self.allow_out_of_order,
                skip_corrupted: self.skip_corrupted,
            },
            limits: SeriesLimits {
                series: self.limits.series,
                samples: self.limits.samples,
            },
            http: self.http.config(),
            grpc: self.grpc.config().context("--grpc-server-tls-*")?,
        })
    }
}
