//! Section `nodeExporter`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::workload::{ContainerOptions, PodOptions};

/// node-exporter on every node: machines as metrics. There is one in a cluster: a second stack that
/// enables it scrapes the first's. Its image is the administrator's choice, because it sees the
/// node's file systems and processes; the namespace must admit privileged pods.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NodeExporter {
    /// Whether nodes are measured. It takes the administrator's leave for this namespace.
    #[serde(default)]
    pub enabled: bool,
    /// Options of the node-exporter container.
    #[serde(flatten)]
    pub container: ContainerOptions,
    /// Options of the pods. Where tolerations are left out, all taints are tolerated.
    #[serde(flatten)]
    pub pod: PodOptions,
}
