//! Writing an index as its series come, byte for byte as Prometheus does.
//!
//! Symbols come first, sorted; then the series, sorted by label set; [`IndexWriter::finish`] adds the
//! rest. Series go to the output at once: what is held is the symbols' texts and, of each series, a
//! byte or two a label.

use std::io::Write;

use chunk::varint;
use model::Labels;

use super::posting_lists::PostingLists;
use super::symbol_texts::SymbolTexts;
use super::{ALL_POSTINGS, ChunkMeta, HEADER_BYTES, MAGIC, SymbolRef, Toc};
use crate::WriteError;
use crate::postings::{encoded_bytes, write_postings};

const POSTINGS_ALIGN: u64 = 4;
const SERIES_ALIGN: u64 = 16;

/// Number of the version that is written.
const VERSION: u8 = 2;

const WHAT: &str = "the index";

/// An index in the making. Writes are small, so that an output that is a file is buffered.
#[derive(Debug)]
pub struct IndexWriter<W> {
    out: Output<W>,
    /// Begin of the series section; known once the symbols are complete.
    series_at: Option<u64>,
    texts: SymbolTexts,
    postings: PostingLists,
    last_series: Vec<(SymbolRef, SymbolRef)>,
    last_chunk: u64,
    series_max_bytes: u64,
    /// Reused for one series' entry.
    entry: Vec<u8>,
    frame: Vec<u8>,
}

/// A complete index.
#[derive(Debug)]
pub struct FinishedIndex<W> {
    /// What was written to.
    pub out: W,
    /// Bytes of the file.
    pub length: u64,
    pub n_series: u64,
    /// Bytes of the largest series entry, its length and checksum included.
    pub series_max_bytes: u64,
}

impl<W: Write> IndexWriter<W> {
    pub fn new(out: W) -> Self {
        Self {
            out: Output { out, at: 0 },
            series_at: None,
            texts: SymbolTexts::default(),
            postings: PostingLists::default(),
            last_series: Vec::new(),
            last_chunk: 0,
            series_max_bytes: 0,
            entry: Vec::new(),
            frame: Vec::new(),
        }
    }

    /// Adds a symbol; each comes once, in ascending order, before the first series. Symbols are
    /// numbered as they come.
    ///
    /// # Errors
    /// The symbol does not follow the last one, or a series was added already.
    pub fn add_symbol(&mut self, symbol: &str) -> Result<SymbolRef, WriteError> {
        let last = self.texts.last();
        if self.series_at.is_some() || last.is_some_and(|last| symbol <= last) {
            return Err(WriteError::OutOfOrder {
                what: "a symbol",
                before: last.unwrap_or_default().to_owned(),
                after: symbol.to_owned(),
            });
        }
        self.texts.push(symbol)
    }

    /// Returns the symbols of a label set, as [`IndexWriter::add_series`] takes it.
    ///
    /// # Errors
    /// A name or value is no symbol.
    pub fn symbol_refs(&self, labels: &Labels) -> Result<Vec<(SymbolRef, SymbolRef)>, WriteError> {
        let find = |symbol: &str| {
            self.texts
                .find(symbol)
                .ok_or_else(|| WriteError::UnknownSymbol {
                    symbol: format!("{symbol:?}"),
                })
        };
        labels
            .iter()
            .map(|label| Ok((find(label.name)?, find(label.value)?)))
            .collect()
    }

    /// Adds a series; label sets ascend, chunks ascend in time and in place. Labels are in order of
    /// their names.
    ///
    /// # Errors
    /// The series or one of its chunks is out of order, a label is no symbol, or the output fails.
    pub fn add_series(
        &mut self,
        labels: &[(SymbolRef, SymbolRef)],
        chunks: &[ChunkMeta],
    ) -> Result<(), WriteError> {
        if self.postings.series_count() > 0 && labels <= self.last_series.as_slice() {
            return Err(WriteError::OutOfOrder {
                what: "a series",
                before: self.describe(&self.last_series),
                after: self.describe(labels),
            });
        }
        self.finish_symbols()?;
        self.out.pad(SERIES_ALIGN)?;
        let reference = u32::try_from(self.out.at / SERIES_ALIGN)
            .map_err(|_| WriteError::TooLarge { what: WHAT })?;

        self.entry.clear();
        varint::put_uvarint(&mut self.entry, labels.len() as u64);
        let mut last_name = None;
        for &(name, value) in labels {
            for symbol in [name, value] {
                if symbol.0 as usize >= self.texts.len() {
                    let symbol = symbol.0.to_string();
                    return Err(WriteError::UnknownSymbol { symbol });
                }
                varint::put_uvarint(&mut self.entry, u64::from(symbol.0));
            }
            if last_name.is_some_and(|last| name <= last) {
                return Err(WriteError::OutOfOrder {
                    what: "a label",
                    before: self.describe(&self.last_series),
                    after: self.describe(labels),
                });
            }
            last_name = Some(name);
        }
        self.put_chunks(chunks)?;

        self.frame.clear();
        varint::put_uvarint(&mut self.frame, self.entry.len() as u64);
        self.frame.extend_from_slice(&self.entry);
        self.frame
            .extend_from_slice(&crc32c::crc32c(&self.entry).to_be_bytes());
        self.out.put(&self.frame)?;
        self.series_max_bytes = self.series_max_bytes.max(self.frame.len() as u64);
        self.postings.add(
            reference,
            labels.iter().map(|(name, value)| (name.0, value.0)),
        );
        self.last_series.clear();
        self.last_series.extend_from_slice(labels);
        Ok(())
    }

    fn describe(&self, labels: &[(SymbolRef, SymbolRef)]) -> String {
        let texts = labels
            .iter()
            .map(|(name, value)| (self.texts.get(name.0), self.texts.get(value.0)));
        Labels::from_pairs(texts).to_string()
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

    /// Writes the header and the symbols: their section begins with its length, so that it waits for
    /// the last of them.
    fn finish_symbols(&mut self) -> Result<(), WriteError> {
        if self.series_at.is_some() {
            return Ok(());
        }
        let numbers = || (0u32..).take(self.texts.len());
        let length = numbers()
            .map(|number| text_bytes(self.texts.get(number)))
            .sum();
        self.out.put(&MAGIC.to_be_bytes())?;
        self.out.put(&[VERSION])?;
        let mut section = self.out.section(length, self.texts.len())?;
        for number in numbers() {
            section.put_text(&mut self.out, self.texts.get(number))?;
        }
        section.finish(&mut self.out)?;
        self.series_at = Some(self.out.at);
        Ok(())
    }

    /// Adds the postings.
    ///
    /// # Errors
    /// A section exceeds what the format can say, or the output fails.
    pub fn finish(mut self) -> Result<FinishedIndex<W>, WriteError> {
        self.finish_symbols()?;
        let (out, texts) = (&mut self.out, &self.texts);
        let postings_at = out.at;
        out.pad(POSTINGS_ALIGN)?;
        let (all, lists) = self.postings.sorted();
        let lists_at = out.at;
        write_postings(all.len(), all.iter(), out)?;
        for (_, list) in &lists {
            write_postings(list.len(), list.iter(), out)?;
        }

        // The table has its length first and names each list's place, both of which follow from how
        // many references the lists have.
        let entries = || {
            let all = std::iter::once((ALL_POSTINGS, all.len()));
            let lists = lists
                .iter()
                .map(|((name, value), list)| ((texts.get(*name), texts.get(*value)), list.len()));
            all.chain(lists).scan(lists_at, |at, (label, references)| {
                let list_at = *at;
                *at += encoded_bytes(references as u64);
                Some((label, list_at))
            })
        };
        let length = entries()
            .map(|((name, value), at)| {
                1 + text_bytes(name) + text_bytes(value) + varint::uvarint_len(at) as u64
            })
            .sum();
        let table_at = out.at;
        let mut table = out.section(length, lists.len() + 1)?;
        for ((name, value), at) in entries() {
            table.put_uvarint(out, 2)?;
            table.put_text(out, name)?;
            table.put_text(out, value)?;
            table.put_uvarint(out, at)?;
        }
        table.finish(out)?;

        let toc = Toc {
            symbols: HEADER_BYTES as u64,
            series: self.series_at.unwrap_or(postings_at),
            label_indices: postings_at,
            label_indices_table: table_at,
            postings: postings_at,
            postings_table: table_at,
        };
        out.put(&toc.encode())?;
        out.out.flush().map_err(WriteError::io(WHAT))?;
        Ok(FinishedIndex {
            length: self.out.at,
            out: self.out.out,
            n_series: all.len() as u64,
            series_max_bytes: self.series_max_bytes,
        })
    }
}

/// Bytes of a text with its length.
fn text_bytes(text: &str) -> u64 {
    let length = text.len() as u64;
    length + varint::uvarint_len(length) as u64
}

/// The output and how much was written to it.
#[derive(Debug)]
struct Output<W> {
    out: W,
    at: u64,
}

impl<W: Write> Output<W> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.write_all(bytes).map_err(WriteError::io(WHAT))
    }

    fn pad(&mut self, align: u64) -> Result<(), WriteError> {
        /// As many as any alignment asks for.
        const ZEROS: [u8; 16] = [0; 16];
        let missing = self.at.next_multiple_of(align) - self.at;
        let zeros = usize::try_from(missing)
            .ok()
            .and_then(|missing| ZEROS.get(..missing));
        self.put(zeros.unwrap_or_default())
    }

    /// Begins a section whose entries take `length` bytes together.
    fn section(&mut self, length: u64, count: usize) -> Result<Section, WriteError> {
        let number = |number: u64| {
            u32::try_from(number).map_err(|_| WriteError::TooLarge {
                what: "a section of the index",
            })
        };
        let length = number(length.saturating_add(4))?;
        self.put(&length.to_be_bytes())?;
        let mut section = Section::default();
        section.put(self, &number(count as u64)?.to_be_bytes())?;
        Ok(section)
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// The checksum of a section that is being written.
#[derive(Debug, Default)]
struct Section {
    checksum: u32,
    scratch: Vec<u8>,
}

impl Section {
    fn put<W: Write>(&mut self, out: &mut Output<W>, bytes: &[u8]) -> Result<(), WriteError> {
        self.checksum = crc32c::crc32c_append(self.checksum, bytes);
        out.put(bytes)
    }

    fn put_uvarint<W: Write>(&mut self, out: &mut Output<W>, n: u64) -> Result<(), WriteError> {
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        varint::put_uvarint(&mut bytes, n);
        let put = self.put(out, &bytes);
        self.scratch = bytes;
        put
    }

    fn put_text<W: Write>(&mut self, out: &mut Output<W>, text: &str) -> Result<(), WriteError> {
        self.put_uvarint(out, text.len() as u64)?;
        self.put(out, text.as_bytes())
    }

    fn finish<W: Write>(self, out: &mut Output<W>) -> Result<(), WriteError> {
        out.put(&self.checksum.to_be_bytes())
    }
}
