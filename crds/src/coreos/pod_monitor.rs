//! PodMonitor: the pods that a selector finds.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Deserialize, Serialize};

use super::NamespaceSelector;
use super::endpoint::{AttachMetadata, Endpoint, Limits};

/// The spec of a PodMonitor.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct PodMonitor {
    /// Label of the pod whose value becomes the job.
    pub job_label: Option<String>,
    /// Labels of the pod that targets get.
    pub pod_target_labels: Vec<String>,
    pub pod_metrics_endpoints: Vec<Endpoint>,
    pub selector: LabelSelector,
    /// `RelabelConfig` or `RoleSelector`.
    pub selector_mechanism: Option<String>,
    pub namespace_selector: NamespaceSelector,
    pub attach_metadata: Option<AttachMetadata>,
    pub scrape_class: Option<String>,
    #[serde(flatten)]
    pub limits: Limits,
}
