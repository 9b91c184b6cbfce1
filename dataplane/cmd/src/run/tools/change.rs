//! The tools that change buckets.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use model::Labels;
use objstore::Bucket;
use runtime::clock::SystemClock;
use runtime::metrics::Metrics;
use sidecar::metrics::SidecarMetrics;
use sidecar::ship::{ShipConfig, Shipper, state};
use sidecar::store::Identity;
use tokio::sync::watch;
use tools::marks::Mark;
use tools::replicate::Copied;
use tools::rewrite::{self, Changes, Deletion};
use tools::{Progress, Selection, local, marks, output, replicate as copying, select};

use super::{matchers, now_ms, open, open_other, required_ids, say, scratch, time};
use crate::args::tools::bucket::{MarkArgs, ReplicateArgs, RewriteArgs, UploadBlocksArgs};

/// How often new blocks are looked for.
const REPLICATE_INTERVAL: Duration = Duration::from_secs(60);

pub(super) async fn replicate(args: &ReplicateArgs) -> anyhow::Result<()> {
    let from = open(&args.common)?;
    let to = open_other(&args.to())?;
    let to = to.context("give --objstore-to.config-file or --objstore-to.config")?;
    let levels = match args.compaction.as_slice() {
        [] if args.compaction_min > args.compaction_max => {
            bail!("--compaction-min is above --compaction-max")
        }
        [] => (args.compaction_min..=args.compaction_max).collect(),
        levels => levels.to_vec(),
    };
    let resolutions = args.resolution.iter().map(|resolution| {
        i64::try_from(resolution.0.as_millis()).context("--resolution is too long")
    });
    let selection = Selection {
        ids: args.ids.ids.iter().copied().collect(),
        matchers: matchers(&args.matcher, "matcher")?,
        time: time(&args.window)?,
        resolutions: resolutions.collect::<anyhow::Result<_>>()?,
        levels,
        unmarked: args.ignore_marked,
    };
    loop {
        replicate_once(&from, &*to, &selection).await?;
        if args.single_run {
            return Ok(());
        }
        tokio::time::sleep(REPLICATE_INTERVAL).await;
    }
}

async fn replicate_once(
    from: &Arc<dyn Bucket>,
    to: &dyn Bucket,
    selection: &Selection,
) -> anyhow::Result<()> {
    let view = select::view(Arc::clone(from)).await?;
    let chosen = selection.choose(&view)?;
    let mut progress = Progress::new("copying", chosen.len());
    let (mut copied, mut bytes) = (0u64, 0);
    for (id, _) in chosen {
        if let Copied::Bytes(sent) = copying::copy(from, to, id).await? {
            copied += 1;
            bytes += sent;
        }
        progress.step(&id.to_string());
    }
    tracing::info!(copied, bytes, "blocks are in the other bucket");
    Ok(())
}

pub(super) async fn mark(args: &MarkArgs) -> anyhow::Result<()> {
    let ids = required_ids(&args.ids)?.ids;
    if args.details.is_empty() && !args.remove {
        bail!("give --details, which say why");
    }
    let bucket = open(&args.common)?;
    let file = args.marker.file_name();
    for id in ids {
        if args.dry_run {
            let verb = if args.remove { "remove" } else { "put" };
            say(&format!("would {verb} {id}/{file}\n"))?;
        } else if args.remove {
            let removed = marks::remove(&*bucket, id, args.marker).await?;
            let what = if removed { "removed" } else { "was not there:" };
            say(&format!("{what} {id}/{file}\n"))?;
        } else {
            let put = marks::put(&*bucket, id, args.marker, &args.details, now_ms()).await?;
            let what = if put { "put" } else { "was there already:" };
            say(&format!("{what} {id}/{file}\n"))?;
        }
    }
    Ok(())
}

pub(super) async fn rewrite(args: &RewriteArgs) -> anyhow::Result<()> {
    let ids = required_ids(&args.ids)?.ids;
    let changes = changes(args)?;
    if args.delete_blocks && !args.yes {
        bail!("--delete-blocks needs --yes");
    }
    let doing = args.yes || !args.dry_run;
    let bucket = open(&args.common)?;
    let folder = scratch(args.tmp_dir.as_deref())?;
    for id in ids {
        let reader = local::fetch(&*bucket, id, folder.path()).await?;
        let new = rewrite::new_id(now_ms());
        let made = rewrite::rewrite(&reader, &changes, new)?;
        drop(reader);
        say(&made.log.to_string())?;
        if made.log.lines.is_empty() {
            say(&format!("{id}: nothing to change\n"))?;
            continue;
        }
        if !doing {
            let changed = output::grouped(made.log.lines.len() as u64);
            say(&format!(
                "{id}: {changed} series would change; give --yes to do it\n"
            ))?;
            continue;
        }
        if let Some(written) = &made.block {
            let log = args.add_change_log.then_some(&made.log);
            rewrite::publish(&*bucket, written, log, folder.path()).await?;
            say(&format!("{id}: rewritten as {new}\n"))?;
        } else {
            say(&format!("{id}: nothing is left of it\n"))?;
        }
        if args.delete_blocks {
            let details = format!("rewritten as {new}");
            marks::put(&*bucket, id, Mark::Deletion, &details, now_ms()).await?;
            say(&format!("{id}: marked for deletion\n"))?;
        }
    }
    Ok(())
}

fn changes(args: &RewriteArgs) -> anyhow::Result<Changes> {
    let deletions = match args.deletions().load()? {
        Some(yaml) => Deletion::parse(&yaml)?,
        None => Vec::new(),
    };
    let mut changes = Changes {
        deletions,
        ..Changes::default()
    };
    if let Some(yaml) = args.relabelings().load()? {
        changes = changes.with_relabelings(&yaml)?;
    }
    if changes.deletions.is_empty() && changes.relabel.is_empty() {
        bail!("give --rewrite.to-delete-config-file or --rewrite.to-relabel-config-file");
    }
    Ok(changes)
}

pub(super) async fn upload_blocks(args: &UploadBlocksArgs) -> anyhow::Result<()> {
    let bucket = open(&args.common)?;
    let mut pairs = Vec::new();
    for text in &args.label {
        for matcher in matchers(std::slice::from_ref(text), "label")? {
            pairs.push((matcher.name.clone(), matcher.value.clone()));
        }
    }
    if pairs.is_empty() {
        bail!("give --label, name=\"value\": blocks without external labels cannot be told apart");
    }
    let labels = Labels::from_pairs(pairs);
    let config = ShipConfig {
        folder: args.path.clone(),
        upload_compacted: args.upload_compacted,
        concurrency: args.upload_concurrency,
        hash_files: false,
        state_file: state::FILE_NAME.to_owned(),
        ignore_unequal_block_size: true,
        allow_out_of_order: false,
        skip_corrupted: false,
    };
    let metrics = SidecarMetrics::register(&Metrics::empty());
    let (_, identity) = watch::channel(Identity {
        external_labels: labels.clone(),
        min_time: i64::MIN,
        known: true,
    });
    let shipper = Shipper::new(config, bucket, identity, metrics, Arc::new(SystemClock));
    let uploaded = shipper.sync(&labels).await?;
    say(&format!("{uploaded} blocks uploaded\n"))
}
