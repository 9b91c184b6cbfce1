//! What the end-to-end scenario sees of a cluster with a stack in it: as a person with kubectl and a
//! browser would, from outside.
//!
//! Modules in reading order: [`wait`] (conditions with a deadline), [`machine`] (the embedded cluster
//! with the project's images and manifests in it), [`stack`] (a MonitoringStack, its objects and pods),
//! [`prometheus_api`] (questions to queriers and to Prometheus), [`bucket`] (what lies in the embedded
//! object storage).
//!
//! Invariants: nothing waits without a deadline and a name for what it waits for; nothing is asked
//! again because an answer was wrong.
//!
//! It knows no component's code: the resource's types, the HTTP API and the bucket's layout are all it
//! goes by.

pub mod bucket;
pub mod machine;
pub mod prometheus_api;
pub mod stack;
pub mod wait;
