//! What to compact next: Prometheus' levels over a group's blocks, with Thanos' exceptions. Pure
//! functions of metas and sizes.
//!
//! Blocks that overlap come first. Else the smallest range that has several blocks in it is chosen:
//! ranges are aligned to multiples of their length, and one is complete when its blocks fill it or a
//! newer block lies behind it. The newest block is left alone. All such parts of one range are answered
//! at once, as they do not touch each other.
//!
//! Where the index of the result could exceed the limit, a part is cut in time into smaller ones that
//! fit, instead of being given up.

#[cfg(test)]
mod tests;

use block::BlockId;
use tsdb::meta::Resolution;

use crate::group::Candidate;

const HOUR_MS: i64 = 3_600_000;

/// The ranges up to each level, in milliseconds.
const RANGES_MS: [i64; 5] = [
    HOUR_MS,
    2 * HOUR_MS,
    8 * HOUR_MS,
    48 * HOUR_MS,
    14 * 24 * HOUR_MS,
];

/// The highest level.
pub const MAX_LEVEL: usize = RANGES_MS.len() - 1;

/// Of the limit on the index so much is planned for, in percent: an index made of several has tables of
/// its own.
const INDEX_HEADROOM_PERCENT: u128 = 85;

/// Of a block's series so many may have deleted ranges before it is rewritten alone.
const TOMBSTONES_PER_SERIES: f64 = 0.05;

/// How blocks are chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planner {
    ranges_ms: Vec<i64>,
    vertical: bool,
    max_index_bytes: u64,
}

/// Why a block is left out although nothing marks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeftOut {
    /// It overlaps others and merging overlaps is not enabled.
    Overlap,
    /// It overlaps others and is downsampled, which cannot be merged.
    OverlapDownsampled,
    /// It overlaps others, and the index of all of them would exceed the limit.
    IndexSize,
}

impl LeftOut {
    /// Returns why, for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Overlap => {
                "it overlaps other blocks of its stream; give \
                 --compact.enable-vertical-compaction or --deduplication.replica-label to merge them"
            }
            Self::OverlapDownsampled => "it overlaps other blocks of its stream and is downsampled",
            Self::IndexSize => "merged with the blocks it overlaps its index would be too large",
        }
    }
}

/// What is to be done with a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Each becomes one block; in order of time, none touching another.
    pub compactions: Vec<Vec<BlockId>>,
    /// Blocks that nothing is planned for, and why.
    pub left_out: Vec<(BlockId, LeftOut)>,
}

impl Planner {
    /// Plans up to a level, 4 being the highest. With `vertical` overlapping blocks are merged.
    pub fn new(max_level: usize, vertical: bool, max_index_bytes: u64) -> Self {
        let ranges_ms = RANGES_MS.iter().take(max_level.min(MAX_LEVEL) + 1).copied();
        Self {
            ranges_ms: ranges_ms.collect(),
            vertical,
            max_index_bytes,
        }
    }

    /// Plans a group's blocks, which are in order of their beginning.
    pub fn plan(&self, blocks: &[Candidate]) -> Plan {
        let mut plan = Plan::default();
        let mut excluded: Vec<bool> = blocks.iter().map(|block| block.no_compact).collect();
        loop {
            let included: Vec<usize> = indices(&excluded);
            let overlapping = first_overlap(blocks, &included);
            if overlapping.is_empty() {
                break;
            }
            let chosen = |i: &usize| blocks.get(*i);
            let mut leave_out = |i: usize, why: LeftOut| {
                if let (Some(slot), Some(block)) = (excluded.get_mut(i), blocks.get(i)) {
                    *slot = true;
                    plan.left_out.push((block.id(), why));
                }
            };
            let coarse = overlapping.iter().copied().filter(|i| {
                blocks
                    .get(*i)
                    .is_some_and(|block| block.resolution() != Resolution::RAW)
            });
            let coarse: Vec<usize> = coarse.collect();
            if !self.vertical {
                for i in overlapping {
                    leave_out(i, LeftOut::Overlap);
                }
            } else if !coarse.is_empty() {
                for i in coarse {
                    leave_out(i, LeftOut::OverlapDownsampled);
                }
            } else if !self.fits(overlapping.iter().filter_map(chosen)) {
                let largest = overlapping
                    .iter()
                    .copied()
                    .max_by_key(|i| blocks.get(*i).map(|block| block.index_bytes));
                leave_out(largest.unwrap_or_default(), LeftOut::IndexSize);
            } else {
                let ids = overlapping.iter().filter_map(chosen).map(Candidate::id);
                plan.compactions = vec![ids.collect()];
                return plan;
            }
        }
        // The newest block is left for whoever wants to look at it, and because the next one may
        // still be part of its range.
        let Some((newest, older)) = blocks.split_last() else {
            return plan;
        };
        plan.compactions = self.parts(older, &excluded);
        if plan.compactions.is_empty() {
            let newest_excluded = excluded.last().copied().unwrap_or_default();
            let kept = indices(&excluded).into_iter().filter_map(|i| blocks.get(i));
            let rewritten = self.with_tombstones(kept, newest_excluded, newest.id());
            plan.compactions.extend(rewritten.map(|id| vec![id]));
        }
        plan
    }

    /// All parts of the smallest range that has any.
    fn parts(&self, blocks: &[Candidate], excluded: &[bool]) -> Vec<Vec<BlockId>> {
        let Some(newest) = blocks.last() else {
            return Vec::new();
        };
        for &range_ms in self.ranges_ms.iter().skip(1) {
            let mut parts = Vec::new();
            for part in split_by_range(blocks, range_ms) {
                let members = blocks.get(part.clone()).unwrap_or_default();
                let (Some(first), Some(last)) = (members.first(), members.last()) else {
                    continue;
                };
                let failed = members.iter().any(|block| block.meta.compaction.failed);
                let fills = last.meta.max_time - first.meta.min_time == range_ms;
                if failed || !fills && last.meta.max_time > newest.meta.min_time {
                    continue;
                }
                parts.extend(self.runs(part, blocks, excluded));
            }
            if !parts.is_empty() {
                return parts;
            }
        }
        Vec::new()
    }

    /// Of a part the runs of several blocks without an excluded one between them whose indexes fit
    /// together.
    fn runs(
        &self,
        part: std::ops::Range<usize>,
        blocks: &[Candidate],
        excluded: &[bool],
    ) -> Vec<Vec<BlockId>> {
        let mut runs: Vec<Vec<BlockId>> = Vec::new();
        let mut run: Vec<&Candidate> = Vec::new();
        let mut close = |run: &mut Vec<&Candidate>| {
            if run.len() > 1 {
                runs.push(run.iter().map(|block| block.id()).collect());
            }
            run.clear();
        };
        for i in part {
            let Some(block) = blocks.get(i) else { continue };
            if excluded.get(i).copied().unwrap_or_default() {
                close(&mut run);
                continue;
            }
            if !self.fits(run.iter().copied().chain([block])) {
                close(&mut run);
            }
            run.push(block);
        }
        close(&mut run);
        runs
    }

    fn fits<'a>(&self, blocks: impl Iterator<Item = &'a Candidate>) -> bool {
        let total: u128 = blocks.map(|block| u128::from(block.index_bytes)).sum();
        total * 100 < u128::from(self.max_index_bytes) * INDEX_HEADROOM_PERCENT
    }

    /// The youngest large block of which many series have deleted ranges.
    fn with_tombstones<'a>(
        &self,
        kept: impl DoubleEndedIterator<Item = &'a Candidate>,
        newest_excluded: bool,
        newest: BlockId,
    ) -> Option<BlockId> {
        let large_ms = self.ranges_ms.get(self.ranges_ms.len() / 2).copied()?;
        for block in kept.rev() {
            if !newest_excluded && block.id() == newest {
                continue;
            }
            let meta = &block.meta;
            if meta.max_time - meta.min_time < large_ms {
                return None;
            }
            let (tombstones, series) = (meta.stats.num_tombstones, meta.stats.num_series);
            if tombstones as f64 / (series as f64 + 1.0) > TOMBSTONES_PER_SERIES {
                return Some(block.id());
            }
        }
        None
    }
}

fn indices(excluded: &[bool]) -> Vec<usize> {
    let numbered = excluded.iter().enumerate();
    numbered
        .filter(|(_, excluded)| !**excluded)
        .map(|(i, _)| i)
        .collect()
}

/// The first of the included blocks that overlap, each with one before it.
fn first_overlap(blocks: &[Candidate], included: &[usize]) -> Vec<usize> {
    let mut overlapping = Vec::new();
    let mut previous: Option<usize> = None;
    let mut end = i64::MIN;
    for &i in included {
        let Some(block) = blocks.get(i) else { continue };
        if let Some(previous) = previous
            && block.meta.min_time < end
        {
            if overlapping.is_empty() {
                overlapping.push(previous);
            }
            overlapping.push(i);
        } else if !overlapping.is_empty() {
            break;
        }
        end = end.max(block.meta.max_time);
        previous = Some(i);
    }
    overlapping
}

/// Sorts blocks into ranges of that length, which begin at its multiples. A block that reaches over the
/// end of its range is in none.
fn split_by_range(blocks: &[Candidate], range_ms: i64) -> Vec<std::ops::Range<usize>> {
    let mut parts = Vec::new();
    let mut i = 0;
    while let Some(block) = blocks.get(i) {
        let end = block.meta.min_time.div_euclid(range_ms) * range_ms + range_ms;
        if block.meta.max_time > end {
            i += 1;
            continue;
        }
        let start = i;
        while blocks
            .get(i)
            .is_some_and(|block| block.meta.max_time <= end)
        {
            i += 1;
        }
        parts.push(start..i);
    }
    parts
}
