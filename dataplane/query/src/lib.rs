//! The querier: one PromQL API over many stores.
//!
//! In reading order: [`config`] (what a querier is told), [`component`] (how it is built and run),
//! [`endpoints`] (which stores there are), `service` with `gate`
//! (whose turn it is, deadline and evaluation of a query),
//! `select` (from the engine's selectors to a stream of series and back to columns), `http` and
//! `grpc` with `limited` (the two ways in), `tenant` (on whose behalf), `peers` (rules, targets,
//! metadata and exemplars of the endpoints), [`metrics`].
//!
//! A query goes: `http` decodes the request, `service` takes a turn at the gate and runs the engine on
//! a thread of its own, `select` starts one stream a selector on the async threads, the proxy merges
//! the stores' series, the engine decodes them and folds.
//!
//! Invariants: no chunk is decoded on an async thread; what is buffered between the two sides is
//! bounded; an answer that lacks a store's data says so in its body and headers.
//!
//! It deliberately knows neither blocks nor buckets.

pub mod component;
pub mod config;
pub mod endpoints;
mod gate;
mod grpc;
mod http;
mod limited;
pub mod metrics;
mod peers;
mod select;
mod service;
mod tenant;

pub use component::{Parts, Querier, Readiness, StartError};
pub use config::Config;
