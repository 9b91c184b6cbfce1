//! First step: reads what the spec refers to. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use crds::{MonitoringStack, MonitoringStackSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};

use super::exporters::Owner;
use crate::coreos::Resource;
use crate::coreos::material::{Content, Holder, Material, Reference};
use crate::names::{Component, Names};

/// Annotation of the cluster's default StorageClass.
const DEFAULT_CLASS_ANNOTATION: &str = "storageclass.kubernetes.io/is-default-class";

/// What the spec refers to, as it was when read.
#[derive(Clone, Debug, Default)]
pub struct References {
    /// Secrets by name; one that does not exist is absent.
    pub secrets: BTreeMap<String, SecretData>,
    /// The Secret of the embedded object storage, where it exists and is ours.
    pub object_storage_secret: Option<SecretData>,
    /// Grafana's Secret, where it exists and is ours.
    pub grafana_secret: Option<SecretData>,
    /// Rule ConfigMaps that do not exist.
    pub missing_rule_config_maps: BTreeSet<String>,
    /// Other stacks that run cluster-wide exporters this one wants too.
    pub exporter_owners: BTreeMap<Component, Owner>,
    /// Monitoring resources that the stack selects, in order.
    pub resources: Vec<Resource>,
    /// Secrets and ConfigMaps that they name.
    pub material: Material,
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
    for endpoint in &spec.query.endpoints {
        names.extend(endpoint.tls.iter().map(|tls| tls.secret_name.clone()));
    }
    if let Some(reference) = &spec.alertmanager.config_secret
        && spec.alertmanager.enabled
    {
        names.insert(reference.name.clone());
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

/// Reads everything that `resource` refers to.
///
/// # Errors
/// Where the API server could not be asked. What does not exist is no error.
pub async fn dereference(
    client: &Client,
    resource: &MonitoringStack,
    selected: Vec<Resource>,
    named: &BTreeSet<Reference>,
) -> kube::Result<References> {
    let namespace = resource.namespace().unwrap_or_default();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let mut references = References {
        resources: selected,
        material: material(client, named).await?,
        ..References::default()
    };
    for name in referenced_secrets(&resource.spec) {
        if let Some(secret) = secrets.get_opt(&name).await? {
            references.secrets.insert(name, data_of(secret));
        }
    }
    let names = Names::new(&namespace, &resource.name_any(), None);
    let uid = resource.uid().unwrap_or_default();
    if has_embedded_storage(resource) {
        references.object_storage_secret =
            own_secret(&secrets, &names.object_storage_secret(), &uid).await?;
    }
    if resource.spec.grafana.enabled {
        references.grafana_secret =
            own_secret(&secrets, &names.of(Component::Grafana), &uid).await?;
    }
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    for name in &resource.spec.prometheus.rule_config_maps {
        if config_maps.get_metadata_opt(name).await?.is_none() {
            references.missing_rule_config_maps.insert(name.clone());
        }
    }
    if may_lack_storage_class(resource) {
        references.has_default_storage_class = Some(has_default_storage_class(client).await?);
    }
    Ok(references)
}

/// A Secret that the operator wrote for this very stack.
async fn own_secret(
    secrets: &Api<Secret>,
    name: &str,
    uid: &str,
) -> kube::Result<Option<SecretData>> {
    let existing = secrets.get_opt(name).await?;
    Ok(existing
        .filter(|secret| {
            let owners = secret.owner_references();
            owners.iter().any(|owner| owner.uid == uid)
        })
        .map(data_of))
}

/// Reads what monitoring resources name. What does not exist, or may not be read, is no error.
async fn material(client: &Client, named: &BTreeSet<Reference>) -> kube::Result<Material> {
    let mut contents = BTreeMap::new();
    for reference in named {
        let (namespace, name) = (&reference.namespace, &reference.name);
        let found = match reference.holder {
            Holder::Secret => Api::<Secret>::namespaced(client.clone(), namespace)
                .get_opt(name)
                .await
                .map(|secret| secret.map(data_of)),
            Holder::ConfigMap => Api::<ConfigMap>::namespaced(client.clone(), namespace)
                .get_opt(name)
                .await
                .map(|config_map| config_map.map(text_of)),
        };
        let content = match found {
            Ok(Some(data)) => Content::Data(data),
            Ok(None) => Content::Missing,
            Err(kube::Error::Api(status)) if status.is_forbidden() => Content::Forbidden,
            Err(error) => return Err(error),
        };
        contents.insert(reference.clone(), content);
    }
    Ok(Material::new(contents))
}

fn text_of(config_map: ConfigMap) -> SecretData {
    let texts = config_map.data.unwrap_or_default().into_iter();
    let bytes = config_map.binary_data.unwrap_or_default().into_iter();
    SecretData(
        texts
            .map(|(key, text)| (key, text.into_bytes()))
            .chain(bytes.map(|(key, bytes)| (key, bytes.0)))
            .collect(),
    )
}

fn data_of(secret: Secret) -> SecretData {
    let data = secret.data.unwrap_or_default();
    SecretData(
        data.into_iter()
            .map(|(key, bytes)| (key, bytes.0))
            .collect(),
    )
}

/// Whether a claim of the stack leaves its class to the cluster and is perhaps still waiting for
/// one: a stack that is ready has its volumes.
fn may_lack_storage_class(resource: &MonitoringStack) -> bool {
    let spec = &resource.spec;
    let needs_default = |storage: &crds::workload::Storage| {
        !storage.ephemeral && storage.storage_class_name.is_none()
    };
    let embedded = spec
        .object_storage
        .as_ref()
        .and_then(|storage| storage.embedded.as_ref());
    let any = needs_default(&spec.prometheus.storage)
        || (spec.object_storage.is_some() && needs_default(&spec.store.storage))
        || (spec.object_storage.is_some()
            && spec.compact.enabled
            && needs_default(&spec.compact.storage))
        || (spec.grafana.enabled && needs_default(&spec.grafana.storage))
        || (spec.alertmanager.enabled && needs_default(&spec.alertmanager.storage))
        || embedded.is_some_and(|embedded| embedded.storage_class_name.is_none());
    let is_ready = resource.status.as_ref().is_some_and(|status| {
        status
            .conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    });
    any && !is_ready
}

async fn has_default_storage_class(client: &Client) -> kube::Result<bool> {
    let classes: Api<StorageClass> = Api::all(client.clone());
    let classes = classes.list_metadata(&ListParams::default()).await?;
    Ok(classes.items.iter().any(|class| {
        class
            .annotations()
            .get(DEFAULT_CLASS_ANNOTATION)
            .is_some_and(|value| value == "true")
    }))
}
