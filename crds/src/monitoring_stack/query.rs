//! Section `query`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::workload::{ContainerOptions, PodOptions};

/// The querier.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Query {
    /// Number of replicas.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 64))]
    pub replicas: i32,
    /// Options of the querier container.
    #[serde(flatten)]
    pub container: ContainerOptions,
    /// Options of the querier pods.
    #[serde(flatten)]
    pub pod: PodOptions,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            replicas: one(),
            container: ContainerOptions::default(),
            pod: PodOptions::default(),
        }
    }
}

fn one() -> i32 {
    1
}
