//! Section `sidecar`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::workload::ContainerOptions;

/// The sidecar in each Prometheus pod.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Sidecar {
    /// Length of the blocks that Prometheus cuts and the sidecar uploads, e.g. `2h`; at least `2m`.
    /// Where left out, Prometheus cuts blocks of two hours, and compacts them itself where its
    /// version can wait for the upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"),
        length(min = 2, max = 16)
    )]
    #[x_kube(validation = Rule::new("duration(self) >= duration('2m')").message("sidecar.blockDuration must be at least 2m"))]
    pub block_duration: Option<String>,
    /// Options of the sidecar container.
    #[serde(flatten)]
    pub container: ContainerOptions,
}
