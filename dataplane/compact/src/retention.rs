//! Which blocks are too old to keep. A pure function of metas, policy and time.
//!
//! A block expires when all of its samples are older than its resolution is kept. One that is to live
//! on at a coarser resolution is held until blocks of that resolution cover it, however long that
//! takes: time that nobody downsampled yet is not lost because a retention ran out.

use std::collections::{BTreeMap, BTreeSet};

use block::{BlockId, filters};
use model::{Labels, Matcher};
use tsdb::meta::Resolution;

use crate::group::Candidate;

/// How long each resolution is kept, in milliseconds; `None` is for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    pub raw_ms: Option<i64>,
    pub five_minutes_ms: Option<i64>,
    pub one_hour_ms: Option<i64>,
}

impl Keep {
    /// Whether samples of that resolution which are as old as `max_time` are kept at `now_ms`.
    fn keeps(&self, resolution: Resolution, max_time: i64, now_ms: i64) -> bool {
        let keep_ms = match resolution {
            Resolution::RAW => self.raw_ms,
            Resolution::FIVE_MINUTES => self.five_minutes_ms,
            Resolution::ONE_HOUR => self.one_hour_ms,
            // Nobody said how long.
            _ => None,
        };
        keep_ms.is_none_or(|keep_ms| max_time >= now_ms.saturating_sub(keep_ms))
    }
}

/// How long what is kept.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    pub keep: Keep,
    /// The first whose matchers all match a block's external labels holds for it instead.
    pub overrides: Vec<(Vec<Matcher>, Keep)>,
    /// Whether coarser blocks will be made of finer ones.
    pub downsampling: bool,
}

impl Policy {
    /// How long blocks of a stream are kept.
    pub fn of(&self, labels: &Labels) -> Keep {
        let found = self.overrides.iter().find(|(matchers, _)| {
            matchers
                .iter()
                .all(|matcher| matcher.matches_labels(labels))
        });
        found.map_or(self.keep, |(_, keep)| *keep)
    }
}

/// What is to become of blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// They can go.
    pub expired: Vec<BlockId>,
    /// They expired and no coarser block covers them yet.
    pub held: Vec<BlockId>,
}

/// Which level-1 blocks blocks of each stream and resolution were made of.
#[derive(Debug, Default)]
pub struct Cover(BTreeMap<(Labels, Resolution), BTreeSet<BlockId>>);

impl Cover {
    pub fn new(blocks: &[Candidate]) -> Self {
        let mut cover = Self::default();
        for block in blocks {
            let key = (filters::external_labels(&block.meta), block.resolution());
            let sources = block.meta.compaction.sources.iter().copied();
            cover.0.entry(key).or_default().extend(sources);
        }
        cover
    }

    /// Whether all that went into `block` is also in blocks of that resolution.
    pub fn covers(&self, block: &Candidate, resolution: Resolution) -> bool {
        let key = (filters::external_labels(&block.meta), resolution);
        self.0.get(&key).is_some_and(|sources| {
            let own = &block.meta.compaction.sources;
            !own.is_empty() && own.iter().all(|source| sources.contains(source))
        })
    }
}

/// Judges blocks.
pub fn judge(blocks: &[Candidate], policy: &Policy, now_ms: i64) -> Verdict {
    let cover = Cover::new(blocks);
    let mut verdict = Verdict::default();
    for block in blocks {
        let max_time = block.meta.max_time;
        let keep = policy.of(&filters::external_labels(&block.meta));
        if keep.keeps(block.resolution(), max_time, now_ms) {
            continue;
        }
        let coarser = [Resolution::FIVE_MINUTES, Resolution::ONE_HOUR]
            .into_iter()
            .filter(|coarser| *coarser > block.resolution());
        let mut lives_on = coarser.filter(|coarser| keep.keeps(*coarser, max_time, now_ms));
        let missing = lives_on.any(|coarser| !cover.covers(block, coarser));
        if policy.downsampling && missing && !block.no_downsample {
            verdict.held.push(block.id());
        } else {
            verdict.expired.push(block.id());
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tsdb::meta::{BlockMeta, Thanos, source};

    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn block(number: u128, resolution: Resolution, day: i64, sources: &[u128]) -> Candidate {
        let id = |number| BlockId::from_parts(1, number);
        let mut meta = BlockMeta::new(id(number), (day - 2) * DAY_MS, day * DAY_MS);
        meta.compaction.sources = sources.iter().map(|source| id(*source)).collect();
        let labels = Labels::from_pairs([("tenant", "a")]);
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

    fn keep(raw_days: Option<i64>, five_days: Option<i64>, hour_days: Option<i64>) -> Keep {
        let ms = |days: Option<i64>| days.map(|days| days * DAY_MS);
        Keep {
            raw_ms: ms(raw_days),
            five_minutes_ms: ms(five_days),
            one_hour_ms: ms(hour_days),
        }
    }

    /// Numbers of expired and of held blocks at day 100.
    fn check(blocks: &[Candidate], policy: &Policy) -> (Vec<u8>, Vec<u8>) {
        let verdict = judge(blocks, policy, 100 * DAY_MS);
        let numbers = |ids: Vec<BlockId>| ids.iter().map(|id| id.to_bytes()[15]).collect();
        (numbers(verdict.expired), numbers(verdict.held))
    }

    #[test]
    fn each_resolution_has_its_time() {
        let blocks = [
            block(1, Resolution::RAW, 90, &[1]),
            block(2, Resolution::RAW, 89, &[2]),
            block(3, Resolution::FIVE_MINUTES, 70, &[3]),
            block(4, Resolution::FIVE_MINUTES, 69, &[4]),
            block(5, Resolution::ONE_HOUR, 50, &[5]),
            block(6, Resolution::ONE_HOUR, 49, &[6]),
        ];
        let mut policy = Policy {
            keep: keep(Some(10), Some(30), Some(50)),
            ..Policy::default()
        };
        assert_eq!(check(&blocks, &policy), (vec![2, 4, 6], vec![]));
        policy.keep = keep(None, None, None);
        assert_eq!(check(&blocks, &policy), (vec![], vec![]));
    }

    #[test]
    fn what_lives_on_coarser_is_held_until_it_is_covered() {
        let policy = Policy {
            keep: keep(Some(10), Some(30), None),
            downsampling: true,
            ..Policy::default()
        };
        let raw = block(1, Resolution::RAW, 80, &[11, 12]);
        assert_eq!(
            check(std::slice::from_ref(&raw), &policy),
            (vec![], vec![1])
        );
        let half = block(2, Resolution::FIVE_MINUTES, 80, &[11]);
        assert_eq!(check(&[raw.clone(), half], &policy).1, [1]);
        let five = block(2, Resolution::FIVE_MINUTES, 80, &[11, 12, 13]);
        assert_eq!(
            check(&[raw.clone(), five.clone()], &policy),
            (vec![], vec![1]),
            "for ever are only hours"
        );
        let hour = block(3, Resolution::ONE_HOUR, 80, &[11, 12]);
        assert_eq!(
            check(&[raw.clone(), five, hour.clone()], &policy),
            (vec![1], vec![])
        );
        // Beyond the time of 5m the cover of 1h is enough.
        let older = block(1, Resolution::RAW, 60, &[11, 12]);
        assert_eq!(check(&[older, hour], &policy), (vec![1], vec![]));
        let off = Policy {
            downsampling: false,
            ..policy
        };
        assert_eq!(check(&[raw], &off), (vec![1], vec![]));
    }

    #[test]
    fn a_tenant_has_its_own_times() {
        let matcher = |value| Matcher::equal("tenant", value);
        let blocks = [block(1, Resolution::RAW, 90, &[1])];
        let mut policy = Policy {
            keep: keep(Some(5), None, None),
            overrides: vec![
                (vec![matcher("b")], keep(Some(1), None, None)),
                (vec![matcher("a")], keep(Some(20), None, None)),
            ],
            downsampling: false,
        };
        assert_eq!(check(&blocks, &policy), (vec![], vec![]));
        policy.overrides.pop();
        assert_eq!(check(&blocks, &policy), (vec![1], vec![]));
    }
}
