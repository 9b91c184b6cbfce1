//! The sidecar: what stands beside each Prometheus and makes it part of something larger.
//!
//! Modules in reading order:
//! - [`prometheus`]: the client of the Prometheus beside it, and [`prometheus::remote_read`];
//! - [`reload`]: keeps Prometheus on the mounted configuration;
//! - [`store`]: its series as StoreAPI; [`external`] and [`reorder`] are what that takes;
//! - [`apis`]: its rules, targets, metadata and exemplars;
//! - [`heartbeat`]: who that Prometheus is; [`ship`]: uploads its blocks;
//! - [`status`], [`metrics`]: what others may know of it; [`run`]: all of it together.
//!
//! Invariants: a configuration is written before Prometheus starts; nothing is uploaded without
//! external labels; a block is in the bucket whole or not at all.

pub mod apis;
pub mod external;
pub mod heartbeat;
pub mod metrics;
pub mod prometheus;
pub mod reload;
pub mod reorder;
pub mod run;
pub mod ship;
pub mod status;
pub mod store;

pub use run::{Config, Sidecar, SidecarError, build};
