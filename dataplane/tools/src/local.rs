//! A block brought to this machine and read.

use std::path::Path;

use block::layout;
use block::transfer;
use bytes::Bytes;
use model::ulid::BlockId;
use objstore::Bucket;
use tsdb::block::BlockReader;
use tsdb::tombstones::Tombstones;

use crate::error::ToolError;

/// Downloads a block below `folder` and reads it.
///
/// # Errors
/// The bucket or the disk fails, or the block is not sound enough to be read at all.
pub async fn fetch(
    bucket: &dyn Bucket,
    block: BlockId,
    folder: &Path,
) -> Result<BlockReader, ToolError> {
    let folder = folder.join(block.to_string());
    let meta = transfer::download(bucket, block, &folder).await?;
    let read = async |file: &str| {
        let path = folder.join(file);
        let bytes = tokio::fs::read(&path).await.map_err(ToolError::io(&path))?;
        Ok::<Bytes, ToolError>(bytes.into())
    };
    let index = read(layout::INDEX).await?;
    let mut segments = Vec::new();
    for number in 0.. {
        let file = tsdb::segment::segment_name(number);
        let there = tokio::fs::try_exists(folder.join(&file)).await;
        if !there.map_err(ToolError::io(&folder))? {
            break;
        }
        segments.push(read(&file).await?);
    }
    BlockReader::new(meta, index, segments, Tombstones::new()).map_err(ToolError::unsound(block))
}
