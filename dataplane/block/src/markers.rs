//! Marks beside a block's `meta.json`, in Thanos' JSON.

use model::ulid::BlockId;
use objstore::Bucket;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tsdb::Corrupt;

use crate::error::BlockError;
use crate::layout;

/// The only version of all marks.
pub const VERSION: u32 = 1;

/// A kind of mark.
pub trait Marker: Serialize + DeserializeOwned {
    /// The file's name.
    const FILE_NAME: &'static str;

    /// Returns the block and version it says it is of.
    fn of(&self) -> (BlockId, u32);
}

/// Says that the block is to be deleted once the deletion delay has passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionMark {
    /// The block.
    pub id: BlockId,
    /// See [`VERSION`].
    pub version: u32,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
    /// When it was marked, in seconds since the Unix epoch.
    pub deletion_time: i64,
}

/// Says that the block is to be left out of compaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoCompactMark {
    /// The block.
    pub id: BlockId,
    /// See [`VERSION`].
    pub version: u32,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
    /// When it was marked, in seconds since the Unix epoch.
    pub no_compact_time: i64,
    /// Why, for programs: `manual`, `index-size-exceeding` and others.
    pub reason: String,
}

/// Says that the block is to be left out of downsampling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoDownsampleMark {
    /// The block.
    pub id: BlockId,
    /// See [`VERSION`].
    pub version: u32,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
    /// When it was marked, in seconds since the Unix epoch.
    pub no_downsample_time: i64,
    /// Why, for programs.
    pub reason: String,
}

impl Marker for DeletionMark {
    const FILE_NAME: &'static str = "deletion-mark.json";

    fn of(&self) -> (BlockId, u32) {
        (self.id, self.version)
    }
}

impl Marker for NoCompactMark {
    const FILE_NAME: &'static str = "no-compact-mark.json";

    fn of(&self) -> (BlockId, u32) {
        (self.id, self.version)
    }
}

impl Marker for NoDownsampleMark {
    const FILE_NAME: &'static str = "no-downsample-mark.json";

    fn of(&self) -> (BlockId, u32) {
        (self.id, self.version)
    }
}

/// Reads a block's mark; `None` where it has none.
///
/// # Errors
/// The bucket fails, or the mark is no mark of this block.
pub async fn read<M: Marker>(bucket: &dyn Bucket, block: BlockId) -> Result<Option<M>, BlockError> {
    let bytes = match bucket.get(&layout::object(block, M::FILE_NAME)).await {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    decode(block, &bytes)
        .map(Some)
        .map_err(|source| BlockError::corrupt(block, source))
}

fn decode<M: Marker>(block: BlockId, bytes: &[u8]) -> Result<M, Corrupt> {
    let corrupt = |what: String| Corrupt {
        what: what.into(),
        place: M::FILE_NAME.into(),
        at: None,
    };
    let mark: M = serde_json::from_slice(bytes).map_err(|error| corrupt(error.to_string()))?;
    let (id, version) = mark.of();
    if version != VERSION {
        return Err(corrupt(format!("version {version} is not known")));
    }
    if id != block {
        return Err(corrupt(format!("it is the mark of block {id}")));
    }
    Ok(mark)
}

/// Puts a mark beside a block.
///
/// # Errors
/// The bucket fails.
pub async fn write<M: Marker>(bucket: &dyn Bucket, mark: &M) -> Result<(), BlockError> {
    let (block, _) = mark.of();
    // Numbers and texts written to memory: nothing of it can fail.
    let bytes = serde_json::to_vec(mark).unwrap_or_default();
    Ok(bucket
        .upload(&layout::object(block, M::FILE_NAME), bytes.into())
        .await?)
}

#[cfg(test)]
mod tests {
    use objstore::ObjectStoreBucket;

    use super::*;

    #[tokio::test]
    async fn mark_is_written_in_thanos_shape_and_read_back() {
        let bucket = ObjectStoreBucket::in_memory("b");
        let id = BlockId::from_parts(1_700_000_000_000, 1);
        let mark = DeletionMark {
            id,
            version: 1,
            details: "old".into(),
            deletion_time: 1_700_000_100,
        };
        assert_eq!(
            read::<DeletionMark>(&bucket, id).await.expect("answers"),
            None
        );
        write(&bucket, &mark).await.expect("writes");
        let bytes = bucket
            .get(&format!("{id}/deletion-mark.json"))
            .await
            .expect("reads");
        let expected = format!(
            "{{\"id\":\"{id}\",\"version\":1,\"details\":\"old\",\"deletion_time\":1700000100}}"
        );
        assert_eq!(bytes, expected);
        assert_eq!(read(&bucket, id).await.expect("answers"), Some(mark));
    }

    #[tokio::test]
    async fn foreign_and_broken_marks_are_corrupt() {
        let bucket = ObjectStoreBucket::in_memory("b");
        let id = BlockId::from_parts(1, 1);
        let other = BlockId::from_parts(2, 2);
        for content in [
            String::new(),
            "{".to_owned(),
            format!("{{\"id\":\"{other}\",\"version\":1,\"deletion_time\":1}}"),
            format!("{{\"id\":\"{id}\",\"version\":2,\"deletion_time\":1}}"),
        ] {
            let name = layout::object(id, DeletionMark::FILE_NAME);
            bucket
                .upload(&name, content.clone().into_bytes().into())
                .await
                .expect("uploads");
            let error = read::<DeletionMark>(&bucket, id).await.expect_err(&content);
            assert_eq!(error.kind(), crate::ErrorKind::Corrupt, "{content}");
        }
    }
}
