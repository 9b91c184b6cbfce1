//! Finds cluster-wide exporters that other stacks run already. Part of the first step: reads only.

use std::collections::BTreeMap;

use crds::MonitoringStack;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, Resource};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};

use crate::names::{Component, FIELD_MANAGER, STACK_LABEL};
use crate::settings::Settings;

/// A stack that runs an exporter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub namespace: String,
    pub stack: String,
}

/// Returns, for each exporter that `resource` wants, the other stack that runs it, if one does: of
/// two that began at once, the older object's stack goes on and the other gives way.
///
/// # Errors
/// Where the API server could not be asked.
pub async fn owners(
    client: &Client,
    resource: &MonitoringStack,
    settings: &Settings,
) -> kube::Result<BTreeMap<Component, Owner>> {
    let namespace = resource.namespace().unwrap_or_default();
    let mut owners = BTreeMap::new();
    if !settings.cluster_stacks.contains(&namespace) {
        return Ok(owners);
    }
    let own = Owner {
        namespace,
        stack: resource.name_any(),
    };
    let mut found = Vec::new();
    if resource.spec.kube_state_metrics.enabled {
        let component = Component::KubeStateMetrics;
        found.push((
            component,
            oldest::<Deployment>(client, component, settings).await?,
        ));
    }
    if resource.spec.node_exporter.enabled {
        let component = Component::NodeExporter;
        found.push((
            component,
            oldest::<DaemonSet>(client, component, settings).await?,
        ));
    }
    for (component, owner) in found {
        if let Some(owner) = owner.filter(|owner| *owner != own) {
            owners.insert(component, owner);
        }
    }
    Ok(owners)
}

/// The stack of the oldest workload of `component`.
async fn oldest<K>(
    client: &Client,
    component: Component,
    settings: &Settings,
) -> kube::Result<Option<Owner>>
where
    K: Resource<Scope = NamespaceResourceScope>
        + Metadata<Ty = ObjectMeta>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let selector = format!(
        "app.kubernetes.io/managed-by={FIELD_MANAGER},app.kubernetes.io/component={}",
        component.as_str()
    );
    let params = ListParams::default().labels(&selector);
    let mut candidates = Vec::new();
    for namespace in &settings.cluster_stacks {
        let api: Api<K> = Api::namespaced(client.clone(), namespace);
        let listed = match api.list_metadata(&params).await {
            Ok(listed) => listed,
            // Another operator serves that namespace, or it does not exist.
            Err(kube::Error::Api(status)) if status.is_forbidden() || status.is_not_found() => {
                continue;
            }
            Err(error) => return Err(error),
        };
        for object in listed.items {
            if object.metadata.deletion_timestamp.is_some() {
                continue;
            }
            if let Some(stack) = object.labels().get(STACK_LABEL) {
                let created = object.metadata.creation_timestamp.clone();
                candidates.push((created, namespace.clone(), stack.clone()));
            }
        }
    }
    candidates.sort();
    Ok(candidates
        .into_iter()
        .next()
        .map(|(_, namespace, stack)| Owner { namespace, stack }))
}
