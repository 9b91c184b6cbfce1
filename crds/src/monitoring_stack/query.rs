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
    /// Options of the querier container.
    #[serde(flatten)]
    pub container: ContainerOptions,
    /// Options of the querier pods.
    #[serde(flatten)]
    pub pod: PodOptions,
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
            container: ContainerOptions::default(),
            pod: PodOptions::default(),
        }
    }
}

fn one() -> i32 {
    1
}
