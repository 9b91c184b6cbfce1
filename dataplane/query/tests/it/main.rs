//! A whole querier over real sockets, before stores that are in memory or misbehave.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests end where something unexpected happens"
)]

mod errors;
mod harness;
mod hostile;
mod metadata;
mod partial;
mod peers;
mod prometheus;
mod queries;
mod raw;
mod stacked;
mod status;
mod tenants;
mod why;
