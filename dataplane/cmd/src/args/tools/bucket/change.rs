//! Flags of the tools that change buckets.

use std::path::PathBuf;

use clap::{ArgAction, Args};
use runtime::content::PathOrContent;
use runtime::units::HumanDuration;
use tools::marks::Mark;

use super::{Common, Ids, Window};

#[derive(Debug, Clone, Args)]
pub struct ReplicateArgs {
    #[command(flatten)]
    pub common: Common,
    /// Path to the YAML file of the bucket to copy to.
    #[arg(
        id = "objstore-to.config-file",
        long = "objstore-to.config-file",
        value_name = "PATH"
    )]
    pub to_config_file: Option<PathBuf>,
    /// The same configuration itself; excludes the file.
    #[arg(
        id = "objstore-to.config",
        long = "objstore-to.config",
        value_name = "CONTENT"
    )]
    pub to_config: Option<String>,
    /// Only blocks of these resolutions.
    #[arg(id = "resolution", long = "resolution", default_values = ["0s", "5m", "1h"], value_name = "DURATION")]
    pub resolution: Vec<HumanDuration>,
    /// Only blocks of at least this compaction level.
    #[arg(
        id = "compaction-min",
        long = "compaction-min",
        default_value_t = 1,
        value_name = "LEVEL"
    )]
    pub compaction_min: u32,
    /// Only blocks of at most this compaction level.
    #[arg(
        id = "compaction-max",
        long = "compaction-max",
        default_value_t = 4,
        value_name = "LEVEL"
    )]
    pub compaction_max: u32,
    /// Only blocks of these compaction levels; excludes the two above.
    #[arg(id = "compaction", long = "compaction", value_name = "LEVEL")]
    pub compaction: Vec<u32>,
    /// Only blocks whose external labels satisfy this, name="value" or {…}; may be given several times.
    #[arg(id = "matcher", long = "matcher", value_name = "MATCHER")]
    pub matcher: Vec<String>,
    /// Copy what is there and end, instead of looking for more every minute.
    #[arg(id = "single-run", long = "single-run", action = ArgAction::SetTrue)]
    pub single_run: bool,
    /// Leave out blocks that are marked for deletion.
    #[arg(id = "ignore-marked-for-deletion", long = "ignore-marked-for-deletion", action = ArgAction::SetTrue)]
    pub ignore_marked: bool,
    #[command(flatten)]
    pub ids: Ids,
    #[command(flatten)]
    pub window: Window,
}

impl ReplicateArgs {
    /// Returns where the other bucket's configuration comes from.
    pub fn to(&self) -> PathOrContent {
        PathOrContent {
            flag: "objstore-to.config",
            content: self.to_config.clone(),
            path: self.to_config_file.clone(),
        }
    }
}

#[derive(Debug, Clone, Args)]
pub struct MarkArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub ids: Ids,
    /// deletion-mark.json, no-compact-mark.json or no-downsample-mark.json.
    #[arg(id = "marker", long = "marker", value_name = "FILE")]
    pub marker: Mark,
    /// Why, for people; needed unless --remove.
    #[arg(
        id = "details",
        long = "details",
        default_value = "",
        value_name = "TEXT"
    )]
    pub details: String,
    /// Take the mark away.
    #[arg(id = "remove", long = "remove", action = ArgAction::SetTrue)]
    pub remove: bool,
    /// Only say what would be done.
    #[arg(id = "dry-run", long = "dry-run", action = ArgAction::SetTrue)]
    pub dry_run: bool,
}

#[derive(Debug, Clone, Args)]
pub struct RewriteArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub ids: Ids,
    /// Folder for blocks while they are made.
    #[arg(id = "tmp.dir", long = "tmp.dir", value_name = "PATH")]
    pub tmp_dir: Option<PathBuf>,
    /// Only say what would change. The default until --dry-run=false or --yes is given.
    #[arg(id = "dry-run", long = "dry-run", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true)]
    pub dry_run: bool,
    /// Do it.
    #[arg(id = "yes", long = "yes", action = ArgAction::SetTrue)]
    pub yes: bool,
    /// Mark the old blocks for deletion once the new ones are there; needs --yes.
    #[arg(id = "delete-blocks", long = "delete-blocks", action = ArgAction::SetTrue)]
    pub delete_blocks: bool,
    /// Path to the YAML list of what goes: matchers, intervals, request_id.
    #[arg(
        id = "rewrite.to-delete-config-file",
        long = "rewrite.to-delete-config-file",
        value_name = "PATH"
    )]
    pub delete_config_file: Option<PathBuf>,
    /// The list itself; excludes the file.
    #[arg(
        id = "rewrite.to-delete-config",
        long = "rewrite.to-delete-config",
        value_name = "CONTENT"
    )]
    pub delete_config: Option<String>,
    /// Path to the YAML list of relabelings, as Prometheus has them.
    #[arg(
        id = "rewrite.to-relabel-config-file",
        long = "rewrite.to-relabel-config-file",
        value_name = "PATH"
    )]
    pub relabel_config_file: Option<PathBuf>,
    /// The list itself; excludes the file.
    #[arg(
        id = "rewrite.to-relabel-config",
        long = "rewrite.to-relabel-config",
        value_name = "CONTENT"
    )]
    pub relabel_config: Option<String>,
    /// Put a file into each new block that tells what was changed.
    #[arg(id = "rewrite.add-change-log", long = "rewrite.add-change-log", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true)]
    pub add_change_log: bool,
}

impl RewriteArgs {
    /// Returns where the list of what goes comes from.
    pub fn deletions(&self) -> PathOrContent {
        PathOrContent {
            flag: "rewrite.to-delete-config",
            content: self.delete_config.clone(),
            path: self.delete_config_file.clone(),
        }
    }

    /// Returns where the list of relabelings comes from.
    pub fn relabelings(&self) -> PathOrContent {
        PathOrContent {
            flag: "rewrite.to-relabel-config",
            content: self.relabel_config.clone(),
            path: self.relabel_config_file.clone(),
        }
    }
}

#[derive(Debug, Clone, Args)]
pub struct UploadBlocksArgs {
    #[command(flatten)]
    pub common: Common,
    /// The data folder.
    #[arg(
        id = "path",
        long = "path",
        default_value = "./data",
        value_name = "PATH"
    )]
    pub path: PathBuf,
    /// External label of the blocks, name="value"; may be given several times.
    #[arg(id = "label", long = "label", value_name = "NAME=\"VALUE\"")]
    pub label: Vec<String>,
    /// Also upload blocks that Prometheus compacted itself.
    #[arg(id = "shipper.upload-compacted", long = "shipper.upload-compacted", action = ArgAction::SetTrue)]
    pub upload_compacted: bool,
    /// Files of a block uploaded at once.
    #[arg(
        id = "shipper.upload-concurrency",
        long = "shipper.upload-concurrency",
        default_value_t = 5,
        value_name = "COUNT"
    )]
    pub upload_concurrency: usize,
}
