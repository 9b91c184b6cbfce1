//! The tools that plan and clean up.

use std::sync::Arc;

use compact::plan::Planner;
use compact::retention::{Keep, Policy};
use objstore::Bucket;
use runtime::units::HumanDuration;
use tools::housekeeping::{self, Doomed, Fate};
use tools::{Progress, select};

use super::{agreed, now_ms, open, print};
use crate::args::tools::bucket::{CleanupArgs, PlanArgs, RetentionArgs};

/// The highest compaction level.
const MAX_LEVEL: usize = 4;

/// What an index can be at most.
const MAX_INDEX_BYTES: u64 = 64 << 30;

fn ms(duration: HumanDuration) -> i64 {
    i64::try_from(duration.0.as_millis()).unwrap_or(i64::MAX)
}

async fn carry_out(bucket: &dyn Bucket, doomed: &[Doomed]) -> anyhow::Result<()> {
    let mut progress = Progress::new("cleaning", doomed.len());
    for block in doomed {
        housekeeping::carry_out(bucket, block, now_ms()).await?;
        progress.step(&block.block.to_string());
    }
    Ok(())
}

pub(super) async fn cleanup(args: &CleanupArgs) -> anyhow::Result<()> {
    let bucket = open(&args.common)?;
    let view = select::view(Arc::clone(&bucket)).await?;
    let garbage = housekeeping::garbage(&view, ms(args.delete_delay), now_ms());
    print(&garbage, args.output)?;
    if garbage.is_empty() || !agreed(args.consent, "deleting")? {
        return Ok(());
    }
    carry_out(&*bucket, &garbage).await
}

pub(super) async fn retention(args: &RetentionArgs) -> anyhow::Result<()> {
    let kept = |duration| Some(ms(duration)).filter(|ms| *ms > 0);
    let policy = Policy {
        keep: Keep {
            raw_ms: kept(args.raw),
            five_minutes_ms: kept(args.five_minutes),
            one_hour_ms: kept(args.one_hour),
        },
        overrides: Vec::new(),
        downsampling: !args.downsampling_disable,
    };
    let bucket = open(&args.common)?;
    let view = select::view(Arc::clone(&bucket)).await?;
    let expired = housekeeping::expired(&view, &policy, now_ms());
    print(&expired, args.output)?;
    let nothing = expired.iter().all(|block| block.fate == Fate::Hold);
    if nothing || !agreed(args.consent, "marking")? {
        return Ok(());
    }
    carry_out(&*bucket, &expired).await
}

pub(super) async fn plan(args: &PlanArgs) -> anyhow::Result<()> {
    let view = select::view(open(&args.common)?).await?;
    let planner = Planner::new(MAX_LEVEL, args.vertical, MAX_INDEX_BYTES);
    print(&housekeeping::steps(&view, &planner), args.output)
}
