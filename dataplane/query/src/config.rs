//! What a querier is told: settings that are already usable, no texts to parse.

use std::collections::BTreeMap;
use std::time::Duration;

use model::Labels;
use runtime::grpc::GrpcConfig;
use runtime::http::HttpConfig;
use storeapi::dedup::Algorithm;

use crate::endpoints::config::EndpointSources;

/// The settings of a querier.
#[derive(Debug, Clone)]
pub struct Config {
    pub http: HttpConfig,
    pub grpc: GrpcConfig,
    pub web: WebConfig,
    pub endpoints: EndpointsConfig,
    pub engine: EngineConfig,
    pub answers: AnswersConfig,
    /// Labels that Info advertises in addition to those of the endpoints.
    pub selector_labels: Labels,
    /// Limits of a Series call to this querier.
    pub limits: SeriesLimits,
    /// What `/api/v1/status/flags` shows.
    pub flags: BTreeMap<String, String>,
}

/// Where pages and API are found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebConfig {
    /// Prefix of all routes, without a slash at its end; empty for none.
    pub route_prefix: String,
    /// Whether pages of other origins may call the API.
    pub disable_cors: bool,
}

/// Where stores are and how they are watched.
#[derive(Debug, Clone)]
pub struct EndpointsConfig {
    pub sources: EndpointSources,
    /// How often files are read again.
    pub reload_interval: Duration,
    /// How often names are looked up again.
    pub dns_interval: Duration,
    /// How often every endpoint is asked for its Info.
    pub info_interval: Duration,
    /// How long an Info call may take.
    pub info_timeout: Duration,
    /// An endpoint that has not answered for so long is forgotten.
    pub unhealthy_timeout: Duration,
    /// A store that sends nothing for so long is given up; zero waits for ever.
    pub response_timeout: Duration,
}

/// How queries are evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// Longest time a query may take.
    pub timeout: Duration,
    /// Queries evaluated at once; further ones wait.
    pub max_concurrent: usize,
    /// How far an instant selector looks back; `None` is five minutes.
    pub lookback_delta: Option<Duration>,
    /// Look back further where downsampled data is allowed.
    pub dynamic_lookback_delta: bool,
    /// Step of a subquery that names none.
    pub default_evaluation_interval: Duration,
    /// Smallest step of a range query that names none.
    pub default_step: Duration,
    /// Allow, where the request does not say, data of a fifth of the step.
    pub auto_downsampling: bool,
    /// What `max_source_resolution=auto` means to an instant query.
    pub instant_max_resolution: Duration,
    /// Bytes one query may hold.
    pub memory_limit_bytes: usize,
    /// Bytes all queries together may hold.
    pub total_memory_limit_bytes: usize,
    /// Threads that decode and evaluate one query; 0 is one a core.
    pub threads: usize,
    /// Functions and modifiers that Prometheus calls experimental.
    pub experimental: bool,
    /// Thanos' functions `xrate`, `xincrease` and `xdelta`.
    pub extended_functions: bool,
}

/// Defaults of what requests may choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswersConfig {
    pub replica_labels: Vec<String>,
    /// How samples of replicas become one series.
    pub dedup: Algorithm,
    /// Whether an answer without a failed store is better than none.
    pub partial_response: bool,
    pub rules_partial_response: bool,
    pub targets_partial_response: bool,
    pub metadata_partial_response: bool,
    pub exemplars_partial_response: bool,
    pub status_partial_response: bool,
    /// How far back label and series calls look that give no start; zero is all of time.
    pub metadata_range: Duration,
    /// The metadata key under which the tenant travels to stores.
    pub tenant_header: String,
    pub default_tenant: String,
    /// Where set, a request sees only series whose label of this name is its tenant.
    pub enforced_tenant_label: Option<String>,
}

/// What a Series call may return; 0 is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SeriesLimits {
    pub series: u64,
    pub samples: u64,
}
