//! Section `compact`.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::workload::{ContainerOptions, PodOptions, Storage};

/// The compactor: merges and downsamples the bucket's blocks and drops what is too old. A bucket has
/// one; where several stacks share a bucket, only one of them may enable it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!self.downsampling || !has(self.retention.raw) || (self.retention.raw.endsWith('h') ? int(self.retention.raw.substring(0, self.retention.raw.size() - 1)) >= 40 : self.retention.raw != '1d')").message("compact.retention.raw must be at least 40h with downsampling: younger blocks are not downsampled yet, and their data would be lost"),
    validation = Rule::new("!self.downsampling || !has(self.retention.fiveMinutes) || (self.retention.fiveMinutes.endsWith('h') ? int(self.retention.fiveMinutes.substring(0, self.retention.fiveMinutes.size() - 1)) >= 240 : (!self.retention.fiveMinutes.endsWith('d') || int(self.retention.fiveMinutes.substring(0, self.retention.fiveMinutes.size() - 1)) >= 10))").message("compact.retention.fiveMinutes must be at least 10d with downsampling: younger blocks are not downsampled to 1h yet, and their data would be lost"),
)]
pub struct Compact {
    /// Whether this stack compacts the bucket of objectStorage.
    #[serde(default = "on")]
    pub enabled: bool,
    /// How long data is kept, by resolution.
    #[serde(default)]
    pub retention: Retention,
    /// Whether blocks are downsampled, to 5m after 40h and to 1h after 10d. Long ranges are then
    /// read from those.
    #[serde(default = "on")]
    pub downsampling: bool,
    /// Whether series that differ only in the replica label are merged for good in the bucket, and
    /// how. It cannot be undone.
    #[serde(default)]
    pub deduplication: Deduplication,
    /// Groups of blocks that are compacted, and blocks that are downsampled, at once.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 64))]
    pub concurrency: i32,
    /// How long a block that was replaced stays in the bucket, e.g. `48h`; queriers may still read
    /// it.
    #[serde(default = "default_delete_delay")]
    #[schemars(
        regex(pattern = r"^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$"),
        length(min = 2, max = 64)
    )]
    pub delete_delay: String,
    /// The volume for blocks at work. What is on it can be lost.
    #[serde(default = "default_storage")]
    pub storage: Storage,
    /// Options of the compactor container.
    #[serde(flatten)]
    pub container: ContainerOptions,
    /// Options of the compactor's pod.
    #[serde(flatten)]
    pub pod: PodOptions,
}

/// How long data is kept. What is left out is kept for ever.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Samples as they were scraped, e.g. `30d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[1-9][0-9]*(h|d|w|y)$"), length(max = 8))]
    pub raw: Option<String>,
    /// Data downsampled to five minutes, e.g. `180d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[1-9][0-9]*(h|d|w|y)$"), length(max = 8))]
    pub five_minutes: Option<String>,
    /// Data downsampled to one hour, e.g. `3y`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[1-9][0-9]*(h|d|w|y)$"), length(max = 8))]
    pub one_hour: Option<String>,
}

/// How replicas are merged in the bucket.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deduplication {
    /// They are not; queries merge them.
    #[default]
    None,
    /// Samples of the same time and value are one: for replicas that received the same samples.
    OneToOne,
    /// As queries do: for replicas that scraped by themselves.
    Penalty,
}

impl Default for Compact {
    fn default() -> Self {
        Self {
            enabled: on(),
            retention: Retention::default(),
            downsampling: on(),
            deduplication: Deduplication::default(),
            concurrency: one(),
            delete_delay: default_delete_delay(),
            storage: default_storage(),
            container: ContainerOptions::default(),
            pod: PodOptions::default(),
        }
    }
}

fn on() -> bool {
    true
}

fn one() -> i32 {
    1
}

fn default_delete_delay() -> String {
    "48h".to_owned()
}

fn default_storage() -> Storage {
    Storage::of_size("50Gi")
}
