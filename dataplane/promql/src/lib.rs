//! PromQL: from the text of a query to its result.
//!
//! In reading order: [`ast`] (the syntax tree), [`functions`] (their signatures).
//!
//! Invariants: a tree that the parser returns is well typed and of bounded depth. This room does
//! not know where series come from: no storage, no network, no HTTP.

pub mod ast;
pub mod functions;

pub use ast::{Expr, PosRange, ValueType};
pub use functions::{Function, FunctionId};
