//! Sixth step: what is said of the stack. Pure; the one write follows only on change. One file a
//! subject; this one puts their conditions together.

use std::collections::BTreeSet;

use crds::status::MonitoringStackStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::apply::{ApplyError, Workload};
use super::observe::PodState;
use super::validate::{Invalid, Stack};
use crate::names::Component;

mod compact;
mod configuration;
mod exporters;
mod facts;
mod failure;
pub mod resources;
mod scope;
mod storage;
mod stream;
mod transitions;
mod workload;

pub use transitions::{Transition, is_significant, transitions};

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
    /// Volumes that are smaller than asked for, one text each.
    pub growing_claims: &'a [String],
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
            facts::describe(&mut status, previous, observed);
            resources::describe(&mut status, &observed.stack.monitored.verdicts);
            observed_conditions(observed, previous, generation)
        }
        Outcome::Invalid(invalid) => failure::invalid_conditions(previous, invalid),
        Outcome::Failed(error) => failure::failed_conditions(previous, error),
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

fn observed_conditions(
    observed: &Observed<'_>,
    previous: &MonitoringStackStatus,
    generation: Option<i64>,
) -> Vec<Draft> {
    let stack = observed.stack;
    let mut components = Vec::new();
    for part in stack.parts() {
        // The embedded server is told of with the bucket.
        let Some(kind) = workload::condition_of(part.component) else {
            continue;
        };
        let name = stack.names.workload(part.component);
        let mut condition = workload::workload_condition(kind, observed, &name, part.component);
        if let Some(compact) = &stack.compact
            && part.component == Component::Compact
        {
            condition = compact::with_retention(condition, compact);
        }
        components.push(condition);
        if part.component == Component::Prometheus {
            components.push(configuration::configured(observed));
        }
    }
    if let Some(storage) = &stack.object_storage {
        components.push(storage::object_storage(observed, storage));
    }
    components.extend(exporters::elsewhere(stack));
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
    conditions.extend(storage::no_storage_class(observed));
    conditions.extend(storage::growing(observed));
    conditions.extend(scope::scope_limited(stack));
    conditions.extend(resources::rejected(&stack.monitored.verdicts));
    conditions.extend(stream::stream_identity(observed, previous, generation));
    conditions.extend(stream::duplicate_stream(observed));
    conditions
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
