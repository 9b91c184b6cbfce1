//! A MonitoringStack in a cluster: its conditions, its objects, its pods.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::MonitoringStack;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::discovery::{Discovery, verbs};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::wait::until;

/// Label that every object of a stack carries.
const STACK_LABEL: &str = "hindsight.dev/stack";
/// Who sends the changes of a scenario.
const FIELD_MANAGER: &str = "e2e";

/// A stack that may or may not exist.
#[derive(Clone)]
pub struct Stack {
    pub client: Client,
    pub namespace: String,
    pub name: String,
}

/// Kind and name of an object, with what a write or a replacement would change.
pub type Versions = BTreeMap<(String, String), (String, String)>;

impl Stack {
    #[must_use]
    pub fn new(client: &Client, namespace: &str, name: &str) -> Self {
        Self {
            client: client.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Stacks of the namespace.
    #[must_use]
    pub fn api(&self) -> Api<MonitoringStack> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Applies a spec, as the only content of the resource.
    ///
    /// # Errors
    /// What the API server says against it.
    pub async fn apply(&self, spec: Value) -> Result<()> {
        let resource = json!({
            "apiVersion": "hindsight.dev/v1alpha1",
            "kind": "MonitoringStack",
            "metadata": {"name": self.name},
            "spec": spec,
        });
        let parameters = PatchParams::apply(FIELD_MANAGER);
        self.api()
            .patch(&self.name, &parameters, &Patch::Apply(&resource))
            .await?;
        Ok(())
    }

    /// Changes the spec by a merge patch.
    ///
    /// # Errors
    /// What the API server says against it.
    pub async fn change(&self, spec: Value) -> kube::Result<()> {
        let patch = Patch::Merge(json!({ "spec": spec }));
        let parameters = PatchParams::default();
        self.api().patch(&self.name, &parameters, &patch).await?;
        Ok(())
    }

    /// Writes a Secret of the namespace.
    ///
    /// # Errors
    /// What the API server says against it.
    pub async fn write_secret(&self, name: &str, key: &str, text: &str) -> Result<()> {
        let secrets: Api<k8s_openapi::api::core::v1::Secret> =
            Api::namespaced(self.client.clone(), &self.namespace);
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "stringData": {key: text},
        });
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        secrets
            .patch(name, &parameters, &Patch::Apply(&secret))
            .await?;
        Ok(())
    }

    /// The condition of this type, once it speaks of the present spec and has this status.
    ///
    /// # Errors
    /// Where that is not so within `limit`, with all conditions.
    pub async fn until_condition(
        &self,
        kind: &str,
        status: &str,
        limit: Duration,
    ) -> Result<Condition> {
        self.until_reason(kind, status, None, limit).await
    }

    /// As [`Stack::until_condition`], with a reason.
    ///
    /// # Errors
    /// As there.
    pub async fn until_reason(
        &self,
        kind: &str,
        status: &str,
        reason: Option<&str>,
        limit: Duration,
    ) -> Result<Condition> {
        let what = format!(
            "{}: {kind} is {status} {}",
            self.name,
            reason.unwrap_or_default()
        );
        until(&what, limit, async || {
            let stack = self.api().get(&self.name).await?;
            let generation = stack.metadata.generation;
            let conditions = stack.status.unwrap_or_default().conditions;
            let found = conditions.iter().find(|condition| {
                condition.type_ == kind
                    && condition.status == status
                    && condition.observed_generation == generation
                    && reason.is_none_or(|reason| condition.reason == reason)
            });
            let told: Vec<_> = conditions
                .iter()
                .map(|one| {
                    format!(
                        "{}={} {}: {}",
                        one.type_, one.status, one.reason, one.message
                    )
                })
                .collect();
            found
                .cloned()
                .with_context(|| format!("generation {generation:?} has {told:#?}"))
        })
        .await
    }

    /// The stack's pods, by name.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub async fn pods(&self) -> Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let selector = ListParams::default().labels(&self.selector());
        let mut pods = pods.list(&selector).await?.items;
        pods.sort_by_key(|pod| pod.name_any());
        Ok(pods)
    }

    /// Name and uid of each pod.
    ///
    /// # Errors
    /// As [`Stack::pods`], and where a container was restarted.
    pub async fn running_pods(&self) -> Result<Vec<(String, String)>> {
        let pods = self.pods().await?;
        for pod in &pods {
            no_restart(pod)?;
        }
        Ok(pods
            .iter()
            .map(|pod| (pod.name_any(), pod.uid().unwrap_or_default()))
            .collect())
    }

    fn selector(&self) -> String {
        format!("{STACK_LABEL}={}", self.name)
    }

    /// Every object of any kind in the cluster that carries the stack's label, with uid and
    /// resourceVersion.
    ///
    /// # Errors
    /// Where a kind cannot be listed.
    pub async fn objects(&self) -> Result<Versions> {
        let selector = ListParams::default().labels(&self.selector());
        let discovery = Discovery::new(self.client.clone()).run().await?;
        let mut versions = Versions::new();
        for group in discovery.groups() {
            for (resource, capabilities) in group.recommended_resources() {
                if !capabilities.supports_operation(verbs::LIST) {
                    continue;
                }
                let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
                for object in api.list_metadata(&selector).await?.items {
                    let version = (
                        object.uid().unwrap_or_default(),
                        object.resource_version().unwrap_or_default(),
                    );
                    versions.insert((resource.kind.clone(), object.name_any()), version);
                }
            }
        }
        Ok(versions)
    }

    /// Names of the stack's volume claims, which outlive it.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub async fn claims(&self) -> Result<Vec<String>> {
        let claims: Api<k8s_openapi::api::core::v1::PersistentVolumeClaim> =
            Api::namespaced(self.client.clone(), &self.namespace);
        let instance = format!("app.kubernetes.io/instance={}", self.name);
        let claims = claims
            .list(&ListParams::default().labels(&instance))
            .await?;
        Ok(claims.items.iter().map(ResourceExt::name_any).collect())
    }
}

/// Checks that a pod is ready.
///
/// # Errors
/// Its conditions, where it is not.
pub fn ready(pod: &Pod) -> Result<()> {
    let conditions = pod.status.clone().unwrap_or_default().conditions;
    let ready = conditions
        .iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    ensure!(ready, "{} is not ready: {conditions:?}", pod.name_any());
    Ok(())
}

/// Checks that no container of a pod was restarted.
///
/// # Errors
/// Which one was, and how it ended.
pub fn no_restart(pod: &Pod) -> Result<()> {
    let status = pod.status.clone().unwrap_or_default();
    let containers = status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses)
        .flatten();
    for container in containers {
        ensure!(
            container.restart_count == 0,
            "container {} of {} was restarted {} times: {:?}",
            container.name,
            pod.name_any(),
            container.restart_count,
            container.last_state
        );
    }
    Ok(())
}
