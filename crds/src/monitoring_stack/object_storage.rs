//! Section `objectStorage`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Object storage for blocks: a bucket described by a Secret, or a small one run by the operator.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretRef) != has(self.embedded)").message("objectStorage needs exactly one of secretRef and embedded"))]
pub struct ObjectStorage {
    /// A Secret in this namespace that holds the object store configuration in Thanos' YAML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<ObjectStorageSecret>,

    /// A single S3 server on a volume, for trying things out. It is neither replicated nor backed
    /// up; removing it keeps its volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedObjectStorage>,
}

/// Names one key of a Secret in the stack's namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStorageSecret {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the Secret whose value is the YAML.
    #[serde(default = "default_key")]
    #[schemars(regex(pattern = r"^[-._a-zA-Z0-9]+$"), length(max = 253))]
    pub key: String,
}

/// An S3 server in the stack's namespace with one volume.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("objectStorage.embedded cannot be changed: the volume claim of a StatefulSet is immutable"))]
pub struct EmbeddedObjectStorage {
    /// Size of the volume.
    #[serde(default = "default_size")]
    #[schemars(regex(pattern = r"^[1-9][0-9]*(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$"))]
    pub size: String,
    /// StorageClass of the volume; the cluster's default where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
}

fn default_key() -> String {
    "thanos.yaml".to_owned()
}

fn default_size() -> String {
    "10Gi".to_owned()
}
