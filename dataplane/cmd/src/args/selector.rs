//! Flags that say which blocks of a bucket a component works on.

use anyhow::Context;
use clap::Args;
use model::relabel::RelabelConfig;
use runtime::content::PathOrContent;

/// Which blocks, by their external labels.
#[derive(Debug, Clone, Args)]
pub struct SelectorArgs {
    /// Path to a YAML file with relabel rules over blocks' external labels and __block_id: blocks
    /// that they drop are left alone.
    #[arg(
        id = "selector.relabel-config-file",
        long = "selector.relabel-config-file",
        value_name = "PATH"
    )]
    pub relabel_config_file: Option<std::path::PathBuf>,
    /// The relabel rules themselves; excludes the file.
    #[arg(
        id = "selector.relabel-config",
        long = "selector.relabel-config",
        value_name = "CONTENT"
    )]
    pub relabel_config: Option<String>,
}

impl SelectorArgs {
    /// Returns the rules as they were written.
    ///
    /// # Errors
    /// Both flags were given, or the file cannot be read.
    pub fn text(&self) -> anyhow::Result<Option<String>> {
        let flags = PathOrContent {
            flag: "selector.relabel-config",
            content: self.relabel_config.clone(),
            path: self.relabel_config_file.clone(),
        };
        Ok(flags.load()?)
    }

    /// Returns the rules; none where no flag gives any.
    ///
    /// # Errors
    /// As [`SelectorArgs::text`], and rules that cannot be understood.
    pub fn relabel(&self) -> anyhow::Result<Vec<RelabelConfig>> {
        match self.text()? {
            None => Ok(Vec::new()),
            Some(text) => serde_saphyr::from_str(&text).context("--selector.relabel-config"),
        }
    }
}
