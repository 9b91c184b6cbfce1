//! What is to go from a bucket and what is to be made of the rest, before any of it is done.

use block::{View, transfer};
use compact::clean;
use compact::group::{Candidate, group};
use compact::plan::Planner;
use compact::retention::{Policy, judge};
use model::format_duration;
use model::ulid::BlockId;
use objstore::Bucket;
use serde::Serialize;

use crate::error::ToolError;
use crate::listing::bytes_of;
use crate::marks::{self, Mark};
use crate::output::{self, Row};

/// How a block goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It is marked, and deleted by a later cleanup.
    Mark,
    /// It is deleted.
    Delete,
    /// It would be marked, if a coarser block covered it.
    Hold,
}

/// A block that is to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Doomed {
    /// The block.
    pub block: BlockId,
    /// How it goes.
    pub fate: Fate,
    /// Size of its files.
    pub bytes: u64,
    /// Why.
    pub why: String,
}

impl Row for Doomed {
    const COLUMNS: &'static [&'static str] = &["BLOCK", "FATE", "SIZE", "WHY"];

    fn cells(&self) -> Vec<String> {
        let fate = match self.fate {
            Fate::Mark => "mark",
            Fate::Delete => "delete",
            Fate::Hold => "hold",
        };
        vec![
            self.block.to_string(),
            fate.to_owned(),
            output::bytes(self.bytes),
            self.why.clone(),
        ]
    }
}

fn size(view: &View, block: BlockId) -> u64 {
    match (view.blocks.get(&block), view.partial.get(&block)) {
        (Some(block), _) => bytes_of(block),
        (None, Some(files)) => {
            let segments: u64 = files.segment_bytes.iter().sum();
            segments + files.index_bytes.unwrap_or_default()
        }
        (None, None) => 0,
    }
}

/// Returns the blocks that can be deleted: marked longer ago than the delay, or given up half-way.
pub fn garbage(view: &View, delay_ms: i64, now_ms: i64) -> Vec<Doomed> {
    let doomed = |block, why: String| Doomed {
        block,
        fate: Fate::Delete,
        bytes: size(view, block),
        why,
    };
    let marked = clean::deletable(&view.blocks, delay_ms, now_ms);
    let marked = marked.into_iter().map(|block| {
        let delay = format_duration(delay_ms);
        doomed(
            block,
            format!("marked for deletion longer than {delay} ago"),
        )
    });
    let abandoned = clean::abandoned(view, now_ms).into_iter();
    let abandoned =
        abandoned.map(|block| doomed(block, "has no meta.json and nobody writes to it".to_owned()));
    marked.chain(abandoned).collect()
}

/// Returns the blocks beyond their retention that are not marked yet.
pub fn expired(view: &View, policy: &Policy, now_ms: i64) -> Vec<Doomed> {
    let live = view
        .blocks
        .values()
        .filter(|block| block.deletion_time.is_none());
    let candidates: Vec<Candidate> = live.map(Candidate::new).collect();
    let verdict = judge(&candidates, policy, now_ms);
    let doomed = |fate, why: &'static str| {
        move |block| Doomed {
            block,
            fate,
            bytes: size(view, block),
            why: why.to_owned(),
        }
    };
    let expired = verdict.expired.into_iter();
    let held = verdict.held.into_iter();
    expired
        .map(doomed(Fate::Mark, "beyond its retention"))
        .chain(held.map(doomed(
            Fate::Hold,
            "beyond its retention, but no downsampled block covers it yet",
        )))
        .collect()
}

/// Does with a block what is to be done with it.
///
/// # Errors
/// The bucket fails; what is left can be done again.
pub async fn carry_out(bucket: &dyn Bucket, doomed: &Doomed, now_ms: i64) -> Result<(), ToolError> {
    match doomed.fate {
        Fate::Hold => {}
        Fate::Delete => transfer::delete(bucket, doomed.block).await?,
        Fate::Mark => {
            marks::put(bucket, doomed.block, Mark::Deletion, &doomed.why, now_ms).await?;
        }
    }
    Ok(())
}

/// What the compactor would do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Resolution and external labels of the group.
    pub group: String,
    /// `compact` or `leave out`.
    pub action: &'static str,
    /// The blocks.
    pub blocks: Vec<BlockId>,
    /// Size of their files.
    pub bytes: u64,
    /// Why, where a block is left out.
    pub why: String,
}

impl Row for Step {
    const COLUMNS: &'static [&'static str] = &["GROUP", "ACTION", "SIZE", "BLOCKS", "WHY"];

    fn cells(&self) -> Vec<String> {
        let blocks: Vec<String> = self.blocks.iter().map(BlockId::to_string).collect();
        vec![
            self.group.clone(),
            self.action.to_owned(),
            output::bytes(self.bytes),
            blocks.join(" "),
            self.why.clone(),
        ]
    }
}

/// Returns what the compactor would do next with the blocks that are not marked for deletion.
pub fn steps(view: &View, planner: &Planner) -> Vec<Step> {
    let live = view
        .blocks
        .values()
        .filter(|block| block.deletion_time.is_none());
    let mut steps = Vec::new();
    for group in group(live) {
        let plan = planner.plan(&group.blocks);
        let step = |action, blocks: Vec<BlockId>, why: &str| Step {
            group: group.key.to_string(),
            action,
            bytes: blocks.iter().map(|block| size(view, *block)).sum(),
            blocks,
            why: why.to_owned(),
        };
        let compactions = plan.compactions.into_iter();
        steps.extend(compactions.map(|blocks| step("compact", blocks, "")));
        for (block, why) in plan.left_out {
            steps.push(step("leave out", vec![block], why.describe()));
        }
    }
    steps
}
