//! Flags of `hindsight tools bucket`.

mod change;
mod clean;
mod look;

use clap::{ArgAction, Args, Subcommand};
use model::ulid::BlockId;
use runtime::units::HumanDuration;

pub use self::change::{MarkArgs, ReplicateArgs, RewriteArgs, UploadBlocksArgs};
pub use self::clean::{CleanupArgs, PlanArgs, RetentionArgs};
pub use self::look::{InspectArgs, LsArgs, ReportArgs, ReportKind, VerifyArgs, WebArgs};
use super::super::process::{LogArgs, ObjstoreArgs};

/// What to do with a bucket.
#[derive(Debug, Clone, Subcommand)]
pub enum BucketTool {
    /// Makes the bucket, unless it exists.
    Create(CreateArgs),
    /// Lists the blocks in the bucket.
    Ls(LsArgs),
    /// Shows the blocks in the bucket as a table.
    Inspect(InspectArgs),
    /// Looks for blocks that are not sound, overlap or were made twice.
    Verify(VerifyArgs),
    /// Serves a page of the blocks in the bucket.
    Web(WebArgs),
    /// Shows gaps, overlaps, leftovers, and who takes how much of the bucket.
    Report(ReportArgs),
    /// Copies blocks to another bucket.
    Replicate(ReplicateArgs),
    /// Puts a mark beside blocks, or takes one away.
    Mark(MarkArgs),
    /// Makes blocks anew without some series, or with other labels.
    Rewrite(RewriteArgs),
    /// Deletes blocks that are marked for long enough, and uploads that were given up.
    Cleanup(CleanupArgs),
    /// Marks blocks beyond their retention.
    Retention(RetentionArgs),
    /// Shows what the compactor would do next.
    Plan(PlanArgs),
    /// Uploads the blocks of a data folder.
    UploadBlocks(UploadBlocksArgs),
}

/// What every tool of a bucket needs.
#[derive(Debug, Clone, Args)]
pub struct Common {
    #[command(flatten)]
    pub log: LogArgs,
    #[command(flatten)]
    pub objstore: ObjstoreArgs,
}

#[derive(Debug, Clone, Args)]
pub struct CreateArgs {
    #[command(flatten)]
    pub common: Common,
    /// How long to try while the object store does not answer.
    #[arg(id = "timeout", long = "timeout", default_value = "5m")]
    pub timeout: HumanDuration,
}

/// Whether what was asked for is done.
#[derive(Debug, Clone, Copy, Args)]
pub struct Consent {
    /// Only say what would be done.
    #[arg(id = "dry-run", long = "dry-run", action = ArgAction::SetTrue, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Do it.
    #[arg(id = "yes", long = "yes", action = ArgAction::SetTrue)]
    pub yes: bool,
}

/// Blocks by name.
#[derive(Debug, Clone, Args)]
pub struct Ids {
    /// A block; may be given several times.
    #[arg(id = "id", long = "id", value_name = "ULID")]
    pub ids: Vec<BlockId>,
}

/// Blocks by time.
#[derive(Debug, Clone, Args)]
pub struct Window {
    /// Only blocks with samples at or after this time: RFC 3339 or relative to now, e.g. -6w.
    #[arg(
        id = "min-time",
        long = "min-time",
        allow_hyphen_values = true,
        value_name = "TIME"
    )]
    pub min_time: Option<String>,
    /// Only blocks with samples at or before this time.
    #[arg(
        id = "max-time",
        long = "max-time",
        allow_hyphen_values = true,
        value_name = "TIME"
    )]
    pub max_time: Option<String>,
}
