//! PromQL: from the text of a query to its result.
//!
//! In reading order: [`ast`] (the syntax tree), [`functions`] (their signatures), `lexer`, [`parser`],
//! [`printer`]. With the feature `engine`: [`queryable`] (the door to whatever holds samples),
//! [`symbols`] (labels as numbers), [`context`] (limits, cancellation, memory), [`value`] (answers),
//! `plan` (what a query means once its times are known), [`engine`] (evaluates it), [`annotations`]
//! (warnings and infos), [`memory`] (samples in memory), [`number`] and [`calendar`].
//!
//! Invariants: a tree that the parser returns is well typed and of bounded depth. Answers are
//! Prometheus' bit for bit: sums are added in its order and compensated as it does. This room does
//! not know where series come from: no storage, no network, no HTTP.

pub mod ast;
pub mod functions;
mod lexer;
pub mod parser;
pub mod printer;

pub use ast::{Expr, PosRange, ValueType};
pub use functions::{Function, FunctionId};
pub use parser::{ParseError, ParseOptions, parse, parse_metric_selector, parse_series_matchers};
pub use printer::prettify;

#[cfg(feature = "engine")]
pub mod annotations;
#[cfg(feature = "engine")]
pub mod calendar;
#[cfg(feature = "engine")]
pub mod context;
#[cfg(feature = "engine")]
pub mod engine;
#[cfg(feature = "engine")]
pub mod memory;
#[cfg(feature = "engine")]
pub mod number;
#[cfg(feature = "engine")]
mod plan;
#[cfg(feature = "engine")]
pub mod queryable;
#[cfg(feature = "engine")]
pub mod symbols;
#[cfg(feature = "engine")]
pub mod value;
