//! Section `store`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::workload::{ContainerOptions, PodOptions, Storage};

/// The store gateway.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Store {
    /// Number of replicas; each serves all blocks.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 64))]
    pub replicas: i32,
    /// The volume of each replica. It holds index headers, which are made again where lost.
    #[serde(default = "default_storage")]
    pub storage: Storage,
    /// Options of the store container.
    #[serde(flatten)]
    pub container: ContainerOptions,
    /// Options of the store pods.
    #[serde(flatten)]
    pub pod: PodOptions,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            replicas: one(),
            storage: default_storage(),
            container: ContainerOptions::default(),
            pod: PodOptions::default(),
        }
    }
}

fn one() -> i32 {
    1
}

fn default_storage() -> Storage {
    Storage::of_size("10Gi")
}
