//! Which blocks of a bucket are meant.

use std::collections::BTreeSet;
use std::sync::Arc;

use block::fetcher::{DEFAULT_CONCURRENCY, FetcherMetrics};
use block::filters::{external_labels, resolution_ms, time_range};
use block::{FetchedBlock, Fetcher, View};
use model::ulid::BlockId;
use model::{Matcher, TimeRange};
use objstore::Bucket;
use runtime::metrics::Metrics;

use crate::error::ToolError;

/// What a block must be to be meant; the default means all.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// One of these; empty for any.
    pub ids: BTreeSet<BlockId>,
    /// Its external labels.
    pub matchers: Vec<Matcher>,
    /// Overlapping this time.
    pub time: Option<TimeRange>,
    /// Of one of these resolutions in milliseconds; empty for any.
    pub resolutions: Vec<i64>,
    /// Of one of these compaction levels; empty for any.
    pub levels: Vec<u32>,
    /// Not marked for deletion.
    pub unmarked: bool,
}

impl Selection {
    /// Selects blocks by their names.
    pub fn of(ids: impl IntoIterator<Item = BlockId>) -> Self {
        Self {
            ids: ids.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Returns whether a block is meant.
    pub fn contains(&self, id: BlockId, block: &FetchedBlock) -> bool {
        let meta = &block.meta;
        let any = |empty: bool, found: bool| empty || found;
        any(self.ids.is_empty(), self.ids.contains(&id))
            && any(
                self.resolutions.is_empty(),
                self.resolutions.contains(&resolution_ms(meta)),
            )
            && any(
                self.levels.is_empty(),
                self.levels.contains(&meta.compaction.level),
            )
            && self
                .time
                .is_none_or(|time| time_range(meta).overlaps(&time))
            && !(self.unmarked && block.deletion_time.is_some())
            && (self.matchers.is_empty() || {
                let labels = external_labels(meta);
                self.matchers
                    .iter()
                    .all(|matcher| matcher.matches_labels(&labels))
            })
    }

    /// Returns the blocks meant, by start time.
    ///
    /// # Errors
    /// A block named that is not there.
    pub fn choose<'a>(
        &self,
        view: &'a View,
    ) -> Result<Vec<(BlockId, &'a FetchedBlock)>, ToolError> {
        if let Some(missing) = self.ids.iter().find(|id| !view.blocks.contains_key(id)) {
            return Err(ToolError::NoBlock(*missing));
        }
        let blocks = view.blocks.iter().map(|(id, block)| (*id, block));
        let mut chosen: Vec<_> = blocks
            .filter(|(id, block)| self.contains(*id, block))
            .collect();
        chosen.sort_by_key(|(id, block)| (block.meta.min_time, *id));
        Ok(chosen)
    }
}

/// Lists the bucket once.
///
/// # Errors
/// The bucket fails.
pub async fn view(bucket: Arc<dyn Bucket>) -> Result<View, ToolError> {
    let metrics = FetcherMetrics::register(&Metrics::empty());
    Ok(Fetcher::new(bucket, None, DEFAULT_CONCURRENCY, metrics)
        .fetch()
        .await?)
}
