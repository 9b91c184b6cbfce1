//! The reconcile, in order: [`dereference`] (reads), [`validate`] (pure), [`mint`] (secret
//! material), [`build`] (pure), [`apply`] (writes), [`status`] (pure, then one write). Between the
//! last two, [`observe`] reads what the pods say.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crds::MonitoringStack;
use crds::coreos::Kind;
use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::runtime::events::Recorder;
use kube::{Api, Client, Resource as _, ResourceExt as _};
use rand::{Rng as _, RngCore as _};

use crate::children::Children;
use crate::controller::apply::{Applier, ApplyError, FINALIZER, Mode};
use crate::controller::mint::Entropy;
use crate::controller::observe::Observer;
use crate::controller::status::{Observed, Outcome};
use crate::controller::validate::Invalid;
use crate::coreos::material::{Holder, Reference};
use crate::coreos::selection::{self, Standpoint};
use crate::coreos::watch::Resources;
use crate::coreos::{self, Resource};
use crate::references::ReferenceWatches;
use crate::settings::Settings;
use crate::telemetry::Metrics;

pub mod apply;
pub mod build;
pub mod dereference;
pub mod exporters;
pub mod mint;
mod news;
pub mod observe;
pub mod status;
pub mod validate;

/// Time between two looks at a stack at rest.
const RESYNC: Duration = Duration::from_secs(60);
/// Time between two looks while a configuration is on its way to the replicas.
const CONFIG_POLL: Duration = Duration::from_secs(3);
/// Wait after a conflict: someone wrote in between, and the watch is about to tell.
const CONFLICT_WAIT: Duration = Duration::from_millis(500);
/// First and longest wait after a failed pass.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// Time between two status writes that only bring facts that move by themselves.
const FACTS_INTERVAL: Duration = Duration::from_secs(600);

/// Everything a pass needs beside the resource.
pub struct Context {
    pub client: Client,
    pub settings: Settings,
    pub children: Children,
    pub applier: Arc<Applier>,
    pub observer: Observer,
    pub recorder: Recorder,
    pub metrics: Arc<Metrics>,
    pub references: ReferenceWatches,
    pub resources: Arc<Resources>,
    pub memory: Mutex<HashMap<String, Memory>>,
}

/// What is remembered of a stack between passes, by its uid.
#[derive(Default)]
pub struct Memory {
    failures: u32,
    facts_written: Option<Instant>,
    /// Rejections that have been told; none before the first pass of this process.
    told: Option<BTreeMap<Object, String>>,
}

/// Kind, namespace and name of a monitoring resource.
type Object = (Kind, String, String);

/// Why a pass failed. Every variant is worth another try.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error("cannot read what the stack refers to")]
    Dereference(#[source] kube::Error),
    #[error("cannot apply the stack")]
    Apply(#[source] ApplyError),
    #[error("cannot observe the stack's pods")]
    Observe(#[source] kube::Error),
    #[error("cannot write the status")]
    Status(#[source] ApplyError),
    #[error("cannot read the stack")]
    Read(#[source] kube::Error),
    #[error("cannot clean up after the stack")]
    CleanUp(#[source] ApplyError),
}

impl ReconcileError {
    /// The error's class, for metrics.
    fn class(&self) -> &'static str {
        match self {
            Self::Dereference(_) => "Dereference",
            Self::Apply(_) => "Apply",
            Self::Observe(_) => "Observe",
            Self::Status(_) => "Status",
            Self::Read(_) => "Read",
            Self::CleanUp(_) => "CleanUp",
        }
    }

    fn is_conflict(&self) -> bool {
        match self {
            Self::Apply(error) | Self::Status(error) | Self::CleanUp(error) => error.is_conflict(),
            Self::Dereference(_) | Self::Observe(_) | Self::Read(_) => false,
        }
    }
}

/// One pass over a stack.
///
/// # Errors
/// What should be tried again. Invalid input is none: it waits for a change.
pub async fn reconcile(
    guarded: Arc<DeserializeGuard<MonitoringStack>>,
    context: Arc<Context>,
) -> Result<Action, ReconcileError> {
    let resource = match &guarded.0 {
        Ok(resource) => resource,
        Err(invalid) => {
            // Stored under a schema that this release does not read; a change will bring it back.
            tracing::error!(name = guarded.name_any(), error = %invalid.error, "unreadable stack");
            return Ok(Action::await_change());
        }
    };
    let started = Instant::now();
    // A pass is too large a future to be moved around.
    let result = Box::pin(reconcile_resource(resource, &context)).await;
    let outcome = match &result {
        Ok((_, Pass::Complete)) => "success",
        Ok((_, Pass::Invalid)) => "invalid",
        Err(_) => "error",
    };
    context.metrics.reconciled(outcome, started.elapsed());
    if result.is_ok() {
        context.remember(resource, |memory| memory.failures = 0);
    }
    result.map(|(action, _)| action)
}

/// How a pass that did not fail ended.
enum Pass {
    Complete,
    Invalid,
}

/// When a failed pass is tried again.
pub fn error_policy(
    guarded: Arc<DeserializeGuard<MonitoringStack>>,
    error: &ReconcileError,
    context: Arc<Context>,
) -> Action {
    if error.is_conflict() {
        return Action::requeue(CONFLICT_WAIT);
    }
    context.metrics.failed(error.class());
    let failures = match &guarded.0 {
        Ok(resource) => context.remember(resource, |memory| {
            memory.failures = memory.failures.saturating_add(1);
            memory.failures
        }),
        Err(_) => 1,
    };
    let wait = backoff(failures, rand::rng().random_range(0.8..1.2));
    tracing::warn!(
        name = guarded.name_any(),
        namespace = guarded.namespace().unwrap_or_default(),
        error = chain(error),
        retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        "pass failed"
    );
    Action::requeue(wait)
}

fn backoff(failures: u32, jitter: f64) -> Duration {
    let (first, longest) = BACKOFF;
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
    first.saturating_mul(factor).min(longest).mul_f64(jitter)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

async fn reconcile_resource(
    resource: &MonitoringStack,
    context: &Context,
) -> Result<(Action, Pass), ReconcileError> {
    if resource.metadata.deletion_timestamp.is_some() {
        clean_up(resource, context).await?;
        return Ok((Action::await_change(), Pass::Complete));
    }
    // 1. What the spec refers to, and a watch on each of it: a Secret that comes later is news.
    let selected = context.select(resource);
    let named = coreos::named(&selected);
    let mut referenced = named.clone();
    let namespace = resource.namespace().unwrap_or_default();
    for name in dereference::referenced_secrets(&resource.spec) {
        referenced.insert(Reference {
            holder: Holder::Secret,
            namespace: namespace.clone(),
            name,
        });
    }
    context.references.watch(resource, referenced);
    let mut references = dereference::dereference(&context.client, resource, selected, &named)
        .await
        .map_err(ReconcileError::Dereference)?;
    references.exporter_owners = exporters::owners(&context.client, resource, &context.settings)
        .await
        .map_err(ReconcileError::Dereference)?;
    // 2. What can be wrong.
    let stack = match validate::validate(resource, &references, &context.settings) {
        Ok(stack) => stack,
        Err(invalid) => {
            report_invalid(resource, context, &invalid).await?;
            return Ok((Action::await_change(), Pass::Invalid));
        }
    };
    // 3. Secret material.
    let minted = mint::mint(
        mint::Existing {
            object_storage: references.object_storage_secret.as_ref(),
            grafana: references.grafana_secret.as_ref(),
        },
        &mut SystemEntropy,
    );
    // 4. The desired set.
    let desired = build::build(&stack, &minted);
    // 5. The cluster is made so.
    let mode = if resource.spec.paused {
        Mode::Observe
    } else {
        Mode::Write
    };
    let applied = apply_all(resource, context, &stack, &desired, mode).await;
    let workloads = match applied {
        Ok(workloads) => workloads,
        Err(error) => {
            if !matches!(error, ApplyError::NotLeading { .. }) && !error.is_conflict() {
                let now = Timestamp::now();
                write_status(resource, context, &Outcome::Failed(&error), now).await?;
            }
            return Err(ReconcileError::Apply(error));
        }
    };
    let pods = context
        .observer
        .pods(&stack.names)
        .await
        .map_err(ReconcileError::Observe)?;
    let growing_claims = context
        .observer
        .growing_claims(&stack.names)
        .await
        .map_err(ReconcileError::Observe)?;
    let has_stale_replica = pods.iter().any(|pod| is_stale(pod, &desired.config_hash));
    if mode == Mode::Write {
        let to_nudge: Vec<String> = pods
            .iter()
            .filter(|pod| {
                is_stale(pod, &desired.config_hash)
                    && pod.nudged_for.as_ref() != Some(&desired.config_hash)
            })
            .map(|pod| pod.name.clone())
            .collect();
        context
            .applier
            .nudge(&stack.names.namespace, &to_nudge, &desired.config_hash)
            .await
            .map_err(ReconcileError::Apply)?;
    }
    // 6. What is said of it.
    let observed = Observed {
        stack: &stack,
        workloads: &workloads,
        pods: &pods,
        config_hash: &desired.config_hash,
        missing_rule_config_maps: &references.missing_rule_config_maps,
        growing_claims: &growing_claims,
        has_default_storage_class: references.has_default_storage_class,
        is_paused: resource.spec.paused,
    };
    write_status(
        resource,
        context,
        &Outcome::Observed(observed),
        Timestamp::now(),
    )
    .await?;
    context.judge(resource, &stack.monitored.verdicts).await;
    let wait = if has_stale_replica {
        CONFIG_POLL
    } else {
        RESYNC
    };
    let jitter = rand::rng().random_range(0.9..1.1);
    Ok((Action::requeue(wait.mul_f64(jitter)), Pass::Complete))
}

/// Whether a replica answers and has not loaded the wanted configuration.
fn is_stale(pod: &observe::PodState, config_hash: &str) -> bool {
    pod.component == crate::names::Component::Prometheus.as_str()
        && pod
            .sidecar
            .as_ref()
            .is_some_and(|sidecar| sidecar.config_hash.as_deref() != Some(config_hash))
}

/// Applies with the finalizer around it: set before the first cluster-scoped object, removed after
/// the last.
async fn apply_all(
    resource: &MonitoringStack,
    context: &Context,
    stack: &validate::Stack,
    desired: &build::Desired,
    mode: Mode,
) -> Result<Vec<apply::Workload>, ApplyError> {
    let wants_finalizer = desired.has_cluster_scoped();
    if mode == Mode::Write && wants_finalizer {
        context.applier.set_finalizer(resource, true).await?;
    }
    let workloads = context
        .applier
        .apply(stack, desired, &context.children, mode)
        .await?;
    if mode == Mode::Write && !wants_finalizer {
        context.applier.set_finalizer(resource, false).await?;
    }
    Ok(workloads)
}

async fn report_invalid(
    resource: &MonitoringStack,
    context: &Context,
    invalid: &[Invalid],
) -> Result<(), ReconcileError> {
    for entry in invalid {
        tracing::warn!(
            name = resource.name_any(),
            namespace = resource.namespace().unwrap_or_default(),
            path = entry.path,
            problem = entry.problem,
            "invalid stack"
        );
    }
    write_status(
        resource,
        context,
        &Outcome::Invalid(invalid),
        Timestamp::now(),
    )
    .await
}

/// Objects in the namespace go with their owner; what lies outside is removed here.
async fn clean_up(resource: &MonitoringStack, context: &Context) -> Result<(), ReconcileError> {
    let uid = resource.uid().unwrap_or_default();
    let namespace = resource.namespace().unwrap_or_default();
    if resource.finalizers().iter().any(|name| name == FINALIZER) {
        let cleaned = context
            .applier
            .clean_up(&namespace, &uid, &context.children)
            .await;
        if let Err(error) = cleaned {
            if !is_terminating(&context.client, &namespace).await {
                return Err(ReconcileError::CleanUp(error));
            }
            // A namespace must not hang on us; a starting operator removes what is left.
            tracing::warn!(namespace, error = error.message(), "left a binding behind");
        }
        context
            .applier
            .set_finalizer(resource, false)
            .await
            .map_err(ReconcileError::CleanUp)?;
    }
    Ok(())
}

async fn is_terminating(client: &Client, namespace: &str) -> bool {
    let api: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
    match api.get_metadata_opt(namespace).await {
        Ok(found) => found.is_none_or(|found| found.metadata.deletion_timestamp.is_some()),
        Err(_) => false,
    }
}

/// Writes the status if it changed, then tells of what flipped.
async fn write_status(
    resource: &MonitoringStack,
    context: &Context,
    outcome: &Outcome<'_>,
    now: Timestamp,
) -> Result<(), ReconcileError> {
    // It holds whole resources, too much for the future of a pass to carry around.
    Box::pin(write_changed_status(resource, context, outcome, now)).await
}

async fn write_changed_status(
    resource: &MonitoringStack,
    context: &Context,
    outcome: &Outcome<'_>,
    now: Timestamp,
) -> Result<(), ReconcileError> {
    let generation = resource.metadata.generation;
    let known = resource.status.clone().unwrap_or_default();
    if status::status(&known, generation, outcome, now) == known {
        return Ok(());
    }
    // The watch may lag behind our own last write: decide on what is stored now.
    let namespace = resource.namespace().unwrap_or_default();
    let api: Api<MonitoringStack> = Api::namespaced(context.client.clone(), &namespace);
    let Some(fresh) = api
        .get_opt(&resource.name_any())
        .await
        .map_err(ReconcileError::Read)?
    else {
        return Ok(());
    };
    if fresh.metadata.uid != resource.metadata.uid {
        return Ok(());
    }
    let stored = fresh.status.clone().unwrap_or_default();
    let next = status::status(&stored, generation, outcome, now);
    if next == stored {
        return Ok(());
    }
    if !status::is_significant(&stored, &next) && !context.may_write_facts(resource) {
        return Ok(());
    }
    context
        .applier
        .write_status(&fresh, &next)
        .await
        .map_err(ReconcileError::Status)?;
    context.remember(resource, |memory| {
        memory.facts_written = Some(Instant::now())
    });
    let reference = resource.object_ref(&());
    for transition in status::transitions(&stored, &next) {
        context.tell(&reference, transition).await;
    }
    Ok(())
}

impl Context {
    /// The monitoring resources that a stack selects, in order. From here on a change of any that it
    /// may select starts a pass.
    fn select(&self, resource: &MonitoringStack) -> Vec<Resource> {
        let namespace = resource.namespace().unwrap_or_default();
        let reach = self.settings.reach(&namespace);
        self.resources.interest(
            &namespace,
            &resource.name_any(),
            selection::is_wide(&resource.spec, reach),
            self.references.triggers(),
        );
        let standpoint = Standpoint {
            namespace: &namespace,
            reach,
            namespaces: &self.resources.namespaces(),
        };
        let all = self.resources.all();
        selection::select(
            &resource.spec,
            standpoint,
            all.iter().map(std::convert::AsRef::as_ref),
        )
    }

    /// Drops what is known of a stack that is gone, its watches included.
    pub fn forget(&self, resource: &MonitoringStack) {
        let uid = resource.uid().unwrap_or_default();
        self.references.forget(resource);
        let namespace = resource.namespace().unwrap_or_default();
        self.resources.forget(&namespace, &resource.name_any());
        self.metrics.forget(&namespace, &resource.name_any());
        self.applier.forget_stack(&uid);
        self.memory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&uid);
    }

    fn remember<T>(&self, resource: &MonitoringStack, change: impl FnOnce(&mut Memory) -> T) -> T {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = resource.uid().unwrap_or_default();
        change(memory.entry(uid).or_default())
    }

    fn may_write_facts(&self, resource: &MonitoringStack) -> bool {
        self.remember(resource, |memory| memory.facts_written)
            .is_none_or(|written| written.elapsed() >= FACTS_INTERVAL)
    }
}

/// Randomness of the operating system.
struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&mut self, buffer: &mut [u8]) {
        rand::rng().fill_bytes(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound() {
        let waits: Vec<u64> = [1, 2, 3, 7, 100]
            .map(|failures| backoff(failures, 1.0).as_secs())
            .to_vec();
        assert_eq!(waits, [5, 10, 20, 300, 300]);
        assert!(backoff(1, 0.8) < backoff(1, 1.2));
    }
}
