//! PrometheusRule: groups of recording and alerting rules.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::{Deserialize, Serialize};

/// The spec of a PrometheusRule.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct PrometheusRule {
    pub groups: Vec<Group>,
}

/// Rules that are evaluated one after the other. Names in JSON are those of Prometheus' own file,
/// partly.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default)]
pub struct Group {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub interval: Option<String>,
    pub query_offset: Option<String>,
    pub limit: Option<i64>,
    /// Only Thanos reads it.
    pub partial_response_strategy: Option<String>,
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default)]
pub struct Rule {
    pub record: Option<String>,
    pub alert: Option<String>,
    pub expr: Option<IntOrString>,
    #[serde(rename = "for")]
    pub pending: Option<String>,
    pub keep_firing_for: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}
