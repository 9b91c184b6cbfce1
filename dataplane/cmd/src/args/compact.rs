//! Flags of `hindsight compact`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::compact::config::Window;
use ::compact::merge::overlap::Dedup;
use ::compact::retention::{Keep, Policy};
use ::compact::{Config, WorkConfig};
use anyhow::{Context, bail, ensure};
use block::Filters;
use clap::{ArgAction, Args};
use model::TimeRange;
use runtime::units::{ByteSize, HumanDuration};

use super::process::{HttpArgs, LogArgs, ObjstoreArgs, time_ms};
use super::selector::SelectorArgs;
use super::store::{MAX_TIME, MIN_TIME};

const HOUR: Duration = Duration::from_secs(3600);

/// Raw samples are kept so long at least where they are downsampled, which takes blocks of so much time.
const LEAST_RAW: Duration = HOUR.saturating_mul(40);

/// Samples of five minutes likewise.
const LEAST_FIVE_MINUTES: Duration = HOUR.saturating_mul(240);

/// A compactor.
#[derive(Debug, Clone, Args)]
pub struct CompactArgs {
    #[command(flatten)]
    pub log: LogArgs,
    #[command(flatten)]
    pub http: HttpArgs,
    #[command(flatten)]
    pub objstore: ObjstoreArgs,
    #[command(flatten)]
    pub selector: SelectorArgs,

    /// Folder for indexes and what is under way; what is in it can be lost.
    #[arg(
        id = "data-dir",
        long = "data-dir",
        default_value = "./data",
        value_name = "PATH"
    )]
    pub data_dir: PathBuf,
    /// Go on when all is done, and serve HTTP.
    #[arg(id = "wait", long = "wait", short = 'w', action = ArgAction::Set, default_value_t = false)]
    pub wait: bool,
    /// How long to wait between two rounds.
    #[arg(id = "wait-interval", long = "wait-interval", default_value = "5m")]
    pub wait_interval: HumanDuration,
    /// Blocks uploaded less than so long ago are left alone.
    #[arg(
        id = "consistency-delay",
        long = "consistency-delay",
        default_value = "30m"
    )]
    pub consistency_delay: HumanDuration,
    /// Blocks before this time are left alone: RFC 3339 or relative to now, e.g. -6w.
    #[arg(id = "min-time", long = "min-time", default_value = MIN_TIME, allow_hyphen_values = true, value_name = "TIME")]
    pub min_time: String,
    /// Blocks after this time are left alone.
    #[arg(id = "max-time", long = "max-time", default_value = MAX_TIME, allow_hyphen_values = true, value_name = "TIME")]
    pub max_time: String,
    /// Metas read at once.
    #[arg(
        id = "block-meta-fetch-concurrency",
        long = "block-meta-fetch-concurrency",
        default_value_t = 32,
        value_name = "COUNT"
    )]
    pub meta_concurrency: usize,

    /// How long raw samples are kept; 0d is for ever.
    #[arg(
        id = "retention.resolution-raw",
        long = "retention.resolution-raw",
        default_value = "0d"
    )]
    pub retention_raw: HumanDuration,
    /// How long samples of 5 minutes are kept; 0d is for ever.
    #[arg(
        id = "retention.resolution-5m",
        long = "retention.resolution-5m",
        default_value = "0d"
    )]
    pub retention_5m: HumanDuration,
    /// How long samples of 1 hour are kept; 0d is for ever.
    #[arg(
        id = "retention.resolution-1h",
        long = "retention.resolution-1h",
        default_value = "0d"
    )]
    pub retention_1h: HumanDuration,
    /// Retention of blocks whose external labels match: '{tenant="a"}=raw:30d,5m:90d,1h:0d'; what is
    /// not named is kept as the flags above say. The first that matches counts.
    #[arg(
        id = "retention.override",
        long = "retention.override",
        value_name = "SELECTOR=TIMES"
    )]
    pub retention_overrides: Vec<String>,
    /// Name blocks beyond their retention, and do not mark them.
    #[arg(id = "retention.dry-run", long = "retention.dry-run", action = ArgAction::Set, default_value_t = false)]
    pub retention_dry_run: bool,
    /// How long after it was marked a block is deleted; 0s deletes at once.
    #[arg(id = "delete-delay", long = "delete-delay", default_value = "48h")]
    pub delete_delay: HumanDuration,

    /// Compactions at once.
    #[arg(
        id = "compact.concurrency",
        long = "compact.concurrency",
        default_value_t = 1,
        value_name = "COUNT"
    )]
    pub concurrency: usize,
    /// Blocks fetched at once for one compaction.
    #[arg(
        id = "compact.blocks-fetch-concurrency",
        long = "compact.blocks-fetch-concurrency",
        default_value_t = 1,
        value_name = "COUNT"
    )]
    pub fetch_concurrency: usize,
    /// How often marked and abandoned blocks are deleted while waiting.
    #[arg(
        id = "compact.cleanup-interval",
        long = "compact.cleanup-interval",
        default_value = "5m"
    )]
    pub cleanup_interval: HumanDuration,
    /// Blocks downsampled at once.
    #[arg(
        id = "downsample.concurrency",
        long = "downsample.concurrency",
        default_value_t = 1,
        value_name = "COUNT"
    )]
    pub downsample_concurrency: usize,
    /// Do not downsample.
    #[arg(id = "downsampling.disable", long = "downsampling.disable", action = ArgAction::Set, default_value_t = false)]
    pub downsampling_disable: bool,

    /// How replicas are merged: empty for every sample once, penalty for what a querier does.
    #[arg(
        id = "deduplication.func",
        long = "deduplication.func",
        default_value = "",
        value_name = "NAME"
    )]
    pub dedup_func: String,
    /// External labels by which replicas differ; they are dropped and the replicas merged.
    #[arg(
        id = "deduplication.replica-label",
        long = "deduplication.replica-label",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    pub replica_labels: Vec<String>,
    /// Merge blocks that overlap.
    #[arg(id = "compact.enable-vertical-compaction", long = "compact.enable-vertical-compaction", action = ArgAction::Set, default_value_t = false)]
    pub vertical: bool,
    /// No index is made larger than so many bytes.
    #[arg(
        id = "compact.block-max-index-size",
        long = "compact.block-max-index-size",
        default_value = "64GB",
        hide = true,
        value_name = "BYTES"
    )]
    pub max_index_size: ByteSize,
    /// The largest range that is compacted to: 1 is 2h, 2 is 8h, 3 is 2d, 4 is 14d.
    #[arg(
        id = "debug.max-compaction-level",
        long = "debug.max-compaction-level",
        default_value_t = 4,
        hide = true,
        value_name = "LEVEL"
    )]
    pub max_level: usize,
    /// Checksums of files in meta.json: none, as the objects have theirs.
    #[arg(id = "hash-func", long = "hash-func", default_value = "", hide = true, value_parser = [""])]
    pub hash_func: String,
    /// External label by which pages name blocks.
    #[arg(
        id = "bucket-web-label",
        long = "bucket-web-label",
        default_value = "",
        value_name = "NAME"
    )]
    pub web_label: String,
    /// Serve no page; there is none yet.
    #[arg(id = "web.disable", long = "web.disable", action = ArgAction::Set, default_value_t = false, hide = true)]
    pub web_disable: bool,
}

impl CompactArgs {
    /// Returns usable settings.
    ///
    /// # Errors
    /// A value that cannot be used; the error names the flag.
    pub fn config(&self, now_ms: i64) -> anyhow::Result<Config> {
        let ms = |delay: HumanDuration| i64::try_from(delay.0.as_millis()).unwrap_or(i64::MAX);
        let downsampling = !self.downsampling_disable;
        let keep = self.keep();
        if downsampling {
            check_retention(&keep).context("--retention.resolution-*")?;
        }
        let relabel = self.selector.relabel()?;
        Ok(Config {
            http: self.wait.then(|| self.http.config()),
            web_label: self.web_label.clone(),
            work: WorkConfig {
                data_dir: self.data_dir.clone(),
                shard: self.shard()?,
                wait_interval: self.wait.then_some(self.wait_interval.0),
                cleanup_interval: self.cleanup_interval.0,
                meta_concurrency: self.meta_concurrency,
                filters: Filters {
                    relabel,
                    consistency_delay_ms: ms(self.consistency_delay),
                    ..Filters::default()
                },
                window: self.window(now_ms)?,
                replica_labels: self.replica_labels.clone(),
                dedup: self
                    .dedup_func
                    .parse::<Dedup>()
                    .context("--deduplication.func")?,
                vertical: self.vertical || !self.replica_labels.is_empty(),
                max_level: self.max_level,
                max_index_bytes: self.max_index_size.0,
                concurrency: self.concurrency,
                fetch_concurrency: self.fetch_concurrency,
                downsampling,
                downsample_concurrency: self.downsample_concurrency,
                retention: Policy {
                    keep,
                    overrides: self.overrides(downsampling)?,
                    downsampling,
                },
                retention_dry_run: self.retention_dry_run,
                delete_delay: self.delete_delay.0,
            },
        })
    }

    fn keep(&self) -> Keep {
        Keep {
            raw_ms: keep_ms(self.retention_raw),
            five_minutes_ms: keep_ms(self.retention_5m),
            one_hour_ms: keep_ms(self.retention_1h),
        }
    }

    fn overrides(&self, downsampling: bool) -> anyhow::Result<Vec<(Vec<model::Matcher>, Keep)>> {
        let one = |text: &String| {
            let (selector, times) = text
                .rsplit_once("}=")
                .context("write it as '{tenant=\"a\"}=raw:30d,5m:90d'")?;
            let matchers = promql::parser::parse_metric_selector(&format!("{selector}}}"))
                .map_err(|error| anyhow::anyhow!("{error}"))?;
            let mut keep = self.keep();
            for part in times.split(',') {
                let (resolution, time) = part
                    .split_once(':')
                    .with_context(|| format!("{part:?} is no resolution:time"))?;
                let time = keep_ms(time.parse()?);
                match resolution.trim() {
                    "raw" => keep.raw_ms = time,
                    "5m" => keep.five_minutes_ms = time,
                    "1h" => keep.one_hour_ms = time,
                    other => bail!("resolution {other:?} is not known; use raw, 5m or 1h"),
                }
            }
            if downsampling {
                check_retention(&keep)?;
            }
            Ok((matchers, keep))
        };
        self.retention_overrides
            .iter()
            .map(|text| one(text).with_context(|| format!("--retention.override {text}")))
            .collect()
    }

    /// Names the part of the bucket that the selection leaves, so that compactors of different parts
    /// do not wait for each other.
    fn shard(&self) -> anyhow::Result<String> {
        let everything = (self.min_time.as_str(), self.max_time.as_str()) == (MIN_TIME, MAX_TIME);
        let text = self.selector.text()?;
        if everything && text.is_none() {
            return Ok("0".to_owned());
        }
        let selection = [
            ("relabel", text.unwrap_or_default()),
            ("min", self.min_time.clone()),
            ("max", self.max_time.clone()),
        ];
        Ok(format!(
            "{:016x}",
            model::Labels::from_pairs(selection).hash()
        ))
    }

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

/// Milliseconds; none for a time of zero, which is for ever.
fn keep_ms(time: HumanDuration) -> Option<i64> {
    (!time.0.is_zero()).then(|| i64::try_from(time.0.as_millis()).unwrap_or(i64::MAX))
}

/// Refuses times that end before blocks become large enough to be downsampled.
fn check_retention(keep: &Keep) -> anyhow::Result<()> {
    let at_least = |keep_ms: Option<i64>, least: Duration| {
        keep_ms.is_none_or(|keep_ms| u128::from(keep_ms.unsigned_abs()) >= least.as_millis())
    };
    ensure!(
        at_least(keep.raw_ms, LEAST_RAW),
        "raw samples have to be kept 40h at least to be downsampled; keep them longer or give \
         --downsampling.disable"
    );
    ensure!(
        at_least(keep.five_minutes_ms, LEAST_FIVE_MINUTES),
        "samples of 5m have to be kept 10d at least to be downsampled; keep them longer or give \
         --downsampling.disable"
    );
    Ok(())
}
