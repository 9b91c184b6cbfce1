//! What blocks there are.

use block::FetchedBlock;
use block::filters::{external_labels, resolution_ms};
use model::format_duration;
use model::ulid::BlockId;
use serde::Serialize;
use tsdb::meta::Resolution;

use crate::output::{self, Row, grouped};

/// From this length on a raw block is downsampled to five minutes.
const FIVE_MINUTES_FROM_MS: i64 = 40 * 3_600_000;

/// From this length on a block of five minutes is downsampled to an hour.
const ONE_HOUR_FROM_MS: i64 = 10 * 86_400_000;

/// A block in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockRow {
    /// The block.
    pub ulid: BlockId,
    /// Milliseconds since the Unix epoch.
    pub min_time: i64,
    /// Milliseconds since the Unix epoch; samples are before it.
    pub max_time: i64,
    /// What is missing to the length at which the block is downsampled; absent where it never is.
    pub until_downsampling_ms: Option<i64>,
    /// Series.
    pub series: u64,
    /// Samples.
    pub samples: u64,
    /// Chunks.
    pub chunks: u64,
    /// Size of all files, as listed.
    pub bytes: u64,
    /// The compaction's level.
    pub level: u32,
    /// Prometheus gave compacting it up.
    pub compaction_failed: bool,
    /// External labels.
    pub labels: String,
    /// Milliseconds; 0 for raw.
    pub resolution: i64,
    /// What made it.
    pub source: String,
    /// Seconds since the Unix epoch; absent where it is not marked.
    pub deletion_time: Option<i64>,
}

impl BlockRow {
    /// Describes a block.
    pub fn new(ulid: BlockId, block: &FetchedBlock) -> Self {
        let meta = &block.meta;
        let length = meta.max_time.saturating_sub(meta.min_time);
        let resolution = resolution_ms(meta);
        Self {
            ulid,
            min_time: meta.min_time,
            max_time: meta.max_time,
            until_downsampling_ms: match Resolution(resolution) {
                Resolution(0) => Some(FIVE_MINUTES_FROM_MS - length),
                Resolution::FIVE_MINUTES => Some(ONE_HOUR_FROM_MS - length),
                _ => None,
            },
            series: meta.stats.num_series,
            samples: meta.stats.num_samples,
            chunks: meta.stats.num_chunks,
            bytes: bytes_of(block),
            level: meta.compaction.level,
            compaction_failed: meta.compaction.failed,
            labels: external_labels(meta).to_string(),
            resolution,
            source: meta
                .thanos
                .as_ref()
                .map(|thanos| thanos.source.clone())
                .unwrap_or_default(),
            deletion_time: block.deletion_time,
        }
    }
}

/// Returns the size of a block's files as they are listed.
pub fn bytes_of(block: &FetchedBlock) -> u64 {
    let files = &block.files;
    let segments: u64 = files.segment_bytes.iter().sum();
    files.meta_bytes.unwrap_or_default() + files.index_bytes.unwrap_or_default() + segments
}

impl Row for BlockRow {
    const COLUMNS: &'static [&'static str] = &[
        "ULID",
        "FROM",
        "UNTIL",
        "RANGE",
        "UNTIL DOWN",
        "#SERIES",
        "#SAMPLES",
        "#CHUNKS",
        "COMP LEVEL",
        "COMP FAILED",
        "LABELS",
        "RESOLUTION",
        "SOURCE",
    ];

    fn cells(&self) -> Vec<String> {
        let length = |ms: i64| match ms {
            ms if ms < 0 => format!("-{}", format_duration(ms.saturating_neg())),
            ms => format_duration(ms),
        };
        let until = self.until_downsampling_ms;
        vec![
            self.ulid.to_string(),
            output::time(self.min_time),
            output::time(self.max_time),
            length(self.max_time.saturating_sub(self.min_time)),
            until.map_or_else(|| "-".to_owned(), length),
            grouped(self.series),
            grouped(self.samples),
            grouped(self.chunks),
            self.level.to_string(),
            self.compaction_failed.to_string(),
            self.labels.clone(),
            length(self.resolution),
            self.source.clone(),
        ]
    }
}

/// By what rows are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortColumn(usize);

impl std::str::FromStr for SortColumn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = BlockRow::COLUMNS
            .iter()
            .position(|column| column.eq_ignore_ascii_case(text));
        found.map(Self).ok_or_else(|| {
            format!(
                "{text:?} is no column; use one of {}",
                BlockRow::COLUMNS.join(", ")
            )
        })
    }
}

/// Sorts by the first column, among equals by the second and so on.
pub fn sort(rows: &mut [BlockRow], columns: &[SortColumn]) {
    let numbers = |row: &BlockRow, column: usize| match column {
        1 => Some(i128::from(row.min_time)),
        2 => Some(i128::from(row.max_time)),
        3 => Some(i128::from(row.max_time) - i128::from(row.min_time)),
        4 => Some(i128::from(row.until_downsampling_ms.unwrap_or(i64::MAX))),
        5 => Some(i128::from(row.series)),
        6 => Some(i128::from(row.samples)),
        7 => Some(i128::from(row.chunks)),
        8 => Some(i128::from(row.level)),
        11 => Some(i128::from(row.resolution)),
        _ => None,
    };
    let texts = |row: &BlockRow, column: usize| row.cells().into_iter().nth(column);
    rows.sort_by(|a, b| {
        let by = |SortColumn(column): &SortColumn| match numbers(a, *column) {
            Some(number) => Some(number).cmp(&numbers(b, *column)),
            None => texts(a, *column).cmp(&texts(b, *column)),
        };
        columns
            .iter()
            .map(by)
            .find(|order| order.is_ne())
            .unwrap_or(std::cmp::Ordering::Equal)
    });
}
