//! Series entries: labels made complete, and where the chunks are.

use std::collections::HashMap;

use block::IndexHeader;
use bytes::Bytes;
use model::{Labels, LabelsBuilder, TimeRange};
use storeapi::StoreError;
use tsdb::index::{SeriesEntry, SeriesRef, SymbolRef, decode_series, series_length};
use tsdb::segment::ChunkRef;

use super::{BlockRequest, Tools, corrupt, fetch};
use crate::metrics::Data;

/// What an entry is taken to need where the block does not say; most need less, the rest a second read.
const GUESSED_ENTRY_BYTES: u64 = 1 << 10;

/// What a chunk is taken to need where neither the next one nor the block says.
const GUESSED_CHUNK_BYTES: u64 = 1 << 10;

/// The largest guess that a block's own statistics may lead to.
const MAX_GUESS_BYTES: u64 = 64 << 10;

/// A series with its final labels and the chunks to fetch.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) labels: Labels,
    /// In order of time; empty where chunks are not wanted.
    pub(super) chunks: Vec<ChunkSpan>,
}

/// A chunk and the bytes to fetch for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChunkSpan {
    pub(super) reference: ChunkRef,
    pub(super) min_time: i64,
    pub(super) max_time: i64,
    /// Exact where another chunk follows, else a guess.
    pub(super) bytes: u64,
}

impl Entry {
    /// Bytes that fetching the chunks takes, gaps apart.
    pub(super) fn planned_bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.bytes).sum()
    }
}

/// A series' own labels, as the index refers to them.
pub(super) type SymbolPairs = Vec<(SymbolRef, SymbolRef)>;

/// Makes the final labels of series.
#[derive(Debug)]
pub(super) struct Labeller {
    /// What is attached, in order of name: the external labels that are not stripped.
    attached: Vec<(String, String)>,
    /// Names of own labels that do not appear: hidden by external ones or stripped.
    hidden: Vec<String>,
    builder: LabelsBuilder,
}

impl Labeller {
    pub(super) fn new(external: &Labels, strip: &[String]) -> Self {
        let stripped = |name: &str| strip.iter().any(|other| other == name);
        let attached = external
            .iter()
            .filter(|label| !stripped(label.name))
            .map(|label| (label.name.to_owned(), label.value.to_owned()));
        let hidden = external.iter().map(|label| label.name.to_owned());
        Self {
            attached: attached.collect(),
            hidden: hidden.chain(strip.iter().cloned()).collect(),
            builder: LabelsBuilder::default(),
        }
    }

    /// Returns whether an own label of this name does not appear.
    pub(super) fn hides(&self, name: &str) -> bool {
        self.hidden.iter().any(|hidden| hidden == name)
    }

    /// Returns the last name that is attached.
    pub(super) fn last_external_name(&self) -> Option<&str> {
        self.attached.last().map(|(name, _)| name.as_str())
    }

    /// Returns the name of the `at`th own label.
    pub(super) fn name<'a>(
        &self,
        header: &'a IndexHeader,
        symbols: &SymbolPairs,
        at: usize,
    ) -> Option<&'a str> {
        symbols
            .get(at)
            .and_then(|(name, _)| header.symbols().get(*name).ok())
    }

    /// Puts own and attached labels together, both in order of name.
    fn complete<'a>(
        &mut self,
        own: impl Iterator<Item = Result<(&'a str, &'a str), tsdb::Corrupt>>,
    ) -> Result<Labels, tsdb::Corrupt> {
        self.builder.clear();
        let mut attached = self.attached.iter().peekable();
        let mut last: Option<&str> = None;
        for label in own {
            let (name, value) = label?;
            if last.is_some_and(|last| name <= last) {
                return Err(tsdb::Corrupt {
                    what: "label names do not ascend".into(),
                    place: "index series".into(),
                    at: None,
                });
            }
            last = Some(name);
            while let Some((external, value)) = attached.next_if(|(other, _)| other.as_str() < name)
            {
                self.builder.push(external, value);
            }
            if !self.hidden.iter().any(|hidden| hidden == name) {
                self.builder.push(name, value);
            }
        }
        for (external, value) in attached {
            self.builder.push(external, value);
        }
        Ok(self.builder.finish())
    }
}

/// The parts of series entries in the index file.
pub(super) struct RawEntries {
    fetched: fetch::Fetched,
    /// Entries that were longer than guessed.
    longer: HashMap<u64, Bytes>,
}

impl RawEntries {
    /// Fetches the entries of `series`, which are in order.
    pub(super) async fn fetch(
        tools: &Tools,
        request: &BlockRequest,
        header: &IndexHeader,
        series: &[u32],
    ) -> Result<Self, StoreError> {
        let stats = request
            .block
            .meta
            .thanos
            .as_ref()
            .map(|thanos| &thanos.index_stats);
        let guess = guess(
            stats.map(|stats| stats.series_max_size),
            GUESSED_ENTRY_BYTES,
        );
        let toc = header.toc();
        let section = toc.series..toc.postings;
        let offset = |series: &u32| SeriesRef(*series).offset(header.version());
        let object = request.block.index_object();
        let mut ranges = Vec::with_capacity(series.len());
        for at in series.iter().map(offset) {
            if !section.contains(&at) {
                return Err(corrupt(&tsdb::Corrupt {
                    what: "postings name a series outside the series section".into(),
                    place: "index postings".into(),
                    at: Some(at),
                }));
            }
            ranges.push(at..section.end.min(at.saturating_add(guess)));
        }
        let fetched = fetch::fetch(tools, request, &object, ranges.into_iter()).await?;
        let mut wanted = Vec::new();
        for at in series.iter().map(offset) {
            let bytes = fetched.from(at);
            // A length that cannot even be read here is a corrupt entry, which decoding will say.
            let length = series_length(&bytes).unwrap_or_default();
            if length > bytes.len() as u64 {
                let end = at.saturating_add(length);
                if end > section.end {
                    return Err(corrupt(&tsdb::Corrupt {
                        what: "an entry reaches beyond the series section".into(),
                        place: "index series".into(),
                        at: Some(at),
                    }));
                }
                wanted.push(at..end);
            }
        }
        let mut longer = HashMap::new();
        if !wanted.is_empty() {
            let again = fetch::fetch(tools, request, &object, wanted.iter().cloned()).await?;
            longer.extend(
                wanted
                    .iter()
                    .map(|range| (range.start, again.from(range.start))),
            );
        }
        let count = series.len() as u64;
        let requests = fetched.requests() + longer.len() as u64;
        tools
            .metrics
            .observe(Data::Series, count, requests, fetched.len_bytes());
        Ok(Self { fetched, longer })
    }

    /// Decodes one of the entries, all its chunks included.
    pub(super) fn decode(&self, at: u64, entry: &mut SeriesEntry) -> Result<(), StoreError> {
        let bytes = self
            .longer
            .get(&at)
            .cloned()
            .unwrap_or_else(|| self.fetched.from(at));
        decode_series(&bytes, TimeRange::ALL, entry).map_err(|mut error| {
            error.at = Some(at);
            corrupt(&error)
        })
    }
}

/// Reads the entries of `series`, leaving out those without a chunk in the time asked for.
pub(super) async fn read(
    tools: &Tools,
    request: &BlockRequest,
    header: &IndexHeader,
    labeller: &mut Labeller,
    series: &[u32],
) -> Result<Vec<(SymbolPairs, Entry)>, StoreError> {
    let raw = RawEntries::fetch(tools, request, header, series).await?;
    let stats = request
        .block
        .meta
        .thanos
        .as_ref()
        .map(|thanos| &thanos.index_stats);
    let guess = guess(stats.map(|stats| stats.chunk_max_size), GUESSED_CHUNK_BYTES);
    let mut symbols = SymbolTexts::new(header);
    let mut entry = SeriesEntry::default();
    let mut entries = Vec::with_capacity(series.len());
    for &reference in series {
        raw.decode(SeriesRef(reference).offset(header.version()), &mut entry)?;
        let chunks = spans(&entry, request, guess);
        if chunks.is_empty() {
            continue;
        }
        let own = entry
            .labels
            .iter()
            .map(|(name, value)| Ok((symbols.text(*name)?, symbols.text(*value)?)));
        let labels = labeller.complete(own).map_err(|error| corrupt(&error))?;
        let chunks = if request.skip_chunks {
            Vec::new()
        } else {
            chunks
        };
        entries.push((std::mem::take(&mut entry.labels), Entry { labels, chunks }));
    }
    Ok(entries)
}

/// Chooses the chunks of the time asked for. A chunk ends where the next one of its segment begins.
fn spans(entry: &SeriesEntry, request: &BlockRequest, guess: u64) -> Vec<ChunkSpan> {
    let mut spans = Vec::new();
    for (i, chunk) in entry.chunks.iter().enumerate() {
        if !chunk.range().overlaps(&request.range) {
            continue;
        }
        let next = entry.chunks.get(i + 1).map(|next| next.reference);
        let exact = next
            .filter(|next| next.segment() == chunk.reference.segment())
            .and_then(|next| next.offset().checked_sub(chunk.reference.offset()))
            .map(u64::from);
        // Chunks of one series need not touch; a distance that is no chunk's is no end.
        let bytes = exact
            .filter(|bytes| *bytes <= MAX_GUESS_BYTES.max(guess))
            .unwrap_or(guess);
        let (min_time, max_time) = (chunk.min_time, chunk.max_time);
        spans.push(ChunkSpan {
            reference: chunk.reference,
            min_time,
            max_time,
            bytes,
        });
    }
    spans
}

fn guess(stated: Option<u64>, otherwise: u64) -> u64 {
    stated
        .filter(|bytes| (1..=MAX_GUESS_BYTES).contains(bytes))
        .unwrap_or(otherwise)
}

/// Symbols looked up once a batch: finding one walks over up to 31 others.
struct SymbolTexts<'a> {
    header: &'a IndexHeader,
    known: hashbrown::HashMap<u32, &'a str>,
}

impl<'a> SymbolTexts<'a> {
    fn new(header: &'a IndexHeader) -> Self {
        Self {
            header,
            known: hashbrown::HashMap::new(),
        }
    }

    fn text(&mut self, symbol: SymbolRef) -> Result<&'a str, tsdb::Corrupt> {
        if let Some(text) = self.known.get(&symbol.0) {
            return Ok(text);
        }
        let text = self.header.symbols().get(symbol)?;
        self.known.insert(symbol.0, text);
        Ok(text)
    }
}
