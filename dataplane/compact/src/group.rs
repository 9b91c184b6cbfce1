//! Which blocks may become one: those of one stream and one resolution.

use std::collections::BTreeMap;
use std::sync::Arc;

use block::fetcher::{FetchedBlock, View};
use block::{BlockId, filters};
use model::{Labels, TimeRange};
use tsdb::meta::{BlockMeta, Resolution};

/// What the blocks of a group have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    pub resolution: Resolution,
    /// The external labels, without those that tell replicas apart.
    pub labels: Labels,
}

impl std::fmt::Display for GroupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.resolution.0, self.labels)
    }
}

/// A block as planning sees it.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub meta: Arc<BlockMeta>,
    pub index_bytes: u64,
    /// Bytes of all segments.
    pub chunk_bytes: u64,
    /// It has a no-compact mark.
    pub no_compact: bool,
    /// It has a no-downsample mark.
    pub no_downsample: bool,
}

impl Candidate {
    /// The candidate that a fetched block is.
    pub fn new(block: &FetchedBlock) -> Self {
        Self {
            meta: Arc::clone(&block.meta),
            index_bytes: block.files.index_bytes.unwrap_or_default(),
            chunk_bytes: block.files.segment_bytes.iter().sum(),
            no_compact: block.files.no_compact_mark,
            no_downsample: block.files.no_downsample_mark,
        }
    }

    pub fn id(&self) -> BlockId {
        self.meta.ulid
    }

    /// The time of the block's samples, both ends included.
    pub fn range(&self) -> TimeRange {
        filters::time_range(&self.meta)
    }

    pub fn resolution(&self) -> Resolution {
        Resolution(filters::resolution_ms(&self.meta))
    }
}

/// The blocks of a group.
#[derive(Debug, Clone)]
pub struct Group {
    pub key: GroupKey,
    /// In order of their beginning.
    pub blocks: Vec<Candidate>,
}

/// Takes the labels that tell replicas apart out of all blocks, so that replicas fall into one group.
/// A block that would have no label left gets the first of them with the value `deduped`, as Thanos
/// does it, since a block without labels is refused elsewhere.
pub fn remove_replica_labels(view: &mut View, replica_labels: &[String]) {
    let Some(first) = replica_labels.first() else {
        return;
    };
    for block in view.blocks.values_mut() {
        let Some(thanos) = &block.meta.thanos else {
            continue;
        };
        if !replica_labels
            .iter()
            .any(|label| thanos.labels.contains_key(label))
        {
            continue;
        }
        let mut meta = (*block.meta).clone();
        if let Some(thanos) = &mut meta.thanos {
            thanos
                .labels
                .retain(|name, _| !replica_labels.contains(name));
            if thanos.labels.is_empty() {
                thanos.labels.insert(first.clone(), "deduped".to_owned());
            }
        }
        block.meta = Arc::new(meta);
    }
}

/// Sorts blocks into groups, and within them by time.
pub fn group<'a>(blocks: impl IntoIterator<Item = &'a FetchedBlock>) -> Vec<Group> {
    let mut groups: BTreeMap<GroupKey, Vec<Candidate>> = BTreeMap::new();
    for block in blocks {
        let candidate = Candidate::new(block);
        let key = GroupKey {
            resolution: candidate.resolution(),
            labels: filters::external_labels(&block.meta),
        };
        groups.entry(key).or_default().push(candidate);
    }
    groups
        .into_iter()
        .map(|(key, mut blocks)| {
            blocks.sort_by_key(|block| (block.meta.min_time, block.meta.max_time, block.id()));
            Group { key, blocks }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use block::BlockFiles;
    use tsdb::meta::{Thanos, source};

    use super::*;

    fn fetched(number: u128, labels: &[(&str, &str)], min_time: i64) -> FetchedBlock {
        let mut meta = BlockMeta::new(BlockId::from_parts(1, number), min_time, min_time + 10);
        let labels = Labels::from_pairs(labels.iter().copied());
        meta.thanos = Some(Thanos::new(&labels, source::SIDECAR));
        FetchedBlock {
            meta: Arc::new(meta),
            files: Arc::new(BlockFiles::default()),
            deletion_time: None,
        }
    }

    fn view(blocks: Vec<FetchedBlock>) -> View {
        View {
            blocks: blocks
                .into_iter()
                .map(|block| (block.meta.ulid, block))
                .collect(),
            ..View::default()
        }
    }

    #[test]
    fn replicas_become_one_group_and_resolutions_stay_apart() {
        let a = fetched(1, &[("cluster", "eu"), ("replica", "a")], 10);
        let b = fetched(2, &[("cluster", "eu"), ("replica", "b")], 0);
        let mut coarse = fetched(3, &[("cluster", "eu"), ("replica", "b")], 0);
        let mut meta = (*coarse.meta).clone();
        if let Some(thanos) = &mut meta.thanos {
            thanos.downsample.resolution = Resolution::FIVE_MINUTES;
        }
        coarse.meta = Arc::new(meta);
        let mut view = view(vec![a, b, coarse]);
        assert_eq!(group(view.blocks.values()).len(), 3, "replicas are apart");
        remove_replica_labels(&mut view, &["replica".to_owned()]);
        let groups = group(view.blocks.values());
        let shape: Vec<(i64, Vec<i64>)> = groups
            .iter()
            .map(|group| {
                let times = group.blocks.iter().map(|block| block.meta.min_time);
                (group.key.resolution.0, times.collect())
            })
            .collect();
        assert_eq!(shape, [(0, vec![0, 10]), (300_000, vec![0])]);
    }

    #[test]
    fn a_block_of_replica_labels_alone_keeps_a_label() {
        let mut view = view(vec![fetched(1, &[("replica", "a")], 0)]);
        remove_replica_labels(&mut view, &["replica".to_owned(), "other".to_owned()]);
        let groups = group(view.blocks.values());
        assert_eq!(groups[0].key.labels.to_string(), "{replica=\"deduped\"}");
    }
}
