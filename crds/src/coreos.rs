//! The monitoring resources of `monitoring.coreos.com` that stacks select: as they are read.
//!
//! These kinds are not ours. Their definitions come from upstream and may be newer than this
//! release, so unknown fields are passed over, and whatever the API server let through is checked
//! again where it is used. One file a kind; [`endpoint`] has what their scrapes share.

use serde::{Deserialize, Serialize};

pub mod endpoint;
pub mod pod_monitor;
pub mod probe;
pub mod prometheus_rule;
pub mod scrape_config;
pub mod service_monitor;

/// Group of all these kinds.
pub const GROUP: &str = "monitoring.coreos.com";

/// The kinds, in the order in which their scrapes stand in Prometheus' configuration.
#[derive(
    schemars::JsonSchema,
    Serialize,
    Deserialize,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
)]
pub enum Kind {
    ServiceMonitor,
    PodMonitor,
    Probe,
    ScrapeConfig,
    PrometheusRule,
    AlertmanagerConfig,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::ServiceMonitor,
        Self::PodMonitor,
        Self::Probe,
        Self::ScrapeConfig,
        Self::PrometheusRule,
        Self::AlertmanagerConfig,
    ];

    /// The kind's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceMonitor => "ServiceMonitor",
            Self::PodMonitor => "PodMonitor",
            Self::Probe => "Probe",
            Self::ScrapeConfig => "ScrapeConfig",
            Self::PrometheusRule => "PrometheusRule",
            Self::AlertmanagerConfig => "AlertmanagerConfig",
        }
    }

    /// The kind's name in addresses.
    pub fn plural(self) -> &'static str {
        match self {
            Self::ServiceMonitor => "servicemonitors",
            Self::PodMonitor => "podmonitors",
            Self::Probe => "probes",
            Self::ScrapeConfig => "scrapeconfigs",
            Self::PrometheusRule => "prometheusrules",
            Self::AlertmanagerConfig => "alertmanagerconfigs",
        }
    }

    /// The version that is read.
    pub fn version(self) -> &'static str {
        match self {
            Self::ServiceMonitor | Self::PodMonitor | Self::Probe | Self::PrometheusRule => "v1",
            Self::ScrapeConfig | Self::AlertmanagerConfig => "v1alpha1",
        }
    }

    /// The kind with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// One key of a Secret or ConfigMap in the object's namespace.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct KeySelector {
    /// The Secret or ConfigMap.
    pub name: String,
    /// The key in it.
    pub key: String,
}

/// A value in a Secret or in a ConfigMap.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretOrConfigMap {
    pub secret: Option<KeySelector>,
    pub config_map: Option<KeySelector>,
}

/// Namespaces in which a monitor looks for targets; its own where neither is set.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct NamespaceSelector {
    /// All of them.
    pub any: bool,
    /// These.
    pub match_names: Vec<String>,
}
