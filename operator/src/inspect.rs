//! What a person's own rights show of a stack in a cluster: the same reads as a pass, without watches
//! and without writing. For the commands.

use std::collections::BTreeMap;

use crds::MonitoringStack;
use crds::coreos::Kind;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::core::DynamicObject;
use kube::{Api, Client, ResourceExt as _};

use crate::controller::dereference::{self, References};
use crate::coreos::selection::{self, Standpoint};
use crate::coreos::watch::api_resource;
use crate::coreos::{self, Resource};
use crate::settings::Settings;

/// Labels of namespaces, by name.
pub type Namespaces = BTreeMap<String, BTreeMap<String, String>>;

/// Reads the monitoring resources of `namespace`, or of all namespaces. A kind that does not exist
/// has none.
///
/// # Errors
/// Where the API server refuses or fails.
pub async fn resources(client: &Client, namespace: Option<&str>) -> kube::Result<Vec<Resource>> {
    let mut found = Vec::new();
    for kind in Kind::ALL {
        let resource = api_resource(kind);
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        let objects = match api.list(&ListParams::default()).await {
            Ok(objects) => objects.items,
            Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
            Err(error) => return Err(error),
        };
        found.extend(objects.into_iter().map(|object| Resource {
            kind,
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
            labels: object.labels().clone(),
            spec: object.data.get("spec").cloned().unwrap_or_default(),
        }));
    }
    Ok(found)
}

/// Reads the labels of all namespaces; none where that is not allowed.
///
/// # Errors
/// Where the API server fails.
pub async fn namespaces(client: &Client) -> kube::Result<Namespaces> {
    let api: Api<Namespace> = Api::all(client.clone());
    match api.list_metadata(&ListParams::default()).await {
        Ok(found) => Ok(found
            .items
            .into_iter()
            .map(|namespace| (namespace.name_any(), namespace.labels().clone()))
            .collect()),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(Namespaces::new()),
        Err(error) => Err(error),
    }
}

/// Reads everything that `stack` refers to and selects.
///
/// # Errors
/// Where the API server refuses or fails.
pub async fn references(
    client: &Client,
    stack: &MonitoringStack,
    settings: &Settings,
) -> kube::Result<References> {
    let namespace = stack.namespace().unwrap_or_default();
    let reach = settings.reach(&namespace);
    let is_wide = selection::is_wide(&stack.spec, reach);
    let all = resources(client, (!is_wide).then_some(namespace.as_str())).await?;
    let namespaces = if is_wide {
        self::namespaces(client).await?
    } else {
        Namespaces::new()
    };
    let standpoint = Standpoint {
        namespace: &namespace,
        reach,
        namespaces: &namespaces,
    };
    let selected = selection::select(&stack.spec, standpoint, all.iter());
    let named = coreos::named(&selected);
    dereference::dereference(client, stack, selected, &named).await
}
