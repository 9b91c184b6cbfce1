//! Section `naming`.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Names of an existing installation that cannot be changed in place: a volume claim is called
/// `<claim>-<statefulset>-<n>`, and a StatefulSet's selector and Service are fixed for its life.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Naming {
    /// Name of the Prometheus StatefulSet, instead of `<name>-prometheus`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"), length(max = 52))]
    pub stateful_set: Option<String>,
    /// Name of the Prometheus volume claim template, instead of `data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"), length(max = 63))]
    pub claim_template: Option<String>,
    /// Folder of the Prometheus volume that holds the data, instead of its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-zA-Z0-9][-_a-zA-Z0-9]*$"), length(max = 63))]
    pub data_sub_path: Option<String>,
    /// Selector labels of the Prometheus StatefulSet, instead of the operator's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub selector_labels: BTreeMap<String, String>,
    /// Names of Services that others already use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<ServiceNames>,
}

/// Names of Services.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceNames {
    /// The headless Service of the Prometheus StatefulSet, instead of `<name>-prometheus`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"), length(max = 63))]
    pub prometheus: Option<String>,
    /// The headless Service over all stores, instead of `<name>-storeapi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"), length(max = 63))]
    pub store_api: Option<String>,
    /// The Service of the querier, instead of `<name>-query`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"), length(max = 63))]
    pub query: Option<String>,
}
