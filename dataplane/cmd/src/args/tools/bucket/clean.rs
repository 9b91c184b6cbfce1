//! Flags of the tools that plan and clean up.

use clap::{ArgAction, Args};
use runtime::units::HumanDuration;
use tools::Format;

use super::{Common, Consent};

#[derive(Debug, Clone, Args)]
pub struct CleanupArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub consent: Consent,
    /// How long after its mark a block is deleted.
    #[arg(id = "delete-delay", long = "delete-delay", default_value = "48h")]
    pub delete_delay: HumanDuration,
    /// Read for compatibility: what has no meta.json is deleted 48 hours after its newest object.
    #[arg(
        id = "consistency-delay",
        long = "consistency-delay",
        default_value = "30m",
        hide = true
    )]
    pub consistency_delay: HumanDuration,
    /// Read for compatibility.
    #[arg(
        id = "block-sync-concurrency",
        long = "block-sync-concurrency",
        default_value_t = 20,
        hide = true
    )]
    pub sync_concurrency: usize,
    /// table, json, yaml, csv or tsv.
    #[arg(
        id = "output",
        long = "output",
        short = 'o',
        default_value = "table",
        value_name = "FORMAT"
    )]
    pub output: Format,
}

#[derive(Debug, Clone, Args)]
pub struct RetentionArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub consent: Consent,
    /// How long raw blocks are kept; 0d is for ever.
    #[arg(
        id = "retention.resolution-raw",
        long = "retention.resolution-raw",
        default_value = "0d"
    )]
    pub raw: HumanDuration,
    /// How long blocks of five minutes are kept; 0d is for ever.
    #[arg(
        id = "retention.resolution-5m",
        long = "retention.resolution-5m",
        default_value = "0d"
    )]
    pub five_minutes: HumanDuration,
    /// How long blocks of an hour are kept; 0d is for ever.
    #[arg(
        id = "retention.resolution-1h",
        long = "retention.resolution-1h",
        default_value = "0d"
    )]
    pub one_hour: HumanDuration,
    /// Also mark blocks that no downsampled block covers yet, for buckets that are not downsampled.
    #[arg(id = "downsampling.disable", long = "downsampling.disable", action = ArgAction::SetTrue)]
    pub downsampling_disable: bool,
    /// Read for compatibility: blocks are marked here, and deleted by cleanup.
    #[arg(
        id = "delete-delay",
        long = "delete-delay",
        default_value = "48h",
        hide = true
    )]
    pub delete_delay: HumanDuration,
    /// Read for compatibility: what expires is never fresh.
    #[arg(
        id = "consistency-delay",
        long = "consistency-delay",
        default_value = "30m",
        hide = true
    )]
    pub consistency_delay: HumanDuration,
    /// table, json, yaml, csv or tsv.
    #[arg(
        id = "output",
        long = "output",
        short = 'o',
        default_value = "table",
        value_name = "FORMAT"
    )]
    pub output: Format,
}

#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub common: Common,
    /// Plan for a compactor that merges overlapping blocks.
    #[arg(id = "compact.enable-vertical-compaction", long = "compact.enable-vertical-compaction", action = ArgAction::SetTrue)]
    pub vertical: bool,
    /// table, json, yaml, csv or tsv.
    #[arg(
        id = "output",
        long = "output",
        short = 'o',
        default_value = "table",
        value_name = "FORMAT"
    )]
    pub output: Format,
}
