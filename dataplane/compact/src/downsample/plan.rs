//! What to downsample: Thanos' rule, by how much time a block covers. A pure function of metas.

use std::collections::BTreeSet;

use block::BlockId;
use tsdb::meta::Resolution;

use crate::group::Candidate;
use crate::retention::Cover;

/// A raw block of so much time becomes one of five minutes.
pub const FIVE_MINUTES_FROM_MS: i64 = 40 * 3_600_000;

/// A block of so much time becomes one of an hour.
pub const ONE_HOUR_FROM_MS: i64 = 10 * 24 * 3_600_000;

/// A block and the resolutions that are to be made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub block: BlockId,
    /// The block's own resolution.
    pub from: Resolution,
    /// Ascending.
    pub to: Vec<Resolution>,
}

/// Plans. Blocks in `held` are downsampled however little time they cover, as they wait for nothing
/// else; so are blocks of five minutes that stand for one of them.
pub fn plan(blocks: &[Candidate], held: &BTreeSet<BlockId>) -> Vec<Job> {
    let cover = Cover::new(blocks);
    let waited_for: BTreeSet<BlockId> = blocks
        .iter()
        .filter(|block| held.contains(&block.id()))
        .flat_map(|block| block.meta.compaction.sources.iter().copied())
        .collect();
    let mut jobs = Vec::new();
    for block in blocks.iter().filter(|block| !block.no_downsample) {
        let length_ms = block.meta.max_time - block.meta.min_time;
        let mut sources = block.meta.compaction.sources.iter();
        let forced = held.contains(&block.id())
            || block.resolution() != Resolution::RAW
                && sources.any(|source| waited_for.contains(source));
        let mut to = Vec::new();
        let hours =
            (length_ms >= ONE_HOUR_FROM_MS || forced) && !cover.covers(block, Resolution::ONE_HOUR);
        match block.resolution() {
            Resolution::RAW => {
                let minutes = (length_ms >= FIVE_MINUTES_FROM_MS || forced)
                    && !cover.covers(block, Resolution::FIVE_MINUTES);
                if minutes {
                    to.push(Resolution::FIVE_MINUTES);
                    // In one pass; where five minutes are there already, hours come from them.
                    to.extend(hours.then_some(Resolution::ONE_HOUR));
                }
            }
            Resolution::FIVE_MINUTES => to.extend(hours.then_some(Resolution::ONE_HOUR)),
            _ => {}
        }
        if !to.is_empty() {
            jobs.push(Job {
                block: block.id(),
                from: block.resolution(),
                to,
            });
        }
    }
    jobs
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::Labels;
    use tsdb::meta::{BlockMeta, Thanos, source};

    use super::*;

    fn block(number: u128, resolution: Resolution, length_ms: i64, sources: &[u128]) -> Candidate {
        let id = |number| BlockId::from_parts(1, number);
        let mut meta = BlockMeta::new(id(number), 0, length_ms);
        meta.compaction.sources = sources.iter().map(|source| id(*source)).collect();
        let labels = Labels::from_pairs([("cluster", "eu")]);
        let mut thanos = Thanos::new(&labels, source::COMPACTOR);
        thanos.downsample.resolution = resolution;
        meta.thanos = Some(thanos);
        Candidate {
            meta: Arc::new(meta),
            index_bytes: 1,
            chunk_bytes: 1,
            no_compact: false,
            no_downsample: false,
        }
    }

    fn planned(blocks: &[Candidate], held: &[u128]) -> Vec<(u8, Vec<i64>)> {
        let held = held.iter().map(|number| BlockId::from_parts(1, *number));
        let jobs = plan(blocks, &held.collect());
        jobs.into_iter()
            .map(|job| {
                let to = job.to.into_iter().map(|resolution| resolution.0).collect();
                (job.block.to_bytes()[15], to)
            })
            .collect()
    }

    #[test]
    fn length_decides_and_cover_spares() {
        let raw = |length_ms| block(1, Resolution::RAW, length_ms, &[1]);
        let five = |length_ms| block(2, Resolution::FIVE_MINUTES, length_ms, &[1]);
        let hour = block(3, Resolution::ONE_HOUR, ONE_HOUR_FROM_MS, &[1]);
        let nothing: Vec<(u8, Vec<i64>)> = Vec::new();
        assert_eq!(planned(&[raw(FIVE_MINUTES_FROM_MS - 1)], &[]), nothing);
        assert_eq!(
            planned(&[raw(FIVE_MINUTES_FROM_MS)], &[]),
            [(1, vec![300_000])]
        );
        let both = [(1, vec![300_000, 3_600_000])];
        assert_eq!(planned(&[raw(ONE_HOUR_FROM_MS)], &[]), both);
        let rest = [(2, vec![3_600_000])];
        let blocks = [raw(ONE_HOUR_FROM_MS), five(ONE_HOUR_FROM_MS)];
        assert_eq!(planned(&blocks, &[]), rest);
        assert_eq!(planned(&[five(ONE_HOUR_FROM_MS - 1)], &[]), nothing);
        assert_eq!(planned(&[five(ONE_HOUR_FROM_MS), hour], &[]), nothing);
        assert_eq!(planned(&[raw(1_000)], &[1]), both, "it is held");
        let half_done = [raw(1_000), five(1_000)];
        assert_eq!(planned(&half_done, &[]), nothing);
        assert_eq!(planned(&half_done, &[1]), rest, "hours are still missing");
        let mut marked = raw(ONE_HOUR_FROM_MS);
        marked.no_downsample = true;
        assert_eq!(planned(&[marked], &[1]), nothing);
    }
}
