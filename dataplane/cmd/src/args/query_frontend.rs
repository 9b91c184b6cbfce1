//! Flags of `hindsight query-frontend`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{ArgAction, Args};
use frontend::Config;
use frontend::config::{CacheConfig, RangeConfig};
use runtime::content::PathOrContent;
use runtime::units::HumanDuration;

use super::process::{HttpArgs, LogArgs};

/// A cache and splitter of range queries before a querier.
#[derive(Debug, Clone, Args)]
pub struct QueryFrontendArgs {
    #[command(flatten)]
    pub log: LogArgs,
    #[command(flatten)]
    pub http: HttpArgs,

    /// URL of the querier.
    #[arg(
        id = "query-frontend.downstream-url",
        long = "query-frontend.downstream-url",
        default_value = "http://localhost:9090",
        value_name = "URL"
    )]
    pub downstream_url: String,
    /// Compress answers for clients that take it.
    #[arg(id = "query-frontend.compress-responses", long = "query-frontend.compress-responses", action = ArgAction::Set, default_value_t = false)]
    pub compress_responses: bool,
    /// Log queries that took longer; 0 logs none, a negative value all.
    #[arg(
        id = "query-frontend.log-queries-longer-than",
        long = "query-frontend.log-queries-longer-than",
        default_value = "0",
        allow_hyphen_values = true,
        value_name = "DURATION",
        value_parser = slow_queries
    )]
    pub slow_queries: SlowQueries,
    /// Header whose value is logged as the user of a slow query.
    #[arg(
        id = "query-frontend.slow-query-logs-user-header",
        long = "query-frontend.slow-query-logs-user-header",
        value_name = "NAME"
    )]
    pub slow_query_user_header: Option<String>,
    /// Header of requests that goes on to the querier (repeated).
    #[arg(
        id = "query-frontend.forward-header",
        long = "query-frontend.forward-header",
        value_name = "NAME"
    )]
    pub forward_header: Vec<String>,
    /// HTTP header that names the tenant.
    #[arg(
        id = "query-frontend.tenant-header",
        long = "query-frontend.tenant-header",
        default_value = "THANOS-TENANT",
        value_name = "NAME",
        hide = true
    )]
    pub tenant_header: String,
    /// Tenant of requests that name none.
    #[arg(
        id = "query-frontend.default-tenant-id",
        long = "query-frontend.default-tenant-id",
        default_value = "default-tenant",
        value_name = "NAME",
        hide = true
    )]
    pub default_tenant: String,

    /// Move start and end of range queries to multiples of their step, so that results can be kept.
    #[arg(id = "query-range.align-range-with-step", long = "query-range.align-range-with-step", action = ArgAction::Set, default_value_t = true)]
    pub align: bool,
    /// Split range queries at multiples of this; 0s never.
    #[arg(
        id = "query-range.split-interval",
        long = "query-range.split-interval",
        default_value = "24h"
    )]
    pub split_interval: HumanDuration,
    /// Tries of a piece beyond the first.
    #[arg(
        id = "query-range.max-retries-per-request",
        long = "query-range.max-retries-per-request",
        default_value_t = 5,
        value_name = "COUNT"
    )]
    pub range_retries: usize,
    /// Refuse longer range queries; 0s none.
    #[arg(
        id = "query-range.max-query-length",
        long = "query-range.max-query-length",
        default_value = "0s"
    )]
    pub max_length: HumanDuration,
    /// Pieces of one query asked for at once.
    #[arg(
        id = "query-range.max-query-parallelism",
        long = "query-range.max-query-parallelism",
        default_value_t = 14,
        value_name = "COUNT"
    )]
    pub max_parallelism: usize,
    /// Keep no results younger than this: they may still change.
    #[arg(
        id = "query-range.response-cache-max-freshness",
        long = "query-range.response-cache-max-freshness",
        default_value = "1m"
    )]
    pub max_freshness: HumanDuration,
    /// What the querier is told where a range query does not say.
    #[arg(id = "query-range.partial-response", long = "query-range.partial-response", action = ArgAction::Set, default_value_t = true)]
    pub range_partial_response: bool,
    /// Path to the YAML file that says where results are kept.
    #[arg(
        id = "query-range.response-cache-config-file",
        long = "query-range.response-cache-config-file",
        value_name = "PATH"
    )]
    pub cache_config_file: Option<PathBuf>,
    /// The same as YAML itself; excludes the file.
    #[arg(
        id = "query-range.response-cache-config",
        long = "query-range.response-cache-config",
        value_name = "CONTENT"
    )]
    pub cache_config: Option<String>,

    /// Tries of label and series calls beyond the first.
    #[arg(
        id = "labels.max-retries-per-request",
        long = "labels.max-retries-per-request",
        default_value_t = 5,
        value_name = "COUNT"
    )]
    pub labels_retries: usize,
    /// How far back label and series calls look that give no start.
    #[arg(
        id = "labels.default-time-range",
        long = "labels.default-time-range",
        default_value = "24h"
    )]
    pub labels_range: HumanDuration,
    /// What the querier is told where such a call does not say.
    #[arg(id = "labels.partial-response", long = "labels.partial-response", action = ArgAction::Set, default_value_t = true)]
    pub labels_partial_response: bool,
    /// Tries of instant queries beyond the first.
    #[arg(
        id = "query.max-retries-per-request",
        long = "query.max-retries-per-request",
        default_value_t = 5,
        value_name = "COUNT"
    )]
    pub instant_retries: usize,
    /// Refuse calls of pages from other origins.
    #[arg(id = "web.disable-cors", long = "web.disable-cors", action = ArgAction::Set, default_value_t = false)]
    pub disable_cors: bool,
}

/// Which queries are logged as slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowQueries(pub Option<Duration>);

fn slow_queries(text: &str) -> Result<SlowQueries, String> {
    if text == "0" {
        return Ok(SlowQueries(None));
    }
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let duration: HumanDuration = text.parse().map_err(|error| format!("{error}"))?;
    Ok(SlowQueries(match (negative, duration.0) {
        (true, _) => Some(Duration::ZERO),
        (false, Duration::ZERO) => None,
        (false, longer) => Some(longer),
    }))
}

impl QueryFrontendArgs {
    /// Returns usable settings.
    ///
    /// # Errors
    /// A value that cannot be used; the error names the flag.
    pub fn config(&self) -> anyhow::Result<Config> {
        const CACHE: &str = "query-range.response-cache-config";
        anyhow::ensure!(
            self.cache_config.is_none() || self.cache_config_file.is_none(),
            "--{CACHE} and --{CACHE}-file exclude each other; give one"
        );
        let cache = PathOrContent {
            flag: CACHE,
            content: self.cache_config.clone(),
            path: self.cache_config_file.clone(),
        };
        let cache = cache.load()?.map(|text| CacheConfig::parse(&text));
        Ok(Config {
            http: self.http.config(),
            downstream_url: self.downstream_url.clone(),
            range: RangeConfig {
                align: self.align,
                split_interval: self.split_interval.0,
                max_length: self.max_length.0,
                max_parallelism: self.max_parallelism,
                retries: self.range_retries,
                max_freshness: self.max_freshness.0,
                partial_response: self.range_partial_response,
                cache: cache.transpose().with_context(|| format!("--{CACHE}"))?,
            },
            labels_retries: self.labels_retries,
            labels_range: self.labels_range.0,
            labels_partial_response: self.labels_partial_response,
            instant_retries: self.instant_retries,
            slow_queries: self.slow_queries.0,
            slow_query_user_header: self.slow_query_user_header.clone(),
            forward_headers: self.forward_header.clone(),
            tenant_header: self.tenant_header.clone(),
            default_tenant: self.default_tenant.clone(),
            compress_responses: self.compress_responses,
            disable_cors: self.disable_cors,
        })
    }
}
