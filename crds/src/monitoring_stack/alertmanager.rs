//! Section `alertmanager`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::workload::{ContainerOptions, PodOptions, Storage};

/// Alertmanager: groups, silences and sends the alerts of this stack's Prometheus.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Alertmanager {
    /// Whether the stack has an Alertmanager.
    #[serde(default)]
    pub enabled: bool,
    /// Number of replicas; several gossip, so that each notification is sent once.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 1, max = 64))]
    pub replicas: i32,
    /// Version of Alertmanager, e.g. `v0.34.0`. It chooses the image's tag where `image` is left
    /// out and the flags that are passed.
    #[serde(default = "default_version")]
    #[schemars(
        regex(pattern = r"^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$"),
        length(max = 64)
    )]
    pub version: String,
    /// Complete image reference that replaces the pinned one; `version` must say what it contains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// A Secret in this namespace with Alertmanager's configuration. Its keys that end in `.tmpl`
    /// are put beside it, in /etc/alertmanager/config. Without it alerts are grouped and shown, and
    /// nobody is notified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_secret: Option<AlertmanagerConfigSecret>,
    /// How long silences and the log of notifications are kept, e.g. `120h`.
    #[serde(default = "default_retention")]
    #[schemars(
        regex(pattern = r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"),
        length(min = 2, max = 64)
    )]
    pub retention: String,
    /// The volume of each replica.
    #[serde(default = "default_storage")]
    pub storage: Storage,
    /// Options of the alertmanager container.
    #[serde(flatten)]
    pub container: ContainerOptions,
    /// Options of the Alertmanager pods.
    #[serde(flatten)]
    pub pod: PodOptions,
}

/// Names one key of a Secret in the stack's namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AlertmanagerConfigSecret {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the Secret whose value is the configuration.
    #[serde(default = "default_key")]
    #[schemars(regex(pattern = r"^[-._a-zA-Z0-9]+$"), length(max = 253))]
    pub key: String,
}

impl Default for Alertmanager {
    fn default() -> Self {
        Self {
            enabled: false,
            replicas: default_replicas(),
            version: default_version(),
            image: None,
            config_secret: None,
            retention: default_retention(),
            storage: default_storage(),
            container: ContainerOptions::default(),
            pod: PodOptions::default(),
        }
    }
}

fn default_replicas() -> i32 {
    3
}

fn default_version() -> String {
    "v0.34.0".to_owned()
}

fn default_key() -> String {
    "alertmanager.yaml".to_owned()
}

fn default_retention() -> String {
    "120h".to_owned()
}

fn default_storage() -> Storage {
    Storage::of_size("1Gi")
}
