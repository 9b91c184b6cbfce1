//! Which blocks are garbage. Pure functions of what was fetched and of the time.

use std::collections::{BTreeMap, BTreeSet};

use block::fetcher::{FetchedBlock, View};
use block::{BlockId, filters};
use model::Labels;

/// A block without a meta that nothing was written to for so long was given up by its writer.
pub const PARTIAL_AGE_MS: i64 = 48 * 3_600_000;

/// A block and the level-1 blocks that went into it.
type WithSources = (BlockId, BTreeSet<BlockId>);

/// Returns the blocks that others have replaced, each with a block that has all that went into it, of
/// the same stream and resolution.
pub fn superseded(blocks: &BTreeMap<BlockId, FetchedBlock>) -> Vec<(BlockId, BlockId)> {
    let gone = filters::duplicates(blocks.values().map(|block| &*block.meta));
    let mut kept: BTreeMap<(i64, Labels), Vec<WithSources>> = BTreeMap::new();
    let key = |block: &FetchedBlock| {
        let meta = &block.meta;
        (filters::resolution_ms(meta), filters::external_labels(meta))
    };
    for (id, block) in blocks {
        if !gone.contains(id) && block.deletion_time.is_none() {
            let sources = block.meta.compaction.sources.iter().copied().collect();
            kept.entry(key(block)).or_default().push((*id, sources));
        }
    }
    let by = |id: &BlockId| {
        let block = blocks.get(id)?;
        let sources = &block.meta.compaction.sources;
        let candidates = kept.get(&key(block))?;
        let found = candidates
            .iter()
            .find(|(_, kept)| sources.iter().all(|source| kept.contains(source)))?;
        Some((*id, found.0))
    };
    gone.iter().filter_map(by).collect()
}

/// Returns the blocks without a meta that nobody is writing to any more: their newest object is old, or
/// they are marked for deletion and lost their meta to that.
pub fn abandoned(view: &View, now_ms: i64) -> Vec<BlockId> {
    let old = view.partial.iter().filter(|(_, files)| {
        let age_ms = now_ms.saturating_sub(files.last_modified_ms);
        age_ms > PARTIAL_AGE_MS || files.has_deletion_mark() && age_ms > 0
    });
    old.map(|(id, _)| *id).collect()
}

/// Returns the blocks that were marked for deletion longer ago than the delay.
pub fn deletable(
    blocks: &BTreeMap<BlockId, FetchedBlock>,
    delay_ms: i64,
    now_ms: i64,
) -> Vec<BlockId> {
    let due = blocks.iter().filter(|(_, block)| {
        let marked_ms = block.deletion_time.map(|time| time.saturating_mul(1000));
        marked_ms.is_some_and(|marked_ms| now_ms.saturating_sub(marked_ms) >= delay_ms)
    });
    due.map(|(id, _)| *id).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use block::BlockFiles;
    use tsdb::meta::{BlockMeta, Thanos, source};

    use super::*;

    fn id(number: u128) -> BlockId {
        BlockId::from_parts(1, number)
    }

    fn block(
        number: u128,
        sources: &[u128],
        deletion_time: Option<i64>,
    ) -> (BlockId, FetchedBlock) {
        let mut meta = BlockMeta::new(id(number), 0, 10);
        meta.compaction.sources = sources.iter().map(|source| id(*source)).collect();
        let labels = Labels::from_pairs([("cluster", "eu")]);
        meta.thanos = Some(Thanos::new(&labels, source::SIDECAR));
        let fetched = FetchedBlock {
            meta: Arc::new(meta),
            files: Arc::new(BlockFiles::default()),
            deletion_time,
        };
        (id(number), fetched)
    }

    #[test]
    fn a_block_whose_sources_another_has_is_superseded_by_it() {
        let blocks = BTreeMap::from([
            block(1, &[1], None),
            block(2, &[2], None),
            block(3, &[3], None),
            block(9, &[1, 2], None),
        ]);
        let expected = [(id(1), id(9)), (id(2), id(9))];
        assert_eq!(superseded(&blocks), expected);
        let blocks = BTreeMap::from([block(1, &[1], None), block(9, &[1, 2], Some(5))]);
        assert_eq!(
            superseded(&blocks),
            [],
            "what is going itself replaces nothing"
        );
    }

    #[test]
    fn marked_blocks_go_after_the_delay() {
        let blocks = BTreeMap::from([block(1, &[1], Some(100)), block(2, &[2], None)]);
        assert_eq!(deletable(&blocks, 1_000, 100_999), []);
        assert_eq!(deletable(&blocks, 1_000, 101_000), [id(1)]);
        assert_eq!(deletable(&blocks, 0, 100_000), [id(1)]);
    }

    #[test]
    fn a_partial_block_is_judged_by_its_newest_object() {
        let now_ms = 10 * PARTIAL_AGE_MS;
        let files = |last_modified_ms| {
            let mut files = BlockFiles::default();
            files.last_modified_ms = last_modified_ms;
            Arc::new(files)
        };
        // Both identifiers are ancient: that is when the upload began.
        let view = View {
            partial: BTreeMap::from([
                (id(1), files(now_ms - PARTIAL_AGE_MS)),
                (id(2), files(now_ms - PARTIAL_AGE_MS - 1)),
            ]),
            ..View::default()
        };
        assert_eq!(abandoned(&view, now_ms), [id(2)]);
    }
}
