//! Which blocks there are, and which of them answer a request.

use std::collections::BTreeMap;
use std::sync::Arc;

use block::BlockId;
use model::{Labels, TimeRange};
use storeapi::{Component, StoreInfo, TsdbInfo};

use crate::blocks::Block;

/// The blocks of one moment.
#[derive(Debug, Default)]
pub struct Catalog {
    /// By external labels and resolution, in order of time.
    streams: BTreeMap<Labels, Stream>,
    /// Blocks that are there and cannot be served.
    broken: Vec<Broken>,
    /// Blocks of which nothing is known but why.
    unreadable: Vec<(BlockId, String)>,
    info: Arc<StoreInfo>,
}

/// The blocks of one stream by resolution in milliseconds.
type Stream = BTreeMap<i64, Vec<Arc<Block>>>;

/// A block that cannot be served.
#[derive(Debug, Clone)]
pub struct Broken {
    /// The block.
    pub id: BlockId,
    /// Its stream.
    pub external_labels: Labels,
    /// The time of the samples that are missing in answers.
    pub range: TimeRange,
    /// Why.
    pub reason: String,
}

impl Catalog {
    /// Puts blocks in order. Info advertises the broken ones too, so that whoever asks for their time
    /// learns that they are missing. `window` bounds what Info advertises.
    pub fn new(blocks: Vec<Arc<Block>>, broken: Vec<Broken>, window: Option<TimeRange>) -> Self {
        let mut streams: BTreeMap<Labels, Stream> = BTreeMap::new();
        let mut ranges: BTreeMap<Labels, TimeRange> = BTreeMap::new();
        let mut cover = |labels: &Labels, range: TimeRange| {
            let range = window.map_or(Some(range), |window| range.intersect(&window));
            if let Some(range) = range {
                let all = ranges.entry(labels.clone()).or_insert(range);
                *all = TimeRange::new(all.start.min(range.start), all.end.max(range.end));
            }
        };
        for block in &broken {
            cover(&block.external_labels, block.range);
        }
        for block in blocks {
            cover(&block.external_labels, block.range);
            let stream = streams.entry(block.external_labels.clone()).or_default();
            stream.entry(block.resolution_ms).or_default().push(block);
        }
        for blocks in streams.values_mut().flat_map(BTreeMap::values_mut) {
            blocks.sort_by_key(|block| (block.range.start, block.range.end, block.id));
        }
        let start = ranges.values().map(|range| range.start).min();
        let end = ranges.values().map(|range| range.end).max();
        let info = StoreInfo {
            component: Component::Store,
            label_sets: ranges
                .keys()
                .filter(|labels| !labels.is_empty())
                .cloned()
                .collect(),
            range: start
                .zip(end)
                .map(|(start, end)| TimeRange::new(start, end)),
            supports_sharding: true,
            supports_without_replica_labels: true,
            tsdb_infos: ranges
                .into_iter()
                .map(|(labels, range)| TsdbInfo { labels, range })
                .collect(),
            ..StoreInfo::default()
        };
        Self {
            streams,
            broken,
            unreadable: Vec::new(),
            info: Arc::new(info),
        }
    }

    /// Adds blocks whose `meta.json` cannot be used, each with the reason. What they hold is not known, so
    /// that they may be missing in any answer; what the store says of itself stays as it is.
    #[must_use]
    pub fn with_unreadable(mut self, unreadable: Vec<(BlockId, String)>) -> Self {
        self.unreadable = unreadable;
        self
    }

    /// Returns what the store says of itself.
    pub fn info(&self) -> Arc<StoreInfo> {
        Arc::clone(&self.info)
    }

    /// Returns all blocks.
    pub fn blocks(&self) -> impl Iterator<Item = &Arc<Block>> {
        self.streams.values().flat_map(BTreeMap::values).flatten()
    }

    /// Returns the blocks that cannot be served and would be part of an answer.
    pub fn broken(&self, range: TimeRange) -> impl Iterator<Item = &Broken> {
        self.broken
            .iter()
            .filter(move |block| block.range.overlaps(&range))
    }

    /// Returns the blocks of which nothing is known but why.
    pub fn unreadable(&self) -> &[(BlockId, String)] {
        &self.unreadable
    }

    /// Chooses blocks for `range`: of each stream the coarsest that `max_resolution_ms` allows, and finer
    /// ones where those leave a gap.
    pub fn choose(&self, range: TimeRange, max_resolution_ms: i64) -> Vec<Arc<Block>> {
        let mut chosen = Vec::new();
        for stream in self.streams.values() {
            let resolutions: Vec<&[Arc<Block>]> = stream
                .range(..=max_resolution_ms.max(0))
                .rev()
                .map(|(_, blocks)| blocks.as_slice())
                .collect();
            fill(&resolutions, range, &mut chosen);
        }
        chosen
    }
}

/// Covers `range` with blocks of the first resolution, and the gaps with the further ones.
fn fill(resolutions: &[&[Arc<Block>]], range: TimeRange, chosen: &mut Vec<Arc<Block>>) {
    let Some((coarsest, finer)) = resolutions.split_first() else {
        return;
    };
    if range.is_empty() {
        return;
    }
    let mut uncovered = Some(range.start);
    for block in *coarsest {
        if !block.range.overlaps(&range) {
            continue;
        }
        if let Some(start) = uncovered
            && start < block.range.start
        {
            fill(finer, TimeRange::new(start, block.range.start - 1), chosen);
        }
        if !chosen.iter().any(|other| other.id == block.id) {
            chosen.push(Arc::clone(block));
        }
        // Behind the end of time nothing is left to cover.
        uncovered =
            uncovered.and_then(|start| block.range.end.checked_add(1).map(|end| start.max(end)));
    }
    if let Some(start) = uncovered {
        fill(finer, TimeRange::new(start, range.end), chosen);
    }
}

#[cfg(test)]
mod tests;
