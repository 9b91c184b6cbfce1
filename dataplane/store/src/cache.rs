//! Postings kept in memory: lists as they lie in the index, and the series that whole selectors gave.

use std::sync::Arc;

use block::BlockId;
use bytes::Bytes;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use runtime::metrics::Metrics;

use crate::cache_config::IndexCacheConfig;

/// Entries for which room is made at the start; more of it comes with use.
const INITIAL_ENTRIES: usize = 64;

/// What an entry costs beside its bytes.
const ENTRY_BYTES: u64 = 128;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Postings(BlockId, u64),
    Expanded(BlockId, Arc<str>),
}

#[derive(Debug, Clone)]
enum Value {
    Postings(Bytes),
    Expanded(Arc<[u32]>),
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Key, Value> for Weight {
    fn weight(&self, key: &Key, value: &Value) -> u64 {
        let key = match key {
            Key::Postings(..) => 0,
            Key::Expanded(_, matchers) => matchers.len() as u64,
        };
        let value = match value {
            Value::Postings(bytes) => bytes.len() as u64,
            Value::Expanded(series) => size_of_val::<[u32]>(series) as u64,
        };
        ENTRY_BYTES + key + value
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ItemType {
    item_type: &'static str,
}

#[derive(Debug, Clone)]
struct ItemMetrics {
    requests: Counter,
    hits: Counter,
    added: Counter,
}

/// A cache of postings within a bound of bytes.
#[derive(Debug)]
pub struct IndexCache {
    entries: Cache<Key, Value, Weight>,
    config: IndexCacheConfig,
    postings: ItemMetrics,
    expanded: ItemMetrics,
}

impl IndexCache {
    /// Creates an empty cache; its memory is taken as it fills.
    pub fn new(config: &IndexCacheConfig, metrics: &Metrics) -> Self {
        let requests = Family::<ItemType, Counter>::default();
        let hits = Family::<ItemType, Counter>::default();
        let added = Family::<ItemType, Counter>::default();
        metrics.register(|registry| {
            let registry = registry.sub_registry_with_prefix("thanos_store_index_cache");
            registry.register(
                "requests",
                "Total number of requests to the cache",
                requests.clone(),
            );
            registry.register(
                "hits",
                "Total number of requests to the cache that were a hit",
                hits.clone(),
            );
            registry.register(
                "items_added",
                "Total number of items that were added to the index cache",
                added.clone(),
            );
        });
        let of = |item_type: &'static str| {
            let labels = ItemType { item_type };
            ItemMetrics {
                requests: requests.get_or_create_owned(&labels),
                hits: hits.get_or_create_owned(&labels),
                added: added.get_or_create_owned(&labels),
            }
        };
        Self {
            entries: Cache::with_weighter(INITIAL_ENTRIES, config.max_bytes, Weight),
            config: config.clone(),
            postings: of("Postings"),
            expanded: of("ExpandedPostings"),
        }
    }

    /// Returns the list at byte `at` of the block's index.
    pub fn postings(&self, block: BlockId, at: u64) -> Option<Bytes> {
        self.postings.requests.inc();
        match self.entries.get(&Key::Postings(block, at))? {
            Value::Postings(bytes) => {
                self.postings.hits.inc();
                Some(bytes)
            }
            Value::Expanded(_) => None,
        }
    }

    /// Keeps a list. The bytes are copied, so that they do not hold the larger range they came in.
    pub fn put_postings(&self, block: BlockId, at: u64, bytes: &[u8]) {
        if self.config.postings && self.fits(bytes.len()) {
            self.postings.added.inc();
            let value = Value::Postings(Bytes::copy_from_slice(bytes));
            self.entries.insert(Key::Postings(block, at), value);
        }
    }

    /// Returns the series of the block that `matchers`, as text, select.
    pub fn expanded(&self, block: BlockId, matchers: &Arc<str>) -> Option<Arc<[u32]>> {
        self.expanded.requests.inc();
        match self
            .entries
            .get(&Key::Expanded(block, Arc::clone(matchers)))?
        {
            Value::Expanded(series) => {
                self.expanded.hits.inc();
                Some(series)
            }
            Value::Postings(_) => None,
        }
    }

    /// Keeps the series that a selector gave.
    pub fn put_expanded(&self, block: BlockId, matchers: Arc<str>, series: Arc<[u32]>) {
        if self.config.expanded && self.fits(size_of_val::<[u32]>(&series)) {
            self.expanded.added.inc();
            self.entries
                .insert(Key::Expanded(block, matchers), Value::Expanded(series));
        }
    }

    /// One entry must not push out all others.
    fn fits(&self, bytes: usize) -> bool {
        bytes as u64 <= self.config.max_item_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_by_block_and_bounded_by_bytes() {
        let cache = IndexCache::new(&IndexCacheConfig::of_size(64 << 10), &Metrics::empty());
        let (a, b) = (BlockId::from_parts(1, 1), BlockId::from_parts(2, 2));
        cache.put_postings(a, 10, b"list");
        let matchers: Arc<str> = "up".into();
        cache.put_expanded(a, Arc::clone(&matchers), vec![1, 2].into());
        assert_eq!(cache.postings(a, 10).as_deref(), Some(&b"list"[..]));
        assert_eq!(cache.expanded(a, &matchers).as_deref(), Some(&[1, 2][..]));
        assert_eq!(cache.postings(b, 10), None);
        assert_eq!(cache.expanded(b, &matchers), None);
        cache.put_postings(b, 0, &[0; 40 << 10]);
        assert_eq!(cache.postings(b, 0), None);
        for at in 0..1000 {
            cache.put_postings(b, at, &[0; 1 << 10]);
        }
        assert!(cache.entries.weight() <= 64 << 10);
    }

    #[test]
    fn what_is_switched_off_is_not_kept() {
        let config = IndexCacheConfig {
            postings: false,
            max_item_bytes: 8,
            ..IndexCacheConfig::of_size(64 << 10)
        };
        let cache = IndexCache::new(&config, &Metrics::empty());
        let block = BlockId::from_parts(1, 1);
        cache.put_postings(block, 10, b"list");
        assert_eq!(cache.postings(block, 10), None);
        let put = |matchers: &str, series: &[u32]| {
            cache.put_expanded(block, matchers.into(), series.into());
            cache.expanded(block, &matchers.into()).is_some()
        };
        assert!(put("two", &[1, 2]));
        assert!(!put("three", &[1, 2, 3]));
    }
}
