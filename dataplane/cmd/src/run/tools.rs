//! `hindsight tools`.

mod change;
mod clean;
mod look;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use model::{Matcher, TimeRange};
use objstore::Bucket;
use runtime::clock::{Clock, SystemClock};
use runtime::content::PathOrContent;
use runtime::metrics::Metrics;
use runtime::telemetry;
use tempfile::TempDir;
use tools::{Format, Row, Selection};

use super::{bucket, threads, why};
use crate::args::process::{LogArgs, time_ms};
use crate::args::tools::bucket::{Common, Consent, CreateArgs, Ids, Window};
use crate::args::tools::{BucketTool, Tool};

/// How long after a try to make a bucket the next one comes, while the store does not answer.
const CREATE_INTERVAL: Duration = Duration::from_secs(2);

pub(super) fn run(tool: Tool) -> anyhow::Result<()> {
    let tool = match tool {
        Tool::Bucket(tool) => tool,
        Tool::Why(args) => return threads()?.block_on(why::run(&args)),
    };
    telemetry::init(log(&tool).level, log(&tool).format)?;
    threads()?.block_on(async {
        match tool {
            BucketTool::Create(args) => create(&args).await,
            BucketTool::Ls(args) => look::ls(&args).await,
            BucketTool::Inspect(args) => look::inspect(&args).await,
            BucketTool::Verify(args) => look::verify(&args).await,
            BucketTool::Web(args) => look::web(&args).await,
            BucketTool::Report(args) => look::report(&args).await,
            BucketTool::Replicate(args) => change::replicate(&args).await,
            BucketTool::Mark(args) => change::mark(&args).await,
            BucketTool::Rewrite(args) => change::rewrite(&args).await,
            BucketTool::Cleanup(args) => clean::cleanup(&args).await,
            BucketTool::Retention(args) => clean::retention(&args).await,
            BucketTool::Plan(args) => clean::plan(&args).await,
            BucketTool::UploadBlocks(args) => change::upload_blocks(&args).await,
        }
    })
}

fn log(tool: &BucketTool) -> &LogArgs {
    let common = match tool {
        BucketTool::Create(args) => &args.common,
        BucketTool::Ls(args) => &args.common,
        BucketTool::Inspect(args) => &args.common,
        BucketTool::Verify(args) => &args.common,
        BucketTool::Web(args) => &args.common,
        BucketTool::Report(args) => &args.common,
        BucketTool::Replicate(args) => &args.common,
        BucketTool::Mark(args) => &args.common,
        BucketTool::Rewrite(args) => &args.common,
        BucketTool::Cleanup(args) => &args.common,
        BucketTool::Retention(args) => &args.common,
        BucketTool::Plan(args) => &args.common,
        BucketTool::UploadBlocks(args) => &args.common,
    };
    &common.log
}

/// Makes the bucket. Init containers run it before the store is up, so it waits for that.
async fn create(args: &CreateArgs) -> anyhow::Result<()> {
    let config = bucket::required(&args.common.objstore)?;
    let name = config.name();
    let tries = async {
        loop {
            match objstore::create(&config).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_retryable() => {
                    let error = telemetry::chain(&error);
                    tracing::info!(bucket = name, error, "waiting for the object store");
                    tokio::time::sleep(CREATE_INTERVAL).await;
                }
                Err(error) => return Err(anyhow::Error::new(error)),
            }
        }
    };
    match tokio::time::timeout(args.timeout.0, tries).await {
        Ok(made) => made.with_context(|| format!("making bucket {name}"))?,
        Err(_) => bail!(
            "the object store did not answer within --timeout={}",
            args.timeout
        ),
    }
    tracing::info!(bucket = name, "bucket is there");
    Ok(())
}

fn open(common: &Common) -> anyhow::Result<Arc<dyn Bucket>> {
    let config = bucket::required(&common.objstore)?;
    Ok(objstore::connect(&config, &Metrics::empty())?)
}

/// Opens a second bucket; `None` where no flag gives one.
fn open_other(content: &PathOrContent) -> anyhow::Result<Option<Arc<dyn Bucket>>> {
    let Some(text) = content.load()? else {
        return Ok(None);
    };
    let config = bucket::parse(&text).with_context(|| format!("--{}", content.flag))?;
    Ok(Some(objstore::connect(&config, &Metrics::empty())?))
}

fn now_ms() -> i64 {
    SystemClock.now_ms()
}

/// Returns the blocks' time that the flags mean.
fn time(window: &Window) -> anyhow::Result<Option<TimeRange>> {
    let now_ms = now_ms();
    let ms = |text: &Option<String>, name: &'static str, absent: i64| match text {
        Some(text) => time_ms(text, now_ms).context(name),
        None => Ok(absent),
    };
    if window.min_time.is_none() && window.max_time.is_none() {
        return Ok(None);
    }
    let start = ms(&window.min_time, "--min-time", i64::MIN)?;
    let end = ms(&window.max_time, "--max-time", i64::MAX)?;
    if start > end {
        bail!("--min-time is after --max-time");
    }
    Ok(Some(TimeRange::new(start, end)))
}

/// Reads `name="value"` or `{…}`, each of which may hold several matchers.
fn matchers(texts: &[String], flag: &str) -> anyhow::Result<Vec<Matcher>> {
    let mut matchers = Vec::new();
    for text in texts {
        let braced = match text.trim_start().starts_with('{') {
            true => text.clone(),
            false => format!("{{{text}}}"),
        };
        let parsed = promql::parser::parse_metric_selector(&braced)
            .map_err(|error| anyhow::anyhow!("--{flag}={text}: {error}"))?;
        matchers.extend(parsed);
    }
    Ok(matchers)
}

fn required_ids(ids: &Ids) -> anyhow::Result<Selection> {
    if ids.ids.is_empty() {
        bail!("give --id, once for each block");
    }
    let distinct: BTreeSet<_> = ids.ids.iter().copied().collect();
    Ok(Selection::of(distinct))
}

/// Returns a folder that is removed at the end, in the one given or in the system's.
fn scratch(folder: Option<&Path>) -> anyhow::Result<TempDir> {
    let Some(folder) = folder else {
        return tempfile::tempdir().context("making a temporary folder");
    };
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    tempfile::tempdir_in(folder).with_context(|| folder.display().to_string())
}

fn print<R: Row>(rows: &[R], format: Format) -> anyhow::Result<()> {
    say(&tools::render(rows, format)?)
}

fn say(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        // `… | head` has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

/// Returns whether to go on with `what`. Without consent nothing is done, and that is an error.
fn agreed(consent: Consent, what: &str) -> anyhow::Result<bool> {
    if consent.dry_run {
        return Ok(false);
    }
    if !consent.yes {
        bail!("nothing was done; {what} needs --yes, and --dry-run asks for this list alone");
    }
    Ok(true)
}
