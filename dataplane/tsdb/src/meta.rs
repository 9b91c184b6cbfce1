//! `meta.json`: what a block says of itself, with the section that Thanos adds.
//!
//! Fields that are not known here are kept and written again. Reading is as lenient as Thanos',
//! writing is in its order, indented with tabs.

#[cfg(test)]
mod tests;
mod thanos;

pub use model::ulid::BlockId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
pub use thanos::{
    BlockFile, DeletionRequest, Downsample, FileHash, IndexStats, Interval, Resolution, Rewrite,
    Thanos, source,
};

use crate::Corrupt;

/// The file's name in a block.
pub const FILE_NAME: &str = "meta.json";

/// The only version there is.
pub const VERSION: u32 = 1;

/// A block's description.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockMeta {
    pub ulid: BlockId,
    /// Milliseconds; samples are at this time or later.
    pub min_time: i64,
    /// Milliseconds; samples are before this time.
    pub max_time: i64,
    #[serde(default)]
    pub stats: Stats,
    #[serde(default)]
    pub compaction: Compaction,
    pub version: u32,
    /// Absent in a block that no Thanos component has touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thanos: Option<Thanos>,
    /// Fields of other writers.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// How much a block holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stats {
    #[serde(skip_serializing_if = "is_zero")]
    pub num_samples: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub num_float_samples: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub num_histogram_samples: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub num_series: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub num_chunks: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub num_tombstones: u64,
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Which blocks a block was made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compaction {
    /// 1 for a block cut from a head; else one more than the highest of its parents.
    pub level: u32,
    /// The level-1 blocks that went into it, itself if it is one.
    #[serde(
        default,
        skip_serializing_if = "is_empty",
        deserialize_with = "null_as_default"
    )]
    pub sources: Vec<BlockId>,
    /// It holds no samples and can go.
    #[serde(default, skip_serializing_if = "is_false")]
    pub deletable: bool,
    #[serde(
        default,
        skip_serializing_if = "is_empty",
        deserialize_with = "null_as_default"
    )]
    pub parents: Vec<Parent>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub failed: bool,
    #[serde(
        default,
        skip_serializing_if = "is_empty",
        deserialize_with = "null_as_default"
    )]
    pub hints: Vec<String>,
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl Default for Compaction {
    fn default() -> Self {
        Self {
            level: 1,
            sources: Vec::new(),
            deletable: false,
            parents: Vec::new(),
            failed: false,
            hints: Vec::new(),
            unknown: Map::new(),
        }
    }
}

/// A block that another was directly made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parent {
    pub ulid: BlockId,
    pub min_time: i64,
    pub max_time: i64,
}

impl BlockMeta {
    /// A level-1 block that is its own only source.
    pub fn new(ulid: BlockId, min_time: i64, max_time: i64) -> Self {
        Self {
            ulid,
            min_time,
            max_time,
            stats: Stats::default(),
            compaction: Compaction {
                sources: vec![ulid],
                ..Compaction::default()
            },
            version: VERSION,
            thanos: None,
            unknown: Map::new(),
        }
    }

    /// Decodes the file.
    ///
    /// # Errors
    /// No JSON, a field of a wrong type, a version that is not known, or a time range that ends before
    /// it begins.
    pub fn decode(data: &[u8]) -> Result<Self, Corrupt> {
        let meta: Self = serde_json::from_slice(data)
            .map_err(|error| Corrupt::new(FILE_NAME, error.to_string()))?;
        if meta.version != VERSION {
            return Err(Corrupt::new(
                FILE_NAME,
                format!("version {} is not known", meta.version),
            ));
        }
        if let Some(thanos) = &meta.thanos
            && thanos.version > thanos::VERSION
        {
            return Err(Corrupt::new(
                FILE_NAME,
                format!(
                    "version {} of the thanos section is not known",
                    thanos.version
                ),
            ));
        }
        if meta.min_time > meta.max_time {
            return Err(Corrupt::new(
                FILE_NAME,
                format!(
                    "time range {} to {} is no range",
                    meta.min_time, meta.max_time
                ),
            ));
        }
        Ok(meta)
    }

    /// Encodes the file, indented with tabs and with a newline at its end.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, tabs);
        // A struct of numbers, texts and JSON values written to memory: nothing of it can fail.
        if self.serialize(&mut serializer).is_err() {
            debug_assert!(false, "meta.json serialises");
        }
        out.push(b'\n');
        out
    }
}

/// Reads `null` as an empty list, which Go writes and reads.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_empty<T>(list: &[T]) -> bool {
    list.is_empty()
}
