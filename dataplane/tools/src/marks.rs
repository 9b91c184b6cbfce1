//! Marks put beside blocks and taken away.

use std::str::FromStr;

use block::layout;
use block::markers::{self, DeletionMark, Marker, NoCompactMark, NoDownsampleMark, VERSION};
use model::ulid::BlockId;
use objstore::Bucket;

use crate::error::ToolError;

/// Why, for programs, in marks that people put.
const MANUAL: &str = "manual";

/// A kind of mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The block is to go.
    Deletion,
    /// The block is left out of compaction.
    NoCompact,
    /// The block is left out of downsampling.
    NoDownsample,
}

impl Mark {
    /// Returns the mark's file.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Deletion => DeletionMark::FILE_NAME,
            Self::NoCompact => NoCompactMark::FILE_NAME,
            Self::NoDownsample => NoDownsampleMark::FILE_NAME,
        }
    }
}

impl FromStr for Mark {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Deletion, Self::NoCompact, Self::NoDownsample];
        all.into_iter()
            .find(|mark| mark.file_name() == text)
            .ok_or_else(|| {
                let names = all.map(Self::file_name).join(", ");
                format!("{text:?} is no mark; use one of {names}")
            })
    }
}

/// Puts a mark beside a block. Returns false where there was one of the kind, which stays as it is.
///
/// # Errors
/// The bucket fails, or holds no such block.
pub async fn put(
    bucket: &dyn Bucket,
    block: BlockId,
    mark: Mark,
    details: &str,
    now_ms: i64,
) -> Result<bool, ToolError> {
    if !bucket.exists(&layout::object(block, layout::META)).await? {
        return Err(ToolError::NoBlock(block));
    }
    if bucket
        .exists(&layout::object(block, mark.file_name()))
        .await?
    {
        return Ok(false);
    }
    let (id, version, details) = (block, VERSION, details.to_owned());
    let now = now_ms.div_euclid(1000);
    let reason = MANUAL.to_owned();
    match mark {
        Mark::Deletion => {
            let deletion_time = now;
            let mark = DeletionMark {
                id,
                version,
                details,
                deletion_time,
            };
            markers::write(bucket, &mark).await?;
        }
        Mark::NoCompact => {
            let no_compact_time = now;
            let mark = NoCompactMark {
                id,
                version,
                details,
                no_compact_time,
                reason,
            };
            markers::write(bucket, &mark).await?;
        }
        Mark::NoDownsample => {
            let no_downsample_time = now;
            let mark = NoDownsampleMark {
                id,
                version,
                details,
                no_downsample_time,
                reason,
            };
            markers::write(bucket, &mark).await?;
        }
    }
    Ok(true)
}

/// Takes a mark away. Returns false where there was none.
///
/// # Errors
/// The bucket fails.
pub async fn remove(bucket: &dyn Bucket, block: BlockId, mark: Mark) -> Result<bool, ToolError> {
    let object = layout::object(block, mark.file_name());
    if !bucket.exists(&object).await? {
        return Ok(false);
    }
    match bucket.delete(&object).await {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(true),
    }
}
