//! Whether blocks are sound, each for itself and beside the others.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use block::filters::{external_labels, resolution_ms};
use block::{FetchedBlock, View};
use model::ulid::BlockId;
use objstore::Bucket;
use serde::Serialize;

use crate::error::ToolError;
use crate::local;
use crate::output::Row;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issue {
    /// A block whose index or chunks are not what they should be.
    Index,
    /// Blocks of one stream and resolution that share time.
    Overlap,
    /// Blocks made twice of the same sources.
    DuplicatedCompaction,
}

impl Issue {
    /// Returns Thanos' name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Index => "index_known_issues",
            Self::Overlap => "overlapped_blocks",
            Self::DuplicatedCompaction => "duplicated_compaction",
        }
    }
}

impl FromStr for Issue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Index, Self::Overlap, Self::DuplicatedCompaction];
        all.into_iter()
            .find(|issue| issue.as_str() == text)
            .ok_or_else(|| {
                let names = all.map(Self::as_str).join(", ");
                format!("{text:?} is no issue; use one of {names}")
            })
    }
}

/// What was found of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Thanos' name of the issue.
    pub issue: &'static str,
    /// The block.
    pub block: BlockId,
    /// What is wrong.
    pub what: String,
    /// The block that has all that this one has, where there is one.
    pub covered_by: Option<BlockId>,
}

impl Row for Finding {
    const COLUMNS: &'static [&'static str] = &["ISSUE", "BLOCK", "COVERED BY", "WHAT"];

    fn cells(&self) -> Vec<String> {
        let covered = self.covered_by.map(|block| block.to_string());
        vec![
            self.issue.to_owned(),
            self.block.to_string(),
            covered.unwrap_or_else(|| "-".to_owned()),
            self.what.clone(),
        ]
    }
}

/// Reads a whole block and returns what is wrong with it. It is brought below `folder` and removed again.
///
/// # Errors
/// The bucket or the disk fails, or it holds no such block.
pub async fn block(
    bucket: &dyn Bucket,
    id: BlockId,
    folder: &Path,
) -> Result<Option<Finding>, ToolError> {
    let checked = match local::fetch(bucket, id, folder).await {
        Ok(reader) => tokio::task::spawn_blocking(move || reader.verify())
            .await
            .map_err(|error| ToolError::Invalid(error.to_string()))?
            .map_err(|corrupt| corrupt.to_string()),
        Err(error @ ToolError::Unsound { .. }) => Err(runtime::telemetry::chain(&error)),
        Err(ToolError::Block(error)) if error.kind() == block::ErrorKind::Corrupt => {
            Err(runtime::telemetry::chain(&error))
        }
        Err(error) => return Err(error),
    };
    let brought = folder.join(id.to_string());
    match tokio::fs::remove_dir_all(&brought).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(ToolError::io(&brought)(error));
        }
        _ => {}
    }
    Ok(checked.err().map(|what| Finding {
        issue: Issue::Index.as_str(),
        block: id,
        what,
        covered_by: None,
    }))
}

/// Blocks of one stream and resolution, by start time.
fn streams(view: &View) -> Vec<Vec<(BlockId, &FetchedBlock)>> {
    let mut streams: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (id, block) in &view.blocks {
        let key = (external_labels(&block.meta), resolution_ms(&block.meta));
        streams.entry(key).or_default().push((*id, block));
    }
    let mut streams: Vec<Vec<_>> = streams.into_values().collect();
    for blocks in &mut streams {
        blocks.sort_by_key(|(id, block)| (block.meta.min_time, block.meta.max_time, *id));
    }
    streams
}

/// Returns the blocks that begin before another of their stream ends.
pub fn overlaps(view: &View) -> Vec<Finding> {
    let mut findings = Vec::new();
    for blocks in streams(view) {
        let mut latest: Option<(BlockId, i64)> = None;
        for (id, block) in blocks {
            if let Some((other, until)) = latest
                && block.meta.min_time < until
            {
                findings.push(Finding {
                    issue: Issue::Overlap.as_str(),
                    block: id,
                    what: format!(
                        "begins {} before the end of {other}",
                        model::format_duration(until.saturating_sub(block.meta.min_time))
                    ),
                    covered_by: None,
                });
            }
            if latest.is_none_or(|(_, until)| block.meta.max_time > until) {
                latest = Some((id, block.meta.max_time));
            }
        }
    }
    findings
}

/// Returns the blocks whose sources and time another block of their stream has too; of equal ones the oldest
/// is not among them. Blocks marked for deletion take no part.
pub fn duplicated_compactions(view: &View) -> Vec<Finding> {
    let mut findings = Vec::new();
    for blocks in streams(view) {
        let mut first: BTreeMap<_, BlockId> = BTreeMap::new();
        let live = blocks
            .into_iter()
            .filter(|(_, block)| block.deletion_time.is_none());
        for (id, block) in live {
            let meta = &block.meta;
            let mut sources = meta.compaction.sources.clone();
            sources.sort();
            if sources.is_empty() {
                continue;
            }
            // Equal metas come in order of their names, which begin with their time.
            let key = (meta.min_time, meta.max_time, sources);
            if let Some(kept) = first.get(&key) {
                findings.push(Finding {
                    issue: Issue::DuplicatedCompaction.as_str(),
                    block: id,
                    what: "made of the same blocks".to_owned(),
                    covered_by: Some(*kept),
                });
            } else {
                first.insert(key, id);
            }
        }
    }
    findings
}
