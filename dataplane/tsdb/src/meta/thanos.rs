//! The `thanos` section of `meta.json`.

use std::collections::BTreeMap;

use model::Labels;
use model::ulid::BlockId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{is_empty, is_zero, null_as_default};

/// The newest version; 0 and 1 are read.
pub(super) const VERSION: u32 = 1;

/// Which component made a block, as `source` names it.
pub mod source {
    pub const SIDECAR: &str = "sidecar";
    pub const RECEIVE: &str = "receive";
    pub const RULER: &str = "ruler";
    pub const COMPACTOR: &str = "compactor";
    pub const COMPACTOR_REPAIR: &str = "compactor.repair";
    pub const BUCKET_REPAIR: &str = "bucket.repair";
    pub const BUCKET_REWRITE: &str = "bucket.rewrite";
    pub const BUCKET_UPLOAD: &str = "bucket.upload";
}

/// Milliseconds between a block's samples, 0 for raw ones.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Resolution(pub i64);

impl Resolution {
    pub const RAW: Self = Self(0);
    pub const FIVE_MINUTES: Self = Self(300_000);
    pub const ONE_HOUR: Self = Self(3_600_000);
}

/// What Thanos knows of a block.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Thanos {
    #[serde(default, skip_serializing_if = "is_no_version")]
    pub version: u32,
    /// External labels of the stream the block is of.
    #[serde(default, deserialize_with = "null_as_default")]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub downsample: Downsample,
    /// See [`source`]; an unknown one is kept.
    #[serde(default)]
    pub source: String,
    /// What older writers put instead of `files`.
    #[serde(
        default,
        skip_serializing_if = "is_empty",
        deserialize_with = "null_as_default"
    )]
    pub segment_files: Vec<String>,
    /// All files of the block with their sizes.
    #[serde(
        default,
        skip_serializing_if = "is_empty",
        deserialize_with = "null_as_default"
    )]
    pub files: Vec<BlockFile>,
    #[serde(
        default,
        skip_serializing_if = "is_empty",
        deserialize_with = "null_as_default"
    )]
    pub rewrites: Vec<Rewrite>,
    #[serde(default)]
    pub index_stats: IndexStats,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extensions: Option<Value>,
    /// When the block was uploaded, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_time: Option<String>,
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl Thanos {
    /// The section of a raw block.
    pub fn new(labels: &Labels, source: &str) -> Self {
        Self {
            version: VERSION,
            labels: labels
                .iter()
                .map(|label| (label.name.to_owned(), label.value.to_owned()))
                .collect(),
            source: source.to_owned(),
            ..Self::default()
        }
    }

    /// The external labels.
    pub fn external_labels(&self) -> Labels {
        Labels::from_pairs(&self.labels)
    }
}

/// How far apart the samples of a downsampled block are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Downsample {
    #[serde(default)]
    pub resolution: Resolution,
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// A file of the block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlockFile {
    /// From the block's folder on, with slashes.
    pub rel_path: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub size_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<FileHash>,
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// A file's checksum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileHash {
    /// `SHA256` or empty.
    pub hash_func: String,
    pub value: String,
}

/// What was deleted or relabelled when the block was rewritten.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rewrite {
    #[serde(
        default,
        skip_serializing_if = "is_empty",
        deserialize_with = "null_as_default"
    )]
    pub sources: Vec<BlockId>,
    #[serde(
        default,
        skip_serializing_if = "is_empty",
        deserialize_with = "null_as_default"
    )]
    pub deletions_applied: Vec<DeletionRequest>,
    #[serde(
        default,
        skip_serializing_if = "is_empty",
        deserialize_with = "null_as_default"
    )]
    pub relabels_applied: Vec<Value>,
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// A deletion that a rewrite carried out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DeletionRequest {
    /// The matchers, in the writer's own shape.
    #[serde(default)]
    pub matchers: Value,
    #[serde(
        default,
        skip_serializing_if = "is_empty",
        deserialize_with = "null_as_default"
    )]
    pub intervals: Vec<Interval>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// A deleted time range; both ends are included. Go writes the names capitalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    #[serde(rename = "Mint")]
    pub min_time: i64,
    #[serde(rename = "Maxt")]
    pub max_time: i64,
}

/// The block's largest entries, from which a reader chooses the size of its first range request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IndexStats {
    #[serde(default, skip_serializing_if = "is_zero")]
    pub series_max_size: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub chunk_max_size: u64,
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

fn is_no_version(version: &u32) -> bool {
    *version == 0
}
