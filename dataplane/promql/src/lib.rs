//! PromQL: from the text of a query to its result.
//!
//! In reading order: [`ast`] (the syntax tree), [`functions`] (their signatures), `lexer`, [`parser`],
//! [`printer`]. With the feature `engine`: [`queryable`] (the door to whatever holds samples),
//! [`symbols`] (labels as numbers), [`context`] (limits, cancellation, memory), [`value`] (answers),
//! `plan` (what a query means once its times are known), [`engine`] (evaluates it), [`annotations`]
//! (warnings and infos), [`memory`] (samples in memory), [`number`] and [`calendar`].
//!
//! What of PromQL is evaluated, measured by Prometheus 3.15's test scripts and by comparison with it:
//!
//! | feature | switched on by | state |
//! |---|---|---|
//! | functions, operators, aggregations, subqueries over floats | always | whole |
//! | native histograms, exponential and custom buckets, trim operators | always | whole |
//! | `@`, `offset`, UTF-8 names, stale markers, annotations with positions | always | whole |
//! | `info` with a label selector, `limitk`, `limit_ratio`, other experimental functions | [`ParseOptions::experimental_functions`] | whole |
//! | duration expressions | [`ParseOptions::duration_expressions`] | whole |
//! | `anchored`, `smoothed` | [`ParseOptions::extended_range_selectors`] | whole |
//! | `fill`, `fill_left`, `fill_right` | [`ParseOptions::fill_modifiers`] | whole |
//! | delayed name removal | [`engine::EngineFeatures`] | whole |
//! | Thanos' `xrate`, `xincrease`, `xdelta` | [`ParseOptions::extended_functions`] | floats, an hour of extended lookback |
//! | start timestamps (`start_timestamp`, resets by them) | - | no: [`queryable`] does not carry them |
//! | infos by the label `__type__` instead of the name | - | no |
//! | label names in queries that are not UTF-8 | - | refused |
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
