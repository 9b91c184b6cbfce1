//! The YAML of the index cache, as Thanos writes it.
//!
//! ```yaml
//! type: IN-MEMORY
//! config: {max_size: 250MB, max_item_size: 125MB}
//! enabled_items: [Postings, ExpandedPostings]
//! ```

use runtime::units::ByteSize;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The size of a cache whose configuration does not say.
const DEFAULT_MAX_SIZE: ByteSize = ByteSize(250 << 20);

/// The largest share of a cache that one item may take where the configuration does not say.
const DEFAULT_ITEM_SHARE: u64 = 2;

/// What may be kept, by the names of the configuration. Series entries are read with their neighbours in
/// one request and are not kept.
const ITEMS: [&str; 3] = ["Postings", "Series", "ExpandedPostings"];

/// Caches that other processes share and that are not spoken to.
const SHARED: [&str; 2] = ["MEMCACHED", "REDIS"];

/// Why a configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CacheConfigError {
    /// It is no YAML, or not of the shape wanted. Holds line, column and the key.
    #[error("index cache configuration: {0}")]
    Yaml(String),
    /// The `type` is nobody's.
    #[error(
        "index cache type {0:?} is not known; it is IN-MEMORY, MEMCACHED or REDIS, in capitals"
    )]
    UnknownType(String),
    /// An item of `enabled_items` is nobody's.
    #[error(
        "index cache configuration: enabled_items: {0:?} is not one of Postings, Series, ExpandedPostings"
    )]
    UnknownItem(String),
    /// One item may be larger than all of them together.
    #[error(
        "index cache configuration: config.max_item_size {item} is larger than config.max_size {all}; \
         write a smaller one"
    )]
    ItemLargerThanCache {
        /// The size of one.
        item: ByteSize,
        /// The size of all.
        all: ByteSize,
    },
}

/// The settings of the index cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexCacheConfig {
    /// Bytes in all.
    pub max_bytes: u64,
    /// Bytes of one item.
    pub max_item_bytes: u64,
    /// Whether postings lists are kept.
    pub postings: bool,
    /// Whether the series that whole selectors gave are kept.
    pub expanded: bool,
    /// The shared cache that was asked for and in whose place this one is.
    pub in_place_of: Option<&'static str>,
}

impl IndexCacheConfig {
    /// Returns the settings of a cache of so many bytes.
    pub fn of_size(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            max_item_bytes: max_bytes / DEFAULT_ITEM_SHARE,
            postings: true,
            expanded: true,
            in_place_of: None,
        }
    }

    /// Reads a configuration. A cache that is shared with other processes is not spoken to; in its place is
    /// one in memory of `otherwise_bytes`, which gives the same answers.
    ///
    /// # Errors
    /// What cannot be understood, named.
    pub fn parse(text: &str, otherwise_bytes: u64) -> Result<Self, CacheConfigError> {
        let yaml = |error: serde_saphyr::Error| CacheConfigError::Yaml(error.to_string());
        let head: Head = serde_saphyr::from_str(text).map_err(yaml)?;
        let mut config = match head.kind.as_str() {
            "IN-MEMORY" => {
                let body: Body = serde_saphyr::from_str(text).map_err(yaml)?;
                body.config.unwrap_or_default().check()?
            }
            other => match SHARED.iter().find(|shared| **shared == other) {
                Some(shared) => Self {
                    in_place_of: Some(shared),
                    ..Self::of_size(otherwise_bytes)
                },
                None => return Err(CacheConfigError::UnknownType(head.kind)),
            },
        };
        let enabled = head.enabled_items;
        if let Some(unknown) = enabled.iter().find(|item| !ITEMS.contains(&item.as_str())) {
            return Err(CacheConfigError::UnknownItem(unknown.clone()));
        }
        let is_enabled = |item: &str| enabled.is_empty() || enabled.iter().any(|e| e == item);
        config.postings = is_enabled("Postings");
        config.expanded = is_enabled("ExpandedPostings");
        Ok(config)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(rename = "config", default)]
    _config: IgnoredAny,
    #[serde(default)]
    enabled_items: Vec<String>,
    /// How long a shared cache keeps an item.
    #[serde(rename = "ttl", default)]
    _ttl: IgnoredAny,
}

#[derive(Debug, Deserialize)]
struct Body {
    #[serde(default)]
    config: Option<RawInMemory>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInMemory {
    #[serde(default)]
    max_size: Option<ByteSize>,
    #[serde(default)]
    max_item_size: Option<ByteSize>,
}

impl RawInMemory {
    fn check(self) -> Result<IndexCacheConfig, CacheConfigError> {
        let all = self.max_size.unwrap_or(DEFAULT_MAX_SIZE);
        let config = IndexCacheConfig::of_size(all.0);
        match self.max_item_size {
            None => Ok(config),
            Some(item) if item > all => Err(CacheConfigError::ItemLargerThanCache { item, all }),
            Some(item) => Ok(IndexCacheConfig {
                max_item_bytes: item.0,
                ..config
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHERWISE: u64 = 7 << 20;

    fn parse(text: &str) -> Result<IndexCacheConfig, CacheConfigError> {
        IndexCacheConfig::parse(text, OTHERWISE)
    }

    #[test]
    fn sizes_and_items_are_taken() {
        let bare = parse("type: IN-MEMORY").expect("valid");
        assert_eq!(bare, IndexCacheConfig::of_size(250 << 20));
        let config = parse(
            "type: IN-MEMORY\nconfig:\n  max_size: 64MB\n  max_item_size: 1MB\n\
             enabled_items: [Postings, Series]\nttl: 24h\n",
        );
        let expected = IndexCacheConfig {
            max_bytes: 64 << 20,
            max_item_bytes: 1 << 20,
            postings: true,
            expanded: false,
            in_place_of: None,
        };
        assert_eq!(config, Ok(expected));
    }

    #[test]
    fn a_shared_cache_is_replaced_and_named() {
        let config = parse("type: MEMCACHED\nconfig: {addresses: ['dns+m:11211']}").expect("valid");
        assert_eq!(config.in_place_of, Some("MEMCACHED"));
        assert_eq!(config.max_bytes, OTHERWISE);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for (text, named) in [
            ("type: in-memory", "in-memory"),
            ("config: {max_size: 1MB}", "\"\""),
            ("type: IN-MEMORY\nconfig: {max_sise: 1MB}", "max_sise"),
            ("type: IN-MEMORY\nconfig: {max_size: lots}", "lots"),
            (
                "type: IN-MEMORY\nconfig: {max_size: 1MB, max_item_size: 2MB}",
                "2MiB",
            ),
            ("type: IN-MEMORY\nenabled_items: [Chunks]", "Chunks"),
            ("type: IN-MEMORY\nsize: 1", "size"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
