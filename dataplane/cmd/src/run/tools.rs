//! `hindsight tools`.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use block::Fetcher;
use block::fetcher::{DEFAULT_CONCURRENCY, FetcherMetrics};
use runtime::metrics::Metrics;
use runtime::telemetry;
use tsdb::meta::BlockMeta;

use super::{bucket, threads, why};
use crate::args::tools::{BucketTool, CreateArgs, LsArgs, Tool};

/// How long after a try to make a bucket the next one comes, while the store does not answer.
const CREATE_INTERVAL: Duration = Duration::from_secs(2);

pub(super) fn run(tool: Tool) -> anyhow::Result<()> {
    match tool {
        Tool::Bucket(BucketTool::Create(args)) => {
            telemetry::init(args.log.level, args.log.format)?;
            threads()?.block_on(create(&args))
        }
        Tool::Why(args) => threads()?.block_on(why::run(&args)),
        Tool::Bucket(BucketTool::Ls(args)) => {
            telemetry::init(args.log.level, args.log.format)?;
            let listing = list(&args);
            threads()?.block_on(async {
                match tokio::time::timeout(args.timeout.0, listing).await {
                    Ok(listed) => listed,
                    Err(_) => bail!("listing took longer than --timeout={}", args.timeout),
                }
            })
        }
    }
}

/// Makes the bucket. Init containers run it before the store is up, so it waits for that.
async fn create(args: &CreateArgs) -> anyhow::Result<()> {
    let config = bucket::required(&args.objstore)?;
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

async fn list(args: &LsArgs) -> anyhow::Result<()> {
    let config = bucket::required(&args.objstore)?;
    let metrics = Metrics::empty();
    let bucket = objstore::connect(&config, &metrics)?;
    let fetcher = FetcherMetrics::register(&metrics);
    let view = Fetcher::new(bucket, None, DEFAULT_CONCURRENCY, fetcher)
        .fetch()
        .await?;
    let mut out = std::io::stdout().lock();
    for (id, block) in &view.blocks {
        if args.exclude_delete && block.deletion_time.is_some() {
            continue;
        }
        match args.output.as_str() {
            "json" => {
                out.write_all(&block.meta.encode())?;
                writeln!(out)?;
            }
            "wide" => writeln!(out, "{id} -- {}", describe(&block.meta))?,
            _ => writeln!(out, "{id}")?,
        }
    }
    for id in view.partial.keys() {
        tracing::warn!(block = %id, "block has no meta.json");
    }
    for (id, reason) in &view.corrupt {
        tracing::warn!(block = %id, reason, "block has an unreadable meta.json");
    }
    Ok(())
}

/// Returns times, level, resolution and labels of a block, as Thanos' wide listing does.
fn describe(meta: &BlockMeta) -> String {
    let time = |ms: i64| {
        jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| at.to_string())
    };
    let thanos = meta.thanos.as_ref();
    let labels = thanos.map_or_else(model::Labels::empty, |thanos| {
        model::Labels::from_pairs(&thanos.labels)
    });
    format!(
        "{} - {} Diff: {}, Compaction: {}, Downsample: {}, Source: {}, Labels: {labels}",
        time(meta.min_time),
        time(meta.max_time),
        model::format_duration(meta.max_time.saturating_sub(meta.min_time)),
        meta.compaction.level,
        thanos.map_or(0, |thanos| thanos.downsample.resolution.0),
        thanos.map_or("", |thanos| thanos.source.as_str()),
    )
}
