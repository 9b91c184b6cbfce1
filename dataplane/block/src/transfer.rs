//! Blocks into a bucket, out of it and away from it, in the order that keeps readers safe.

use std::path::Path;

use futures::{TryStreamExt, stream};
use model::ulid::BlockId;
use objstore::{Bucket, Content, Listing};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tsdb::meta::BlockMeta;

use crate::error::BlockError;
use crate::layout;
use crate::markers::{DeletionMark, Marker};

/// Bytes of a download fetched and held at once.
const PIECE_BYTES: u64 = 8 << 20;

/// Uploads the block in `folder`: segments, then the index, then `meta.json`, whose arrival makes the block
/// visible. Objects that are there already in the right size are not sent again, so an upload that was
/// broken off goes on where it was. At most `concurrency` segments travel at once.
///
/// # Errors
/// A file is missing, or the bucket fails; the block is then not visible and can be uploaded again.
pub async fn upload(
    bucket: &dyn Bucket,
    block: BlockId,
    folder: &Path,
    concurrency: usize,
) -> Result<(), BlockError> {
    let segments = segments(block, folder).await?;
    for needed in [layout::INDEX, layout::META] {
        if !tokio::fs::try_exists(folder.join(needed))
            .await
            .map_err(BlockError::io(folder))?
        {
            let what = format!("{needed} is missing in {}", folder.display());
            return Err(BlockError::Incomplete { block, what });
        }
    }
    stream::iter(segments.iter().map(Ok::<_, BlockError>))
        .try_for_each_concurrent(concurrency.max(1), |file| {
            upload_file(bucket, block, folder, file)
        })
        .await?;
    upload_file(bucket, block, folder, layout::INDEX).await?;
    let meta = Content::File(folder.join(layout::META));
    Ok(bucket
        .upload(&layout::object(block, layout::META), meta)
        .await?)
}

/// Returns the segment files of a local block, in order and without a gap.
async fn segments(block: BlockId, folder: &Path) -> Result<Vec<String>, BlockError> {
    let chunks = folder.join(layout::CHUNKS);
    let mut entries = tokio::fs::read_dir(&chunks)
        .await
        .map_err(BlockError::io(&chunks))?;
    let mut numbers = Vec::new();
    while let Some(entry) = entries
        .next_entry()
        .await
        .map_err(BlockError::io(&chunks))?
    {
        let file = format!("{}/{}", layout::CHUNKS, entry.file_name().to_string_lossy());
        numbers.extend(layout::segment_number(&file));
    }
    numbers.sort_unstable();
    let count = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
    if !numbers.iter().copied().eq(0..count) {
        let what = format!("a segment is missing among {}", chunks.display());
        return Err(BlockError::Incomplete { block, what });
    }
    Ok(numbers
        .into_iter()
        .map(tsdb::segment::segment_name)
        .collect())
}

async fn upload_file(
    bucket: &dyn Bucket,
    block: BlockId,
    folder: &Path,
    file: &str,
) -> Result<(), BlockError> {
    let path = folder.join(file);
    let object = layout::object(block, file);
    let size = tokio::fs::metadata(&path)
        .await
        .map_err(BlockError::io(&path))?
        .len();
    match bucket.attributes(&object).await {
        Ok(there) if there.size == size => return Ok(()),
        Ok(_) => {}
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    Ok(bucket.upload(&object, Content::File(path)).await?)
}

/// Downloads a block into `folder`, `meta.json` last, so that a folder with one is complete.
///
/// # Errors
/// The block is partial, the bucket fails, or a file cannot be written.
pub async fn download(
    bucket: &dyn Bucket,
    block: BlockId,
    folder: &Path,
) -> Result<BlockMeta, BlockError> {
    let meta_bytes = bucket.get(&layout::object(block, layout::META)).await?;
    let meta =
        BlockMeta::decode(&meta_bytes).map_err(|source| BlockError::corrupt(block, source))?;
    let chunks = folder.join(layout::CHUNKS);
    tokio::fs::create_dir_all(&chunks)
        .await
        .map_err(BlockError::io(&chunks))?;
    let mut entries = bucket.iter(&block.to_string(), Listing::Recursive);
    while let Some(entry) = entries.try_next().await? {
        let (Some((listed, file)), Some(attributes)) =
            (layout::parse(&entry.name), entry.attributes)
        else {
            continue;
        };
        let wanted = file == layout::INDEX || layout::segment_number(file).is_some();
        if listed == block && wanted {
            download_file(bucket, block, file, attributes.size, &folder.join(file)).await?;
        }
    }
    let path = folder.join(layout::META);
    tokio::fs::write(&path, &meta_bytes)
        .await
        .map_err(BlockError::io(&path))?;
    Ok(meta)
}

/// Downloads one file of a block, which is of that size.
///
/// # Errors
/// The bucket fails or answers fewer bytes, or the file cannot be written.
pub async fn download_file(
    bucket: &dyn Bucket,
    block: BlockId,
    file: &str,
    size: u64,
    path: &Path,
) -> Result<(), BlockError> {
    let object = layout::object(block, file);
    let mut out = File::create(path).await.map_err(BlockError::io(path))?;
    let mut at = 0;
    while at < size {
        let wanted = PIECE_BYTES.min(size - at);
        let piece = bucket.get_range(&object, at..at + wanted).await?;
        if piece.len() as u64 != wanted {
            return Err(BlockError::truncated(
                block,
                "download",
                piece.len() as u64,
                wanted,
            ));
        }
        out.write_all(&piece).await.map_err(BlockError::io(path))?;
        at += wanted;
    }
    out.sync_all().await.map_err(BlockError::io(path))
}

/// Deletes a block: `meta.json` first, so that no reader starts on it, its deletion mark last, so that a
/// deletion that was broken off is known as one. A block that is gone already is no error.
///
/// # Errors
/// The bucket fails; what is left can be deleted again.
pub async fn delete(bucket: &dyn Bucket, block: BlockId) -> Result<(), BlockError> {
    delete_object(bucket, &layout::object(block, layout::META)).await?;
    let mark = layout::object(block, DeletionMark::FILE_NAME);
    let entries: Vec<_> = bucket
        .iter(&block.to_string(), Listing::Recursive)
        .try_collect()
        .await?;
    for entry in entries {
        if entry.name != mark {
            delete_object(bucket, &entry.name).await?;
        }
    }
    delete_object(bucket, &mark).await
}

async fn delete_object(bucket: &dyn Bucket, name: &str) -> Result<(), BlockError> {
    match bucket.delete(name).await {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
