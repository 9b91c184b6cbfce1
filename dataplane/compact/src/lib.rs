//! The compactor: fewer and larger blocks, coarser ones beside them, old ones gone.
//!
//! Read in this order:
//! - [`group`] and [`plan`]: which blocks become one;
//! - [`merge`], [`stage`] and [`execute`]: how they do, from the bucket into the bucket;
//! - [`downsample`]: what takes their place where nobody needs every sample;
//! - [`retention`] and [`clean`]: what goes;
//! - [`lineage`]: what blocks say of their origin; [`foreign`]: whose are not this program's;
//! - [`lease`]: that only one works at a time;
//! - [`cycle`]: all of it, round by round; [`component`]: as a process, with [`http`], [`metrics`] and
//!   [`progress`].
//!
//! Plans are pure functions of metas, policy and time. Carrying one out can be broken off anywhere:
//! before a new block's `meta.json` is in the bucket nothing has happened, after it a rerun finds what
//! is left to do.
//!
//! Invariants: a block is marked for deletion only after another that holds all its samples was read
//! back from the bucket, or after its retention; marks, metas and deletions are written only under the
//! lease; one bad block holds up itself alone; chunks that overlap nothing keep their bytes.
//!
//! It deliberately knows nothing of queries and of the wire.

pub mod clean;
pub mod component;
pub mod config;
pub mod cycle;
pub mod downsample;
pub mod error;
pub mod execute;
pub mod foreign;
pub mod group;
pub mod http;
pub mod lease;
pub mod lineage;
pub mod merge;
pub mod metrics;
pub mod plan;
pub mod progress;
pub mod retention;
pub mod stage;
#[cfg(test)]
mod world;

pub use component::Compactor;
pub use config::{Config, WorkConfig};
pub use error::{CompactError, ErrorKind};
