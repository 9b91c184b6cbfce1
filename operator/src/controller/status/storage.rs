//! `ObjectStorageReady`, `NoStorageClass` and `StorageGrowing`.

use super::workload::workload_condition;
use super::{Draft, Observed, draft};
use crate::controller::validate::ObjectStorage;
use crate::names::Component;

pub(super) fn object_storage(observed: &Observed<'_>, storage: &ObjectStorage) -> Draft {
    let kind = "ObjectStorageReady";
    if let ObjectStorage::Embedded { .. } = storage {
        let name = observed.stack.names.of(Component::ObjectStorage);
        let server = workload_condition(kind, observed, &name, Component::ObjectStorage);
        if server.status != "True" {
            return server;
        }
    }
    let failure = observed
        .pods
        .iter()
        .find_map(|pod| Some((&pod.name, pod.sidecar.as_ref()?.upload_error.as_ref()?)));
    if let Some((pod, error)) = failure {
        return draft(kind, false, "UploadFailed", format!("{pod}: {error}"));
    }
    match storage {
        ObjectStorage::Embedded { .. } => draft(
            kind,
            true,
            "EmbeddedServerReady",
            "the embedded S3 server is ready; it is for trying out, neither replicated nor backed up",
        ),
        ObjectStorage::Secret { bucket, .. } => draft(
            kind,
            true,
            "ConfigurationAccepted",
            format!("configured: {}", bucket.text),
        ),
    }
}

pub(super) fn no_storage_class(observed: &Observed<'_>) -> Option<Draft> {
    (observed.has_default_storage_class == Some(false)).then(|| {
        draft(
            "NoStorageClass",
            true,
            "NoDefaultStorageClass",
            "a volume claim leaves its class to the cluster, which has no default; set storageClassName, or storage.ephemeral to do without a volume",
        )
    })
}

/// True while a volume is smaller than its claim asks for.
pub(super) fn growing(observed: &Observed<'_>) -> Option<Draft> {
    (!observed.growing_claims.is_empty()).then(|| {
        draft(
            "StorageGrowing",
            true,
            "VolumesResizing",
            format!(
                "waiting for the storage driver: {}",
                observed.growing_claims.join("; ")
            ),
        )
    })
}
