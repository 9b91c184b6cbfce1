//! Section `grafana`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::workload::{PodOptions, Resources, Storage};

/// Grafana with the querier as data source and ready-made dashboards, each filterable by `cluster`.
/// The admin's password is made by the operator, in Secret `<name>-grafana`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Grafana {
    /// Whether the stack has a Grafana.
    #[serde(default)]
    pub enabled: bool,
    /// Version of Grafana, e.g. `13.1.3`; the image's tag where `image` is left out.
    #[serde(default = "default_version")]
    #[schemars(
        regex(pattern = r"^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$"),
        length(max = 64)
    )]
    pub version: String,
    /// Complete image reference that replaces the pinned one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// The volume with users, preferences and dashboards made by hand.
    #[serde(default = "default_storage")]
    pub storage: Storage,
    /// CPU and memory requested and allowed for the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Options of the pod.
    #[serde(flatten)]
    pub pod: PodOptions,
}

impl Default for Grafana {
    fn default() -> Self {
        Self {
            enabled: false,
            version: default_version(),
            image: None,
            storage: default_storage(),
            resources: None,
            pod: PodOptions::default(),
        }
    }
}

fn default_version() -> String {
    "13.1.3".to_owned()
}

fn default_storage() -> Storage {
    Storage::of_size("1Gi")
}
