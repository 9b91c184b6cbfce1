//! Flags of the tools that only look, or repair what they see.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};
use runtime::units::HumanDuration;
use tools::Format;
use tools::listing::SortColumn;
use tools::verify::Issue;

use super::{Common, Consent, Ids, Window};
use crate::args::process::HttpArgs;

#[derive(Debug, Clone, Args)]
pub struct LsArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub window: Window,
    /// Prints names (the default), times and labels (wide), each meta.json (json), or a table, yaml, csv or
    /// tsv of all that is known.
    #[arg(id = "output", long = "output", short = 'o', default_value = "", value_parser = ["", "json", "wide", "table", "yaml", "csv", "tsv"], hide_possible_values = true)]
    pub output: String,
    /// Leave out blocks that are marked for deletion.
    #[arg(id = "exclude-delete", long = "exclude-delete", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false)]
    pub exclude_delete: bool,
    /// How long to list.
    #[arg(id = "timeout", long = "timeout", default_value = "5m")]
    pub timeout: HumanDuration,
}

#[derive(Debug, Clone, Args)]
pub struct InspectArgs {
    #[command(flatten)]
    pub common: Common,
    /// Only blocks with this external label, name="value"; may be given several times.
    #[arg(
        id = "selector",
        long = "selector",
        short = 'l',
        value_name = "NAME=\"VALUE\""
    )]
    pub selector: Vec<String>,
    /// Sort by these columns.
    #[arg(id = "sort-by", long = "sort-by", default_values = ["FROM", "UNTIL"], value_name = "COLUMN")]
    pub sort_by: Vec<SortColumn>,
    /// table, json, yaml, csv or tsv.
    #[arg(
        id = "output",
        long = "output",
        short = 'o',
        default_value = "table",
        value_name = "FORMAT"
    )]
    pub output: Format,
    /// How long to list.
    #[arg(id = "timeout", long = "timeout", default_value = "5m")]
    pub timeout: HumanDuration,
}

#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub ids: Ids,
    /// What to look for; may be given several times.
    #[arg(id = "issues", long = "issues", short = 'i', default_values = ["index_known_issues", "overlapped_blocks"], value_name = "ISSUE")]
    pub issues: Vec<Issue>,
    /// Repair what can be: unsound blocks are made anew where they can still be read, and blocks that were
    /// made twice are marked for deletion.
    #[arg(id = "repair", long = "repair", short = 'r', action = ArgAction::SetTrue)]
    pub repair: bool,
    #[command(flatten)]
    pub consent: Consent,
    /// Path to the YAML file of the bucket that blocks are copied to before they are repaired.
    #[arg(
        id = "objstore-backup.config-file",
        long = "objstore-backup.config-file",
        value_name = "PATH"
    )]
    pub backup_config_file: Option<PathBuf>,
    /// The same configuration itself; excludes the file.
    #[arg(
        id = "objstore-backup.config",
        long = "objstore-backup.config",
        value_name = "CONTENT"
    )]
    pub backup_config: Option<String>,
    /// Folder for blocks while they are read.
    #[arg(id = "tmp.dir", long = "tmp.dir", value_name = "PATH")]
    pub tmp_dir: Option<PathBuf>,
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
pub struct WebArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub http: HttpArgs,
    #[command(flatten)]
    pub window: Window,
    /// How often the bucket is listed.
    #[arg(id = "refresh", long = "refresh", default_value = "30m")]
    pub refresh: HumanDuration,
    /// How long a listing may take.
    #[arg(id = "timeout", long = "timeout", default_value = "5m")]
    pub timeout: HumanDuration,
    /// External label shown as heading.
    #[arg(id = "label", long = "label", default_value = "", value_name = "LABEL")]
    pub label: String,
    /// Let nobody mark blocks by this page's API.
    #[arg(id = "disable-admin-operations", long = "disable-admin-operations", action = ArgAction::SetTrue)]
    pub disable_admin: bool,
}

/// A part of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportKind {
    /// Streams with their sizes, gaps and overlaps.
    Streams,
    /// Partial uploads, unreadable metas, marked blocks, and objects of no block.
    Leftovers,
    /// Sizes by the external label of --tenant-label.
    Tenants,
    /// Sizes by metric; reads every index.
    Metrics,
    /// Sizes by the values of the label --label; reads every index.
    Labels,
}

#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub window: Window,
    /// What to report.
    #[arg(value_enum, default_value = "streams")]
    pub kind: ReportKind,
    /// External label that tells tenants apart.
    #[arg(
        id = "tenant-label",
        long = "tenant-label",
        default_value = "tenant_id",
        value_name = "LABEL"
    )]
    pub tenant_label: String,
    /// Label whose values are compared.
    #[arg(
        id = "label",
        long = "label",
        default_value = "job",
        value_name = "LABEL"
    )]
    pub label: String,
    /// How many of the largest are shown.
    #[arg(
        id = "limit",
        long = "limit",
        default_value_t = 50,
        value_name = "COUNT"
    )]
    pub limit: usize,
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
