//! What is done, what is left and how long that may take, for people and for the operator.

use std::time::Instant;

use block::BlockId;
use serde::Serialize;

use crate::downsample::plan::Job;
use crate::group::{Candidate, Group};
use crate::plan::Planner;

/// Rounds of a simulation after which something must be wrong with it.
const MAX_SIMULATED_ROUNDS: usize = 10_000;

/// What is left to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Todo {
    pub compactions: usize,
    /// Blocks that go into them, those that come out of others included.
    pub compaction_blocks: usize,
    /// Bytes of these.
    pub compaction_bytes: u64,
    pub downsample_blocks: usize,
    pub downsample_bytes: u64,
    /// Blocks beyond their retention.
    pub deletion_blocks: usize,
}

/// Plays planning through until nothing is left.
pub fn simulate(planner: &Planner, groups: &[Group]) -> Todo {
    let mut todo = Todo::default();
    for group in groups {
        let mut blocks = group.blocks.clone();
        for _ in 0..MAX_SIMULATED_ROUNDS {
            let plan = planner.plan(&blocks);
            if plan.compactions.is_empty() {
                break;
            }
            for ids in plan.compactions {
                let gone: Vec<Candidate> = blocks
                    .extract_if(.., |block| ids.contains(&block.id()))
                    .collect();
                todo.compactions += 1;
                todo.compaction_blocks += gone.len();
                todo.compaction_bytes += gone.iter().map(bytes).sum::<u64>();
                blocks.extend(joined(&gone));
            }
            blocks.sort_by_key(|block| (block.meta.min_time, block.meta.max_time, block.id()));
        }
    }
    todo
}

fn bytes(block: &Candidate) -> u64 {
    block.index_bytes.saturating_add(block.chunk_bytes)
}

/// The block that others would become.
fn joined(blocks: &[Candidate]) -> Option<Candidate> {
    let first = blocks.first()?;
    let mut meta = (*first.meta).clone();
    meta.min_time = blocks.iter().map(|block| block.meta.min_time).min()?;
    meta.max_time = blocks.iter().map(|block| block.meta.max_time).max()?;
    meta.stats.num_tombstones = 0;
    Some(Candidate {
        meta: meta.into(),
        index_bytes: blocks.iter().map(|block| block.index_bytes).sum(),
        chunk_bytes: blocks.iter().map(|block| block.chunk_bytes).sum(),
        ..first.clone()
    })
}

/// Adds what downsampling is left.
pub fn add_downsampling(todo: &mut Todo, jobs: &[Job], groups: &[Group]) {
    todo.downsample_blocks = jobs.len();
    let blocks = groups.iter().flat_map(|group| &group.blocks);
    todo.downsample_bytes = blocks
        .filter(|block| jobs.iter().any(|job| job.block == block.id()))
        .map(bytes)
        .sum();
}

/// How fast work goes, to say when it is done.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    bytes: u64,
    seconds: f64,
}

impl Pace {
    /// Enters work that began at `begun`.
    pub fn worked(&mut self, bytes: u64, begun: Instant) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.seconds += begun.elapsed().as_secs_f64();
    }

    /// Seconds until `todo` is done by so many at once; `None` before anything was.
    pub fn eta_seconds(&self, todo: &Todo, at_once: usize) -> Option<f64> {
        let left = todo.compaction_bytes.saturating_add(todo.downsample_bytes);
        if left == 0 {
            return Some(0.0);
        }
        (self.bytes > 0).then(|| {
            let per_byte = self.seconds / self.bytes as f64;
            left as f64 * per_byte / at_once.max(1) as f64
        })
    }
}

/// A group as it is shown.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupPlan {
    pub group: String,
    pub blocks: usize,
    /// What is compacted next.
    pub compactions: Vec<Vec<BlockId>>,
    pub left_out: Vec<Note>,
}

/// A block and what there is to say of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    pub block: BlockId,
    pub reason: String,
}

/// All that is shown.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// What is being done: `waiting for the lease`, `compacting`.
    pub phase: &'static str,
    pub rounds: u64,
    /// When the last round ended without an error, in milliseconds since the Unix epoch.
    pub last_success_ms: Option<i64>,
    /// Why the last round failed, until one succeeds.
    pub last_error: Option<String>,
    pub todo: Todo,
    pub eta_seconds: Option<f64>,
    pub groups: Vec<GroupPlan>,
    pub downsample: Vec<BlockId>,
    /// Blocks that retention would mark, in a dry run.
    pub would_expire: Vec<BlockId>,
    /// Blocks beyond their retention that no coarser block covers yet.
    pub held: Vec<BlockId>,
    /// Blocks with a no-compact mark, or put aside in this process.
    pub quarantined: Vec<Note>,
    /// The block by which another compactor showed.
    pub foreign_compactor: Option<BlockId>,
    pub clock_skew_ms: Option<i64>,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::Labels;
    use tsdb::meta::{BlockMeta, Resolution};

    use super::*;
    use crate::group::GroupKey;
    use crate::plan::MAX_LEVEL;

    #[test]
    fn a_backlog_is_played_through_over_all_levels() {
        let hour = 3_600_000;
        let blocks = (0..25).map(|i: i64| Candidate {
            meta: Arc::new(BlockMeta::new(
                BlockId::from_parts(1, i as u128),
                i * 2 * hour,
                (i + 1) * 2 * hour,
            )),
            index_bytes: 10,
            chunk_bytes: 90,
            no_compact: false,
            no_downsample: false,
        });
        let group = Group {
            key: GroupKey {
                resolution: Resolution::RAW,
                labels: Labels::empty(),
            },
            blocks: blocks.collect(),
        };
        let planner = Planner::new(MAX_LEVEL, true, 64 << 30);
        let todo = simulate(&planner, &[group]);
        // Six times four into eight hours, six of those into two days; the newest is left alone.
        assert_eq!((todo.compactions, todo.compaction_blocks), (7, 30));
        assert_eq!(todo.compaction_bytes, 2 * 24 * 100);
        let pace = Pace {
            bytes: 100,
            seconds: 2.0,
        };
        assert_eq!(pace.eta_seconds(&todo, 2), Some(48.0));
        assert_eq!(Pace::default().eta_seconds(&todo, 2), None);
        assert_eq!(Pace::default().eta_seconds(&Todo::default(), 1), Some(0.0));
    }
}
