//! The operator: turns a `MonitoringStack` into workloads and keeps them so.
//!
//! In reading order: [`settings`] (what the administrator decides), [`names`] (of all objects),
//! [`controller`] (the reconcile, one module per step), [`render`] (the pure half without a
//! cluster), [`yaml`] and [`quantity`] (formats).
//!
//! Invariants: one module writes to the API server, and only while this process holds the lease;
//! a pass over a stack that is as wanted writes nothing; no secret reaches a log, an event, a
//! status or an error.
//!
//! It deliberately knows nothing of series, blocks or queries: towards the data plane the contract
//! is flags, YAML, ports and labels.

pub mod controller;
pub mod names;
pub mod quantity;
pub mod render;
pub mod settings;
pub mod yaml;
