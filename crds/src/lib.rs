//! The Kubernetes API of Hindsight: the types of `hindsight.dev/v1alpha1`, their defaults, their
//! CEL rules and the text that `kubectl explain` prints.
//!
//! In reading order: [`monitoring_stack`] (the kind and its spec), one file per section of the spec
//! below it ([`object_storage`], [`prometheus`], [`monitors`], [`sidecar`], [`query`], [`store`],
//! [`compact`], [`alertmanager`], [`grafana`], [`kube_state_metrics`], [`node_exporter`], [`workload`], [`images`], [`naming`],
//! [`proxy`], [`network_policy`], [`expose`], [`pod_disruption_budget`]), [`status`], [`coreos`] (the monitoring
//! resources of another group, as stacks read them), and [`document`], which gives the
//! CustomResourceDefinition as installed.
//!
//! Invariants: every field of ours has a description; a field exists only when the operator reads
//! it; no field names another namespace. The crate knows no client, no async and nothing of how a
//! field becomes an object: the operator does.

#![expect(
    unreachable_pub,
    reason = "the schema derive writes a public shadow of each struct into a function"
)]

pub mod coreos;
pub mod document;
pub mod monitoring_stack;

pub use monitoring_stack::{
    MonitoringStack, MonitoringStackSpec, alertmanager, compact, expose, grafana, images,
    kube_state_metrics, monitors, naming, network_policy, node_exporter, object_storage,
    pod_disruption_budget, prometheus, proxy, query, sidecar, status, store, workload,
};

/// The API group of all kinds here.
pub const GROUP: &str = "hindsight.dev";
/// The only version so far.
pub const VERSION: &str = "v1alpha1";
