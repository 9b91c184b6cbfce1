//! Section `kubeStateMetrics`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::workload::{PodOptions, Resources};

/// kube-state-metrics: what the API server knows of the cluster's objects, as metrics. There is one
/// in a cluster: a second stack that enables it scrapes the first's.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct KubeStateMetrics {
    /// Whether the cluster's objects are watched. It takes the administrator's leave for this
    /// namespace.
    #[serde(default)]
    pub enabled: bool,
    /// Version of kube-state-metrics, e.g. `v2.18.0`; the image's tag where `image` is left out.
    #[serde(default = "default_version")]
    #[schemars(
        regex(pattern = r"^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$"),
        length(max = 64)
    )]
    pub version: String,
    /// Complete image reference that replaces the pinned one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// CPU and memory requested and allowed for the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Further flags, one `--name=value` each, of the component's allow-list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub extra_args: Vec<String>,
    /// Options of the pod.
    #[serde(flatten)]
    pub pod: PodOptions,
}

impl Default for KubeStateMetrics {
    fn default() -> Self {
        Self {
            enabled: false,
            version: default_version(),
            image: None,
            resources: None,
            extra_args: Vec::new(),
            pod: PodOptions::default(),
        }
    }
}

fn default_version() -> String {
    "v2.18.0".to_owned()
}
