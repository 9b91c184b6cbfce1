//! Flags of `hindsight tools`.

pub mod bucket;

use clap::{Args, Subcommand};

pub use self::bucket::BucketTool;
use super::why::WhyArgs;

/// Works on buckets and their blocks.
#[derive(Debug, Clone, Args)]
pub struct ToolsArgs {
    #[command(subcommand)]
    pub tool: Tool,
}

/// What to work on.
#[derive(Debug, Clone, Subcommand)]
pub enum Tool {
    /// Works on a bucket.
    #[command(subcommand)]
    Bucket(BucketTool),
    /// Says why a selector finds something at a time, or does not.
    Why(WhyArgs),
}
