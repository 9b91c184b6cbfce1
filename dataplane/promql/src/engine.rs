//! The engine: plans and evaluates queries.
pub mod error;
