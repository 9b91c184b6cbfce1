//! Which blocks a reader should see. Pure functions of what was fetched and of the time.

use std::collections::{BTreeMap, BTreeSet};

use model::relabel::{RelabelConfig, relabel};
use model::ulid::BlockId;
use model::{Labels, TimeRange};
use tsdb::meta::{BlockMeta, source};

use crate::fetcher::{FetchedBlock, FetcherMetrics, View};

/// The pseudo label that holds a block's identifier while relabelling decides.
pub const BLOCK_ID_LABEL: &str = "__block_id";

/// What hides blocks; the default hides only duplicates.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    /// Blocks that do not overlap it are hidden; `None` hides none.
    pub time: Option<TimeRange>,
    /// Blocks whose external labels it drops are hidden.
    pub relabel: Vec<RelabelConfig>,
    /// Blocks uploaded less than so many milliseconds ago are hidden, as their writer may still be at it.
    pub consistency_delay_ms: i64,
    /// Blocks marked for deletion longer ago than so many milliseconds are hidden; `None` hides none.
    pub ignore_deletion_marks_delay_ms: Option<i64>,
}

impl Filters {
    /// Takes the hidden blocks out of `view` and counts them by reason.
    pub fn apply(&self, view: &mut View, now_ms: i64, metrics: &FetcherMetrics) {
        self.apply_but_duplicates(view, now_ms, metrics);
        let blocks = &mut view.blocks;
        let duplicates = duplicates(blocks.values().map(|block| &*block.meta));
        blocks.retain(|id, _| !duplicates.contains(id));
        metrics.set_state("duplicate", duplicates.len());
        metrics.set_state("loaded", blocks.len());
    }

    /// [`Filters::apply`] for who has something to do with duplicates too.
    pub fn apply_but_duplicates(&self, view: &mut View, now_ms: i64, metrics: &FetcherMetrics) {
        let blocks = &mut view.blocks;
        let mut hide = |state: &'static str, hidden: &dyn Fn(&BlockId, &FetchedBlock) -> bool| {
            let before = blocks.len();
            blocks.retain(|id, block| !hidden(id, block));
            metrics.set_state(state, before - blocks.len());
        };
        hide("time-excluded", &|_, block| {
            self.time
                .is_some_and(|time| !time_range(&block.meta).overlaps(&time))
        });
        hide("label-excluded", &|id, block| {
            !self.keeps_labels(*id, &block.meta)
        });
        hide("too-fresh", &|_, block| {
            is_too_fresh(&block.meta, self.consistency_delay_ms, now_ms)
        });
        hide("marked-for-deletion", &|_, block| {
            let age_ms = |marked: i64| now_ms.saturating_sub(marked.saturating_mul(1000));
            match (self.ignore_deletion_marks_delay_ms, block.deletion_time) {
                (Some(delay), Some(marked)) => age_ms(marked) > delay,
                _ => false,
            }
        });
    }

    fn keeps_labels(&self, id: BlockId, meta: &BlockMeta) -> bool {
        if self.relabel.is_empty() {
            return true;
        }
        let labels = external_labels(meta);
        let id = id.to_string();
        let with_id = labels
            .iter()
            .map(|label| (label.name, label.value))
            .chain([(BLOCK_ID_LABEL, id.as_str())]);
        relabel(&Labels::from_pairs(with_id), &self.relabel).is_some()
    }
}

/// Returns the time of a block's samples, both ends included.
pub fn time_range(meta: &BlockMeta) -> TimeRange {
    TimeRange::new(meta.min_time, meta.max_time.saturating_sub(1))
}

/// Returns a block's external labels; none for one that no Thanos component has touched.
pub fn external_labels(meta: &BlockMeta) -> Labels {
    meta.thanos
        .as_ref()
        .map(|thanos| thanos.external_labels())
        .unwrap_or_default()
}

/// Returns a block's resolution in milliseconds, 0 for raw.
pub fn resolution_ms(meta: &BlockMeta) -> i64 {
    meta.thanos
        .as_ref()
        .map_or(0, |thanos| thanos.downsample.resolution.0)
}

/// The uploaded time counts, else the time in the identifier. Compactors write to a bucket that they know
/// to be consistent, so theirs are never too fresh.
fn is_too_fresh(meta: &BlockMeta, delay_ms: i64, now_ms: i64) -> bool {
    const EXEMPT: [&str; 3] = [
        source::COMPACTOR,
        source::COMPACTOR_REPAIR,
        source::BUCKET_REPAIR,
    ];
    if delay_ms <= 0 {
        return false;
    }
    let thanos = meta.thanos.as_ref();
    if thanos.is_some_and(|thanos| EXEMPT.contains(&thanos.source.as_str())) {
        return false;
    }
    let uploaded_ms = thanos
        .and_then(|thanos| thanos.upload_time.as_deref())
        .and_then(|text| text.parse::<jiff::Timestamp>().ok())
        .map(jiff::Timestamp::as_millisecond);
    let created_ms = i64::try_from(meta.ulid.timestamp_ms()).unwrap_or(i64::MAX);
    now_ms.saturating_sub(uploaded_ms.unwrap_or(created_ms)) < delay_ms
}

/// A block and the level-1 blocks that went into it.
type WithSources = (BlockId, BTreeSet<BlockId>);

/// Returns the blocks whose sources another block of the same stream and resolution has all of. Of blocks
/// with equal sources the older one stays.
pub fn duplicates<'a>(metas: impl Iterator<Item = &'a BlockMeta>) -> BTreeSet<BlockId> {
    let mut groups: BTreeMap<(i64, Labels), Vec<WithSources>> = BTreeMap::new();
    for meta in metas {
        let group = (resolution_ms(meta), external_labels(meta));
        let sources = meta.compaction.sources.iter().copied().collect();
        groups.entry(group).or_default().push((meta.ulid, sources));
    }
    let mut duplicates = BTreeSet::new();
    for (_, mut group) in groups {
        group.sort_by(|(id_a, a), (id_b, b)| b.len().cmp(&a.len()).then(id_a.cmp(id_b)));
        // By source, the kept blocks that have it; a block is covered if one of them has all its sources.
        let mut kept: Vec<BTreeSet<BlockId>> = Vec::new();
        let mut holders: BTreeMap<BlockId, Vec<usize>> = BTreeMap::new();
        for (id, sources) in group {
            let covered = sources.first().is_some_and(|first| {
                holders
                    .get(first)
                    .into_iter()
                    .flatten()
                    .filter_map(|&holder| kept.get(holder))
                    .any(|kept| sources.is_subset(kept))
            });
            if covered {
                duplicates.insert(id);
                continue;
            }
            for source in &sources {
                holders.entry(*source).or_default().push(kept.len());
            }
            kept.push(sources);
        }
    }
    duplicates
}

#[cfg(test)]
mod tests;
