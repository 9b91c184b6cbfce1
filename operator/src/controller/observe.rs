//! What the stack's pods say of themselves: why they are not ready, and which configuration each
//! Prometheus has loaded. Reads only; an answer that does not come is an observation too.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::{ContainerStatus, PersistentVolumeClaim, Pod};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::names::{CONFIG_HASH_ANNOTATION, Component, Names, STACK_LABEL};
use crate::quantity;

/// Longest wait for one component's status.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest status that is read.
const MAX_STATUS_BYTES: usize = 64 * 1024;
/// Components asked at once.
const PARALLEL_REQUESTS: usize = 8;
/// Port of a component's HTTP listener.
const HTTP_PORT: u16 = 10902;

/// What is known of one pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodState {
    pub name: String,
    pub component: String,
    pub is_ready: bool,
    /// Why it is not, in Kubernetes' words.
    pub trouble: Option<String>,
    /// The configuration hash it was last nudged for.
    pub nudged_for: Option<String>,
    /// The sidecar's answer; none where it did not answer or is no sidecar.
    pub sidecar: Option<SidecarStatus>,
    /// Streams of the bucket that two writers fill, as a store gateway sees them.
    pub duplicate_streams: Vec<DuplicateStream>,
}

/// One stream that two writers fill.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DuplicateStream {
    /// External labels, the replica's included.
    pub labels: BTreeMap<String, String>,
    /// Two blocks that show it.
    pub blocks: Vec<String>,
}

/// The part of a store gateway's status that the operator reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StoreStatus {
    duplicate_streams: Vec<DuplicateStream>,
}

/// The part of a sidecar's status that the operator reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SidecarStatus {
    /// SHA-256 of the template that Prometheus last loaded with success.
    pub config_hash: Option<String>,
    /// Why the present template could not be loaded.
    pub config_error: Option<String>,
    /// Milliseconds since the epoch.
    pub last_upload: Option<i64>,
    /// Why the last upload failed.
    pub upload_error: Option<String>,
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

/// Reads the states of pods.
pub struct Observer {
    client: Client,
    http: HttpClient<HttpConnector, Empty<Bytes>>,
}

impl Observer {
    /// An observer that lists pods by `client`.
    pub fn new(client: Client) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(STATUS_TIMEOUT));
        Self {
            client,
            http: HttpClient::builder(TokioExecutor::new()).build(connector),
        }
    }

    /// Reads all pods of a stack, by name.
    ///
    /// # Errors
    /// Where pods could not be listed.
    pub async fn pods(&self, names: &Names) -> kube::Result<Vec<PodState>> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &names.namespace);
        let selector = format!("{STACK_LABEL}={}", names.stack);
        let pods = api.list(&ListParams::default().labels(&selector)).await?;
        let mut states: Vec<PodState> = futures::stream::iter(pods.items)
            .map(|pod| self.pod(pod))
            .buffer_unordered(PARALLEL_REQUESTS)
            .collect()
            .await;
        states.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(states)
    }

    /// The volume claims of a stack whose volumes are smaller than asked for, and why, as far as
    /// Kubernetes says.
    ///
    /// # Errors
    /// Where claims could not be listed.
    pub async fn growing_claims(&self, names: &Names) -> kube::Result<Vec<String>> {
        let api: Api<PersistentVolumeClaim> =
            Api::namespaced(self.client.clone(), &names.namespace);
        let selector = format!("app.kubernetes.io/instance={}", names.stack);
        let claims = api.list(&ListParams::default().labels(&selector)).await?;
        Ok(claims.items.iter().filter_map(growing).collect())
    }

    async fn pod(&self, pod: Pod) -> PodState {
        let component = pod
            .labels()
            .get("app.kubernetes.io/component")
            .cloned()
            .unwrap_or_default();
        let address = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
        let (mut sidecar, mut store) = (None, None::<StoreStatus>);
        if let Some(address) = address {
            if component == Component::Prometheus.as_str() {
                sidecar = self.ask(&address).await;
            } else if component == Component::Store.as_str() {
                store = self.ask(&address).await;
            }
        }
        let is_ready = is_ready(&pod);
        PodState {
            name: pod.name_any(),
            trouble: if is_ready { None } else { Some(trouble(&pod)) },
            nudged_for: pod.annotations().get(CONFIG_HASH_ANNOTATION).cloned(),
            component,
            is_ready,
            sidecar,
            duplicate_streams: store.unwrap_or_default().duplicate_streams,
        }
    }

    /// Asks a component for its status.
    async fn ask<T: DeserializeOwned>(&self, address: &str) -> Option<T> {
        // An IPv6 address stands in brackets before a port.
        let host = if address.contains(':') {
            format!("[{address}]")
        } else {
            address.to_owned()
        };
        let uri = format!("http://{host}:{HTTP_PORT}/api/v1/status/hindsight")
            .parse()
            .ok()?;
        tokio::time::timeout(STATUS_TIMEOUT, async {
            let response = self.http.get(uri).await.ok()?;
            if !response.status().is_success() {
                return None;
            }
            let body = Limited::new(response.into_body(), MAX_STATUS_BYTES)
                .collect()
                .await
                .ok()?;
            parse(&body.to_bytes())
        })
        .await
        .ok()?
    }
}

fn growing(claim: &PersistentVolumeClaim) -> Option<String> {
    let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    let status = claim.status.as_ref()?;
    let (wanted, present) = (
        requests.get("storage")?,
        status.capacity.as_ref()?.get("storage")?,
    );
    if quantity::parse(&wanted.0)? <= quantity::parse(&present.0)? {
        return None;
    }
    let reason = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.status == "True")
        .map(|condition| format!(", {}", condition.type_))
        .unwrap_or_default();
    Some(format!(
        "{} has {} of {}{reason}",
        claim.name_any(),
        present.0,
        wanted.0
    ))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let envelope: Envelope<T> = serde_json::from_slice(body).ok()?;
    Some(envelope.data)
}

fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|(status, _)| status == "True")
}

fn condition<'a>(pod: &'a Pod, name: &str) -> Option<(&'a str, Option<&'a str>)> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let found = conditions
        .iter()
        .find(|condition| condition.type_ == name)?;
    Some((&found.status, found.message.as_deref()))
}

/// The first thing that keeps a pod from being ready.
fn trouble(pod: &Pod) -> String {
    if let Some(("False", Some(message))) = condition(pod, "PodScheduled") {
        return message.to_owned();
    }
    let Some(status) = &pod.status else {
        return "has no status yet".to_owned();
    };
    let containers = status
        .init_container_statuses
        .iter()
        .flatten()
        .chain(status.container_statuses.iter().flatten());
    containers
        .filter_map(container_trouble)
        .next()
        .unwrap_or_else(|| "starting".to_owned())
}

fn container_trouble(status: &ContainerStatus) -> Option<String> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    if reason == "PodInitializing" {
        return None;
    }
    let message = waiting.message.as_deref().unwrap_or_default();
    Some(
        format!("container {}: {reason} {message}", status.name)
            .trim_end()
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: serde_json::Value) -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": "p" }, "status": status }))
            .expect("pod")
    }

    #[test]
    fn the_first_trouble_is_told_in_kubernetes_words() {
        for (status, expected) in [
            (
                json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "message": "0/1 nodes are available" }] }),
                "0/1 nodes are available",
            ),
            (
                json!({ "containerStatuses": [{
                    "name": "querier", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                    "state": { "waiting": { "reason": "ImagePullBackOff", "message": "no such image" } },
                }] }),
                "container querier: ImagePullBackOff no such image",
            ),
            (json!({}), "starting"),
        ] {
            assert_eq!(trouble(&pod(status)), expected);
        }
    }

    #[test]
    fn an_answer_with_more_or_fewer_fields_is_read() {
        let status = parse(br#"{"status":"success","data":{"component":"sidecar","configHash":"ab","lastUpload":5}}"#);
        let status: SidecarStatus = status.expect("status");
        assert_eq!(status.config_hash.as_deref(), Some("ab"));
        assert_eq!(status.last_upload, Some(5));
        assert_eq!(parse::<SidecarStatus>(b"<html>"), None);
    }
}
