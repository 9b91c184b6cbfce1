//! What every [`SeriesStore`](crate::SeriesStore) owes its callers, as tests any implementation can run.
//!
//! Load [`Fixture::standard`] into the store under test, whatever that takes (cut a block, fake a
//! Prometheus), then call [`check`]. [`MemoryStore`] is a complete store for tests of what lies above.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test suite panics where an expectation does not hold"
)]

mod checks;
mod fixture;
mod memory;

pub use checks::{Collected, check, collect};
pub use fixture::{Fixture, xor_chunks};
pub use memory::MemoryStore;
