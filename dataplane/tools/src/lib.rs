//! What people do to a bucket of blocks by hand.
//!
//! Modules in reading order:
//! - [`output`]: rows as a table, JSON, YAML, CSV or TSV;
//! - [`progress`]: how far a tool is;
//! - [`select`]: which blocks are meant;
//! - [`listing`]: what blocks there are; [`report`]: what is wrong with them as a whole;
//! - [`marks`]: marks put beside blocks and taken away;
//! - [`housekeeping`]: what is to go, and what the compactor would do next;
//! - [`replicate`]: blocks copied to another bucket;
//! - [`local`]: a block brought here and read; [`verify`]: whether it is sound;
//! - [`rewrite`]: a block made anew without some series, or with other labels;
//! - [`web`]: a page of blocks;
//! - [`error`]: what goes wrong.
//!
//! Invariants: nothing is deleted or marked before the caller has seen what will be; a new block is in the
//! bucket, whole, before the one it replaces is marked; what was broken off can be run again.
//!
//! It deliberately knows no command line: who asks, and whether they mean it, is decided above.

pub mod error;
pub mod housekeeping;
pub mod listing;
pub mod local;
pub mod marks;
pub mod output;
pub mod progress;
pub mod replicate;
pub mod report;
pub mod rewrite;
pub mod select;
pub mod verify;
pub mod web;

pub use error::ToolError;
pub use output::{Format, Row, render};
pub use progress::Progress;
pub use select::Selection;
