//! The operator: turns a `MonitoringStack` into workloads and keeps them so.
//!
//! In reading order: [`settings`] (what the administrator decides), [`names`] (of all objects),
//! [`coreos`] (monitoring resources into scrape jobs and rule files), [`controller`] (the reconcile,
//! one module per step), [`render`] (the pure half without a cluster),
//! and what the commands are made of, [`diff`], [`inspect`], [`explain`], [`summary`], [`gather`]; then what runs it: [`run`], [`leader`] (who may write), [`children`] and [`references`]
//! (watches), [`admin`] (the listener), [`telemetry`]; [`yaml`] and [`quantity`] are formats.
//!
//! Invariants: one module writes to the API server, and only while this process holds the lease;
//! a pass over a stack that is as wanted writes nothing; no secret reaches a log, an event, a
//! status or an error.
//!
//! It deliberately knows nothing of series, blocks or queries: towards the data plane the contract
//! is flags, YAML, ports and labels.

pub mod admin;
pub mod children;
pub mod controller;
pub mod coreos;
pub mod diff;
pub mod explain;
pub mod gather;
pub mod inspect;
pub mod leader;
pub mod names;
pub mod quantity;
pub mod references;
pub mod render;
pub mod run;
pub mod settings;
pub mod summary;
pub mod telemetry;
pub mod yaml;
