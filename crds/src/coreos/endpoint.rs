//! What scrapes of all kinds share: how a target is asked, how its labels are rewritten, how much is
//! taken.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::{Deserialize, Serialize};

use super::{KeySelector, SecretOrConfigMap};

/// One endpoint of a ServiceMonitor or PodMonitor.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoint {
    /// Name of the port.
    pub port: Option<String>,
    /// Number of the container's port; of PodMonitors.
    pub port_number: Option<i32>,
    /// Name or number of the container's port.
    pub target_port: Option<IntOrString>,
    pub path: Option<String>,
    pub scheme: Option<String>,
    pub params: BTreeMap<String, Vec<String>>,
    pub interval: Option<String>,
    pub scrape_timeout: Option<String>,
    pub honor_labels: bool,
    pub honor_timestamps: Option<bool>,
    pub track_timestamps_staleness: Option<bool>,
    /// Whether pods that have ended are left out; they are where nothing is said.
    pub filter_running: Option<bool>,
    pub metric_relabelings: Vec<Relabeling>,
    pub relabelings: Vec<Relabeling>,
    #[serde(flatten)]
    pub http: HttpClient,
    #[serde(flatten)]
    pub proxy: ProxyConfig,
}

/// How a target is asked over HTTP.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpClient {
    pub tls_config: Option<TlsConfig>,
    pub bearer_token_file: Option<String>,
    pub bearer_token_secret: Option<KeySelector>,
    pub authorization: Option<Authorization>,
    pub basic_auth: Option<BasicAuth>,
    pub oauth2: Option<OAuth2>,
    pub follow_redirects: Option<bool>,
    #[serde(alias = "enableHTTP2")]
    pub enable_http2: Option<bool>,
}

/// A proxy in front of a target.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyConfig {
    pub proxy_url: Option<String>,
    pub no_proxy: Option<String>,
    pub proxy_from_environment: Option<bool>,
    pub proxy_connect_header: BTreeMap<String, Vec<KeySelector>>,
}

/// TLS towards a target. The `…File` fields name files of the Prometheus pod.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsConfig {
    pub ca: SecretOrConfigMap,
    pub cert: SecretOrConfigMap,
    pub key_secret: Option<KeySelector>,
    pub server_name: Option<String>,
    pub insecure_skip_verify: Option<bool>,
    pub min_version: Option<String>,
    pub max_version: Option<String>,
    pub ca_file: Option<String>,
    pub cert_file: Option<String>,
    pub key_file: Option<String>,
}

/// The Authorization header.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Authorization {
    #[serde(rename = "type")]
    pub scheme: Option<String>,
    pub credentials: Option<KeySelector>,
}

/// HTTP basic authentication.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct BasicAuth {
    pub username: KeySelector,
    pub password: KeySelector,
}

/// OAuth 2 client credentials.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct OAuth2 {
    pub client_id: SecretOrConfigMap,
    pub client_secret: KeySelector,
    pub token_url: String,
    pub scopes: Vec<String>,
    pub endpoint_params: BTreeMap<String, String>,
    pub tls_config: Option<TlsConfig>,
    #[serde(flatten)]
    pub proxy: ProxyConfig,
}

/// One rewriting of labels.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Relabeling {
    pub source_labels: Vec<String>,
    pub separator: Option<String>,
    pub target_label: Option<String>,
    pub regex: Option<String>,
    pub modulus: Option<i64>,
    pub replacement: Option<String>,
    pub action: Option<String>,
}

/// How much a target may bring, and in which formats.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    pub sample_limit: Option<i64>,
    pub target_limit: Option<i64>,
    pub label_limit: Option<i64>,
    pub label_name_length_limit: Option<i64>,
    pub label_value_length_limit: Option<i64>,
    pub keep_dropped_targets: Option<i64>,
    pub body_size_limit: Option<String>,
    pub scrape_protocols: Vec<String>,
    pub fallback_scrape_protocol: Option<String>,
    pub scrape_native_histograms: Option<bool>,
    pub scrape_classic_histograms: Option<bool>,
    pub native_histogram_bucket_limit: Option<i64>,
    pub native_histogram_min_bucket_factor: Option<serde_json::Value>,
    #[serde(rename = "convertClassicHistogramsToNHCB")]
    pub convert_classic_histograms_to_nhcb: Option<bool>,
}

/// Which of a target's surroundings become labels before relabeling.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct AttachMetadata {
    pub node: bool,
}
