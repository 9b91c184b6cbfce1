//! Flags of `hindsight query`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{ArgAction, Args};
use model::Labels;
use query::config::{
    AnswersConfig, Config, EndpointsConfig, EngineConfig, SeriesLimits, WebConfig,
};
use query::endpoints::{ClientSpec, EndpointSources, EndpointSpec};
use runtime::content::PathOrContent;
use runtime::grpc::GrpcConfig;
use runtime::http::HttpConfig;
use runtime::units::{ByteSize, HumanDuration};
use storeapi::dedup::Algorithm;

use super::process::{GrpcArgs, GrpcClientArgs, HttpArgs, LogArgs, SeriesLimitArgs};

/// How often endpoints are asked for their Info.
const INFO_INTERVAL: Duration = Duration::from_secs(5);

/// A querier: one PromQL API over many stores.
#[derive(Debug, Clone, Args)]
pub struct QueryArgs {
    #[command(flatten)]
    pub log: LogArgs,
    #[command(flatten)]
    pub http: HttpArgs,
    #[command(flatten)]
    pub grpc: GrpcArgs,
    #[command(flatten)]
    pub limits: SeriesLimitArgs,
    #[command(flatten)]
    pub settings: QuerySettings,
}

/// What a querier needs beside its listeners.
#[derive(Debug, Clone, Args)]
pub struct QuerySettings {
    #[command(flatten)]
    pub client: GrpcClientArgs,

    /// Address of a store: host:port, dns+host:port, dnssrv+name or dnssrvnoa+name (repeated).
    #[arg(id = "endpoint", long = "endpoint", value_name = "ADDRESS")]
    pub endpoint: Vec<String>,
    /// Address of a store that is always asked, whether or not it answered lately (repeated).
    #[arg(
        id = "endpoint-strict",
        long = "endpoint-strict",
        value_name = "HOST:PORT"
    )]
    pub endpoint_strict: Vec<String>,
    /// Address of a group of equal stores (repeated).
    #[arg(id = "endpoint-group", long = "endpoint-group", value_name = "ADDRESS")]
    pub endpoint_group: Vec<String>,
    /// Address of a group of equal stores that is always asked (repeated).
    #[arg(
        id = "endpoint-group-strict",
        long = "endpoint-group-strict",
        value_name = "HOST:PORT"
    )]
    pub endpoint_group_strict: Vec<String>,
    /// Deprecated spelling of --endpoint (repeated).
    #[arg(id = "store", long = "store", value_name = "ADDRESS", hide = true)]
    pub store_alias: Vec<String>,
    /// Path to the YAML file that lists endpoints.
    #[arg(
        id = "endpoint.sd-config-file",
        long = "endpoint.sd-config-file",
        value_name = "PATH"
    )]
    pub sd_config_file: Option<PathBuf>,
    /// The list of endpoints itself as YAML; excludes the file.
    #[arg(
        id = "endpoint.sd-config",
        long = "endpoint.sd-config",
        value_name = "CONTENT"
    )]
    pub sd_config: Option<String>,
    /// How often the file with endpoints is read again.
    #[arg(
        id = "endpoint.sd-config-reload-interval",
        long = "endpoint.sd-config-reload-interval",
        default_value = "5m"
    )]
    pub sd_config_reload_interval: HumanDuration,
    /// File with endpoints in Prometheus' file discovery format; may hold * (repeated).
    #[arg(id = "store.sd-files", long = "store.sd-files", value_name = "PATH")]
    pub sd_files: Vec<PathBuf>,
    /// How often those files are read again.
    #[arg(
        id = "store.sd-interval",
        long = "store.sd-interval",
        default_value = "5m"
    )]
    pub sd_interval: HumanDuration,
    /// How often names of endpoints are looked up again.
    #[arg(
        id = "store.sd-dns-interval",
        long = "store.sd-dns-interval",
        default_value = "30s"
    )]
    pub sd_dns_interval: HumanDuration,
    /// An endpoint that has not answered for so long is forgotten.
    #[arg(
        id = "store.unhealthy-timeout",
        long = "store.unhealthy-timeout",
        default_value = "5m"
    )]
    pub unhealthy_timeout: HumanDuration,
    /// A store that sends nothing for so long is left out of the answer; 0ms waits for ever.
    #[arg(
        id = "store.response-timeout",
        long = "store.response-timeout",
        default_value = "0ms"
    )]
    pub response_timeout: HumanDuration,
    /// How long an endpoint may take to say what it is.
    #[arg(
        id = "endpoint.info-timeout",
        long = "endpoint.info-timeout",
        default_value = "5s",
        hide = true
    )]
    pub info_timeout: HumanDuration,

    /// Longest time a query may take.
    #[arg(id = "query.timeout", long = "query.timeout", default_value = "2m")]
    pub timeout: HumanDuration,
    /// Queries evaluated at once; further ones wait.
    #[arg(
        id = "query.max-concurrent",
        long = "query.max-concurrent",
        default_value_t = 20,
        value_name = "COUNT"
    )]
    pub max_concurrent: usize,
    /// How far an instant selector looks back; 5m if not given.
    #[arg(id = "query.lookback-delta", long = "query.lookback-delta")]
    pub lookback_delta: Option<HumanDuration>,
    /// Look back further where downsampled data is allowed.
    #[arg(id = "query.dynamic-lookback-delta", long = "query.dynamic-lookback-delta", action = ArgAction::Set, default_value_t = true, hide = true)]
    pub dynamic_lookback_delta: bool,
    /// Step of subqueries that name none.
    #[arg(
        id = "query.default-evaluation-interval",
        long = "query.default-evaluation-interval",
        default_value = "1m"
    )]
    pub default_evaluation_interval: HumanDuration,
    /// Smallest step of range queries that name none.
    #[arg(
        id = "query.default-step",
        long = "query.default-step",
        default_value = "1s"
    )]
    pub default_step: HumanDuration,
    /// Allow downsampled data of a fifth of the step where a request does not say.
    #[arg(id = "query.auto-downsampling", long = "query.auto-downsampling", action = ArgAction::Set, default_value_t = false)]
    pub auto_downsampling: bool,
    /// What max_source_resolution=auto means to an instant query.
    #[arg(
        id = "query.instant.default.max_source_resolution",
        long = "query.instant.default.max_source_resolution",
        default_value = "0s",
        hide = true
    )]
    pub instant_max_resolution: HumanDuration,
    /// How far back label and series calls look that give no start; 0s is all of time.
    #[arg(
        id = "query.metadata.default-time-range",
        long = "query.metadata.default-time-range",
        default_value = "0s"
    )]
    pub metadata_range: HumanDuration,
    /// Bytes that one query may hold; beyond, it fails and says which selector was too large.
    #[arg(
        id = "query.memory-limit",
        long = "query.memory-limit",
        default_value = "2GiB",
        value_name = "BYTES"
    )]
    pub memory_limit: ByteSize,
    /// Bytes that all queries together may hold; 0 is no limit.
    #[arg(
        id = "query.total-memory-limit",
        long = "query.total-memory-limit",
        default_value = "0B",
        value_name = "BYTES"
    )]
    pub total_memory_limit: ByteSize,
    /// Threads that evaluate one query; 0 is one a core.
    #[arg(
        id = "query.threads",
        long = "query.threads",
        default_value_t = 0,
        value_name = "COUNT"
    )]
    pub threads: usize,
    /// Engine to use. There is one; both of Thanos' names mean it.
    #[arg(
        id = "query.promql-engine",
        long = "query.promql-engine",
        default_value = "prometheus",
        hide = true
    )]
    pub promql_engine: String,
    /// Where queries are evaluated; only local is known.
    #[arg(
        id = "query.mode",
        long = "query.mode",
        default_value = "local",
        hide = true
    )]
    pub mode: String,
    /// Know the functions xrate, xincrease and xdelta.
    #[arg(id = "query.enable-x-functions", long = "query.enable-x-functions", action = ArgAction::Set, default_value_t = false)]
    pub extended_functions: bool,
    /// Feature to enable, e.g. promql-experimental-functions (repeated, or a comma list).
    #[arg(
        id = "enable-feature",
        long = "enable-feature",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    pub enable_feature: Vec<String>,

    /// Label that tells replicas apart (repeated, or a comma list).
    #[arg(
        id = "query.replica-label",
        long = "query.replica-label",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    pub replica_label: Vec<String>,
    /// How samples of replicas become one series: penalty or chain.
    #[arg(id = "deduplication.func", long = "deduplication.func", default_value = "penalty", value_parser = dedup)]
    pub dedup: Algorithm,
    /// Answer without a failed store, where a request does not say.
    #[arg(id = "query.partial-response", long = "query.partial-response", action = ArgAction::Set, default_value_t = true)]
    pub partial_response: bool,
    /// The same for rules.
    #[arg(id = "rule.partial-response", long = "rule.partial-response", action = ArgAction::Set, default_value_t = true, hide = true)]
    pub rule_partial_response: bool,
    /// The same for targets.
    #[arg(id = "target.partial-response", long = "target.partial-response", action = ArgAction::Set, default_value_t = true, hide = true)]
    pub target_partial_response: bool,
    /// The same for metric metadata.
    #[arg(id = "metric-metadata.partial-response", long = "metric-metadata.partial-response", action = ArgAction::Set, default_value_t = true, hide = true)]
    pub metadata_partial_response: bool,
    /// The same for exemplars.
    #[arg(id = "exemplar.partial-response", long = "exemplar.partial-response", action = ArgAction::Set, default_value_t = true, hide = true)]
    pub exemplar_partial_response: bool,
    /// The same for statistics of heads.
    #[arg(id = "status.partial-response", long = "status.partial-response", action = ArgAction::Set, default_value_t = true, hide = true)]
    pub status_partial_response: bool,
    /// Label advertised by Info, as name="value" (repeated).
    #[arg(
        id = "selector-label",
        long = "selector-label",
        value_name = "NAME=VALUE"
    )]
    pub selector_label: Vec<String>,

    /// HTTP header that names the tenant.
    #[arg(
        id = "query.tenant-header",
        long = "query.tenant-header",
        default_value = "THANOS-TENANT",
        value_name = "NAME"
    )]
    pub tenant_header: String,
    /// Tenant of requests that name none.
    #[arg(
        id = "query.default-tenant-id",
        long = "query.default-tenant-id",
        default_value = "default-tenant",
        value_name = "NAME"
    )]
    pub default_tenant: String,
    /// Let a tenant see only series that carry its name.
    #[arg(id = "query.enforce-tenancy", long = "query.enforce-tenancy", action = ArgAction::Set, default_value_t = false)]
    pub enforce_tenancy: bool,
    /// Label that holds the tenant's name.
    #[arg(
        id = "query.tenant-label-name",
        long = "query.tenant-label-name",
        default_value = "tenant_id",
        value_name = "NAME"
    )]
    pub tenant_label: String,

    /// Prefix under which the page and the API are served.
    #[arg(id = "web.route-prefix", long = "web.route-prefix", default_value = "")]
    pub route_prefix: String,
    /// Prefix under which a proxy offers them; used as route prefix where that is not given.
    #[arg(
        id = "web.external-prefix",
        long = "web.external-prefix",
        default_value = ""
    )]
    pub external_prefix: String,
    /// Refuse calls of pages from other origins.
    #[arg(id = "web.disable-cors", long = "web.disable-cors", action = ArgAction::Set, default_value_t = false)]
    pub disable_cors: bool,
}

fn dedup(text: &str) -> Result<Algorithm, String> {
    match text {
        "" => Ok(Algorithm::default()),
        name => Algorithm::from_name(name)
            .ok_or_else(|| format!("{name:?} is no deduplication; use penalty or chain")),
    }
}

/// Features that only widen the language.
const EXPERIMENTAL_FEATURES: [&str; 4] = [
    "promql-experimental-functions",
    "promql-duration-expr",
    "promql-extended-range-selectors",
    "promql-binop-fill-modifiers",
];

/// Features of Thanos that are always on or mean nothing here.
const WITHOUT_EFFECT: [&str; 4] = [
    "promql-at-modifier",
    "promql-negative-offset",
    "promql-per-step-stats",
    "query-pushdown",
];

impl QuerySettings {
    /// Returns usable settings. `flags` are all flags with their values.
    ///
    /// # Errors
    /// A value that cannot be used; the error names the flag.
    pub fn config(
        &self,
        http: HttpConfig,
        grpc: GrpcConfig,
        limits: &SeriesLimitArgs,
        flags: BTreeMap<String, String>,
    ) -> anyhow::Result<Config> {
        if !matches!(self.promql_engine.as_str(), "prometheus" | "thanos") {
            bail!(
                "--query.promql-engine={}: use prometheus",
                self.promql_engine
            );
        }
        if self.mode != "local" {
            bail!("--query.mode={} is not supported; use local", self.mode);
        }
        if self.max_concurrent == 0 {
            bail!("--query.max-concurrent=0 would answer nothing; give at least 1");
        }
        let client = ClientSpec {
            tls: self.client.tls().context("--grpc-client-tls-min-version")?,
        };
        Ok(Config {
            http,
            grpc,
            web: WebConfig {
                route_prefix: self.prefix()?,
                disable_cors: self.disable_cors,
            },
            endpoints: EndpointsConfig {
                sources: self.sources(client)?,
                reload_interval: if self.sd_files.is_empty() {
                    self.sd_config_reload_interval.0
                } else {
                    self.sd_config_reload_interval.0.min(self.sd_interval.0)
                },
                dns_interval: self.sd_dns_interval.0,
                info_interval: INFO_INTERVAL,
                info_timeout: self.info_timeout.0,
                unhealthy_timeout: self.unhealthy_timeout.0,
                response_timeout: self.response_timeout.0,
            },
            engine: EngineConfig {
                timeout: self.timeout.0,
                max_concurrent: self.max_concurrent,
                lookback_delta: self.lookback_delta.map(|delta| delta.0),
                dynamic_lookback_delta: self.dynamic_lookback_delta,
                default_evaluation_interval: self.default_evaluation_interval.0,
                default_step: self.default_step.0,
                auto_downsampling: self.auto_downsampling,
                instant_max_resolution: self.instant_max_resolution.0,
                memory_limit_bytes: usize::try_from(self.memory_limit.0).unwrap_or(usize::MAX),
                total_memory_limit_bytes: match self.total_memory_limit.0 {
                    0 => usize::MAX,
                    bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
                },
                threads: self.threads,
                experimental: self.experimental()?,
                extended_functions: self.extended_functions,
            },
            answers: AnswersConfig {
                replica_labels: self.replica_label.clone(),
                dedup: self.dedup,
                partial_response: self.partial_response,
                rules_partial_response: self.rule_partial_response,
                targets_partial_response: self.target_partial_response,
                metadata_partial_response: self.metadata_partial_response,
                exemplars_partial_response: self.exemplar_partial_response,
                status_partial_response: self.status_partial_response,
                metadata_range: self.metadata_range.0,
                tenant_header: self.tenant_header.clone(),
                default_tenant: self.default_tenant.clone(),
                enforced_tenant_label: self.enforce_tenancy.then(|| self.tenant_label.clone()),
            },
            selector_labels: self.selector_labels()?,
            limits: SeriesLimits {
                series: limits.series,
                samples: limits.samples,
            },
            flags,
        })
    }

    fn sources(&self, client: ClientSpec) -> anyhow::Result<EndpointSources> {
        let relaxed = [
            ("endpoint", &self.endpoint),
            ("endpoint-group", &self.endpoint_group),
            ("store", &self.store_alias),
        ];
        let strict = [
            ("endpoint-strict", &self.endpoint_strict),
            ("endpoint-group-strict", &self.endpoint_group_strict),
        ];
        let mut fixed = Vec::new();
        for (flags, strict) in [(relaxed.as_slice(), false), (strict.as_slice(), true)] {
            for (flag, texts) in flags {
                for text in *texts {
                    let spec = EndpointSpec::parse(text, strict, client.clone());
                    fixed.push(spec.with_context(|| format!("--{flag}"))?);
                }
            }
        }
        let sd_config = PathOrContent {
            flag: "endpoint.sd-config",
            content: self.sd_config.clone(),
            path: self.sd_config_file.clone(),
        };
        if sd_config.content.is_some() && sd_config.path.is_some() {
            bail!(
                "--endpoint.sd-config and --endpoint.sd-config-file exclude each other; give one"
            );
        }
        Ok(EndpointSources {
            fixed,
            sd_config,
            sd_files: self.sd_files.clone(),
            default_client: client,
        })
    }

    fn prefix(&self) -> anyhow::Result<String> {
        let given = if self.route_prefix.is_empty() {
            &self.external_prefix
        } else {
            &self.route_prefix
        };
        let prefix = given.trim_matches('/');
        if prefix.contains(['{', '}', '?', '#']) {
            bail!("--web.route-prefix={given} is no path");
        }
        Ok(if prefix.is_empty() {
            String::new()
        } else {
            format!("/{prefix}")
        })
    }

    fn experimental(&self) -> anyhow::Result<bool> {
        let mut experimental = false;
        for feature in &self.enable_feature {
            if EXPERIMENTAL_FEATURES.contains(&feature.as_str()) {
                experimental = true;
            } else if !WITHOUT_EFFECT.contains(&feature.as_str()) && !feature.is_empty() {
                bail!("--enable-feature={feature}: no such feature");
            }
        }
        Ok(experimental)
    }

    fn selector_labels(&self) -> anyhow::Result<Labels> {
        let mut pairs = Vec::new();
        for text in &self.selector_label {
            let Some((name, value)) = text.split_once('=') else {
                bail!("--selector-label={text}: write name=\"value\"");
            };
            pairs.push((name, value.trim_matches('"')));
        }
        Ok(Labels::from_pairs(pairs))
    }
}
