//! From Prometheus' disk to the bucket and back: blocks are cut, uploaded, dropped and served.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::prometheus_api::no_gap;
use e2e::wait::until;
use serde_json::json;

use crate::replicas::{SERIES, now, whole};
use crate::{INTERVAL, Scene};

/// From the first sample to a first block in the bucket: one and a half blocks of two minutes, a look
/// of Prometheus every minute and one of the sidecar every half.
const UPLOADED: Duration = Duration::from_secs(480);
/// From then until Prometheus drops its first block: eight minutes of retention, counted from the end
/// of the newest block.
const DROPPED: Duration = Duration::from_secs(1_080);
/// How far the border must lie behind the first sample: a part of a block is not enough.
const BEHIND: i64 = 90_000;
/// Widest distance of two samples that is no gap. Scrapes of a machine that compiles beside come late;
/// what is lost between two blocks is more than three of them.
const WIDEST: i64 = 4 * INTERVAL;

/// Blocks of both replicas lie in the bucket under their streams' labels.
pub(crate) async fn blocks_are_uploaded(scene: &Scene) -> Result<()> {
    until(
        "blocks of both replicas are in the bucket",
        UPLOADED,
        async || {
            let metas = e2e::bucket::metas(&scene.machine.volumes())?;
            let mut replicas = BTreeSet::new();
            for meta in &metas {
                let thanos = &meta["thanos"];
                let labels = &thanos["labels"];
                let replica = labels["prometheus_replica"].as_str().unwrap_or_default();
                let expected = json!({
                    "cluster": "demo",
                    "prometheus": "hindsight-demo/demo",
                    "prometheus_replica": replica,
                });
                ensure!(*labels == expected, "labels of a block are {labels}");
                ensure!(thanos["source"] == "sidecar", "{meta}");
                ensure!(thanos["downsample"]["resolution"] == 0, "{meta}");
                ensure!(meta["compaction"]["level"] == 1, "{meta}");
                replicas.insert(replica.to_owned());
            }
            let expected = ["demo-prometheus-0", "demo-prometheus-1"].map(str::to_owned);
            ensure!(
                replicas == BTreeSet::from(expected),
                "blocks are of {replicas:?}"
            );
            Ok(())
        },
    )
    .await?;
    scene.say("blocks of both replicas are in the bucket");
    let told = until("the status tells of the upload", UPLOADED, async || {
        let stack = scene.stack.api().get("demo").await?;
        stack
            .status
            .and_then(|status| status.last_upload)
            .context("lastUpload is not set")
    })
    .await?;
    ensure!(
        told.0.as_millisecond() <= now(),
        "lastUpload lies in the future: {told:?}"
    );
    Ok(())
}

/// Waits until neither Prometheus has the first samples any more; the answer still has all of them.
pub(crate) async fn no_gap_where_prometheus_has_dropped_blocks(
    scene: &Scene,
    begin: i64,
) -> Result<()> {
    for ordinal in 0..2 {
        let prometheus = scene.prometheus(ordinal);
        until(
            &format!("replica {ordinal} has dropped its first block"),
            DROPPED,
            async || {
                let all = prometheus.instant(&format!("{SERIES}[1h]"), true).await?;
                let (first, _) = all.only()?.samples.first().context("it has no samples")?;
                ensure!(
                    *first >= begin + BEHIND,
                    "its first sample is at {first}, ours at {begin}"
                );
                Ok(())
            },
        )
        .await?;
    }
    scene.say("both replicas have dropped their first blocks");
    let querier = &scene.querier;
    whole(querier, begin).await.context("by steps")?;
    let answer = querier.instant(&format!("{SERIES}[1h]"), true).await?;
    ensure!(answer.warnings.is_empty(), "partial: {:?}", answer.warnings);
    no_gap(from(&answer.only()?.samples, begin), begin, now(), WIDEST).context("by samples")?;

    // The replica that was never away, by itself: each of its scrapes, from bucket and Prometheus.
    let answer = querier.instant(&format!("{SERIES}[1h]"), false).await?;
    let replica = answer
        .series
        .iter()
        .find(|series| series.label("prometheus_replica") == "demo-prometheus-1")
        .context("the replica has no series")?;
    no_gap(from(&replica.samples, begin), begin, now(), WIDEST).context("one replica")?;
    scene.say("no gap where the bucket and Prometheus meet");
    Ok(())
}

fn from(samples: &[(i64, String)], begin: i64) -> &[(i64, String)] {
    let first = samples.partition_point(|&(time, _)| time < begin);
    samples.get(first..).unwrap_or_default()
}
