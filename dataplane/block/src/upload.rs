//! Uploading a block so that no reader ever sees half of it: chunks, then the index, then `meta.json`.
//!
//! A file that is in the bucket already with its size is not sent again, so that an interrupted upload
//! resumes. Sizes suffice: a block's files never change once it has its identifier.

use std::io;
use std::path::{Path, PathBuf};

use futures::stream::{self, StreamExt, TryStreamExt};
use model::ulid::BlockId;
use objstore::{Bucket, BucketError, Content};
use thiserror::Error;

/// Why a block was not uploaded; what was sent stays and is not sent again.
#[derive(Debug, Error)]
pub enum UploadError {
    #[error("cannot read {}", path.display())]
    Local {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{0} has no file chunks/000001 or more, or no index, or no meta.json")]
    Incomplete(PathBuf),
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

/// Uploads the block `id` whose files lie in `folder`, `concurrency` segment files at a time.
///
/// # Errors
/// A file that cannot be read, or a bucket that does not take it.
///
/// # Cancel safety
/// Dropping the future leaves a block without `meta.json`, which no reader takes for a block.
pub async fn upload(
    bucket: &dyn Bucket,
    folder: &Path,
    id: BlockId,
    concurrency: usize,
) -> Result<(), UploadError> {
    let segments = segments(folder).await?;
    if segments.is_empty() {
        return Err(UploadError::Incomplete(folder.to_owned()));
    }
    stream::iter(segments)
        .map(|name| upload_file(bucket, folder, id, name))
        .buffer_unordered(concurrency.max(1))
        .try_collect::<Vec<()>>()
        .await?;
    upload_file(bucket, folder, id, "index".to_owned()).await?;
    upload_file(bucket, folder, id, tsdb::meta::FILE_NAME.to_owned()).await
}

async fn segments(folder: &Path) -> Result<Vec<String>, UploadError> {
    let chunks = folder.join("chunks");
    let failed = |source| UploadError::Local { path: chunks.clone(), source };
    let mut entries = tokio::fs::read_dir(&chunks).await.map_err(failed)?;
    let mut names = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(failed)? {
        names.push(format!("chunks/{}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    Ok(names)
}

async fn upload_file(
    bucket: &dyn Bucket,
    folder: &Path,
    id: BlockId,
    name: String,
) -> Result<(), UploadError> {
    let path = folder.join(&name);
    let metadata = tokio::fs::metadata(&path)
        .await
        .map_err(|source| UploadError::Local { path: path.clone(), source })?;
    let object = format!("{id}/{name}");
    // `meta.json` is what makes the block appear; it is small and always sent.
    if name != tsdb::meta::FILE_NAME && has_size(bucket, &object, metadata.len()).await? {
        return Ok(());
    }
    Ok(bucket.upload(&object, Content::File(path)).await?)
}

async fn has_size(bucket: &dyn Bucket, object: &str, size: u64) -> Result<bool, UploadError> {
    match bucket.attributes(object).await {
        Ok(attributes) => Ok(attributes.size == size),
        Err(err) if err.is_not_found() => Ok(false),
        Err(err) => Err(err.into()),
    }
}
