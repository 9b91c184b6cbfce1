//! Probe: targets that a prober asks on behalf of Prometheus.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Deserialize, Serialize};

use super::NamespaceSelector;
use super::endpoint::{HttpClient, Limits, ProxyConfig, Relabeling};

/// The spec of a Probe.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Probe {
    pub job_name: Option<String>,
    pub prober: Prober,
    pub module: Option<String>,
    pub params: Vec<Param>,
    pub targets: Targets,
    pub interval: Option<String>,
    pub scrape_timeout: Option<String>,
    pub metric_relabelings: Vec<Relabeling>,
    pub scrape_class: Option<String>,
    #[serde(flatten)]
    pub http: HttpClient,
    #[serde(flatten)]
    pub limits: Limits,
}

/// The prober.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Prober {
    /// Host, or host and port.
    pub url: String,
    pub scheme: Option<String>,
    pub path: Option<String>,
    #[serde(flatten)]
    pub proxy: ProxyConfig,
}

/// One parameter of the prober's address.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Param {
    pub name: String,
    pub values: Vec<String>,
}

/// What is probed; the static list wins where both are given.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct Targets {
    pub static_config: Option<StaticTargets>,
    pub ingress: Option<IngressTargets>,
}

/// Targets by name.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct StaticTargets {
    #[serde(rename = "static")]
    pub targets: Vec<String>,
    pub labels: BTreeMap<String, String>,
    pub relabeling_configs: Vec<Relabeling>,
}

/// Addresses of Ingresses.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressTargets {
    pub selector: LabelSelector,
    pub namespace_selector: NamespaceSelector,
    pub relabeling_configs: Vec<Relabeling>,
}
