//! A block that goes into another: its index on disk, its chunks in the bucket.

use std::sync::Arc;

use block::BlockId;
use model::TimeRange;
use tsdb::Corrupt;
use tsdb::index::{AllSeries, ChunkMeta, Reader, SeriesEntry, SymbolRef};
use tsdb::meta::BlockMeta;
use tsdb::tombstones::Tombstones;

use super::chunks::ChunkReader;
use super::symbols::SymbolMap;
use crate::error::CompactError;

/// A block, opened for reading from its first series to its last.
#[derive(Debug)]
pub struct Source {
    pub meta: Arc<BlockMeta>,
    pub index: Reader,
    pub chunks: ChunkReader,
    pub tombstones: Tombstones,
}

/// Where reading stands in a source.
#[derive(Debug)]
pub struct Cursor {
    pub source: Source,
    symbols: SymbolMap,
    series: AllSeries,
    entry: SeriesEntry,
    /// The current series' labels in the new block's symbols; none at the end.
    labels: Option<Vec<(SymbolRef, SymbolRef)>>,
    previous: Vec<(SymbolRef, SymbolRef)>,
    /// Deleted ranges of the current series.
    deleted: Vec<TimeRange>,
}

impl Cursor {
    /// Begins before the first series.
    ///
    /// # Errors
    /// The list of series is not sound.
    pub fn new(source: Source, symbols: SymbolMap) -> Result<Self, CompactError> {
        let block = source.meta.ulid;
        let series = source
            .index
            .all_series()
            .map_err(CompactError::corrupt(block))?;
        Ok(Self {
            source,
            symbols,
            series,
            entry: SeriesEntry::default(),
            labels: None,
            previous: Vec::new(),
            deleted: Vec::new(),
        })
    }

    pub fn block(&self) -> BlockId {
        self.source.meta.ulid
    }

    /// The current series' labels; `None` before the first and behind the last.
    pub fn labels(&self) -> Option<&[(SymbolRef, SymbolRef)]> {
        self.labels.as_deref()
    }

    /// The current series' chunks, in the order in which the index has them.
    pub fn chunks(&self) -> &[ChunkMeta] {
        &self.entry.chunks
    }

    /// The ranges that were deleted from the current series.
    pub fn deleted(&self) -> &[TimeRange] {
        &self.deleted
    }

    /// Moves to the next series.
    ///
    /// # Errors
    /// Its entry is not sound, or it does not follow the one before.
    pub fn advance(&mut self) -> Result<(), CompactError> {
        let advanced = self.try_advance();
        advanced.map_err(CompactError::corrupt(self.block()))
    }

    fn try_advance(&mut self) -> Result<(), Corrupt> {
        let mut labels = std::mem::take(&mut self.previous);
        if let Some(current) = self.labels.take() {
            self.previous = current;
        }
        labels.clear();
        let Some(reference) = self.series.next() else {
            return Ok(());
        };
        self.source
            .index
            .series_unordered(reference, &mut self.entry)?;
        let unsound = |what: &'static str| Corrupt {
            what: what.into(),
            place: "index series".into(),
            at: Some(reference.offset(self.source.index.version())),
        };
        for &(name, value) in &self.entry.labels {
            let unknown = || unsound("a label's symbol does not exist");
            let name = self.symbols.get(name).ok_or_else(unknown)?;
            let value = self.symbols.get(value).ok_or_else(unknown)?;
            if labels.last().is_some_and(|(last, _)| name <= *last) {
                return Err(unsound("label names do not ascend"));
            }
            labels.push((name, value));
        }
        if !self.previous.is_empty() && labels <= self.previous {
            return Err(unsound("series are out of order"));
        }
        if self
            .entry
            .chunks
            .iter()
            .any(|chunk| chunk.max_time < chunk.min_time)
        {
            return Err(unsound("a chunk ends before it begins"));
        }
        self.deleted.clear();
        if !self.source.tombstones.is_empty() {
            let deleted = self.source.tombstones.of(u64::from(reference.0));
            self.deleted.extend_from_slice(deleted);
        }
        self.labels = Some(labels);
        Ok(())
    }
}
