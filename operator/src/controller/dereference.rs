//! First step: reads what the spec refers to. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use crds::{MonitoringStack, MonitoringStackSpec};

/// What the spec refers to, as it was when read.
#[derive(Clone, Debug, Default)]
pub struct References {
    /// Secrets by name; one that does not exist is absent.
    pub secrets: BTreeMap<String, SecretData>,
    /// The Secret of the embedded object storage, where it exists and is ours.
    pub object_storage_secret: Option<SecretData>,
    /// Rule ConfigMaps that do not exist.
    pub missing_rule_config_maps: BTreeSet<String>,
    /// Whether a claim without a class gets one; `None` where nobody asked.
    pub has_default_storage_class: Option<bool>,
}

/// A Secret's data. Never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretData(pub BTreeMap<String, Vec<u8>>);

impl std::fmt::Debug for SecretData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SecretData")
            .field(&self.0.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// Names of the Secrets that `spec` refers to.
pub fn referenced_secrets(spec: &MonitoringStackSpec) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if let Some(reference) = spec
        .object_storage
        .as_ref()
        .and_then(|storage| storage.secret_ref.as_ref())
    {
        names.insert(reference.name.clone());
    }
    if let Some(key) = &spec.prometheus.additional_scrape_configs {
        names.insert(key.name.clone());
    }
    for endpoint in &spec.prometheus.remote_write {
        if let Some(auth) = &endpoint.basic_auth {
            names.insert(auth.username.name.clone());
            names.insert(auth.password.name.clone());
        }
        if let Some(auth) = &endpoint.authorization {
            names.insert(auth.credentials.name.clone());
        }
    }
    names
}

/// Whether the stack runs its own object storage.
pub fn has_embedded_storage(resource: &MonitoringStack) -> bool {
    resource
        .spec
        .object_storage
        .as_ref()
        .is_some_and(|storage| storage.embedded.is_some())
}
