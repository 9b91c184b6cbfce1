//! What the operator says about a stack. Observation only: all of it can be made again.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Observed state of the stack.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MonitoringStackStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, one condition per component, and those that exist only while true: Reconciling,
    /// Stalled, Paused, NoStorageClass, StorageGrowing, ScopeLimited, ResourcesRejected, StreamIdentityChanged,
    /// DuplicateStream.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Ready and wanted Prometheus replicas, e.g. `2/2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<String>,
    /// Ready and wanted replicas of all other components, e.g. `2/2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<String>,
    /// Replicas of the querier; read by the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_replicas: Option<i32>,
    /// Selector of the querier's pods; read by the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_selector: Option<String>,
    /// Where the parts of the stack are reached inside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,
    /// Versions that run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<Versions>,
    /// Type and name of the bucket; `embedded` for the one that the operator runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// When a sidecar last uploaded a block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_upload: Option<Time>,
    /// External labels of the stream, without the replica label, as last applied.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub external_labels: BTreeMap<String, String>,
    /// How many monitoring resources of each kind are selected and how many of them are rejected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["kind"]))]
    pub selected: Vec<Selected>,
    /// The first 50 selected resources that are left out, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub rejected: Vec<Rejected>,
}

/// Selected monitoring resources of one kind.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Selected {
    /// The kind, e.g. `ServiceMonitor`.
    pub kind: String,
    /// Number of objects that the stack selects.
    pub selected: u32,
    /// Number of those that are left out because they are wrong.
    #[serde(default)]
    pub rejected: u32,
}

/// One monitoring resource that is left out.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    /// The kind, e.g. `ServiceMonitor`.
    pub kind: String,
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// Class of the problem, e.g. `InvalidConfiguration`.
    pub reason: String,
    /// What is wrong and where.
    pub message: String,
}

/// Addresses inside the cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// The querier's page and HTTP API.
    pub query: String,
    /// The querier's gRPC address, for queriers of other stacks.
    pub query_grpc: String,
    /// The page of each Prometheus replica.
    #[serde(default)]
    pub prometheus: Vec<String>,
    /// Alertmanager's page and API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alertmanager: Option<String>,
    /// Grafana's page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grafana: Option<String>,
    /// The name that all stores of the stack resolve under.
    pub store_api: String,
}

/// Versions of the stack's parts.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Versions {
    /// Version of Prometheus.
    pub prometheus: String,
    /// Image of sidecar, querier and store gateway.
    pub hindsight: String,
}
