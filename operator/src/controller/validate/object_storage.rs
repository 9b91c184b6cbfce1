//! The bucket.

use crds::MonitoringStackSpec;
use crds::workload::SecretKey;

use super::{Check, Reason, bucket};

/// The bucket.
#[derive(Clone, Debug, PartialEq)]
pub enum ObjectStorage {
    /// Described by a Secret of the user.
    Secret {
        name: String,
        key: String,
        bucket: bucket::Summary,
    },
    /// Run by the operator.
    Embedded {
        size: String,
        storage_class: Option<String>,
    },
}

impl Check<'_> {
    pub(super) fn object_storage(&mut self, spec: &MonitoringStackSpec) -> Option<ObjectStorage> {
        let storage = spec.object_storage.as_ref()?;
        match (&storage.secret_ref, &storage.embedded) {
            (Some(reference), None) => {
                let path = "spec.objectStorage.secretRef";
                let key = SecretKey {
                    name: reference.name.clone(),
                    key: reference.key.clone(),
                };
                let text = self.secret_text(path, &key)?;
                match bucket::summarize(&text) {
                    Ok(bucket) => Some(ObjectStorage::Secret {
                        name: key.name,
                        key: key.key,
                        bucket,
                    }),
                    Err(problem) => {
                        let at = format!("Secret {:?}, key {:?}", key.name, key.key);
                        self.refuse_as(Reason::MalformedSecret, path, format!("{at}: {problem}"));
                        None
                    }
                }
            }
            (None, Some(embedded)) => {
                self.size("spec.objectStorage.embedded.size", &embedded.size);
                Some(ObjectStorage::Embedded {
                    size: embedded.size.clone(),
                    storage_class: embedded.storage_class_name.clone(),
                })
            }
            _ => {
                self.refuse(
                    "spec.objectStorage",
                    "needs exactly one of secretRef and embedded",
                );
                None
            }
        }
    }
}
