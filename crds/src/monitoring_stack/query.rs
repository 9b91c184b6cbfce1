//! Section `query`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::workload::{ContainerOptions, PodOptions};

/// The querier.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Query {
    /// Number of replicas; without meaning where autoscaling is set.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 64))]
    pub replicas: i32,
    /// Scales the replicas by load, with a HorizontalPodAutoscaler. The cluster needs a server of
    /// the resource metrics API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// Further stores to ask beside the stack's own, e.g. the queriers of other clusters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub endpoints: Vec<QueryEndpoint>,
    /// Options of the querier container.
    #[serde(flatten)]
    pub container: ContainerOptions,
    /// Options of the querier pods.
    #[serde(flatten)]
    pub pod: PodOptions,
}

/// A store, or a querier that answers for many.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct QueryEndpoint {
    /// `host:port`, or a name to look up with its kind of record before it, e.g.
    /// `dnssrv+_grpc._tcp.store.example.com`.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[^\s]+$"))]
    pub address: String,
    /// Whether it is asked even when it has not answered lately, so that its absence is always
    /// said. It needs a `host:port`.
    #[serde(default)]
    pub strict: bool,
    /// Talks TLS to it; without it the connection is not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<EndpointTls>,
}

/// How an endpoint is dialled by TLS.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EndpointTls {
    /// A Secret in this namespace with `ca.crt`, which must have signed the endpoint's certificate,
    /// and with `tls.crt` and `tls.key` where the endpoint asks for a client's. Without `ca.crt` the
    /// public authorities are trusted.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
    /// Name in the endpoint's certificate, where it differs from the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<String>,
}

/// Bounds and targets of automatic scaling.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.min <= self.max").message("autoscaling.min must not be more than autoscaling.max"),
    validation = Rule::new("has(self.cpu) || has(self.memory)").message("autoscaling needs a target: cpu, memory or both"),
)]
pub struct Autoscaling {
    /// Fewest replicas.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 64))]
    pub min: i32,
    /// Most replicas.
    #[schemars(range(min = 1, max = 64))]
    pub max: i32,
    /// Average use of CPU that is aimed at, in percent of what the container requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub cpu: Option<i32>,
    /// Average use of memory that is aimed at, in percent of what the container requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub memory: Option<i32>,
    /// How long the load must have been low before replicas are taken away; the cluster's default,
    /// mostly 300, where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3600))]
    pub scale_down_stabilization_seconds: Option<i32>,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            replicas: one(),
            autoscaling: None,
            endpoints: Vec::new(),
            container: ContainerOptions::default(),
            pod: PodOptions::default(),
        }
    }
}

fn one() -> i32 {
    1
}
