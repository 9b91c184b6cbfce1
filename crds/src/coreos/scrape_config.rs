//! ScrapeConfig: one scrape job with any of Prometheus' discoveries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::endpoint::{HttpClient, Limits, ProxyConfig, Relabeling};

/// The spec of a ScrapeConfig.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ScrapeConfig {
    pub job_name: Option<String>,
    pub static_configs: Vec<StaticConfig>,
    pub relabelings: Vec<Relabeling>,
    pub metric_relabelings: Vec<Relabeling>,
    pub metrics_path: Option<String>,
    pub scrape_interval: Option<String>,
    pub scrape_timeout: Option<String>,
    pub honor_timestamps: Option<bool>,
    pub track_timestamps_staleness: Option<bool>,
    pub honor_labels: Option<bool>,
    pub params: BTreeMap<String, Vec<String>>,
    pub scheme: Option<String>,
    pub enable_compression: Option<bool>,
    pub scrape_class: Option<String>,
    /// `Legacy` or `UTF8`.
    pub name_validation_scheme: Option<String>,
    /// How names are escaped for clients that know no UTF-8 names.
    pub name_escaping_scheme: Option<String>,
    #[serde(flatten)]
    pub http: HttpClient,
    #[serde(flatten)]
    pub proxy: ProxyConfig,
    #[serde(flatten)]
    pub limits: Limits,
    /// All other fields: the lists named `…SDConfigs`.
    #[serde(flatten)]
    pub discoveries: Map<String, Value>,
}

/// Targets by name.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct StaticConfig {
    pub targets: Vec<String>,
    pub labels: BTreeMap<String, String>,
}
