//! Blocks copied to another bucket.

use std::io;
use std::sync::Arc;

use block::layout;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use model::ulid::BlockId;
use objstore::{Bucket, Content, Listing};

use crate::error::ToolError;

/// Objects up to this size are held in memory, so that an upload can be tried again.
const WHOLE_BYTES: u64 = 64 << 20;

/// Pieces in which larger objects travel.
const PIECE_BYTES: u64 = 8 << 20;

/// What copying a block came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// It was there already.
    There,
    /// This many bytes were sent.
    Bytes(u64),
}

/// Copies a block: its files, then `meta.json`, whose arrival makes it visible. What a copy that was broken
/// off has left is kept where it has the right size.
///
/// # Errors
/// Either bucket fails; the block is then not visible in `to` and can be copied again.
pub async fn copy(
    from: &Arc<dyn Bucket>,
    to: &dyn Bucket,
    id: BlockId,
) -> Result<Copied, ToolError> {
    let meta = layout::object(id, layout::META);
    if to.exists(&meta).await? {
        return Ok(Copied::There);
    }
    let mut sent = 0;
    let mut entries = from.iter(&id.to_string(), Listing::Recursive);
    while let Some(entry) = entries.try_next().await? {
        let (Some((_, file)), Some(attributes)) = (layout::parse(&entry.name), &entry.attributes)
        else {
            continue;
        };
        if file != layout::INDEX && layout::segment_number(file).is_none() {
            continue;
        }
        let size = attributes.size;
        match to.attributes(&entry.name).await {
            Ok(there) if there.size == size => continue,
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => {}
        }
        to.upload(&entry.name, content(from, &entry.name, size).await?)
            .await?;
        let arrived = to.attributes(&entry.name).await?.size;
        if arrived != size {
            let reason = format!("{file} arrived with {arrived} of {size} bytes");
            return Err(ToolError::Rewrite { block: id, reason });
        }
        sent += size;
    }
    let meta_bytes = from.get(&meta).await?;
    sent += meta_bytes.len() as u64;
    to.upload(&meta, meta_bytes.into()).await?;
    Ok(Copied::Bytes(sent))
}

async fn content(from: &Arc<dyn Bucket>, name: &str, size: u64) -> Result<Content, ToolError> {
    if size <= WHOLE_BYTES {
        return Ok(from.get(name).await?.into());
    }
    let (from, name) = (Arc::clone(from), name.to_owned());
    let starts = (0..size.div_ceil(PIECE_BYTES)).map(|piece| piece * PIECE_BYTES);
    let pieces: BoxStream<'static, io::Result<Bytes>> = stream::iter(starts)
        .then(move |start| {
            let (from, name) = (Arc::clone(&from), name.clone());
            async move {
                let end = size.min(start + PIECE_BYTES);
                let piece = from.get_range(&name, start..end).await;
                let piece = piece.map_err(io::Error::other)?;
                if piece.len() as u64 != end - start {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
                Ok(piece)
            }
        })
        .boxed();
    Ok(Content::Stream(pieces))
}
