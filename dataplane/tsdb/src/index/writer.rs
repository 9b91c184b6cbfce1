//! Writing an index, byte for byte as Prometheus does.
//!
//! Symbols come first, sorted; then the series, sorted by label set; [`IndexWriter::finish`] adds the
//! rest. The file is built in memory: an index is a few per cent of its block.

use std::collections::{BTreeMap, HashMap};

use chunk::varint;
use model::Labels;

use super::{ALL_POSTINGS, ChunkMeta, HEADER_BYTES, MAGIC, Toc};
use crate::WriteError;
use crate::postings::encode_postings;

const POSTINGS_ALIGN: usize = 4;
const SERIES_ALIGN: usize = 16;

/// Number of the version that is written.
const VERSION: u8 = 2;

/// An index in the making.
#[derive(Debug)]
pub struct IndexWriter {
    out: Vec<u8>,
    /// Begin of the series section; known once the symbols are complete.
    series_at: Option<usize>,
    /// Number of each symbol.
    symbols: HashMap<Box<str>, u32>,
    /// The symbols by number.
    texts: Vec<Box<str>>,
    /// Label name and value, as symbols, to the series that have them. Symbols are numbered in order
    /// of their texts, so that the map's order is the file's.
    postings: BTreeMap<(u32, u32), Vec<u32>>,
    all: Vec<u32>,
    last_series: Option<Labels>,
    last_chunk: u64,
    series_max_bytes: u64,
    /// Reused for one series' entry.
    entry: Vec<u8>,
}

/// A complete index.
#[derive(Debug)]
pub struct FinishedIndex {
    /// The file.
    pub bytes: Vec<u8>,
    pub n_series: u64,
    /// Bytes of the largest series entry, its length and checksum included.
    pub series_max_bytes: u64,
}

impl Default for IndexWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl IndexWriter {
    pub fn new() -> Self {
        let mut out = Vec::with_capacity(1 << 16);
        out.extend_from_slice(&MAGIC.to_be_bytes());
        out.push(VERSION);
        // Length and count of the symbols, filled in when they are complete.
        out.extend_from_slice(&[0; 8]);
        Self {
            out,
            series_at: None,
            symbols: HashMap::new(),
            texts: Vec::new(),
            postings: BTreeMap::new(),
            all: Vec::new(),
            last_series: None,
            last_chunk: 0,
            series_max_bytes: 0,
            entry: Vec::new(),
        }
    }

    /// Adds a symbol; each comes once, in ascending order, before the first series.
    ///
    /// # Errors
    /// The symbol does not follow the last one, or a series was added already.
    pub fn add_symbol(&mut self, symbol: &str) -> Result<(), WriteError> {
        let last = self.texts.last().map(|last| &**last);
        if self.series_at.is_some() || last.is_some_and(|last| symbol <= last) {
            return Err(WriteError::OutOfOrder {
                what: "a symbol",
                before: last.unwrap_or_default().to_owned(),
                after: symbol.to_owned(),
            });
        }
        let number = u32::try_from(self.texts.len()).map_err(|_| WriteError::TooLarge {
            what: "the symbol table",
        })?;
        self.symbols.insert(symbol.into(), number);
        self.texts.push(symbol.into());
        varint::put_uvarint(&mut self.out, symbol.len() as u64);
        self.out.extend_from_slice(symbol.as_bytes());
        Ok(())
    }

    /// Adds a series; label sets ascend, chunks ascend in time and in place.
    ///
    /// # Errors
    /// The series or one of its chunks is out of order, or a label is no symbol.
    pub fn add_series(&mut self, labels: &Labels, chunks: &[ChunkMeta]) -> Result<(), WriteError> {
        if let Some(last) = &self.last_series
            && labels <= last
        {
            return Err(WriteError::OutOfOrder {
                what: "a series",
                before: last.to_string(),
                after: labels.to_string(),
            });
        }
        self.finish_symbols()?;
        pad(&mut self.out, SERIES_ALIGN);
        let reference = u32::try_from(self.out.len() / SERIES_ALIGN)
            .map_err(|_| WriteError::TooLarge { what: "the index" })?;

        self.entry.clear();
        varint::put_uvarint(&mut self.entry, labels.len() as u64);
        for label in labels {
            let name = self.symbol(label.name)?;
            let value = self.symbol(label.value)?;
            varint::put_uvarint(&mut self.entry, u64::from(name));
            varint::put_uvarint(&mut self.entry, u64::from(value));
            self.postings
                .entry((name, value))
                .or_default()
                .push(reference);
        }
        self.put_chunks(chunks)?;

        let start = self.out.len();
        varint::put_uvarint(&mut self.out, self.entry.len() as u64);
        self.out.extend_from_slice(&self.entry);
        self.out
            .extend_from_slice(&crc32c::crc32c(&self.entry).to_be_bytes());
        self.series_max_bytes = self.series_max_bytes.max((self.out.len() - start) as u64);
        self.all.push(reference);
        self.last_series = Some(labels.clone());
        Ok(())
    }

    fn put_chunks(&mut self, chunks: &[ChunkMeta]) -> Result<(), WriteError> {
        varint::put_uvarint(&mut self.entry, chunks.len() as u64);
        let mut previous: Option<&ChunkMeta> = None;
        for chunk in chunks {
            let overlaps = previous.is_some_and(|previous| chunk.min_time <= previous.max_time);
            if chunk.reference.0 < self.last_chunk || overlaps || chunk.max_time < chunk.min_time {
                let describe =
                    |chunk: &ChunkMeta| format!("{} to {}", chunk.min_time, chunk.max_time);
                return Err(WriteError::OutOfOrder {
                    what: "a chunk",
                    before: previous.map(describe).unwrap_or_default(),
                    after: describe(chunk),
                });
            }
            self.last_chunk = chunk.reference.0;
            let entry = &mut self.entry;
            match previous {
                None => varint::put_varint(entry, chunk.min_time),
                Some(last) => varint::put_uvarint(entry, chunk.min_time.abs_diff(last.max_time)),
            }
            varint::put_uvarint(entry, chunk.max_time.abs_diff(chunk.min_time));
            match previous {
                None => varint::put_uvarint(entry, chunk.reference.0),
                Some(last) => {
                    let delta = chunk.reference.0.wrapping_sub(last.reference.0);
                    varint::put_varint(entry, delta.cast_signed());
                }
            }
            previous = Some(chunk);
        }
        Ok(())
    }

    fn symbol(&self, symbol: &str) -> Result<u32, WriteError> {
        self.symbols
            .get(symbol)
            .copied()
            .ok_or_else(|| WriteError::UnknownSymbol {
                symbol: symbol.to_owned(),
            })
    }

    fn finish_symbols(&mut self) -> Result<(), WriteError> {
        if self.series_at.is_some() {
            return Ok(());
        }
        let count = self.texts.len();
        fill_in(&mut self.out, HEADER_BYTES + 4, count)?;
        frame(&mut self.out, HEADER_BYTES)?;
        self.series_at = Some(self.out.len());
        Ok(())
    }

    /// Adds the postings and returns the file.
    ///
    /// # Errors
    /// A section exceeds what the format can say.
    pub fn finish(mut self) -> Result<FinishedIndex, WriteError> {
        self.finish_symbols()?;
        let postings_at = self.out.len();
        pad(&mut self.out, POSTINGS_ALIGN);
        let mut table = Vec::new();
        let lists = std::iter::once((ALL_POSTINGS, &self.all)).chain(self.postings.iter().map(
            |(&(name, value), references)| {
                let text = |number: u32| {
                    self.texts
                        .get(number as usize)
                        .map(|text| &**text)
                        .unwrap_or_default()
                };
                ((text(name), text(value)), references)
            },
        ));
        let mut n_lists = 0;
        for ((name, value), references) in lists {
            varint::put_uvarint(&mut table, 2);
            for text in [name, value] {
                varint::put_uvarint(&mut table, text.len() as u64);
                table.extend_from_slice(text.as_bytes());
            }
            varint::put_uvarint(&mut table, self.out.len() as u64);
            encode_postings(references, &mut self.out)?;
            n_lists += 1;
        }

        let table_at = self.out.len();
        self.out.extend_from_slice(&[0; 8]);
        self.out.append(&mut table);
        fill_in(&mut self.out, table_at + 4, n_lists)?;
        frame(&mut self.out, table_at)?;

        let toc = Toc {
            symbols: HEADER_BYTES as u64,
            series: self.series_at.unwrap_or(postings_at) as u64,
            label_indices: postings_at as u64,
            label_indices_table: table_at as u64,
            postings: postings_at as u64,
            postings_table: table_at as u64,
        };
        self.out.extend_from_slice(&toc.encode());
        Ok(FinishedIndex {
            bytes: self.out,
            n_series: self.all.len() as u64,
            series_max_bytes: self.series_max_bytes,
        })
    }
}

/// Completes the frame that begins at `start` with four bytes kept free: its length and checksum.
fn frame(out: &mut Vec<u8>, start: usize) -> Result<(), WriteError> {
    let content = out.get(start + 4..).unwrap_or_default();
    let (length, checksum) = (content.len(), crc32c::crc32c(content));
    fill_in(out, start, length)?;
    out.extend_from_slice(&checksum.to_be_bytes());
    Ok(())
}

fn fill_in(out: &mut [u8], at: usize, number: usize) -> Result<(), WriteError> {
    let number = u32::try_from(number).map_err(|_| WriteError::TooLarge {
        what: "a section of the index",
    })?;
    for (slot, byte) in out.iter_mut().skip(at).zip(number.to_be_bytes()) {
        *slot = byte;
    }
    Ok(())
}

fn pad(out: &mut Vec<u8>, align: usize) {
    out.resize(out.len().next_multiple_of(align), 0);
}
