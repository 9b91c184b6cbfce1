//! Results of range queries, kept in memory.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::config::CacheConfig;
use crate::matrix::Series;

/// Results are of about this size; it only sets how many slots there are at first.
const TYPICAL_BYTES: u64 = 64 << 10;

/// The result of one query over one contiguous range within one split interval.
#[derive(Debug)]
pub(crate) struct Extent {
    /// First and last step, milliseconds.
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) series: Vec<Series>,
    /// When it was put together.
    pub(crate) made_ms: i64,
}

impl Extent {
    /// Returns the part from `start` to `end`.
    pub(crate) fn within(&self, start: i64, end: i64) -> Vec<Series> {
        let series = self.series.iter();
        series.filter_map(|one| one.within(start, end)).collect()
    }
}

#[derive(Debug, Clone)]
struct ByBytes;

impl Weighter<String, Arc<Extent>> for ByBytes {
    fn weight(&self, key: &String, extent: &Arc<Extent>) -> u64 {
        let series: u64 = extent.series.iter().map(Series::weight).sum();
        // What weighs nothing would never be evicted.
        (key.len() as u64 + series).max(1)
    }
}

/// Extents by key.
#[derive(Debug)]
pub(crate) struct Results {
    cache: Cache<String, Arc<Extent>, ByBytes>,
    validity: Duration,
}

impl Results {
    pub(crate) fn new(config: &CacheConfig) -> Self {
        let slots = usize::try_from(config.max_bytes / TYPICAL_BYTES).unwrap_or(usize::MAX);
        Self {
            cache: Cache::with_weighter(slots.clamp(16, 1 << 20), config.max_bytes, ByBytes),
            validity: config.validity,
        }
    }

    /// Returns what is kept and not too old.
    pub(crate) fn get(&self, key: &str, now_ms: i64) -> Option<Arc<Extent>> {
        let extent = self.cache.get(key)?;
        let validity = i64::try_from(self.validity.as_millis()).unwrap_or(i64::MAX);
        let is_fresh = validity == 0 || now_ms.saturating_sub(extent.made_ms) < validity;
        is_fresh.then_some(extent)
    }

    pub(crate) fn put(&self, key: String, extent: Extent) {
        self.cache.insert(key, Arc::new(extent));
    }
}
