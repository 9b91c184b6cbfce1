//! The tools on buckets with blocks that Prometheus' own code has cut.

mod peer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use block::{View, layout, transfer};
use bytes::Bytes;
use compact::plan::Planner;
use compact::retention::{Keep, Policy};
use futures::TryStreamExt;
use model::Labels;
use model::ulid::BlockId;
use objstore::{Bucket, Listing, ObjectStoreBucket};
use peer::Dump;
use runtime::clock::{Clock, SystemClock};
use tools::housekeeping::{self, Fate};
use tools::marks::{self, Mark};
use tools::replicate::{self, Copied};
use tools::report::{self, Shares};
use tools::rewrite::{self, Changes, Deletion};
use tools::{Selection, local, select, verify, web};
use tower::ServiceExt;

/// A bucket with the blocks of a data set, which are in `folder` too.
struct Bucketful {
    bucket: Arc<dyn Bucket>,
    blocks: Vec<BlockId>,
    folder: tempfile::TempDir,
}

impl Bucketful {
    async fn of(dataset: &str) -> Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        let cut = folder.path().join("cut");
        if !peer::cut(dataset, &cut)? {
            return Ok(None);
        }
        let bucket = ObjectStoreBucket::folder(&folder.path().join("bucket"))?;
        let mut blocks = Vec::new();
        for entry in std::fs::read_dir(&cut)? {
            let name = entry?.file_name();
            let id: BlockId = name.to_string_lossy().parse().ok().context("a block")?;
            transfer::upload(&bucket, id, &cut.join(name), 2).await?;
            blocks.push(id);
        }
        blocks.sort();
        ensure!(blocks.len() == 3, "{blocks:?}");
        Ok(Some(Self {
            bucket: Arc::new(bucket),
            blocks,
            folder,
        }))
    }

    fn cut(&self, block: BlockId) -> std::path::PathBuf {
        self.folder.path().join("cut").join(block.to_string())
    }

    async fn view(&self) -> Result<View> {
        Ok(select::view(Arc::clone(&self.bucket)).await?)
    }

    fn scratch(&self) -> &Path {
        self.folder.path()
    }
}

async fn objects(bucket: &dyn Bucket) -> Result<BTreeMap<String, Bytes>> {
    let names: Vec<String> = bucket
        .iter("", Listing::Recursive)
        .map_ok(|entry| entry.name)
        .try_collect()
        .await?;
    let mut objects = BTreeMap::new();
    for name in names {
        let content = bucket.get(&name).await?;
        objects.insert(name, content);
    }
    Ok(objects)
}

#[tokio::test]
async fn copied_blocks_are_equal_to_the_byte() -> Result<()> {
    let Some(from) = Bucketful::of("nh").await? else {
        return Ok(());
    };
    let to = ObjectStoreBucket::in_memory("to");
    let [first, rest @ ..] = from.blocks.as_slice() else {
        anyhow::bail!("no block")
    };
    // What a copy that was broken off has left: a file of the right size, and one cut short.
    let index = layout::object(*first, layout::INDEX);
    let bytes = from.bucket.get(&index).await?;
    to.upload(&index, bytes.slice(..bytes.len() / 2).into())
        .await?;
    let view = from.view().await?;
    for id in &from.blocks {
        let copied = replicate::copy(&from.bucket, &to, *id).await?;
        ensure!(
            matches!(copied, Copied::Bytes(sent) if sent > 0),
            "{copied:?}"
        );
    }
    for id in rest {
        let again = replicate::copy(&from.bucket, &to, *id).await?;
        ensure!(again == Copied::There, "{again:?}");
    }
    ensure!(view.blocks.len() == 3, "{}", view.blocks.len());
    ensure!(
        objects(&*from.bucket).await? == objects(&to).await?,
        "they differ"
    );
    Ok(())
}

#[tokio::test]
async fn unsound_overlapping_and_double_blocks_are_found() -> Result<()> {
    let Some(full) = Bucketful::of("diff").await? else {
        return Ok(());
    };
    let [a, b, c] = full.blocks.as_slice() else {
        anyhow::bail!("three blocks")
    };
    let view = full.view().await?;
    ensure!(verify::overlaps(&view).is_empty());
    ensure!(verify::duplicated_compactions(&view).is_empty());
    for id in &full.blocks {
        let found = verify::block(&*full.bucket, *id, full.scratch()).await?;
        ensure!(found.is_none(), "{found:?}");
    }
    // The same block under another name, of the same sources.
    let double = BlockId::from_parts(a.timestamp_ms() + 1, 7);
    for (name, content) in objects(&*full.bucket).await? {
        if let Some((id, file)) = layout::parse(&name)
            && id == *a
        {
            let content = match file {
                layout::META => {
                    let text = String::from_utf8_lossy(&content);
                    let name = format!("\"ulid\": \"{a}\"");
                    let renamed = text.replacen(&name, &format!("\"ulid\": \"{double}\""), 1);
                    ensure!(renamed != text, "the meta names itself otherwise: {text}");
                    Bytes::from(renamed.into_bytes())
                }
                _ => content,
            };
            let object = layout::object(double, file);
            full.bucket.upload(&object, content.into()).await?;
        }
    }
    let view = full.view().await?;
    let overlaps = verify::overlaps(&view);
    let named: Vec<BlockId> = overlaps.iter().map(|finding| finding.block).collect();
    ensure!(named == [double], "{overlaps:?}");
    let doubles = verify::duplicated_compactions(&view);
    let named: Vec<_> = doubles
        .iter()
        .map(|finding| (finding.block, finding.covered_by))
        .collect();
    ensure!(named == [(double, Some(*a))], "{doubles:?}");
    // A marked block takes no part.
    marks::put(
        &*full.bucket,
        double,
        Mark::Deletion,
        "double",
        SystemClock.now_ms(),
    )
    .await?;
    ensure!(verify::duplicated_compactions(&full.view().await?).is_empty());
    // One bit in a chunk, then an index cut short.
    let segment = layout::object(*b, &tsdb::segment::segment_name(0));
    let mut bytes = full.bucket.get(&segment).await?.to_vec();
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).context("a byte")? ^= 4;
    full.bucket.upload(&segment, bytes.into()).await?;
    let index = layout::object(*c, layout::INDEX);
    let bytes = full.bucket.get(&index).await?;
    full.bucket
        .upload(&index, bytes.slice(..bytes.len() - 9).into())
        .await?;
    for id in [b, c] {
        let found = verify::block(&*full.bucket, *id, full.scratch()).await?;
        let found = found.context("it is not sound")?;
        ensure!(
            found.block == *id && found.issue == "index_known_issues",
            "{found:?}"
        );
    }
    Ok(())
}

/// Rewrites the first block of a data set and returns dumps of it, before and after.
async fn rewritten(dataset: &str, changes: &Changes) -> Result<Option<(Dump, Dump)>> {
    let Some(full) = Bucketful::of(dataset).await? else {
        return Ok(None);
    };
    let old = *full.blocks.first().context("a block")?;
    let reader = local::fetch(&*full.bucket, old, full.scratch()).await?;
    let new = rewrite::new_id(SystemClock.now_ms());
    let made = rewrite::rewrite(&reader, changes, new)?;
    let written = made.block.context("something is left")?;
    ensure!(!made.log.lines.is_empty() || changes.deletions.is_empty());
    rewrite::publish(&*full.bucket, &written, Some(&made.log), full.scratch()).await?;
    let sound = verify::block(&*full.bucket, new, &full.scratch().join("verify")).await?;
    ensure!(sound.is_none(), "{sound:?}");
    let view = full.view().await?;
    let block = view.blocks.get(&new).context("the new block is there")?;
    let (before, after) = (&reader.meta, &block.meta);
    ensure!((before.min_time, before.max_time) == (after.min_time, after.max_time));
    ensure!(after.compaction.sources == [new], "{:?}", after.compaction);
    let thanos = after.thanos.as_ref().context("a thanos section")?;
    ensure!(thanos.source == "bucket.rewrite", "{thanos:?}");
    ensure!(thanos.external_labels() == Labels::from_pairs([("cluster", "a"), ("replica", "0")]));
    let rewrite = thanos.rewrites.last().context("the rewrite is told")?;
    ensure!(rewrite.sources == [old] && rewrite.deletions_applied.len() == changes.deletions.len());
    let log = full
        .bucket
        .get(&layout::object(new, rewrite::CHANGE_LOG))
        .await?;
    ensure!(log == made.log.to_string().into_bytes());
    let folder = full.scratch().join("download");
    transfer::download(&*full.bucket, new, &folder).await?;
    Ok(Some((peer::dump(&full.cut(old))?, peer::dump(&folder)?)))
}

#[tokio::test]
async fn a_rewrite_without_changes_keeps_every_bit() -> Result<()> {
    for dataset in ["diff", "nh", "node"] {
        let Some((before, after)) = rewritten(dataset, &Changes::default()).await? else {
            return Ok(());
        };
        ensure!(before.len() > 1 || dataset == "nh", "{}", before.len());
        ensure!(before == after, "{dataset} differs");
    }
    Ok(())
}

#[tokio::test]
async fn deleted_samples_are_gone_and_all_others_stay() -> Result<()> {
    // The times lie within the first block, and within chunks.
    let yaml = "- matchers: '{job=\"api\"}'\n  intervals: [{mint: 1767226000000, maxt: 1767227000000}, \
                {mint: 1767229000123, maxt: 1767229000456}]\n  request_id: r1\n\
                - matchers: '{__name__=\"up\"}'\n";
    let changes = Changes {
        deletions: Deletion::parse(yaml)?,
        ..Changes::default()
    };
    let Some((mut expected, after)) = rewritten("diff", &changes).await? else {
        return Ok(());
    };
    let before = expected.clone();
    expected.retain(|series, samples| {
        if series.contains("=3:api") {
            samples.retain(|(t, _)| {
                !(1_767_226_000_000..=1_767_227_000_000).contains(t)
                    && !(1_767_229_000_123..=1_767_229_000_456).contains(t)
            });
        }
        !series.contains("8:__name__=2:up") && !samples.is_empty()
    });
    ensure!(expected != before, "nothing was to be deleted");
    ensure!(expected == after, "other samples are gone");
    Ok(())
}

#[tokio::test]
async fn histograms_can_lose_single_samples() -> Result<()> {
    let yaml =
        "- matchers: '{job=\"j0\"}'\n  intervals: [{mint: 1767226000000, maxt: 1767227000000}]\n";
    let changes = Changes {
        deletions: Deletion::parse(yaml)?,
        ..Changes::default()
    };
    let Some((mut expected, after)) = rewritten("nh", &changes).await? else {
        return Ok(());
    };
    let mut deleted = 0;
    for (series, samples) in &mut expected {
        if !series.contains("3:job=2:j0") {
            continue;
        }
        let mut kept: Vec<(i64, String)> = Vec::new();
        let mut gap = false;
        for (t, sample) in samples.drain(..) {
            if (1_767_226_000_000..=1_767_227_000_000).contains(&t) {
                (gap, deleted) = (true, deleted + 1);
                continue;
            }
            // Nothing is known any more of resets between the sample after the gap and the one before.
            let sample = match gap {
                true => sample.replacen("i 2 ", "i 0 ", 1),
                false => sample,
            };
            gap = false;
            kept.push((t, sample));
        }
        *samples = kept;
    }
    ensure!(deleted > 0, "nothing was to be deleted");
    ensure!(expected == after, "other samples are gone");
    Ok(())
}

#[tokio::test]
async fn labels_change_and_what_would_mix_is_refused() -> Result<()> {
    let relabel = |yaml: &str| Changes::default().with_relabelings(yaml);
    let rename = "- {source_labels: [job], regex: api, target_label: job, replacement: web}\n\
                  - {source_labels: [__name__], regex: up, action: drop}\n";
    let Some((mut before, after)) = rewritten("diff", &relabel(rename)?).await? else {
        return Ok(());
    };
    before.retain(|series, _| !series.contains("8:__name__=2:up"));
    let expected: Dump = before
        .into_iter()
        .map(|(series, samples)| (series.replace("3:job=3:api", "3:job=3:web"), samples))
        .collect();
    ensure!(expected == after, "other series differ");
    let mix = "- {regex: '.+', action: labeldrop}\n";
    let error = rewritten("diff", &relabel(mix)?).await.err();
    let error = error.context("all series become one")?.to_string();
    ensure!(error.contains("share time"), "{error}");
    Ok(())
}

#[tokio::test]
async fn the_report_names_gaps_leftovers_and_shares() -> Result<()> {
    let Some(full) = Bucketful::of("diff").await? else {
        return Ok(());
    };
    let [a, b, c] = full.blocks.as_slice() else {
        anyhow::bail!("three blocks")
    };
    let view = full.view().await?;
    let streams = report::streams(&view);
    ensure!(streams.len() == 1, "{streams:?}");
    ensure!(
        streams
            .iter()
            .all(|stream| stream.gaps.is_empty() && stream.blocks == 3)
    );
    // Each chunk's byte is somebody's; 8 bytes of each segment are its header.
    let mut shares = Shares::default();
    let mut segment_bytes = 0;
    for (id, block) in &view.blocks {
        let index = full.bucket.get(&layout::object(*id, layout::INDEX)).await?;
        let index = tsdb::index::Reader::decode(index)?;
        shares.add_index(&index, &block.files.segment_bytes, "__name__")?;
        segment_bytes += block
            .files
            .segment_bytes
            .iter()
            .map(|size| size - 8)
            .sum::<u64>();
    }
    let shares = shares.largest(usize::MAX);
    let counted: u64 = shares.iter().map(|share| share.bytes).sum();
    ensure!(counted == segment_bytes, "{counted} of {segment_bytes}");
    let series: u64 = shares.iter().map(|share| share.series).sum();
    let expected = view
        .blocks
        .values()
        .map(|block| block.meta.stats.num_series);
    ensure!(series == expected.sum::<u64>(), "{series}");
    // The middle block goes, the last loses its meta, and something lies about.
    transfer::delete(&*full.bucket, *b).await?;
    full.bucket
        .delete(&layout::object(*c, layout::META))
        .await?;
    full.bucket
        .upload("debug/metas/x.json", b"{}".to_vec().into())
        .await?;
    let now_ms = SystemClock.now_ms();
    marks::put(&*full.bucket, *a, Mark::Deletion, "old", now_ms).await?;
    let view = full.view().await?;
    let left = report::leftovers(&*full.bucket, &view, now_ms).await?;
    let mut kinds: Vec<_> = left
        .iter()
        .map(|left| (left.kind, left.name.clone()))
        .collect();
    kinds.sort();
    let expected = [
        ("marked", a.to_string()),
        ("orphan", "debug/metas/x.json".to_owned()),
        ("partial", c.to_string()),
    ];
    ensure!(kinds == expected, "{left:?}");
    transfer::upload(&*full.bucket, *c, &full.cut(*c), 1).await?;
    let streams = report::streams(&full.view().await?);
    let gaps: Vec<_> = streams.iter().flat_map(|stream| &stream.gaps).collect();
    ensure!(gaps.len() == 1, "{gaps:?}");
    ensure!(
        gaps.iter().all(|gap| gap.until - gap.from == 7_200_000),
        "{gaps:?}"
    );
    Ok(())
}

#[tokio::test]
async fn the_page_shows_blocks_and_marks_them() -> Result<()> {
    let Some(full) = Bucketful::of("diff").await? else {
        return Ok(());
    };
    let block = *full.blocks.first().context("a block")?;
    let site = |read_only| {
        let bucket = Arc::clone(&full.bucket);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let selection = Selection::default();
        Arc::new(web::Site::new(
            bucket,
            selection,
            "cluster".into(),
            read_only,
            clock,
        ))
    };
    let ask = async |site: &Arc<web::Site>, method: &str, uri: &str| {
        let request = Request::builder().method(method).uri(uri);
        let request = request.body(Body::empty())?;
        let response = web::routes(Arc::clone(site)).oneshot(request).await?;
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await?;
        Ok::<_, anyhow::Error>((status, String::from_utf8(body.to_vec())?))
    };
    let shown = site(false);
    shown.refresh().await;
    let (status, page) = ask(&shown, "GET", "/blocks").await?;
    ensure!(
        status == StatusCode::OK && page.contains(&block.to_string()),
        "{page}"
    );
    ensure!(
        page.contains("<h2>a</h2>") && page.contains("cluster=&quot;a&quot;"),
        "{page}"
    );
    let (_, data) = ask(&shown, "GET", "/api/v1/blocks").await?;
    let data: serde_json::Value = serde_json::from_str(&data)?;
    let metas = data
        .pointer("/data/blocks")
        .and_then(|blocks| blocks.as_array());
    ensure!(metas.is_some_and(|metas| metas.len() == 3), "{data}");
    let mark = format!("/api/v1/blocks/mark?id={block}&action=NO_COMPACTION&detail=why");
    let (status, _) = ask(&site(true), "POST", &mark).await?;
    ensure!(status == StatusCode::FORBIDDEN, "{status}");
    let object = layout::object(block, Mark::NoCompact.file_name());
    ensure!(!full.bucket.exists(&object).await?);
    let (status, body) = ask(&shown, "POST", &mark).await?;
    ensure!(status == StatusCode::OK, "{body}");
    ensure!(full.bucket.exists(&object).await?);
    ensure!(marks::remove(&*full.bucket, block, Mark::NoCompact).await?);
    ensure!(!marks::remove(&*full.bucket, block, Mark::NoCompact).await?);
    for bad in [
        "id=x&action=DELETION",
        &format!("id={block}&action=EXPLODE"),
    ] {
        let (status, _) = ask(&shown, "POST", &format!("/api/v1/blocks/mark?{bad}")).await?;
        ensure!(status == StatusCode::BAD_REQUEST, "{bad}: {status}");
    }
    Ok(())
}

#[tokio::test]
async fn what_expired_is_marked_and_then_deleted() -> Result<()> {
    let Some(full) = Bucketful::of("diff").await? else {
        return Ok(());
    };
    let now_ms = SystemClock.now_ms();
    let policy = |raw_ms, downsampling| Policy {
        keep: Keep {
            raw_ms: Some(raw_ms),
            ..Keep::default()
        },
        overrides: Vec::new(),
        downsampling,
    };
    let view = full.view().await?;
    ensure!(housekeeping::expired(&view, &policy(i64::MAX, false), now_ms).is_empty());
    // Blocks without a coarser cover are held, and holding changes nothing.
    let held = housekeeping::expired(&view, &policy(0, true), i64::MAX);
    ensure!(
        held.len() == 3 && held.iter().all(|block| block.fate == Fate::Hold),
        "{held:?}"
    );
    for block in &held {
        housekeeping::carry_out(&*full.bucket, block, now_ms).await?;
    }
    let view = full.view().await?;
    ensure!(
        view.blocks
            .values()
            .all(|block| block.deletion_time.is_none())
    );
    let expired = housekeeping::expired(&view, &policy(0, false), i64::MAX);
    ensure!(expired.len() == 3 && expired.iter().all(|block| block.fate == Fate::Mark));
    for block in &expired {
        housekeeping::carry_out(&*full.bucket, block, now_ms).await?;
    }
    let view = full.view().await?;
    ensure!(
        view.blocks
            .values()
            .all(|block| block.deletion_time.is_some())
    );
    ensure!(housekeeping::expired(&view, &policy(0, false), i64::MAX).is_empty());
    ensure!(
        housekeeping::garbage(&view, 3_600_000, now_ms).is_empty(),
        "too early"
    );
    let garbage = housekeeping::garbage(&view, 3_600_000, now_ms + 3_601_000);
    ensure!(garbage.len() == 3, "{garbage:?}");
    for block in &garbage {
        housekeeping::carry_out(&*full.bucket, block, now_ms).await?;
    }
    ensure!(objects(&*full.bucket).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn the_next_steps_of_the_compactor_are_shown() -> Result<()> {
    let Some(full) = Bucketful::of("diff").await? else {
        return Ok(());
    };
    let [a, ..] = full.blocks.as_slice() else {
        anyhow::bail!("no block")
    };
    let planner = Planner::new(4, false, 64 << 30);
    let steps = housekeeping::steps(&full.view().await?, &planner);
    ensure!(
        steps.is_empty(),
        "three young blocks wait for more: {steps:?}"
    );
    // A copy under another name overlaps, which needs vertical compaction.
    let double = BlockId::from_parts(a.timestamp_ms() + 1, 7);
    for file in [layout::INDEX, layout::META, &tsdb::segment::segment_name(0)] {
        let content = full.bucket.get(&layout::object(*a, file)).await?;
        let text = String::from_utf8_lossy(&content).replace(&a.to_string(), &double.to_string());
        let content = match file {
            layout::META => Bytes::from(text.into_bytes()),
            _ => content,
        };
        full.bucket
            .upload(&layout::object(double, file), content.into())
            .await?;
    }
    let view = full.view().await?;
    let steps = housekeeping::steps(&view, &planner);
    ensure!(
        steps.iter().any(|step| step.action == "leave out"),
        "{steps:?}"
    );
    let vertical = Planner::new(4, true, 64 << 30);
    let steps = housekeeping::steps(&view, &vertical);
    let merged = steps.iter().find(|step| step.action == "compact");
    let merged = merged.context("the overlapping blocks become one")?;
    ensure!(
        merged.blocks.contains(a) && merged.blocks.contains(&double),
        "{merged:?}"
    );
    Ok(())
}
