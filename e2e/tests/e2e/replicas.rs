//! Two replicas, one answer; also while one of them is gone.

use anyhow::{Context as _, Result, ensure};
use e2e::prometheus_api::no_gap;
use e2e::stack::{no_restart, ready};
use e2e::wait::until;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt as _};
use tokio_util::sync::CancellationToken;

use crate::{INTERVAL, NAMESPACE, READY, SOON, Scene};

/// A series that every replica has from its first scrape on.
pub(crate) const SERIES: &str = r#"up{job="apiserver"}"#;
/// Whether `SERIES` was scraped lately: a plain selector would look five minutes back over a gap.
const SCRAPED: &str = r#"count_over_time(up{job="apiserver"}[30s])"#;
const SCRAPED_NOW: &str = r#"count_over_time(up{job="apiserver"}[10s])"#;
const SCRAPED_SPAN: i64 = 30_000;
/// The replica that is deleted.
const VICTIM: &str = "demo-prometheus-0";

pub(crate) fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Returns the time from which both replicas have samples, in milliseconds since the epoch.
pub(crate) async fn both_are_seen_as_one(scene: &Scene) -> Result<i64> {
    let replicas = until("both replicas are seen", SOON, async || {
        let found = scene.querier.instant(SERIES, false).await?;
        ensure!(found.series.len() == 2, "it has {:?}", found.series);
        Ok(found)
    })
    .await?;
    let mut names: Vec<_> = replicas
        .series
        .iter()
        .map(|series| series.label("prometheus_replica"))
        .collect();
    names.sort_unstable();
    ensure!(
        names == ["demo-prometheus-0", "demo-prometheus-1"],
        "replicas are {names:?}"
    );
    let one = scene.querier.instant(SERIES, true).await?;
    let one = one.only()?;
    ensure!(
        !one.labels.contains_key("prometheus_replica"),
        "{:?}",
        one.labels
    );
    for (label, value) in [("cluster", "demo"), ("prometheus", "hindsight-demo/demo")] {
        ensure!(
            one.label(label) == value,
            "{label} is not {value}: {:?}",
            one.labels
        );
    }
    scene.say("both replicas are seen as one");
    let raw = scene
        .querier
        .instant(&format!("{SERIES}[10m]"), false)
        .await?;
    let first = |series: &e2e::prometheus_api::Series| series.samples.first().map(|one| one.0);
    let begin = raw.series.iter().filter_map(first).max();
    begin.context("no raw samples")
}

/// Deletes one replica while a query is asked again and again: every answer is whole, or says that
/// it is not, and afterwards nothing is missing.
pub(crate) async fn one_may_go(scene: &Scene, begin: i64) -> Result<()> {
    let stop = CancellationToken::new();
    let asking = tokio::spawn(ask(scene.querier.clone(), begin, stop.clone()));
    let pods: Api<Pod> = Api::namespaced(scene.client.clone(), NAMESPACE);
    let before = pods.get(VICTIM).await?.uid();
    pods.delete(VICTIM, &DeleteParams::default()).await?;
    let replaced = until("the replica is back", READY, async || {
        let pod = pods.get(VICTIM).await?;
        ensure!(pod.uid() != before, "it is the old one");
        no_restart(&pod)?;
        ready(&pod)
    })
    .await;
    // Ready may still be told of the old pod; the querier's own view is what counts.
    let seen = match replaced {
        Ok(()) => {
            until("both replicas scrape and are seen", READY, async || {
                let scraped = scene.querier.instant(SCRAPED_NOW, false).await?;
                ensure!(scraped.series.len() == 2, "it has {:?}", scraped.series);
                Ok(())
            })
            .await
        }
        Err(error) => Err(error),
    };
    stop.cancel();
    let asked = asking.await?.context("while the replica was away")?;
    seen?;
    scene.stack.until_condition("Ready", "True", READY).await?;
    scene.say(&format!(
        "a replica went and came back under {asked} queries"
    ));
    // The querier gives up the old pod's address when it looks it up again.
    until("answers are whole again", SOON, async || {
        whole(&scene.querier, begin).await
    })
    .await
}

/// Asks until told to stop; returns how often.
async fn ask(
    querier: e2e::prometheus_api::Server,
    begin: i64,
    stop: CancellationToken,
) -> Result<u32> {
    let mut asked = 0;
    while !stop.is_cancelled() || asked == 0 {
        let end = now();
        let start = (end - 60_000).max(begin + SCRAPED_SPAN);
        let answer = querier.range(SCRAPED, start, end, INTERVAL).await?;
        asked += 1;
        if answer.warnings.is_empty() {
            let series = answer.only()?;
            no_gap(&series.samples, start, end, INTERVAL + 1)
                .with_context(|| format!("answer {asked} is not marked"))?;
        }
    }
    Ok(asked)
}

/// Checks that a range query from `begin` to now has a value at each step.
pub(crate) async fn whole(querier: &e2e::prometheus_api::Server, begin: i64) -> Result<()> {
    let start = begin + SCRAPED_SPAN;
    let end = now();
    let answer = querier.range(SCRAPED, start, end, INTERVAL).await?;
    ensure!(answer.warnings.is_empty(), "partial: {:?}", answer.warnings);
    no_gap(&answer.only()?.samples, start, end, INTERVAL + 1)
}
