//! One round: look, clean, compact until nothing is left, downsample, retire, clean.
//!
//! Every step begins with a fresh look at the bucket and is safe to be broken off anywhere; the next
//! round finds what is left. What fails in one group leaves the others alone: a block that cannot be
//! read is put aside with a no-compact mark, what the bucket failed at is tried in the next round.

mod show;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use block::fetcher::{FetcherMetrics, View};
use block::{BlockId, Fetcher, transfer};
use futures::{FutureExt, StreamExt, stream};
use tsdb::meta::{BlockMeta, Resolution};

use crate::clean;
use crate::config::WorkConfig;
use crate::downsample::plan::{Job, plan as plan_downsampling};
use crate::error::{CompactError, ErrorKind};
use crate::execute::Tools;
use crate::foreign;
use crate::group::{Candidate, Group, GroupKey, group, remove_replica_labels};
use crate::metrics::CompactMetrics;
use crate::plan::Planner;
use crate::progress::{Note, Pace, Progress};
use crate::retention::judge;

/// A clock that is farther from the bucket's deletes nothing.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(300);

/// The reason that a mark gives for a block that cannot be read.
const UNREADABLE: &str = "hindsight-unreadable-block";

/// Works on a bucket, round by round.
#[derive(Debug)]
pub struct Cycle {
    pub(crate) tools: Tools,
    config: WorkConfig,
    planner: Planner,
    fetcher: Fetcher,
    fetcher_metrics: FetcherMetrics,
    metrics: CompactMetrics,
    progress: Arc<ArcSwap<Progress>>,
    loaded: Arc<ArcSwap<Vec<Arc<BlockMeta>>>>,
    pace: Pace,
    /// Since when another compactor's blocks count, in milliseconds since the Unix epoch.
    begun_ms: i64,
    /// Blocks that this process put aside.
    put_aside: Vec<Note>,
}

/// What there is to work on.
#[derive(Debug)]
struct Seen {
    /// All blocks that the filters leave, those being replaced included.
    view: View,
    /// Blocks that are replaced, each with what replaces it.
    superseded: Vec<(BlockId, BlockId)>,
    /// The others, but for those marked for deletion.
    groups: Vec<Group>,
    deletable: Vec<BlockId>,
    abandoned: Vec<BlockId>,
}

impl Seen {
    fn candidates(&self) -> Vec<Candidate> {
        let blocks = self.groups.iter().flat_map(|group| &group.blocks);
        blocks.cloned().collect()
    }
}

/// A compaction that is due.
#[derive(Debug, Clone)]
struct Due {
    key: GroupKey,
    blocks: Vec<BlockId>,
    bytes: u64,
    overlapping: bool,
}

impl Cycle {
    pub fn new(
        tools: Tools,
        config: WorkConfig,
        fetcher_metrics: FetcherMetrics,
        metrics: CompactMetrics,
    ) -> Self {
        let fetcher = Fetcher::new(
            Arc::clone(&tools.bucket),
            Some(config.data_dir.join("meta-syncer")),
            config.meta_concurrency,
            fetcher_metrics.clone(),
        );
        let planner = Planner::new(config.max_level, config.vertical, config.max_index_bytes);
        let begun_ms = tools.clock.now_ms();
        Self {
            tools,
            config,
            planner,
            fetcher,
            fetcher_metrics,
            metrics,
            progress: Arc::default(),
            loaded: Arc::default(),
            pace: Pace::default(),
            begun_ms,
            put_aside: Vec::new(),
        }
    }

    /// What is shown; it changes as work goes on.
    pub fn progress(&self) -> Arc<ArcSwap<Progress>> {
        Arc::clone(&self.progress)
    }

    /// The metas of all blocks that are worked on.
    pub fn loaded(&self) -> Arc<ArcSwap<Vec<Arc<BlockMeta>>>> {
        Arc::clone(&self.loaded)
    }

    /// Does one round. `skew_ms` is how far this machine's clock is ahead of the bucket's, where that
    /// is known.
    ///
    /// # Errors
    /// The first failure, after everything that does not depend on it was done.
    pub async fn round(&mut self, skew_ms: Option<i64>) -> Result<(), CompactError> {
        let done = self.try_round(skew_ms).await;
        let now_ms = self.tools.clock.now_ms();
        match &done {
            Ok(()) => {
                self.metrics.iterations.inc();
                self.show(|progress| {
                    progress.rounds += 1;
                    progress.last_success_ms = Some(now_ms);
                    progress.last_error = None;
                    progress.phase = "waiting for the next round";
                });
            }
            Err(error) => {
                self.metrics.retries.inc();
                let error = runtime::telemetry::chain(error);
                self.show(|progress| {
                    progress.rounds += 1;
                    progress.last_error = Some(error);
                    progress.phase = "waiting for the next try";
                });
            }
        }
        done
    }

    async fn try_round(&mut self, skew_ms: Option<i64>) -> Result<(), CompactError> {
        self.metrics
            .clock_skew_seconds
            .set(skew_ms.unwrap_or_default() / 1000);
        self.show(|progress| progress.clock_skew_ms = skew_ms);
        if !clock_is_right(skew_ms) {
            tracing::error!(
                skew_ms,
                "this machine's clock and the bucket's differ too much or cannot be compared, \
                 compacting and deleting nothing; set the clock"
            );
            return Ok(());
        }
        let mut failed = None;
        let seen = self.look().await?;
        if self.is_foreign_ground(&seen) {
            return Ok(());
        }
        keep_first(&mut failed, self.clean(&seen).await)?;
        keep_first(&mut failed, self.compact_all().await)?;
        if self.config.downsampling {
            keep_first(&mut failed, self.downsample_all().await)?;
        }
        keep_first(&mut failed, self.retire().await)?;
        let seen = self.look().await?;
        keep_first(&mut failed, self.clean(&seen).await)?;
        failed.map_or(Ok(()), Err)
    }

    /// Deletes what is to be deleted, between rounds.
    ///
    /// # Errors
    /// The bucket fails.
    pub async fn clean_up(&mut self, skew_ms: Option<i64>) -> Result<(), CompactError> {
        if !clock_is_right(skew_ms) {
            return Ok(());
        }
        let seen = self.look().await?;
        if self.is_foreign_ground(&seen) {
            return Ok(());
        }
        self.clean(&seen).await
    }

    /// Lists the bucket, and sorts what is in it.
    async fn look(&mut self) -> Result<Seen, CompactError> {
        let mut view = self.fetcher.fetch().await?;
        let now_ms = self.tools.clock.now_ms();
        for (block, reason) in &view.corrupt {
            tracing::warn!(%block, reason, "leaving a block alone whose meta cannot be used");
        }
        self.config.filters.time = self.config.window.as_ref().map(|window| window(now_ms));
        self.config
            .filters
            .apply_but_duplicates(&mut view, now_ms, &self.fetcher_metrics);
        let delay_ms = i64::try_from(self.config.delete_delay.as_millis()).unwrap_or(i64::MAX);
        let deletable = clean::deletable(&view.blocks, delay_ms, now_ms);
        let abandoned = clean::abandoned(&view, now_ms);
        remove_replica_labels(&mut view, &self.config.replica_labels);
        let superseded = clean::superseded(&view.blocks);
        let replaced: BTreeSet<BlockId> = superseded.iter().map(|(gone, _)| *gone).collect();
        self.fetcher_metrics.set_state("duplicate", replaced.len());
        let left = view
            .blocks
            .iter()
            .filter(|(id, block)| !replaced.contains(*id) && block.deletion_time.is_none());
        let left: Vec<_> = left.map(|(_, block)| block.clone()).collect();
        self.fetcher_metrics.set_state("loaded", left.len());
        self.loaded.store(Arc::new(
            left.iter().map(|block| Arc::clone(&block.meta)).collect(),
        ));
        let groups = group(&left);
        let seen = Seen {
            view,
            superseded,
            groups,
            deletable,
            abandoned,
        };
        self.show_plan(&seen, now_ms);
        Ok(seen)
    }

    /// Whether another compactor is at work here.
    fn is_foreign_ground(&self, seen: &Seen) -> bool {
        let now_ms = self.tools.clock.now_ms();
        let foreign = foreign::newest_foreign(&seen.view.blocks, self.begun_ms, now_ms);
        self.metrics
            .foreign_compactor
            .set(i64::from(foreign.is_some()));
        self.show(|progress| progress.foreign_compactor = foreign);
        if let Some(block) = foreign {
            tracing::error!(
                %block,
                "another compactor, which does not heed the lease, made a block: stop it; until it is \
                 quiet nothing is compacted or deleted here"
            );
        }
        foreign.is_some()
    }

    /// Marks what is replaced, and deletes what is due.
    async fn clean(&self, seen: &Seen) -> Result<(), CompactError> {
        self.show(|progress| progress.phase = "cleaning");
        let mut failed = None;
        self.metrics.garbage_collections.inc();
        for (block, by) in &seen.superseded {
            let already = seen.view.blocks.get(block);
            if already.is_some_and(|block| block.deletion_time.is_some()) {
                continue;
            }
            let marked = self.retire_superseded(*block, *by, &seen.view).await;
            if marked.is_err() {
                self.metrics.garbage_collection_failures.inc();
            }
            keep_first(&mut failed, marked)?;
        }
        for block in &seen.abandoned {
            tracing::info!(%block, "deleting a block whose upload was given up");
            self.metrics.partial_deletion_attempts.inc();
            keep_first(&mut failed, self.delete(*block).await)?;
        }
        for block in &seen.deletable {
            tracing::info!(%block, "deleting a block that was marked for deletion");
            keep_first(&mut failed, self.delete(*block).await)?;
        }
        failed.map_or(Ok(()), Err)
    }

    async fn retire_superseded(
        &self,
        block: BlockId,
        by: BlockId,
        view: &View,
    ) -> Result<(), CompactError> {
        self.tools.verify_complete(by, view).await?;
        self.tools
            .mark_for_deletion(block, "outdated block")
            .await?;
        self.metrics.garbage_collected.inc();
        self.metrics.marked("deletion-mark.json", "");
        tracing::info!(%block, %by, "marked a block that another replaces");
        Ok(())
    }

    async fn delete(&self, block: BlockId) -> Result<(), CompactError> {
        let deleted = self
            .tools
            .guard
            .during(transfer::delete(&*self.tools.bucket, block))
            .await;
        match &deleted {
            Ok(()) => self.metrics.blocks_cleaned.inc(),
            Err(_) => self.metrics.block_cleanup_failures.inc(),
        };
        deleted
    }

    /// Compacts until no group has anything left that can be done.
    async fn compact_all(&mut self) -> Result<(), CompactError> {
        let mut failed = None;
        let mut given_up: BTreeSet<BlockId> = BTreeSet::new();
        loop {
            let seen = self.look().await?;
            if self.is_foreign_ground(&seen) {
                break;
            }
            let due: Vec<Due> = self
                .due(&seen)
                .into_iter()
                .filter(|due| !due.blocks.iter().any(|block| given_up.contains(block)))
                .collect();
            if due.is_empty() {
                break;
            }
            self.show(|progress| progress.phase = "compacting");
            let this = &*self;
            let outcomes: Vec<_> = stream::iter(due)
                .map(|due| {
                    let compacted = async {
                        let begun = Instant::now();
                        let done = this.compact(&due, &seen.view).await;
                        (due, begun, done)
                    };
                    compacted.boxed()
                })
                .buffer_unordered(self.config.concurrency.max(1))
                .collect()
                .await;
            for (due, begun, done) in outcomes {
                match done {
                    Ok(()) => self.pace.worked(due.bytes, begun),
                    Err(error) => {
                        match error.kind() {
                            // Once it is put aside the others are planned without it.
                            ErrorKind::Quarantine(block) => given_up.extend([block]),
                            _ => given_up.extend(&due.blocks),
                        }
                        let handled = self.put_aside(error).await;
                        keep_first(&mut failed, handled)?;
                    }
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn due(&self, seen: &Seen) -> Vec<Due> {
        let mut due = Vec::new();
        for group in &seen.groups {
            for blocks in self.planner.plan(&group.blocks).compactions {
                let members: Vec<&Candidate> = group
                    .blocks
                    .iter()
                    .filter(|block| blocks.contains(&block.id()))
                    .collect();
                due.push(Due {
                    key: group.key.clone(),
                    bytes: members
                        .iter()
                        .map(|block| block.index_bytes + block.chunk_bytes)
                        .sum(),
                    overlapping: !members.is_sorted_by(|a, b| a.meta.max_time <= b.meta.min_time),
                    blocks,
                });
            }
        }
        due
    }

    async fn compact(&self, due: &Due, view: &View) -> Result<(), CompactError> {
        let resolution = due.key.resolution;
        self.metrics.runs_started.inc(resolution);
        let begun = Instant::now();
        let done = self
            .tools
            .compact(&due.key, &due.blocks, view, self.config.dedup)
            .await;
        let compacted = match done {
            Ok(compacted) => compacted,
            Err(error) => {
                self.metrics.failures.inc(resolution);
                return Err(error);
            }
        };
        self.metrics.runs_completed.inc(resolution);
        for _ in &due.blocks {
            self.metrics.marked("deletion-mark.json", "");
        }
        let merged = compacted.merged;
        let Some(meta) = compacted.block else {
            tracing::info!(group = %due.key, blocks = due.blocks.len(), "nothing is left of blocks, marked them");
            return Ok(());
        };
        self.metrics.compactions.inc(resolution);
        if due.overlapping {
            self.metrics.vertical_compactions.inc(resolution);
        }
        tracing::info!(
            group = %due.key,
            block = %meta.ulid,
            sources = due.blocks.len(),
            level = meta.compaction.level,
            series = meta.stats.num_series,
            samples = meta.stats.num_samples,
            chunks_passed = merged.passed_through,
            chunks_encoded = merged.reencoded,
            repaired_series = merged.out_of_order_series,
            duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            "compacted"
        );
        Ok(())
    }

    /// Deals with a failure: marks the block that is to blame, if one is.
    async fn put_aside(&mut self, error: CompactError) -> Result<(), CompactError> {
        let chain = runtime::telemetry::chain(&error);
        let ErrorKind::Quarantine(block) = error.kind() else {
            tracing::error!(error = chain, "a compaction failed, going on with others");
            return Err(error);
        };
        tracing::error!(
            %block,
            error = chain,
            "a block cannot be read and is put aside with a no-compact mark"
        );
        let details = format!("it cannot be read: {chain}");
        self.tools
            .mark_no_compact(block, UNREADABLE, &details)
            .await?;
        self.metrics.marked("no-compact-mark.json", UNREADABLE);
        self.put_aside.push(Note {
            block,
            reason: details,
        });
        Ok(())
    }

    /// Downsamples what is due, coarser from finer.
    async fn downsample_all(&mut self) -> Result<(), CompactError> {
        let mut failed = None;
        let mut given_up: BTreeSet<BlockId> = BTreeSet::new();
        loop {
            let seen = self.look().await?;
            let candidates = seen.candidates();
            let jobs: Vec<Job> = self
                .downsampling(&candidates)
                .into_iter()
                .filter(|job| !given_up.contains(&job.block))
                .collect();
            if jobs.is_empty() {
                break;
            }
            self.show(|progress| progress.phase = "downsampling");
            let this = &*self;
            let outcomes: Vec<_> = stream::iter(jobs)
                .map(|job| {
                    let downsampled = async {
                        let begun = Instant::now();
                        let done = this.downsample(&job, &seen.view).await;
                        (job, begun, done)
                    };
                    downsampled.boxed()
                })
                .buffer_unordered(self.config.downsample_concurrency.max(1))
                .collect()
                .await;
            for (job, begun, done) in outcomes {
                // A block that nothing can be made of is not tried again in this round either.
                given_up.insert(job.block);
                match done {
                    Ok(()) => {
                        let block = candidates.iter().find(|block| block.id() == job.block);
                        let bytes = block.map_or(0, |block| block.index_bytes + block.chunk_bytes);
                        self.pace.worked(bytes, begun);
                    }
                    Err(error) => {
                        let chain = runtime::telemetry::chain(&error);
                        tracing::error!(block = %job.block, error = chain, "downsampling failed");
                        keep_first(&mut failed, Err(error))?;
                    }
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn downsampling(&self, candidates: &[Candidate]) -> Vec<Job> {
        let now_ms = self.tools.clock.now_ms();
        let verdict = judge(candidates, &self.config.retention, now_ms);
        plan_downsampling(candidates, &verdict.held.into_iter().collect())
    }

    async fn downsample(&self, job: &Job, view: &View) -> Result<(), CompactError> {
        let begun = Instant::now();
        let done = self.tools.downsample(job, view).await;
        let seconds = begun.elapsed().as_secs_f64();
        self.metrics.downsample_seconds.observe(seconds);
        match &done {
            Ok(metas) => {
                self.metrics.downsamples.inc(job.from);
                for meta in metas {
                    let resolution = meta
                        .thanos
                        .as_ref()
                        .map(|thanos| thanos.downsample.resolution);
                    tracing::info!(
                        source = %job.block,
                        block = %meta.ulid,
                        resolution_ms = resolution.unwrap_or(Resolution::RAW).0,
                        samples = meta.stats.num_samples,
                        "downsampled"
                    );
                }
            }
            Err(_) => self.metrics.downsample_failures.inc(job.from),
        }
        done.map(drop)
    }

    /// Marks blocks that are too old.
    async fn retire(&mut self) -> Result<(), CompactError> {
        let seen = self.look().await?;
        if self.config.retention_dry_run {
            return Ok(());
        }
        let now_ms = self.tools.clock.now_ms();
        let verdict = judge(&seen.candidates(), &self.config.retention, now_ms);
        self.show(|progress| progress.phase = "applying retention");
        let mut failed = None;
        for block in verdict.expired {
            let marked = self
                .tools
                .mark_for_deletion(block, "block exceeding retention")
                .await;
            if marked.is_ok() {
                self.metrics.marked("deletion-mark.json", "");
                tracing::info!(%block, "marked a block that is beyond its retention");
            }
            keep_first(&mut failed, marked)?;
        }
        failed.map_or(Ok(()), Err)
    }
}

fn clock_is_right(skew_ms: Option<i64>) -> bool {
    skew_ms.is_some_and(|skew_ms| u128::from(skew_ms.unsigned_abs()) <= MAX_CLOCK_SKEW.as_millis())
}

/// Keeps the first failure and goes on, unless nothing may go on.
fn keep_first(
    failed: &mut Option<CompactError>,
    done: Result<(), CompactError>,
) -> Result<(), CompactError> {
    match done {
        Err(error @ (CompactError::LeaseLost | CompactError::Canceled)) => Err(error),
        Err(error) => {
            failed.get_or_insert(error);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
