//! What every long-running process needs whatever it serves: telemetry, listeners, probes,
//! shutdown, supervision, a clock and configuration files.
//!
//! Modules in reading order:
//! - [`service`]: the bundle a component's `run` is given, and the order in which a main calls things;
//! - [`telemetry`]: log lines as logfmt or JSON;
//! - [`metrics`]: the registry, `build_info`, process figures, the text of `/metrics`;
//! - [`probe`]: one watched value behind `/-/healthy`, `/-/ready` and gRPC health;
//! - [`shutdown`], [`tasks`]: signals, cancellation, a supervised group that ends together;
//! - [`clock`]: time as an argument;
//! - [`listener`]: one accept loop with limits, timeouts, TLS and graceful drain;
//! - [`http`], [`grpc`]: what the two kinds of listener add to it, and the gRPC client channel;
//! - [`tls`]: server and client TLS whose files are read again when they change;
//! - [`watch`]: notices changed files, symlink swaps included;
//! - [`content`], [`units`]: inline-or-file configuration, `$(VAR)`, durations and byte sizes.
//!
//! Invariants: every listener has limits and timeouts; every spawned task belongs to a group or to a
//! connection that a group owns; nothing here is a static; no secret reaches a log line.
//!
//! It deliberately knows no domain word: no series, no block, no query.

pub mod clock;
pub mod content;
pub mod grpc;
pub mod http;
pub mod listener;
pub mod metrics;
pub mod probe;
pub mod service;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;
pub mod tls;
pub mod units;
pub mod watch;
