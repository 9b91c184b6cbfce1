//! Chunks of a batch of series: fetched by range, verified, passed on undecoded.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use chunk::Encoding;
use chunk::aggregate::{Aggregate as Part, AggregateChunk};
use storeapi::{Aggregate, Chunk, Payload, Series, StoreError};
use tsdb::Corrupt;
use tsdb::segment::{ChunkRef, HEADER_BYTES, chunk_length, decode_chunk, segment_name};

use super::entries::{ChunkSpan, Entry};
use super::fetch::{self, Fetched};
use super::{BlockRequest, Tools, corrupt, without_chunks};
use crate::metrics::Data;

/// Fetches the chunks of `entries` and returns them as series.
pub(super) async fn fetch(
    tools: Tools,
    request: Arc<BlockRequest>,
    entries: Vec<Entry>,
) -> Result<Vec<Series>, StoreError> {
    if request.skip_chunks {
        return Ok(without_chunks(entries));
    }
    let count: usize = entries.iter().map(|entry| entry.chunks.len()).sum();
    request.budget.add_chunks(count as u64)?;
    let planned: u64 = entries.iter().map(Entry::planned_bytes).sum();
    // Held until the batch is handed on.
    let _reserved = tools
        .pool
        .reserve(planned)
        .map_err(|error| request.budget.exceed(error))?;
    let segments = Segments::fetch(&tools, &request, &entries, count as u64).await?;
    let mut series = Vec::with_capacity(entries.len());
    let mut sent = 0;
    for entry in entries {
        let mut chunks = Vec::with_capacity(entry.chunks.len());
        for span in &entry.chunks {
            let bytes = segments.bytes(span.reference);
            if let Some(chunk) = chunk_of(&bytes, span, &request)? {
                sent += chunk.data_len();
                chunks.push(chunk);
            }
        }
        series.push(Series {
            labels: entry.labels,
            chunks,
        });
    }
    tools.metrics.sent_chunk_bytes.observe(sent as f64);
    Ok(series)
}

/// What was fetched of each segment.
struct Segments {
    fetched: BTreeMap<u32, Fetched>,
    /// Chunks that were longer than guessed.
    longer: BTreeMap<ChunkRef, Bytes>,
}

impl Segments {
    async fn fetch(
        tools: &Tools,
        request: &BlockRequest,
        entries: &[Entry],
        touched: u64,
    ) -> Result<Self, StoreError> {
        let spans = || entries.iter().flat_map(|entry| &entry.chunks);
        let mut wanted: BTreeMap<u32, Vec<Range<u64>>> = BTreeMap::new();
        for span in spans() {
            let start = u64::from(span.reference.offset());
            let segment = span.reference.segment();
            let size = request
                .block
                .files
                .segment_bytes
                .get(segment as usize)
                .copied();
            let Some(size) = size.filter(|size| (HEADER_BYTES as u64..*size).contains(&start))
            else {
                return Err(corrupt(&Corrupt {
                    what: "the index names a chunk that is not there".into(),
                    place: segment_name(segment).into(),
                    at: Some(start),
                }));
            };
            let range = start..size.min(start.saturating_add(span.bytes));
            wanted.entry(segment).or_default().push(range);
        }
        let mut fetched = BTreeMap::new();
        let (mut requests, mut bytes) = (0, 0);
        for (segment, ranges) in wanted {
            let parts = Self::fetch_segment(tools, request, segment, ranges).await?;
            requests += parts.requests();
            bytes += parts.len_bytes();
            fetched.insert(segment, parts);
        }
        let mut this = Self {
            fetched,
            longer: BTreeMap::new(),
        };
        let mut again: BTreeMap<u32, Vec<Range<u64>>> = BTreeMap::new();
        for span in spans() {
            let got = this.bytes(span.reference);
            let length = chunk_length(&got).unwrap_or_default();
            let start = u64::from(span.reference.offset());
            let segment = span.reference.segment();
            let size = request
                .block
                .files
                .segment_bytes
                .get(segment as usize)
                .copied();
            let end = start.saturating_add(length);
            // One that reaches beyond its file is cut off, which decoding will say.
            if length > got.len() as u64 && size.is_some_and(|size| end <= size) {
                again.entry(segment).or_default().push(start..end);
            }
        }
        for (segment, ranges) in again {
            let starts: Vec<u64> = ranges.iter().map(|range| range.start).collect();
            let parts = Self::fetch_segment(tools, request, segment, ranges).await?;
            requests += parts.requests();
            bytes += parts.len_bytes();
            for start in starts {
                let offset = u32::try_from(start).unwrap_or(u32::MAX);
                this.longer
                    .insert(ChunkRef::new(segment, offset), parts.from(start));
            }
        }
        tools
            .metrics
            .observe(Data::Chunks, touched, requests, bytes);
        Ok(this)
    }

    async fn fetch_segment(
        tools: &Tools,
        request: &BlockRequest,
        segment: u32,
        mut ranges: Vec<Range<u64>>,
    ) -> Result<Fetched, StoreError> {
        ranges.sort_unstable_by_key(|range| range.start);
        let object = block::layout::object(request.block.id, &segment_name(segment));
        fetch::fetch(tools, request, &object, ranges.into_iter()).await
    }

    fn bytes(&self, reference: ChunkRef) -> Bytes {
        if let Some(bytes) = self.longer.get(&reference) {
            return bytes.clone();
        }
        self.fetched
            .get(&reference.segment())
            .map(|parts| parts.from(u64::from(reference.offset())))
            .unwrap_or_default()
    }
}

/// Verifies a chunk and takes out what is wanted of it; nothing where it has none of that.
fn chunk_of(
    bytes: &Bytes,
    span: &ChunkSpan,
    request: &BlockRequest,
) -> Result<Option<Chunk>, StoreError> {
    let raw = decode_chunk(bytes).map_err(|error| {
        corrupt(&Corrupt {
            place: span.reference.segment_name().into(),
            at: Some(u64::from(span.reference.offset())),
            ..error
        })
    })?;
    let payload = |encoding: Encoding, data: &[u8]| Payload {
        encoding,
        data: bytes.slice_ref(data),
    };
    let (min_time, max_time) = (span.min_time, span.max_time);
    if raw.encoding != Encoding::Aggregate {
        let payload = payload(raw.encoding, raw.data);
        return Ok(Some(Chunk::raw(min_time, max_time, payload)));
    }
    let parts = AggregateChunk::decode(raw.data)
        .map_err(|error| corrupt(&Corrupt::in_chunk(&error, span.reference)))?;
    let mut chunk = Chunk {
        min_time,
        max_time,
        raw: None,
        aggregates: None,
    };
    for &aggregate in &request.aggregates {
        let part = match aggregate {
            Aggregate::Raw => continue,
            Aggregate::Count => Part::Count,
            Aggregate::Sum => Part::Sum,
            Aggregate::Min => Part::Min,
            Aggregate::Max => Part::Max,
            Aggregate::Counter => Part::Counter,
        };
        if let Some(part) = parts.get(part) {
            chunk.set_payload(aggregate, payload(part.encoding, part.data));
        }
    }
    Ok(chunk.aggregates.is_some().then_some(chunk))
}
