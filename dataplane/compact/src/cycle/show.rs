//! What a round shows of itself.

use std::sync::Arc;

use super::{Cycle, Seen};
use crate::downsample::plan::plan as plan_downsampling;
use crate::progress::{GroupPlan, Note, Progress, add_downsampling, simulate};
use crate::retention::judge;

impl Cycle {
    pub(super) fn show(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = (**self.progress.load()).clone();
        change(&mut progress);
        self.progress.store(Arc::new(progress));
    }

    /// Shows that the lease is waited for.
    pub fn show_phase(&self, phase: &'static str) {
        self.show(|progress| progress.phase = phase);
    }

    pub(super) fn show_plan(&self, seen: &Seen, now_ms: i64) {
        let candidates = seen.candidates();
        let verdict = judge(&candidates, &self.config.retention, now_ms);
        let jobs = match self.config.downsampling {
            true => plan_downsampling(&candidates, &verdict.held.iter().copied().collect()),
            false => Vec::new(),
        };
        let mut todo = simulate(&self.planner, &seen.groups);
        add_downsampling(&mut todo, &jobs, &seen.groups);
        todo.deletion_blocks = verdict.expired.len();
        let groups: Vec<GroupPlan> = seen
            .groups
            .iter()
            .map(|group| {
                let plan = self.planner.plan(&group.blocks);
                let left_out = plan.left_out.into_iter().map(|(block, why)| Note {
                    block,
                    reason: why.describe().to_owned(),
                });
                GroupPlan {
                    group: group.key.to_string(),
                    blocks: group.blocks.len(),
                    compactions: plan.compactions,
                    left_out: left_out.collect(),
                }
            })
            .collect();
        let marked = candidates.iter().filter(|block| block.no_compact);
        let mut quarantined = self.put_aside.clone();
        for block in marked {
            if !quarantined.iter().any(|note| note.block == block.id()) {
                let reason = "it has a no-compact mark".to_owned();
                quarantined.push(Note {
                    block: block.id(),
                    reason,
                });
            }
        }
        let metrics = &self.metrics;
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        metrics.todo_compactions.set(number(todo.compactions));
        metrics
            .todo_compaction_blocks
            .set(number(todo.compaction_blocks));
        metrics
            .todo_downsample_blocks
            .set(number(todo.downsample_blocks));
        metrics
            .todo_deletion_blocks
            .set(number(todo.deletion_blocks));
        metrics.quarantined_blocks.set(number(quarantined.len()));
        let left_out = groups.iter().map(|group| group.left_out.len()).sum();
        metrics.left_out_blocks.set(number(left_out));
        let at_once = self.config.concurrency;
        let eta_seconds = self.pace.eta_seconds(&todo, at_once);
        let would_expire = match self.config.retention_dry_run {
            true => verdict.expired,
            false => Vec::new(),
        };
        self.show(|progress| {
            progress.todo = todo;
            progress.eta_seconds = eta_seconds;
            progress.groups = groups;
            progress.downsample = jobs.iter().map(|job| job.block).collect();
            progress.would_expire = would_expire;
            progress.held = verdict.held;
            progress.quarantined = quarantined;
        });
    }
}
