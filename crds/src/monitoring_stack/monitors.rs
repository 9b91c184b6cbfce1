//! Sections `prometheus.monitors`, `prometheus.rules` and `prometheus.scrapeLimits`: which objects of
//! `monitoring.coreos.com` the stack uses, and how much any scrape may bring.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::coreos;

/// The ServiceMonitors, PodMonitors, Probes and ScrapeConfigs whose targets are scraped.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Monitors {
    /// Kinds that are used; none switches them off.
    #[serde(default = "all_kinds")]
    #[schemars(length(max = 4))]
    pub kinds: Vec<MonitorKind>,
    /// Labels that an object must have; the empty selector takes all.
    #[serde(default)]
    pub selector: LabelSelector,
    /// Labels that an object's namespace must have; the empty selector takes all namespaces. Where
    /// left out, only the stack's own namespace is looked at. Other namespaces are looked at only
    /// where the cluster's administrator lets this stack do so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}

impl Default for Monitors {
    fn default() -> Self {
        Self {
            kinds: all_kinds(),
            selector: LabelSelector::default(),
            namespace_selector: None,
        }
    }
}

/// A kind whose objects become scrape jobs.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonitorKind {
    ServiceMonitor,
    PodMonitor,
    Probe,
    ScrapeConfig,
}

impl MonitorKind {
    /// The kind as it is read.
    pub fn kind(self) -> coreos::Kind {
        match self {
            Self::ServiceMonitor => coreos::Kind::ServiceMonitor,
            Self::PodMonitor => coreos::Kind::PodMonitor,
            Self::Probe => coreos::Kind::Probe,
            Self::ScrapeConfig => coreos::Kind::ScrapeConfig,
        }
    }
}

fn all_kinds() -> Vec<MonitorKind> {
    vec![
        MonitorKind::ServiceMonitor,
        MonitorKind::PodMonitor,
        MonitorKind::Probe,
        MonitorKind::ScrapeConfig,
    ]
}

/// The PrometheusRules that are evaluated.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Rules {
    /// Whether PrometheusRules are used at all.
    #[serde(default = "on")]
    pub enabled: bool,
    /// Labels that an object must have; the empty selector takes all.
    #[serde(default)]
    pub selector: LabelSelector,
    /// Labels that an object's namespace must have; the empty selector takes all namespaces. Where
    /// left out, only the stack's own namespace is looked at. Other namespaces are looked at only
    /// where the cluster's administrator lets this stack do so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            enabled: true,
            selector: LabelSelector::default(),
            namespace_selector: None,
        }
    }
}

fn on() -> bool {
    true
}

/// Upper bounds of every scrape: the default of jobs that say nothing, and the most that a monitor
/// can ask for. Left out or zero is no bound.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ScrapeLimits {
    /// Most samples of one scrape; a scrape with more fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub samples: Option<i64>,
    /// Most targets of one job; a job with more scrapes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub targets: Option<i64>,
    /// Most labels of one sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub labels: Option<i64>,
    /// Longest name of a label, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub label_name_length: Option<i64>,
    /// Longest value of a label, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub label_value_length: Option<i64>,
    /// Most targets of one job that relabeling dropped and that are kept for display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub dropped_targets: Option<i64>,
    /// Largest uncompressed answer of a target, e.g. `10MB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^(0|[1-9][0-9]*(\.[0-9]+)?(B|[KMGTPE]i?B))$"))]
    pub body_size: Option<String>,
}
