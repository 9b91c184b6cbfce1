//! Flags of `hindsight tools`.

use clap::{Args, Subcommand};
use runtime::units::HumanDuration;

use super::process::{LogArgs, ObjstoreArgs};
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

/// What to do with a bucket.
#[derive(Debug, Clone, Subcommand)]
pub enum BucketTool {
    /// Makes the bucket, unless it exists.
    Create(CreateArgs),
    /// Lists the blocks in the bucket.
    Ls(LsArgs),
}

#[derive(Debug, Clone, Args)]
pub struct CreateArgs {
    #[command(flatten)]
    pub log: LogArgs,
    #[command(flatten)]
    pub objstore: ObjstoreArgs,
    /// How long to try while the object store does not answer.
    #[arg(id = "timeout", long = "timeout", default_value = "5m")]
    pub timeout: HumanDuration,
}

#[derive(Debug, Clone, Args)]
pub struct LsArgs {
    #[command(flatten)]
    pub log: LogArgs,
    #[command(flatten)]
    pub objstore: ObjstoreArgs,
    /// Prints each block's meta.json (json), a table (wide), or only its name.
    #[arg(id = "output", long = "output", short = 'o', default_value = "", value_parser = ["", "json", "wide"], hide_possible_values = true)]
    pub output: String,
    /// Leave out blocks that are marked for deletion.
    #[arg(id = "exclude-delete", long = "exclude-delete", action = clap::ArgAction::Set, default_value_t = false)]
    pub exclude_delete: bool,
    /// How long to list.
    #[arg(id = "timeout", long = "timeout", default_value = "5m")]
    pub timeout: HumanDuration,
}
