//! The tools that only look, or repair what they see.

use std::convert::Infallible;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use block::filters::{external_labels, resolution_ms};
use block::{View, layout};
use objstore::Bucket;
use runtime::content::PathOrContent;
use runtime::http::HttpServer;
use runtime::service::Kit;
use runtime::units::HumanDuration;
use tools::listing::BlockRow;
use tools::marks::Mark;
use tools::report::{self, Shares};
use tools::rewrite::{self, Changes};
use tools::verify::{self, Finding, Issue};
use tools::web::Site;
use tools::{Format, Progress, Selection, listing, local, marks, output, replicate, select};
use tsdb::meta::BlockMeta;

use super::{agreed, matchers, now_ms, open, open_other, print, say, scratch, time};
use crate::args::process::drain_deadline;
use crate::args::tools::bucket::{
    InspectArgs, LsArgs, ReportArgs, ReportKind, VerifyArgs, WebArgs,
};
use crate::version;

async fn listed(bucket: Arc<dyn Bucket>, timeout: HumanDuration) -> anyhow::Result<View> {
    match tokio::time::timeout(timeout.0, select::view(bucket)).await {
        Ok(view) => Ok(view?),
        Err(_) => bail!("listing took longer than --timeout={timeout}"),
    }
}

fn warn_of(view: &View) {
    for id in view.partial.keys() {
        tracing::warn!(block = %id, "block has no meta.json");
    }
    for (id, reason) in &view.corrupt {
        tracing::warn!(block = %id, reason, "block has an unreadable meta.json");
    }
}

pub(super) async fn ls(args: &LsArgs) -> anyhow::Result<()> {
    let view = listed(open(&args.common)?, args.timeout).await?;
    let selection = Selection {
        time: time(&args.window)?,
        unmarked: args.exclude_delete,
        ..Selection::default()
    };
    warn_of(&view);
    let blocks = view
        .blocks
        .iter()
        .filter(|(id, block)| selection.contains(**id, block));
    if let Ok(format) = args.output.parse::<Format>()
        && format != Format::Json
    {
        let rows: Vec<BlockRow> = blocks
            .map(|(id, block)| BlockRow::new(*id, block))
            .collect();
        return print(&rows, format);
    }
    let mut text = String::new();
    for (id, block) in blocks {
        // Writing to a string cannot fail.
        let _ = match args.output.as_str() {
            "json" => writeln!(text, "{}", String::from_utf8_lossy(&block.meta.encode())),
            "wide" => writeln!(text, "{id} -- {}", describe(&block.meta)),
            _ => writeln!(text, "{id}"),
        };
    }
    say(&text)
}

/// Returns times, level, resolution and labels of a block, as Thanos' wide listing does.
fn describe(meta: &BlockMeta) -> String {
    let source = meta.thanos.as_ref().map(|thanos| thanos.source.as_str());
    format!(
        "{} - {} Diff: {}, Compaction: {}, Downsample: {}, Source: {}, Labels: {}",
        output::time(meta.min_time),
        output::time(meta.max_time),
        model::format_duration(meta.max_time.saturating_sub(meta.min_time)),
        meta.compaction.level,
        resolution_ms(meta),
        source.unwrap_or_default(),
        external_labels(meta),
    )
}

pub(super) async fn inspect(args: &InspectArgs) -> anyhow::Result<()> {
    let selection = Selection {
        matchers: matchers(&args.selector, "selector")?,
        ..Selection::default()
    };
    let view = listed(open(&args.common)?, args.timeout).await?;
    warn_of(&view);
    let chosen = selection.choose(&view)?;
    let mut rows: Vec<BlockRow> = chosen
        .into_iter()
        .map(|(id, block)| BlockRow::new(id, block))
        .collect();
    listing::sort(&mut rows, &args.sort_by);
    print(&rows, args.output)
}

pub(super) async fn verify(args: &VerifyArgs) -> anyhow::Result<()> {
    let bucket = open(&args.common)?;
    let backup = open_other(&PathOrContent {
        flag: "objstore-backup.config",
        content: args.backup_config.clone(),
        path: args.backup_config_file.clone(),
    })?;
    let view = select::view(Arc::clone(&bucket)).await?;
    let selection = Selection::of(args.ids.ids.iter().copied());
    let chosen = selection.choose(&view)?;
    let folder = scratch(args.tmp_dir.as_deref())?;
    let mut findings = Vec::new();
    if args.issues.contains(&Issue::Overlap) {
        findings.extend(verify::overlaps(&view));
    }
    if args.issues.contains(&Issue::DuplicatedCompaction) {
        findings.extend(verify::duplicated_compactions(&view));
    }
    findings.retain(|finding| chosen.iter().any(|(id, _)| *id == finding.block));
    if args.issues.contains(&Issue::Index) {
        let mut progress = Progress::new("verifying", chosen.len());
        for (id, _) in &chosen {
            findings.extend(verify::block(&*bucket, *id, folder.path()).await?);
            progress.step(&id.to_string());
        }
    }
    print(&findings, args.output)?;
    if findings.is_empty() {
        tracing::info!(blocks = chosen.len(), "nothing wrong was found");
        return Ok(());
    }
    if !args.repair {
        bail!("{} findings", findings.len());
    }
    if !agreed(args.consent, "repairing")? {
        return Ok(());
    }
    let mut left = 0;
    for finding in &findings {
        if let Some(backup) = &backup {
            replicate::copy(&bucket, &**backup, finding.block).await?;
        }
        if let Err(error) = repair(&*bucket, finding, folder.path()).await {
            let error = format!("{error:#}");
            tracing::error!(block = %finding.block, issue = finding.issue, error, "not repaired");
            left += 1;
        }
    }
    if left > 0 {
        bail!("{left} of {} findings were not repaired", findings.len());
    }
    Ok(())
}

async fn repair(bucket: &dyn Bucket, finding: &Finding, folder: &Path) -> anyhow::Result<()> {
    let old = finding.block;
    if let Some(kept) = finding.covered_by {
        let details = format!("made of the same blocks as {kept}");
        marks::put(bucket, old, Mark::Deletion, &details, now_ms()).await?;
        tracing::info!(block = %old, %kept, "marked for deletion");
        return Ok(());
    }
    if finding.issue != Issue::Index.as_str() {
        bail!(
            "overlapping blocks are made one by the compactor, with --compact.enable-vertical-compaction"
        );
    }
    let reader = local::fetch(bucket, old, folder).await?;
    let new = rewrite::new_id(now_ms());
    let made = rewrite::rewrite(&reader, &Changes::default(), new)?;
    let Some(written) = &made.block else {
        bail!("the block has no samples; mark it for deletion");
    };
    rewrite::publish(bucket, written, Some(&made.log), folder).await?;
    if let Some(wrong) = verify::block(bucket, new, folder).await? {
        bail!("its replacement {new} is not sound either: {}", wrong.what);
    }
    let details = format!("repaired as {new}");
    marks::put(bucket, old, Mark::Deletion, &details, now_ms()).await?;
    tracing::info!(block = %old, %new, "made anew and marked for deletion");
    Ok(())
}

pub(super) async fn web(args: &WebArgs) -> anyhow::Result<()> {
    let kit = Kit::new(version::BUILD);
    let bucket = open(&args.common)?;
    let selection = Selection {
        time: time(&args.window)?,
        ..Selection::default()
    };
    let (label, read_only) = (args.label.clone(), args.disable_admin);
    let clock = Arc::clone(&kit.clock);
    let site = Arc::new(Site::new(bucket, selection, label, read_only, clock));
    let http = args.http.config();
    let server = HttpServer::bind(&http).await?;
    let mut group = kit.task_group();
    group.spawn(
        "http",
        server.serve(kit.clone(), tools::web::routes(Arc::clone(&site))),
    );
    let (refresh, timeout) = (args.refresh.0, args.timeout.0);
    let (shutdown, probe) = (kit.shutdown.clone(), kit.probe.clone());
    group.spawn("refresh", async move {
        loop {
            // A listing that takes longer leaves the page as it is.
            let _ = tokio::time::timeout(timeout, site.refresh()).await;
            probe.ready();
            tokio::select! {
                () = shutdown.begun() => return Ok::<_, Infallible>(()),
                () = tokio::time::sleep(refresh) => {}
            }
        }
    });
    let drain = drain_deadline(http.grace_period, http.grace_period);
    kit.supervise(group, drain).await?;
    Ok(())
}

pub(super) async fn report(args: &ReportArgs) -> anyhow::Result<()> {
    let bucket = open(&args.common)?;
    let mut view = select::view(Arc::clone(&bucket)).await?;
    let selection = Selection {
        time: time(&args.window)?,
        ..Selection::default()
    };
    view.blocks
        .retain(|id, block| selection.contains(*id, block));
    let label = match args.kind {
        ReportKind::Streams => return print(&report::streams(&view), args.output),
        ReportKind::Leftovers => {
            let left = report::leftovers(&*bucket, &view, now_ms()).await?;
            return print(&left, args.output);
        }
        ReportKind::Tenants => {
            let shares = Shares::by_tenant(&view, &args.tenant_label);
            return print(&shares.largest(args.limit), args.output);
        }
        ReportKind::Metrics => "__name__",
        ReportKind::Labels => args.label.as_str(),
    };
    let mut shares = Shares::default();
    let mut progress = Progress::new("reading", view.blocks.len());
    for (id, block) in &view.blocks {
        let index = bucket.get(&layout::object(*id, layout::INDEX)).await?;
        let read = tsdb::index::Reader::decode(index)
            .and_then(|index| shares.add_index(&index, &block.files.segment_bytes, label));
        if let Err(error) = read {
            tracing::warn!(block = %id, %error, "left out, its index is not sound");
        }
        progress.step(&id.to_string());
    }
    print(&shares.largest(args.limit), args.output)
}
