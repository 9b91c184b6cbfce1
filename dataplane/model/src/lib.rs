//! The words every other room speaks: label sets, matchers, samples, histograms and time.
//!
//! In reading order: [`labels`] (an ordered, immutable label set in one allocation), [`matcher`]
//! (label matchers with Prometheus' anchored RE2 semantics), [`time`] (millisecond ranges),
//! [`duration`] (Prometheus duration texts), [`sample`] (samples and the stale marker),
//! [`histogram`] (native histograms), [`ulid`] (block identifiers), [`relabel`].
//!
//! Invariants: a [`Labels`] is sorted by name, has no duplicate name and no empty value; times are
//! milliseconds since the Unix epoch in `i64`. This room does no I/O and knows no async runtime.

pub mod duration;
pub mod histogram;
pub mod labels;
pub mod matcher;
pub mod regex;
pub mod relabel;
pub mod sample;
pub mod time;
pub mod ulid;

pub use duration::{format_duration, parse_duration};
pub use labels::{Label, Labels, LabelsBuilder};
pub use matcher::{MatchOp, Matcher};
pub use sample::{STALE_NAN_BITS, Sample, is_stale_nan, stale_nan};
pub use time::TimeRange;

/// The label that holds a metric's name.
pub const METRIC_NAME: &str = "__name__";
