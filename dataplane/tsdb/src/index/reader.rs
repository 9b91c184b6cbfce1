//! A whole index file.

use bytes::{Buf, Bytes};
use model::{Labels, LabelsBuilder, Matcher, TimeRange};

use super::{
    ALL_POSTINGS, HEADER_BYTES, PostingsTable, SelectorPlan, SeriesEntry, SeriesRef, SymbolRef,
    Symbols, Toc, Version, decode_series, decode_series_unordered,
};
use crate::Corrupt;
use crate::postings::{BigEndianPostings, decode_postings};

/// The parts of an index over the file's bytes, which may be a memory map.
#[derive(Debug, Clone)]
pub struct Reader {
    data: Bytes,
    version: Version,
    toc: Toc,
    symbols: Symbols,
    postings: PostingsTable,
}

impl Reader {
    /// Checks header, table of contents, symbols and postings table; postings and series are checked
    /// when read.
    ///
    /// # Errors
    /// Any of those is not sound.
    pub fn decode(data: Bytes) -> Result<Self, Corrupt> {
        let version = Version::decode(&data)?;
        let toc = Toc::decode(&data)?;
        let symbols = Symbols::decode(section(&data, toc.symbols)?, version, toc.symbols)?;
        let table = section(&data, toc.postings_table)?;
        let postings = PostingsTable::decode(table, version, toc.postings_end())?;
        Ok(Self {
            data,
            version,
            toc,
            symbols,
            postings,
        })
    }

    pub fn version(&self) -> Version {
        self.version
    }

    pub fn toc(&self) -> &Toc {
        &self.toc
    }

    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    pub fn postings_table(&self) -> &PostingsTable {
        &self.postings
    }

    /// Returns the series that have the label; none where no series has it. The empty name and value
    /// give all series.
    ///
    /// # Errors
    /// The list is not sound.
    pub fn postings(&self, name: &str, value: &str) -> Result<BigEndianPostings<'_>, Corrupt> {
        match self.postings.range(name, value)? {
            Some(range) => self.postings_at(range.start),
            None => Ok(BigEndianPostings::default()),
        }
    }

    /// Returns all series, in order, independently of the reader's lifetime.
    ///
    /// # Errors
    /// The list is not sound, or there is none although there are labels.
    pub fn all_series(&self) -> Result<AllSeries, Corrupt> {
        let (name, value) = ALL_POSTINGS;
        let Some(range) = self.postings.range(name, value)? else {
            if self.postings.label_names().next().is_some() {
                return Err(Corrupt::new(
                    "index postings",
                    "the list of all series is missing",
                ));
            }
            return Ok(AllSeries::default());
        };
        let data = slice(&self.data, range.start)?;
        let count = decode_postings(data)?.len();
        // Behind the list's length and count.
        let references = data.get(8..8 + 4 * count).unwrap_or_default();
        Ok(AllSeries {
            references: self.data.slice_ref(references),
        })
    }

    /// Returns the list at that offset of the file, as the postings table gives it.
    ///
    /// # Errors
    /// The list is not sound.
    pub fn postings_at(&self, offset: u64) -> Result<BigEndianPostings<'_>, Corrupt> {
        decode_postings(slice(&self.data, offset)?)
    }

    /// Returns the series that satisfy all of `matchers`, in order.
    ///
    /// # Errors
    /// A list is not sound.
    pub fn select(&self, matchers: &[Matcher]) -> Result<Vec<SeriesRef>, Corrupt> {
        let Some(plan) = SelectorPlan::new(&self.postings, matchers)? else {
            return Ok(Vec::new());
        };
        let series = plan.series(|range| self.postings_at(range.start))?;
        Ok(series.into_iter().map(SeriesRef).collect())
    }

    /// Decodes a series' entry, with the chunks that overlap `range`.
    ///
    /// # Errors
    /// The entry is not sound or there is none.
    pub fn series(
        &self,
        series: SeriesRef,
        range: TimeRange,
        entry: &mut SeriesEntry,
    ) -> Result<(), Corrupt> {
        decode_series(self.series_data(series)?, range, entry)
    }

    /// [`Reader::series`] with all chunks, in whatever order they are.
    ///
    /// # Errors
    /// The entry is not sound or there is none.
    pub fn series_unordered(
        &self,
        series: SeriesRef,
        entry: &mut SeriesEntry,
    ) -> Result<(), Corrupt> {
        decode_series_unordered(self.series_data(series)?, entry)
    }

    fn series_data(&self, series: SeriesRef) -> Result<&[u8], Corrupt> {
        let offset = series.offset(self.version);
        if offset < self.toc.series.max(HEADER_BYTES as u64) || offset >= self.toc.postings {
            return Err(Corrupt::at("index series", "there is no series", offset));
        }
        slice(&self.data, offset)
    }

    /// Returns the label set of a decoded entry.
    ///
    /// # Errors
    /// A symbol does not exist or the names do not ascend.
    pub fn labels(&self, entry: &SeriesEntry) -> Result<Labels, Corrupt> {
        resolve_labels(&self.symbols, &entry.labels)
    }
}

/// Looks up a series' labels.
///
/// # Errors
/// A symbol does not exist or the names do not ascend.
pub fn resolve_labels(
    symbols: &Symbols,
    labels: &[(SymbolRef, SymbolRef)],
) -> Result<Labels, Corrupt> {
    let mut builder = LabelsBuilder::default();
    let mut last = None;
    for &(name, value) in labels {
        let name = symbols.get(name)?;
        if last.is_some_and(|last| name <= last) {
            return Err(Corrupt::new("index series", "label names do not ascend"));
        }
        last = Some(name);
        builder.push(name, symbols.get(value)?);
    }
    Ok(builder.finish())
}

/// The series of an index, one by one.
#[derive(Debug, Clone, Default)]
pub struct AllSeries {
    references: Bytes,
}

impl Iterator for AllSeries {
    type Item = SeriesRef;

    fn next(&mut self) -> Option<SeriesRef> {
        let first = self.references.first_chunk().copied()?;
        self.references.advance(first.len());
        Some(SeriesRef(u32::from_be_bytes(first)))
    }
}

fn slice(data: &Bytes, offset: u64) -> Result<&[u8], Corrupt> {
    usize::try_from(offset)
        .ok()
        .and_then(|offset| data.get(offset..))
        .ok_or_else(|| Corrupt::at("index", "an offset lies beyond the end", offset))
}

fn section(data: &Bytes, offset: u64) -> Result<Bytes, Corrupt> {
    slice(data, offset).map(|part| data.slice_ref(part))
}
