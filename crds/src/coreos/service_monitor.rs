//! ServiceMonitor: targets behind the Services that a selector finds.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Deserialize, Serialize};

use super::NamespaceSelector;
use super::endpoint::{AttachMetadata, Endpoint, Limits};

/// The spec of a ServiceMonitor.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceMonitor {
    /// Label of the Service whose value becomes the job.
    pub job_label: Option<String>,
    /// Labels of the Service that targets get.
    pub target_labels: Vec<String>,
    /// Labels of the pod that targets get.
    pub pod_target_labels: Vec<String>,
    pub endpoints: Vec<Endpoint>,
    pub selector: LabelSelector,
    /// `RelabelConfig` or `RoleSelector`.
    pub selector_mechanism: Option<String>,
    pub namespace_selector: NamespaceSelector,
    pub attach_metadata: Option<AttachMetadata>,
    /// `Endpoints` or `EndpointSlice`.
    pub service_discovery_role: Option<String>,
    pub scrape_class: Option<String>,
    #[serde(flatten)]
    pub limits: Limits,
}
