//! What a bucket holds as a whole: streams with their gaps and overlaps, what is left over, and who takes how
//! much of it.

use std::collections::BTreeMap;

use block::filters::{external_labels, resolution_ms};
use block::{View, layout};
use futures::TryStreamExt;
use model::ulid::BlockId;
use model::{Labels, format_duration};
use objstore::{Bucket, Listing};
use serde::Serialize;
use tsdb::index::{ALL_POSTINGS, Reader, SeriesEntry, SeriesRef};
use tsdb::postings::Postings;

use crate::error::ToolError;
use crate::listing::bytes_of;
use crate::output::{self, Row, grouped};
use crate::verify;

/// Blocks of one stream and resolution.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// External labels.
    pub labels: String,
    /// Milliseconds; 0 for raw.
    pub resolution: i64,
    /// How many blocks.
    pub blocks: u64,
    /// Size of their files.
    pub bytes: u64,
    /// When the first begins, milliseconds since the Unix epoch.
    pub min_time: i64,
    /// When the last ends.
    pub max_time: i64,
    /// Times between them that no block has.
    pub gaps: Vec<Gap>,
    /// Blocks that begin before another ends.
    pub overlaps: u64,
}

/// A time without blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// Milliseconds since the Unix epoch.
    pub from: i64,
    /// Milliseconds since the Unix epoch.
    pub until: i64,
}

impl Row for Stream {
    const COLUMNS: &'static [&'static str] = &[
        "LABELS",
        "RESOLUTION",
        "BLOCKS",
        "SIZE",
        "FROM",
        "UNTIL",
        "GAPS",
        "GAP TIME",
        "OVERLAPS",
    ];

    fn cells(&self) -> Vec<String> {
        let missing = self.gaps.iter().map(|gap| gap.until - gap.from).sum();
        vec![
            self.labels.clone(),
            format_duration(self.resolution),
            grouped(self.blocks),
            output::bytes(self.bytes),
            output::time(self.min_time),
            output::time(self.max_time),
            self.gaps.len().to_string(),
            format_duration(missing),
            self.overlaps.to_string(),
        ]
    }
}

/// Returns the streams of a bucket by labels and resolution.
pub fn streams(view: &View) -> Vec<Stream> {
    let mut streams: BTreeMap<(Labels, i64), Vec<_>> = BTreeMap::new();
    for block in view.blocks.values() {
        let key = (external_labels(&block.meta), resolution_ms(&block.meta));
        streams.entry(key).or_default().push(block);
    }
    let overlapping: BTreeMap<BlockId, ()> = verify::overlaps(view)
        .into_iter()
        .map(|finding| (finding.block, ()))
        .collect();
    let describe = |((labels, resolution), mut blocks): (_, Vec<&block::FetchedBlock>)| {
        let labels: Labels = labels;
        blocks.sort_by_key(|block| block.meta.min_time);
        let min_time = blocks.first().map_or(0, |block| block.meta.min_time);
        let mut until = min_time;
        let mut gaps = Vec::new();
        for block in &blocks {
            if block.meta.min_time > until {
                let from = until;
                let until = block.meta.min_time;
                gaps.push(Gap { from, until });
            }
            until = until.max(block.meta.max_time);
        }
        let overlaps = blocks
            .iter()
            .filter(|block| overlapping.contains_key(&block.meta.ulid));
        Stream {
            labels: labels.to_string(),
            resolution,
            blocks: blocks.len() as u64,
            bytes: blocks.iter().map(|block| bytes_of(block)).sum(),
            min_time,
            max_time: until,
            overlaps: overlaps.count() as u64,
            gaps,
        }
    };
    streams.into_iter().map(describe).collect()
}

/// Something in the bucket that no reader uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leftover {
    /// What it is: `partial`, `corrupt`, `marked` or `orphan`.
    pub kind: &'static str,
    /// The block or the object.
    pub name: String,
    /// Size of its files.
    pub bytes: u64,
    /// More about it.
    pub what: String,
}

impl Row for Leftover {
    const COLUMNS: &'static [&'static str] = &["KIND", "NAME", "SIZE", "WHAT"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.kind.to_owned(),
            self.name.clone(),
            output::bytes(self.bytes),
            self.what.clone(),
        ]
    }
}

/// Returns what is left over: uploads that never ended, metas that cannot be read, blocks marked for
/// deletion, and objects that belong to no block.
///
/// # Errors
/// The bucket fails.
pub async fn leftovers(
    bucket: &dyn Bucket,
    view: &View,
    now_ms: i64,
) -> Result<Vec<Leftover>, ToolError> {
    let mut found = Vec::new();
    for (id, files) in &view.partial {
        let segments: u64 = files.segment_bytes.iter().sum();
        let age = now_ms.saturating_sub(files.last_modified_ms).max(0);
        found.push(Leftover {
            kind: "partial",
            name: id.to_string(),
            bytes: segments + files.index_bytes.unwrap_or_default(),
            what: format!("no meta.json, last written {} ago", format_duration(age)),
        });
    }
    for (id, reason) in &view.corrupt {
        found.push(Leftover {
            kind: "corrupt",
            name: id.to_string(),
            bytes: 0,
            what: reason.clone(),
        });
    }
    for (id, block) in &view.blocks {
        if let Some(marked) = block.deletion_time {
            found.push(Leftover {
                kind: "marked",
                name: id.to_string(),
                bytes: bytes_of(block),
                what: format!(
                    "marked for deletion at {}",
                    output::time(marked.saturating_mul(1000))
                ),
            });
        }
    }
    let mut entries = bucket.iter("", Listing::Recursive);
    while let Some(entry) = entries.try_next().await? {
        // What this program itself keeps beside the blocks.
        let own = entry.name.starts_with("hindsight/");
        if layout::parse(&entry.name).is_none() && !own {
            found.push(Leftover {
                kind: "orphan",
                bytes: entry.attributes.map_or(0, |attributes| attributes.size),
                name: entry.name,
                what: "belongs to no block".to_owned(),
            });
        }
    }
    Ok(found)
}

/// How much of the bucket something takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Share {
    /// The metric, the label's value, the tenant.
    pub name: String,
    /// Series, counted once in each block.
    pub series: u64,
    /// Chunks.
    pub chunks: u64,
    /// Bytes of its chunks; of a tenant, of all files.
    pub bytes: u64,
}

impl Row for Share {
    const COLUMNS: &'static [&'static str] = &["NAME", "#SERIES", "#CHUNKS", "SIZE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            grouped(self.series),
            grouped(self.chunks),
            output::bytes(self.bytes),
        ]
    }
}

/// Shares by name.
#[derive(Debug, Clone, Default)]
pub struct Shares(BTreeMap<String, (u64, u64, u64)>);

impl Shares {
    fn add(&mut self, name: &str, series: u64, chunks: u64, bytes: u64) {
        let (all_series, all_chunks, all_bytes) = self.0.entry(name.to_owned()).or_default();
        *all_series += series;
        *all_chunks += chunks;
        *all_bytes += bytes;
    }

    /// Returns the shares by external label `label`, from metas alone.
    pub fn by_tenant(view: &View, label: &str) -> Self {
        let mut shares = Self::default();
        for block in view.blocks.values() {
            let labels = external_labels(&block.meta);
            let stats = &block.meta.stats;
            let tenant = labels.get(label).unwrap_or("(none)");
            shares.add(tenant, stats.num_series, stats.num_chunks, bytes_of(block));
        }
        shares
    }

    /// Adds what a block's index says of each value of `label`. A chunk reaches to the next one of its
    /// segment, and the last one to the segment's end.
    ///
    /// # Errors
    /// The index is not sound.
    pub fn add_index(
        &mut self,
        index: &Reader,
        segment_bytes: &[u64],
        label: &str,
    ) -> Result<(), tsdb::Corrupt> {
        let (name, value) = ALL_POSTINGS;
        let mut postings = index.postings(name, value)?;
        let mut entry = SeriesEntry::default();
        let mut values: Vec<String> = Vec::new();
        // Where each chunk begins, and whose it is.
        let mut chunks: Vec<(u64, u32)> = Vec::new();
        while let Some(reference) = postings.next() {
            index.series(SeriesRef(reference), model::TimeRange::ALL, &mut entry)?;
            let labels = index.labels(&entry)?;
            let value = labels.get(label).unwrap_or("(none)");
            self.add(value, 1, entry.chunks.len() as u64, 0);
            let owner = u32::try_from(values.len()).unwrap_or(u32::MAX);
            values.push(value.to_owned());
            chunks.extend(entry.chunks.iter().map(|chunk| (chunk.reference.0, owner)));
        }
        chunks.sort_unstable();
        for (i, (start, owner)) in chunks.iter().enumerate() {
            let segment = start >> 32;
            let next = chunks.get(i + 1).map(|(next, _)| *next);
            let next = next.filter(|next| next >> 32 == segment);
            let end = next.map_or_else(
                || {
                    let segment = usize::try_from(segment).ok();
                    segment
                        .and_then(|segment| segment_bytes.get(segment))
                        .copied()
                },
                |next| Some(next & u64::from(u32::MAX)),
            );
            let bytes = end
                .unwrap_or_default()
                .saturating_sub(start & u64::from(u32::MAX));
            if let Some(value) = values.get(*owner as usize) {
                self.add(value, 0, 0, bytes);
            }
        }
        Ok(())
    }

    /// Returns the largest shares first.
    pub fn largest(self, limit: usize) -> Vec<Share> {
        let share = |(name, (series, chunks, bytes))| Share {
            name,
            series,
            chunks,
            bytes,
        };
        let mut shares: Vec<Share> = self.0.into_iter().map(share).collect();
        shares.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        shares.truncate(limit);
        shares
    }
}
