//! The compactor.
pub mod error;
pub mod execute;
pub mod group;
pub mod lease;
pub mod lineage;
pub mod merge;
pub mod plan;
pub mod stage;

pub use error::{CompactError, ErrorKind};
