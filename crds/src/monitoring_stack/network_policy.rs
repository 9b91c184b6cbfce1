//! Section `networkPolicy`.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// NetworkPolicies of the stack's pods: each port is open to exactly those who need it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicy {
    /// Whether the stack has NetworkPolicies. Without them whoever reaches a pod's address reaches
    /// its ports.
    #[serde(default = "on")]
    pub enabled: bool,
    /// Who reaches the pages and APIs of the stack (Prometheus, querier with its gRPC API,
    /// Alertmanager, Grafana) beside the stack itself, e.g. an ingress controller.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub clients: Vec<NetworkClient>,
}

/// Pods by their labels, or addresses.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.cidr) != (has(self.namespaceLabels) || has(self.podLabels))").message("a client needs either cidr or at least one of namespaceLabels and podLabels"),
)]
pub struct NetworkClient {
    /// Labels of the client's namespace; the stack's own namespace where left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub namespace_labels: BTreeMap<String, String>,
    /// Labels of the client's pods; all pods where left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub pod_labels: BTreeMap<String, String>,
    /// Addresses, e.g. `10.1.0.0/16`, of clients that are no pods of this cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9a-fA-F.:]+/[0-9]{1,3}$"), length(max = 64))]
    pub cidr: Option<String>,
}

impl Default for NetworkPolicy {
    fn default() -> Self {
        Self {
            enabled: on(),
            clients: Vec::new(),
        }
    }
}

fn on() -> bool {
    true
}
