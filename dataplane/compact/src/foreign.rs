//! Another compactor that does not know the lease, such as Thanos' own.
//!
//! It shows by its blocks: made by a compactor, since this one began, and without this program's hint.
//! As long as one is younger than [`QUIET_MS`] nothing is compacted, downsampled or marked, because two
//! that do not see each other make blocks that overlap and delete what the other reads.

use std::collections::BTreeMap;

use block::BlockId;
use block::fetcher::FetchedBlock;
use tsdb::meta::source;

use crate::lineage;

/// How long after another compactor's last block this one begins.
pub const QUIET_MS: i64 = 2 * 3_600_000;

/// Returns the newest block that another compactor made after `since_ms` and not longer than
/// [`QUIET_MS`] ago.
pub fn newest_foreign(
    blocks: &BTreeMap<BlockId, FetchedBlock>,
    since_ms: i64,
    now_ms: i64,
) -> Option<BlockId> {
    let from = since_ms.max(now_ms.saturating_sub(QUIET_MS));
    blocks
        .values()
        .map(|block| &block.meta)
        .filter(|meta| {
            let thanos = meta.thanos.as_ref();
            thanos.is_some_and(|thanos| thanos.source == source::COMPACTOR)
                && !lineage::is_own(meta)
                && i64::try_from(meta.ulid.timestamp_ms()).is_ok_and(|made| made > from)
        })
        .map(|meta| meta.ulid)
        .max()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use block::BlockFiles;
    use model::Labels;
    use tsdb::meta::{BlockMeta, Thanos};

    use super::*;

    #[test]
    fn only_fresh_output_of_others_counts() {
        let made = |ms: i64, maker: &str, own: bool| {
            let id = BlockId::from_parts(ms as u64, 7);
            let mut meta = BlockMeta::new(id, 0, 10);
            let labels = Labels::from_pairs([("cluster", "eu")]);
            meta.thanos = Some(Thanos::new(&labels, maker));
            if own {
                meta.compaction.hints.push(lineage::OWN_HINT.to_owned());
            }
            let block = FetchedBlock {
                meta: Arc::new(meta),
                files: Arc::new(BlockFiles::default()),
                deletion_time: None,
            };
            BTreeMap::from([(id, block)])
        };
        let (begun, now) = (QUIET_MS, 5 * QUIET_MS);
        let found = |blocks| newest_foreign(&blocks, begun, now).is_some();
        assert!(found(made(now - 1, source::COMPACTOR, false)));
        assert!(!found(made(now - 1, source::COMPACTOR, true)));
        assert!(!found(made(now - 1, source::SIDECAR, false)));
        assert!(!found(made(now - QUIET_MS, source::COMPACTOR, false)));
        let before = made(begun, source::COMPACTOR, false);
        assert_eq!(newest_foreign(&before, begun, begun + 1), None);
    }
}
