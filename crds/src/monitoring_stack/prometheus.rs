//! Section `prometheus`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

pub use super::monitors::ScrapeLimits;
use super::monitors::{Monitors, Rules};
use super::workload::{ContainerOptions, PodOptions, SecretKey, Storage};

/// The Prometheus replicas: each scrapes all targets and has its own volume.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Prometheus {
    /// Number of replicas.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 1, max = 64))]
    pub replicas: i32,
    /// Version of Prometheus, e.g. `v3.15.0`. It chooses the image's tag where `image` is left out
    /// and the flags that are passed.
    #[serde(default = "default_version")]
    #[schemars(
        regex(pattern = r"^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$"),
        length(max = 64)
    )]
    pub version: String,
    /// Complete image reference that replaces the pinned one; `version` must say what it contains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// How long samples stay on the replica's volume, e.g. `24h` or `15d`.
    #[serde(default = "default_retention")]
    #[schemars(
        regex(
            pattern = r"^([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"
        ),
        length(min = 2, max = 64)
    )]
    pub retention: String,
    /// Upper bound of the blocks on the replica's volume, e.g. `15GB`; the oldest are dropped first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[1-9][0-9]*(\.[0-9]+)?(B|[KMGTPE]i?B)$"))]
    pub retention_size: Option<String>,
    /// The volume of each replica.
    #[serde(default = "default_storage")]
    pub storage: Storage,
    /// Time between two scrapes of a target and between two evaluations of a rule, e.g. `30s`.
    #[serde(default = "default_scrape_interval")]
    #[schemars(
        regex(pattern = r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"),
        length(min = 2, max = 64)
    )]
    pub scrape_interval: String,
    /// Ready-made scrape jobs. What lies outside the stack's namespace is scraped only where the
    /// cluster's administrator lets this namespace do so.
    #[serde(default)]
    pub default_scrapes: DefaultScrapes,
    /// ServiceMonitors, PodMonitors, Probes and ScrapeConfigs whose targets are scraped.
    #[serde(default)]
    pub monitors: Monitors,
    /// PrometheusRules that are evaluated.
    #[serde(default)]
    pub rules: Rules,
    /// Upper bounds of every scrape.
    #[serde(default)]
    pub scrape_limits: ScrapeLimits,
    /// A Secret key with a YAML list of further scrape configurations. Keys that name files are
    /// refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub additional_scrape_configs: Option<SecretKey>,
    /// ConfigMaps of this namespace whose `*.yaml` and `*.yml` keys are rule files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub rule_config_maps: Vec<String>,
    /// Endpoints that get a copy of every sample.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub remote_write: Vec<RemoteWrite>,
    /// Whether the alerts of this release are evaluated: on the stack's own components, and on
    /// workloads and machines where kubeStateMetrics and nodeExporter are enabled.
    #[serde(default = "on")]
    pub default_rules: bool,
    /// Options of the Prometheus container.
    #[serde(flatten)]
    pub container: ContainerOptions,
    /// Options of the Prometheus pods.
    #[serde(flatten)]
    pub pod: PodOptions,
}

impl Default for Prometheus {
    fn default() -> Self {
        Self {
            replicas: default_replicas(),
            version: default_version(),
            image: None,
            retention: default_retention(),
            retention_size: None,
            storage: default_storage(),
            scrape_interval: default_scrape_interval(),
            default_scrapes: DefaultScrapes::default(),
            monitors: Monitors::default(),
            rules: Rules::default(),
            scrape_limits: ScrapeLimits::default(),
            additional_scrape_configs: None,
            rule_config_maps: Vec::new(),
            remote_write: Vec::new(),
            default_rules: true,
            container: ContainerOptions::default(),
            pod: PodOptions::default(),
        }
    }
}

/// Ready-made scrape jobs.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DefaultScrapes {
    /// The kubelet of every node.
    #[serde(default = "on")]
    pub kubelet: bool,
    /// Container metrics of every node, as the kubelet serves them.
    #[serde(default = "on")]
    pub cadvisor: bool,
    /// The API servers.
    #[serde(default = "on")]
    pub apiserver: bool,
    /// Pods annotated `prometheus.io/scrape: "true"`, with `prometheus.io/port`, `path`, `scheme`.
    #[serde(default = "on")]
    pub pods: bool,
    /// Endpoints of Services with the same annotations.
    #[serde(default = "on")]
    pub services: bool,
}

impl Default for DefaultScrapes {
    fn default() -> Self {
        Self {
            kubelet: true,
            cadvisor: true,
            apiserver: true,
            pods: true,
            services: true,
        }
    }
}

/// One remote-write endpoint.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.basicAuth) && has(self.authorization))").message("remoteWrite takes at most one of basicAuth and authorization"))]
pub struct RemoteWrite {
    /// Address that samples are sent to.
    #[schemars(regex(pattern = r"^https?://[^\s]+$"), length(max = 2048))]
    pub url: String,
    /// Name of the queue in metrics and logs; unique in the stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub name: Option<String>,
    /// Longest time one request may take, e.g. `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = r"^([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"),
        length(min = 2, max = 64)
    )]
    pub remote_timeout: Option<String>,
    /// User and password of HTTP basic authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// Token of the Authorization header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
}

/// HTTP basic authentication.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BasicAuth {
    /// Secret key with the user's name.
    pub username: SecretKey,
    /// Secret key with the password.
    pub password: SecretKey,
}

/// The Authorization header.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Authorization {
    /// First word of the header.
    #[serde(default = "bearer", rename = "type")]
    #[schemars(length(min = 1, max = 64))]
    pub scheme: String,
    /// Secret key with the credentials after it.
    pub credentials: SecretKey,
}

fn bearer() -> String {
    "Bearer".to_owned()
}

fn on() -> bool {
    true
}

fn default_replicas() -> i32 {
    2
}

fn default_version() -> String {
    "v3.15.0".to_owned()
}

fn default_retention() -> String {
    "24h".to_owned()
}

fn default_scrape_interval() -> String {
    "30s".to_owned()
}

fn default_storage() -> Storage {
    Storage::of_size("20Gi")
}
