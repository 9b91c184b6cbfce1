//! Section `podDisruptionBudget`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// PodDisruptionBudgets: of a component with several replicas, a drain of nodes takes down one at
/// a time.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PodDisruptionBudget {
    /// Whether components with several replicas have budgets.
    #[serde(default = "on")]
    pub enabled: bool,
}

impl Default for PodDisruptionBudget {
    fn default() -> Self {
        Self { enabled: on() }
    }
}

fn on() -> bool {
    true
}
