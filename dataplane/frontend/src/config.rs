//! What a frontend is told.

use std::time::Duration;

use runtime::http::HttpConfig;
use runtime::units::{ByteSize, HumanDuration};
use serde::Deserialize;

/// The settings of a frontend.
#[derive(Debug, Clone)]
pub struct Config {
    pub http: HttpConfig,
    /// The querier, e.g. `http://query:10902`.
    pub downstream_url: String,
    pub range: RangeConfig,
    /// Tries of label and series calls beyond the first.
    pub labels_retries: usize,
    /// How far back they look where they give no start; zero leaves it to the querier.
    pub labels_range: Duration,
    /// What the querier is told where they do not say.
    pub labels_partial_response: bool,
    /// Tries of instant queries beyond the first.
    pub instant_retries: usize,
    /// Say in the log which queries took longer; `None` never.
    pub slow_queries: Option<Duration>,
    /// The header that names a slow query's user.
    pub slow_query_user_header: Option<String>,
    /// Headers of requests that go on to the querier.
    pub forward_headers: Vec<String>,
    pub tenant_header: String,
    pub default_tenant: String,
    pub compress_responses: bool,
    pub disable_cors: bool,
}

/// How range queries are treated.
#[derive(Debug, Clone)]
pub struct RangeConfig {
    /// Move start and end to multiples of the step: only such results are worth keeping.
    pub align: bool,
    /// Split at multiples of it; zero never.
    pub split_interval: Duration,
    /// Refuse longer ones; zero never.
    pub max_length: Duration,
    /// Pieces asked for at once.
    pub max_parallelism: usize,
    /// Tries of each piece beyond the first.
    pub retries: usize,
    /// What is younger may still change, and is not kept.
    pub max_freshness: Duration,
    /// What the querier is told where the request does not say.
    pub partial_response: bool,
    pub cache: Option<CacheConfig>,
}

/// Where results are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheConfig {
    pub max_bytes: u64,
    /// Longest time a result is kept; zero is for ever.
    pub validity: Duration,
}

/// Why a cache's configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheConfigError {
    #[error("{0}")]
    Syntax(String),
    #[error("cache type {0:?} is not supported; use IN-MEMORY")]
    Unsupported(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    r#type: String,
    #[serde(default)]
    config: Option<InMemory>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InMemory {
    #[serde(default)]
    max_size: Option<ByteSize>,
    /// Bytes are what counts.
    #[serde(default, rename = "max_size_items")]
    _max_size_items: Option<u64>,
    #[serde(default)]
    validity: Option<HumanDuration>,
}

/// Bytes kept where the configuration does not say.
const DEFAULT_CACHE_BYTES: u64 = 100 << 20;

impl CacheConfig {
    /// Reads Thanos' YAML.
    ///
    /// # Errors
    /// A text that is not of that form, or a cache that is not in memory.
    pub fn parse(text: &str) -> Result<Self, CacheConfigError> {
        /// The type alone: a cache that is not known has another configuration.
        #[derive(Deserialize)]
        struct Type {
            r#type: String,
        }
        let syntax = |error: &dyn std::fmt::Display| CacheConfigError::Syntax(error.to_string());
        let named: Type = serde_saphyr::from_str(text).map_err(|error| syntax(&error))?;
        if !named.r#type.eq_ignore_ascii_case("IN-MEMORY") {
            return Err(CacheConfigError::Unsupported(named.r#type));
        }
        let file: File = serde_saphyr::from_str(text).map_err(|error| syntax(&error))?;
        debug_assert_eq!(file.r#type, named.r#type);
        let config = file.config.unwrap_or(InMemory {
            max_size: None,
            _max_size_items: None,
            validity: None,
        });
        let bytes = config.max_size.map_or(0, |size| size.0);
        Ok(Self {
            max_bytes: if bytes == 0 {
                DEFAULT_CACHE_BYTES
            } else {
                bytes
            },
            validity: config
                .validity
                .map_or(Duration::ZERO, |validity| validity.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_configured_as_thanos_is() {
        let parse = |text| CacheConfig::parse(text).map_err(|error| error.to_string());
        assert_eq!(
            parse("type: IN-MEMORY\nconfig:\n  max_size: 10MiB\n  validity: 6h\n"),
            Ok(CacheConfig {
                max_bytes: 10 << 20,
                validity: Duration::from_secs(6 * 3600),
            })
        );
        assert_eq!(
            parse("type: IN-MEMORY").map(|config| config.max_bytes),
            Ok(DEFAULT_CACHE_BYTES)
        );
        assert_eq!(
            parse("type: REDIS\nconfig:\n  addr: x:6379\n"),
            Err("cache type \"REDIS\" is not supported; use IN-MEMORY".into())
        );
        assert!(parse("type: IN-MEMORY\nconfig:\n  size: 1\n").is_err());
    }
}
