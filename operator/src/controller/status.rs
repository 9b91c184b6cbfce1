//! Sixth step: what is said of the stack. Pure; the one write follows only on change.

use std::collections::{BTreeMap, BTreeSet};

use crds::status::{Endpoints, MonitoringStackStatus, Versions};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::apply::{ApplyError, Workload};
use super::observe::PodState;
use super::validate::{Invalid, ObjectStorage, Reach, Stack};
use crate::names::Component;

#[cfg(test)]
mod tests;

/// Longest message of a condition; the API server refuses more than 32 KiB.
const MAX_MESSAGE_CHARS: usize = 1024;

/// How a pass over a stack ended.
pub enum Outcome<'a> {
    /// The objects are as wanted, or the stack is paused and they were only looked at.
    Observed(Observed<'a>),
    /// The spec or what it refers to is wrong; nothing was changed.
    Invalid(&'a [Invalid]),
    /// An object could not be written.
    Failed(&'a ApplyError),
}

/// What a complete pass has seen.
pub struct Observed<'a> {
    pub stack: &'a Stack,
    pub workloads: &'a [Workload],
    pub pods: &'a [PodState],
    pub config_hash: &'a str,
    pub missing_rule_config_maps: &'a BTreeSet<String>,
    pub has_default_storage_class: Option<bool>,
    pub is_paused: bool,
}

/// Returns the status after a pass. `previous` gives the times of conditions that did not flip.
pub fn status(
    previous: &MonitoringStackStatus,
    generation: Option<i64>,
    outcome: &Outcome<'_>,
    now: Timestamp,
) -> MonitoringStackStatus {
    let mut status = previous.clone();
    status.observed_generation = generation;
    let conditions = match outcome {
        Outcome::Observed(observed) => {
            describe(&mut status, previous, observed);
            observed_conditions(observed, previous, generation)
        }
        Outcome::Invalid(invalid) => invalid_conditions(previous, invalid),
        Outcome::Failed(error) => failed_conditions(previous, error),
    };
    status.conditions = merge(&previous.conditions, conditions, generation, now);
    status
}

/// A condition before it has times.
struct Draft {
    kind: &'static str,
    status: &'static str,
    reason: String,
    message: String,
}

fn draft(kind: &'static str, is_true: bool, reason: &str, message: impl Into<String>) -> Draft {
    Draft {
        kind,
        status: if is_true { "True" } else { "False" },
        reason: reason.to_owned(),
        message: message.into(),
    }
}

fn describe(
    status: &mut MonitoringStackStatus,
    previous: &MonitoringStackStatus,
    observed: &Observed<'_>,
) {
    let stack = observed.stack;
    let names = &stack.names;
    let host = |service: &str, port: u16| format!("{service}.{}.svc:{port}", names.namespace);
    let count = |workloads: &mut dyn Iterator<Item = &Workload>| {
        let (ready, wanted) = workloads.fold((0, 0), |(ready, wanted), one| {
            (ready + one.ready, wanted + one.wanted)
        });
        format!("{ready}/{wanted}")
    };
    let is_prometheus = |workload: &&Workload| workload.name == names.prometheus;
    status.prometheus = Some(count(&mut observed.workloads.iter().filter(is_prometheus)));
    status.components = Some(count(
        &mut observed.workloads.iter().filter(|one| !is_prometheus(one)),
    ));
    status.endpoints = Some(Endpoints {
        query: format!("http://{}", host(&names.query_service, 10902)),
        query_grpc: host(&names.query_service, 10901),
        prometheus: (0..stack.prometheus.replicas)
            .map(|n| {
                format!(
                    "http://{}",
                    host(&format!("{}-prometheus-{n}", names.stack), 8080)
                )
            })
            .collect(),
        store_api: host(&names.store_api_service, 10901),
    });
    status.versions = Some(Versions {
        prometheus: stack.prometheus.version_text.clone(),
        hindsight: stack.images.hindsight.clone(),
    });
    status.bucket = stack.object_storage.as_ref().map(|storage| match storage {
        ObjectStorage::Secret { bucket, .. } => bucket.text.clone(),
        ObjectStorage::Embedded { .. } => "embedded".to_owned(),
    });
    let newest = observed
        .pods
        .iter()
        .filter_map(|pod| pod.sidecar.as_ref()?.last_upload)
        .max()
        .and_then(|ms| Timestamp::from_millisecond(ms / 1000 * 1000).ok())
        .map(Time);
    status.last_upload = match (&stack.object_storage, newest) {
        (None, _) => None,
        (Some(_), newest) => newest.max(previous.last_upload.clone()),
    };
    status.external_labels.clone_from(&stack.external_labels);
}

fn observed_conditions(
    observed: &Observed<'_>,
    previous: &MonitoringStackStatus,
    generation: Option<i64>,
) -> Vec<Draft> {
    let stack = observed.stack;
    let names = &stack.names;
    let mut components = vec![
        workload_condition(
            "PrometheusReady",
            observed,
            &names.prometheus,
            Component::Prometheus,
        ),
        configured(observed),
        workload_condition(
            "QueryReady",
            observed,
            &names.of(Component::Query),
            Component::Query,
        ),
    ];
    match &stack.object_storage {
        None => {}
        Some(storage) => {
            let store = names.of(Component::Store);
            components.push(workload_condition(
                "StoreReady",
                observed,
                &store,
                Component::Store,
            ));
            components.push(object_storage(observed, storage));
        }
    }
    let waiting: Vec<&Draft> = components
        .iter()
        .filter(|one| one.status != "True")
        .collect();
    let ready = match waiting.first() {
        None => draft(
            "Ready",
            true,
            "AllComponentsReady",
            "all components are ready",
        ),
        Some(first) => draft(
            "Ready",
            false,
            &first.reason,
            format!("{}: {}", first.kind, first.message),
        ),
    };
    let is_ready = waiting.is_empty();
    let mut conditions = vec![ready];
    conditions.append(&mut components);
    if observed.is_paused {
        conditions.push(draft(
            "Paused",
            true,
            "PausedBySpec",
            "spec.paused is true: changes of the spec are not applied; set it to false to go on",
        ));
    } else if !is_ready {
        conditions.push(draft(
            "Reconciling",
            true,
            "ComponentsNotReady",
            "waiting for all components to become ready",
        ));
    }
    conditions.extend(no_storage_class(observed));
    conditions.extend(scope_limited(stack));
    conditions.extend(stream_identity(observed, previous, generation));
    conditions
}

fn workload_condition(
    kind: &'static str,
    observed: &Observed<'_>,
    name: &str,
    component: Component,
) -> Draft {
    let Some(workload) = observed
        .workloads
        .iter()
        .find(|workload| workload.name == name)
    else {
        return draft(
            kind,
            false,
            "NotCreated",
            format!("workload {name} does not exist"),
        );
    };
    if workload.is_complete() {
        return draft(
            kind,
            true,
            "AllReplicasReady",
            format!(
                "{} of {} replicas are ready",
                workload.ready, workload.wanted
            ),
        );
    }
    let (reason, what) = if workload.observed && workload.updated < workload.wanted {
        (
            "RollingOut",
            format!(
                "{} of {} replicas are updated",
                workload.updated, workload.wanted
            ),
        )
    } else {
        (
            "ReplicasNotReady",
            format!(
                "{} of {} replicas are ready",
                workload.ready, workload.wanted
            ),
        )
    };
    let trouble = observed
        .pods
        .iter()
        .filter(|pod| pod.component == component.as_str())
        .find_map(|pod| {
            pod.trouble
                .as_ref()
                .map(|trouble| format!("; {}: {trouble}", pod.name))
        })
        .unwrap_or_default();
    draft(kind, false, reason, format!("{what}{trouble}"))
}

/// True only when every replica runs the wanted configuration.
fn configured(observed: &Observed<'_>) -> Draft {
    let kind = "PrometheusConfigured";
    let pods: Vec<&PodState> = observed
        .pods
        .iter()
        .filter(|pod| pod.component == Component::Prometheus.as_str())
        .collect();
    let wanted = usize::try_from(observed.stack.prometheus.replicas).unwrap_or(0);
    for pod in &pods {
        let Some(sidecar) = &pod.sidecar else {
            return draft(
                kind,
                false,
                "SidecarUnreachable",
                format!(
                    "the sidecar of {} does not say which configuration is loaded",
                    pod.name
                ),
            );
        };
        if sidecar.config_hash.as_deref() == Some(observed.config_hash) {
            continue;
        }
        return match &sidecar.config_error {
            Some(error) => draft(
                kind,
                false,
                "ReloadFailed",
                format!("{}: {error}", pod.name),
            ),
            None => draft(
                kind,
                false,
                "ReloadPending",
                format!("{} has not loaded the present configuration yet", pod.name),
            ),
        };
    }
    if pods.len() < wanted {
        return draft(
            kind,
            false,
            "ReplicasMissing",
            format!("{} of {wanted} replicas exist", pods.len()),
        );
    }
    let missing: Vec<&str> = observed
        .missing_rule_config_maps
        .iter()
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        return draft(
            kind,
            false,
            "RuleConfigMapNotFound",
            format!(
                "ConfigMaps of spec.prometheus.ruleConfigMaps do not exist: {}",
                missing.join(", ")
            ),
        );
    }
    draft(
        kind,
        true,
        "ConfigurationLoaded",
        "every replica runs the present configuration",
    )
}

fn object_storage(observed: &Observed<'_>, storage: &ObjectStorage) -> Draft {
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

fn no_storage_class(observed: &Observed<'_>) -> Option<Draft> {
    (observed.has_default_storage_class == Some(false)).then(|| {
        draft(
            "NoStorageClass",
            true,
            "NoDefaultStorageClass",
            "a volume claim leaves its class to the cluster, which has no default; set storageClassName, or storage.ephemeral to do without a volume",
        )
    })
}

/// What a stack would scrape but may not.
fn scope_limited(stack: &Stack) -> Option<Draft> {
    if stack.reach == Reach::Cluster {
        return None;
    }
    let scrapes = &stack.prometheus.scrapes;
    let left_out: Vec<&str> = [
        ("kubelet", scrapes.kubelet),
        ("cadvisor", scrapes.cadvisor),
        ("apiserver", scrapes.apiserver),
    ]
    .into_iter()
    .filter_map(|(name, wanted)| wanted.then_some(name))
    .collect();
    if left_out.is_empty() {
        return None;
    }
    Some(draft(
        "ScopeLimited",
        true,
        "NamespaceNotInClusterStacks",
        format!(
            "left out: {}; pods and services are scraped in namespace {} only. Ask the administrator to add the namespace to --cluster-stacks, or switch these defaultScrapes off",
            left_out.join(", "),
            stack.names.namespace
        ),
    ))
}

/// A changed external label begins a new stream; said until the next change of the spec.
fn stream_identity(
    observed: &Observed<'_>,
    previous: &MonitoringStackStatus,
    generation: Option<i64>,
) -> Option<Draft> {
    let kind = "StreamIdentityChanged";
    let (before, after) = (&previous.external_labels, &observed.stack.external_labels);
    if !before.is_empty() && before != after {
        return Some(draft(
            kind,
            true,
            "ExternalLabelsChanged",
            format!(
                "external labels were {} and are {}: older data stays under the old labels",
                labels(before),
                labels(after)
            ),
        ));
    }
    let kept = previous
        .conditions
        .iter()
        .find(|condition| condition.type_ == kind)?;
    (kept.observed_generation == generation)
        .then(|| draft(kind, true, &kept.reason, kept.message.clone()))
}

fn labels(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

fn invalid_conditions(previous: &MonitoringStackStatus, invalid: &[Invalid]) -> Vec<Draft> {
    let reason = invalid
        .first()
        .map_or("InvalidSpec", |first| first.reason.as_str());
    let message = invalid
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ");
    let mut conditions = vec![
        draft("Ready", false, reason, message.clone()),
        draft(
            "Stalled",
            true,
            reason,
            format!("{message}; what runs is left as it is"),
        ),
    ];
    let of_storage: Vec<&Invalid> = invalid
        .iter()
        .filter(|entry| entry.path.starts_with("spec.objectStorage"))
        .collect();
    if let Some(first) = of_storage.first() {
        conditions.push(draft(
            "ObjectStorageReady",
            false,
            first.reason.as_str(),
            first.to_string(),
        ));
    }
    keep_components(previous, &mut conditions);
    conditions
}

fn failed_conditions(previous: &MonitoringStackStatus, error: &ApplyError) -> Vec<Draft> {
    let (reason, message) = (error.reason(), error.message());
    let second = if error.is_stalled() {
        "Stalled"
    } else {
        "Reconciling"
    };
    let mut conditions = vec![
        draft("Ready", false, reason, message.clone()),
        draft(second, true, reason, message),
    ];
    keep_components(previous, &mut conditions);
    conditions
}

/// Carries over what is known of components that this pass did not look at.
fn keep_components(previous: &MonitoringStackStatus, conditions: &mut Vec<Draft>) {
    const COMPONENTS: [&str; 5] = [
        "PrometheusReady",
        "PrometheusConfigured",
        "QueryReady",
        "StoreReady",
        "ObjectStorageReady",
    ];
    for kind in COMPONENTS {
        let known = previous
            .conditions
            .iter()
            .find(|condition| condition.type_ == kind);
        if let Some(known) = known
            && conditions.iter().all(|draft| draft.kind != kind)
        {
            conditions.push(draft(
                kind,
                known.status == "True",
                &known.reason,
                known.message.clone(),
            ));
        }
    }
}

fn merge(
    previous: &[Condition],
    drafts: Vec<Draft>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    drafts
        .into_iter()
        .map(|draft| {
            let since = previous
                .iter()
                .find(|old| old.type_ == draft.kind && old.status == draft.status)
                .map(|old| old.last_transition_time.clone());
            Condition {
                type_: draft.kind.to_owned(),
                status: draft.status.to_owned(),
                reason: draft.reason,
                message: draft.message.chars().take(MAX_MESSAGE_CHARS).collect(),
                observed_generation: generation,
                last_transition_time: since.unwrap_or_else(|| Time(whole_seconds(now))),
            }
        })
        .collect()
}

/// The API server keeps seconds; a finer time would differ from what is read back.
fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// A condition that flipped, for an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    pub kind: String,
    pub reason: String,
    pub message: String,
    /// Whether it is bad news.
    pub is_warning: bool,
}

/// The conditions that flipped, appeared or disappeared between two statuses. A component that is
/// not ready yet when first seen is no news.
pub fn transitions(old: &MonitoringStackStatus, new: &MonitoringStackStatus) -> Vec<Transition> {
    let mut transitions = Vec::new();
    for condition in &new.conditions {
        let before = old
            .conditions
            .iter()
            .find(|other| other.type_ == condition.type_);
        let is_abnormal_type =
            !condition.type_.ends_with("Ready") && condition.type_ != "PrometheusConfigured";
        let flipped = match before {
            None => {
                is_abnormal_type
                    || condition.status == "True"
                    || old.conditions.is_empty() && is_stalled(new)
            }
            Some(before) => {
                before.status != condition.status
                    || (condition.type_ == "Stalled" && before.message != condition.message)
            }
        };
        if !flipped || condition.type_ == "Reconciling" {
            continue;
        }
        let is_good = (condition.status == "True") != is_abnormal_type;
        transitions.push(Transition {
            kind: condition.type_.clone(),
            reason: condition.reason.clone(),
            message: condition.message.clone(),
            is_warning: !is_good,
        });
    }
    transitions
}

fn is_stalled(status: &MonitoringStackStatus) -> bool {
    status
        .conditions
        .iter()
        .any(|condition| condition.type_ == "Stalled")
}

/// Whether `new` says more than newer values of facts that move by themselves.
pub fn is_significant(old: &MonitoringStackStatus, new: &MonitoringStackStatus) -> bool {
    if old.last_upload.is_none() != new.last_upload.is_none() {
        return true;
    }
    let mut without_facts = new.clone();
    without_facts.last_upload.clone_from(&old.last_upload);
    without_facts != *old
}
