//! The query frontend: one HTTP address before a querier that splits long range queries, keeps their
//! results, and asks again where a call fails.
//!
//! In reading order: [`config`] (what a frontend is told), [`component`] (how it is built and run),
//! `handler` (which call goes which way), `range` (a range query: what may be split, and how),
//! `matrix` (answers taken apart and put together), `cache` (results kept), `downstream` (the querier
//! behind).
//!
//! Invariants: an answer that is partial, or not yet final because it is too fresh, is never kept; a
//! query whose meaning depends on its own range is never split; a call that is not understood goes
//! to the querier as it came, so that errors are the querier's.
//!
//! It deliberately knows neither stores nor samples.

mod cache;
pub mod component;
pub mod config;
mod downstream;
mod handler;
mod matrix;
mod range;

pub use component::{Frontend, StartError};
pub use config::Config;
