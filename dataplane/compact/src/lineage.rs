//! The meta of a block that was made of others.

use std::collections::BTreeSet;
use std::sync::Arc;

use block::BlockId;
use tsdb::meta::{BlockMeta, Parent, Resolution, Thanos, source};

use crate::group::GroupKey;

/// Says in `compaction.hints` that this program made the block, so that it tells its own blocks from
/// those of another compactor. Readers do not heed hints that they do not know.
pub const OWN_HINT: &str = "made-by-hindsight";

/// What Prometheus says of blocks of samples that came late; the result's only if it is all of them's.
const OUT_OF_ORDER_HINT: &str = "from-out-of-order";

/// Hints that the result has if one of its sources has them.
const INHERITED_HINTS: [&str; 2] = ["from-stale-series", "from-selected-series"];

/// Returns the meta of the block that `sources` become, without what only writing it tells.
pub fn merged(id: BlockId, sources: &[Arc<BlockMeta>], key: &GroupKey) -> BlockMeta {
    let min_time = sources.iter().map(|meta| meta.min_time).min();
    let max_time = sources.iter().map(|meta| meta.max_time).max();
    let mut meta = BlockMeta::new(
        id,
        min_time.unwrap_or_default(),
        max_time.unwrap_or_default(),
    );
    let compaction = &mut meta.compaction;
    let levels = sources.iter().map(|meta| meta.compaction.level);
    compaction.level = levels.max().unwrap_or_default() + 1;
    let all: BTreeSet<BlockId> = sources
        .iter()
        .flat_map(|meta| meta.compaction.sources.iter().copied())
        .collect();
    compaction.sources = all.into_iter().collect();
    compaction.parents = sources
        .iter()
        .map(|meta| Parent {
            ulid: meta.ulid,
            min_time: meta.min_time,
            max_time: meta.max_time,
        })
        .collect();
    let has =
        |meta: &Arc<BlockMeta>, hint: &str| meta.compaction.hints.iter().any(|own| own == hint);
    let mut hints: Vec<String> = INHERITED_HINTS
        .into_iter()
        .filter(|hint| sources.iter().any(|meta| has(meta, hint)))
        .map(str::to_owned)
        .collect();
    if sources.iter().all(|meta| has(meta, OUT_OF_ORDER_HINT)) {
        hints.push(OUT_OF_ORDER_HINT.to_owned());
    }
    hints.push(OWN_HINT.to_owned());
    compaction.hints = hints;

    let mut thanos = Thanos::new(&key.labels, source::COMPACTOR);
    thanos.downsample.resolution = key.resolution;
    // What others keep there is only kept where all say the same.
    let mut extensions = sources.iter().map(|meta| {
        meta.thanos
            .as_ref()
            .and_then(|thanos| thanos.extensions.clone())
    });
    let first = extensions.next().flatten();
    thanos.extensions = first.filter(|first| extensions.all(|other| other.as_ref() == Some(first)));
    meta.thanos = Some(thanos);
    meta
}

/// Returns the meta of the block that `finer` becomes at a coarser resolution, without what only
/// writing it tells. What went into it is what went into the finer one.
pub fn downsampled(id: BlockId, finer: &BlockMeta, resolution: Resolution) -> BlockMeta {
    let mut meta = BlockMeta::new(id, finer.min_time, finer.max_time);
    meta.compaction = finer.compaction.clone();
    meta.compaction.deletable = false;
    if !is_own(&meta) {
        meta.compaction.hints.push(OWN_HINT.to_owned());
    }
    let mut thanos = finer.thanos.clone().unwrap_or_default();
    thanos.version = 1;
    thanos.downsample.resolution = resolution;
    thanos.source = source::COMPACTOR.to_owned();
    meta.thanos = Some(thanos);
    meta
}

/// Whether this program made the block.
pub fn is_own(meta: &BlockMeta) -> bool {
    meta.compaction.hints.iter().any(|hint| hint == OWN_HINT)
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::*;

    #[test]
    fn lineage_is_prometheus_own() {
        let source = |number, min_time, max_time, level, hints: &[&str]| {
            let id = BlockId::from_parts(1, number);
            let mut meta = BlockMeta::new(id, min_time, max_time);
            meta.compaction.level = level;
            meta.compaction.hints = hints.iter().map(|hint| (*hint).to_owned()).collect();
            Arc::new(meta)
        };
        let sources = [
            source(5, 10, 30, 2, &["from-out-of-order", "from-stale-series"]),
            source(3, 0, 20, 1, &["from-out-of-order"]),
        ];
        let key = GroupKey {
            resolution: Resolution::FIVE_MINUTES,
            labels: Labels::from_pairs([("cluster", "eu")]),
        };
        let meta = merged(BlockId::from_parts(9, 9), &sources, &key);
        assert_eq!((meta.min_time, meta.max_time), (0, 30));
        assert_eq!(meta.compaction.level, 3);
        let numbers = [3, 5].map(|number| BlockId::from_parts(1, number));
        assert_eq!(meta.compaction.sources, numbers);
        let parents: Vec<_> = meta.compaction.parents.iter().map(|p| p.ulid).collect();
        assert_eq!(parents, [numbers[1], numbers[0]]);
        let hints = ["from-stale-series", "from-out-of-order", OWN_HINT];
        assert_eq!(meta.compaction.hints, hints);
        assert!(is_own(&meta) && !is_own(&sources[0]));
        let thanos = meta.thanos.expect("it has a section");
        assert_eq!(thanos.downsample.resolution, Resolution::FIVE_MINUTES);
        assert_eq!(thanos.source, "compactor");
    }
}
