//! Building the file from an index in a bucket.

use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use model::ulid::BlockId;
use objstore::Bucket;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tsdb::index::{HEADER_BYTES, TOC_BYTES, Toc, Version};

use super::{HEAD_BYTES, IndexHeader, encode_head, encode_own_toc};
use crate::error::BlockError;
use crate::layout;

/// Bytes fetched and held at once.
const PIECE_BYTES: u64 = 8 << 20;

/// The end of the index that is fetched first: the table of contents, and for a small index all of it.
const TAIL_BYTES: u64 = 64 << 10;

/// Builds the index-header of `block` at `path` and checks it. The file appears whole or not at all.
///
/// `index_bytes` is the index's size, where it is known from a listing.
///
/// # Errors
/// The bucket fails, the index is unsound, or the file cannot be written.
pub async fn build(
    bucket: &dyn Bucket,
    block: BlockId,
    index_bytes: Option<u64>,
    path: &Path,
) -> Result<(), BlockError> {
    let object = layout::object(block, layout::INDEX);
    let size = match index_bytes {
        Some(size) => size,
        None => bucket.attributes(&object).await?.size,
    };
    let source = Source {
        bucket,
        block,
        object,
    };
    let tail_at = size.saturating_sub(TAIL_BYTES);
    let tail = source.read(tail_at..size).await?;
    let toc = Toc::decode(&tail).map_err(|source| BlockError::corrupt(block, source))?;
    if toc.postings_table.saturating_add(TOC_BYTES as u64) > size
        || toc.symbols < HEADER_BYTES as u64
    {
        let what = "a section lies beyond the end".into();
        let place = "index table of contents".into();
        return Err(BlockError::corrupt(
            block,
            tsdb::Corrupt {
                what,
                place,
                at: None,
            },
        ));
    }
    let header = source.read(0..HEADER_BYTES as u64).await?;
    // The check is what matters here; the number itself goes into the file.
    Version::decode(&header).map_err(|source| BlockError::corrupt(block, source))?;
    let index_version = header.last().copied().unwrap_or_default();

    let staged = path.with_extension("tmp");
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder)
            .await
            .map_err(BlockError::io(folder))?;
    }
    let written = write(&source, &toc, size, index_version, (tail_at, tail), &staged).await;
    let checked = match written {
        Ok(()) => {
            let staged = staged.clone();
            let open = tokio::task::spawn_blocking(move || IndexHeader::open(block, &staged));
            match open.await {
                Ok(opened) => opened.map(drop),
                Err(error) => Err(BlockError::io(path)(std::io::Error::other(error))),
            }
        }
        Err(error) => Err(error),
    };
    match checked {
        Ok(()) => tokio::fs::rename(&staged, path)
            .await
            .map_err(BlockError::io(path)),
        Err(error) => {
            // What is left is staged under a name that nothing reads.
            let _ = tokio::fs::remove_file(&staged).await;
            Err(error)
        }
    }
}

async fn write(
    source: &Source<'_>,
    toc: &Toc,
    size: u64,
    index_version: u8,
    tail: (u64, Bytes),
    staged: &Path,
) -> Result<(), BlockError> {
    let failed = || BlockError::io(staged);
    let mut file = File::create(staged).await.map_err(failed())?;
    let head = encode_head(index_version, toc.postings_table);
    file.write_all(&head).await.map_err(failed())?;
    for section in [toc.symbols..toc.series, toc.postings_table..size] {
        let mut at = section.start;
        while at < section.end {
            let (tail_at, tail) = &tail;
            let piece = if at >= *tail_at {
                let skip = usize::try_from(at - tail_at)
                    .unwrap_or(usize::MAX)
                    .min(tail.len());
                tail.slice(skip..)
            } else {
                source.read(at..section.end.min(at + PIECE_BYTES)).await?
            };
            let left = usize::try_from(section.end - at).unwrap_or(usize::MAX);
            let piece = piece.slice(..piece.len().min(left));
            file.write_all(&piece).await.map_err(failed())?;
            at += piece.len() as u64;
        }
    }
    let symbols_at = HEAD_BYTES as u64;
    let table_at = symbols_at + (toc.series - toc.symbols);
    file.write_all(&encode_own_toc(symbols_at, table_at))
        .await
        .map_err(failed())?;
    file.sync_all().await.map_err(failed())
}

struct Source<'a> {
    bucket: &'a dyn Bucket,
    block: BlockId,
    object: String,
}

impl Source<'_> {
    /// Reads exactly `range`.
    async fn read(&self, range: Range<u64>) -> Result<Bytes, BlockError> {
        let wanted = range.end - range.start;
        let bytes = self.bucket.get_range(&self.object, range).await?;
        if bytes.len() as u64 == wanted {
            Ok(bytes)
        } else {
            Err(BlockError::truncated(
                self.block,
                "index",
                bytes.len() as u64,
                wanted,
            ))
        }
    }
}
