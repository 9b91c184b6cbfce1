//! The samples of one series, decoded on whichever thread reads them.

use std::cell::RefCell;
use std::sync::Arc;

use chunk::Columns;
use model::TimeRange;
use promql::context::{MemoryAccount, Reservation};
use promql::queryable::{self, QueryableError, SeriesData};
use storeapi::dedup::{
    Algorithm, ChunkLane, Decode, Deduped, Mixed, MixedSamples, SampleBatches, ValueKind, lanes,
};
use storeapi::{Aggregate, Chunk, Payload, Series, StoreError};

use super::SelectOptions;
use super::aggregate::{
    AggregateLane, ReadError, Wanted, decode_floats, decode_histograms, decode_mixed,
};

thread_local! {
    /// Chunks are decoded here and copied into the engine's columns: one buffer a thread, whatever the
    /// number of series.
    static SCRATCH: RefCell<Columns> = RefCell::new(Columns::new());
}

/// How overlapping chunks of one series become one stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Merge {
    algorithm: Algorithm,
    kind: ValueKind,
}

impl Merge {
    pub(super) fn new(options: &SelectOptions, function: Option<&str>) -> Self {
        if options.replica_labels.is_empty() {
            // Nobody asked for one of several replicas: whatever has equal labels is one series, and
            // every sample of it counts.
            return Self {
                algorithm: Algorithm::Chain,
                kind: ValueKind::Gauge,
            };
        }
        Self {
            algorithm: options.dedup,
            kind: function.map_or(ValueKind::Gauge, ValueKind::of_function),
        }
    }
}

/// Turns the chunks of a selector's series into samples.
pub(super) struct Reader {
    pub(super) wanted: Wanted,
    pub(super) range: TimeRange,
    pub(super) merge: Merge,
    pub(super) memory: Arc<MemoryAccount>,
    /// For errors.
    pub(super) selector: Arc<str>,
}

impl Reader {
    /// Returns the samples of `series`; decodes nothing yet.
    ///
    /// # Errors
    /// The chunks would exceed the query's memory.
    pub(super) fn read(&self, series: Series) -> Result<Box<dyn SeriesData>, QueryableError> {
        let mut held = Reservation::new(&self.memory);
        held.grow(
            series.chunk_bytes() + series.labels.size_bytes(),
            &self.selector,
        )?;
        let mut chunks = series.chunks;
        chunks.retain(|c| self.range.overlaps(&TimeRange::new(c.min_time, c.max_time)));
        let is_raw = chunks.iter().all(|chunk| chunk.raw.is_some());
        let in_order = is_raw && chunks.is_sorted_by(|a, b| a.max_time < b.min_time);
        if in_order {
            return Ok(Box::new(InOrder {
                chunks: chunks.into_iter(),
                last: i64::MIN,
                _held: held,
            }));
        }
        let (range, Merge { algorithm, kind }) = (self.range, self.merge);
        let has_histograms = chunks.iter().any(has_histograms);
        let lanes = lanes(chunks);
        if has_histograms {
            let wanted = self.wanted;
            let decode = move |chunk: &Chunk, out: &mut Vec<(i64, Mixed)>| {
                decode_mixed(wanted, chunk, out).map_err(|error| StoreError::Corrupt {
                    what: error.to_string(),
                    at: format!("chunk of {}..={}", chunk.min_time, chunk.max_time),
                })
            };
            return Ok(Box::new(MixedData {
                samples: MixedSamples::new(lanes, &decode, range, algorithm),
                _held: held,
            }));
        }
        if is_raw {
            let lane = |chunks| ChunkLane::new(chunks, Aggregate::Raw, range);
            let samples = Deduped::new(
                lanes.into_iter().map(lane).collect(),
                range,
                algorithm,
                kind,
            );
            return Ok(Box::new(Merged {
                samples,
                columns: Columns::new(),
                _held: held,
            }));
        }
        let lane = |chunks| AggregateLane::new(chunks, self.wanted);
        let samples = Deduped::new(
            lanes.into_iter().map(lane).collect(),
            range,
            algorithm,
            kind,
        );
        Ok(Box::new(Merged {
            samples,
            columns: Columns::new(),
            _held: held,
        }))
    }
}

/// Raw chunks, read one after the other: the usual case, and the fast one.
struct InOrder {
    chunks: std::vec::IntoIter<Chunk>,
    /// The last time given out.
    last: i64,
    _held: Reservation,
}

impl SeriesData for InOrder {
    fn next_batch(&mut self, out: &mut queryable::Columns) -> Result<bool, QueryableError> {
        for chunk in self.chunks.by_ref() {
            let Some(payload) = &chunk.raw else { continue };
            if payload.encoding.is_histogram() {
                if append_histograms(payload, &mut self.last, out)
                    .map_err(|error| storage(&chunk, &error))?
                {
                    return Ok(true);
                }
                continue;
            }
            let appended = SCRATCH.with_borrow_mut(|columns| {
                columns.clear();
                decode_floats(payload, columns).map_err(|error| storage(&chunk, &error))?;
                let ts = columns.timestamps();
                // A chunk may hold samples that its header does not admit.
                let from = ts.partition_point(|t| *t <= self.last);
                if let Some(last) = ts.last() {
                    self.last = self.last.max(*last);
                }
                append(columns, from, out);
                Ok::<_, QueryableError>(ts.len() > from)
            })?;
            if appended {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Chunks that overlap, or are downsampled.
struct Merged<S: SampleBatches> {
    samples: Deduped<S>,
    columns: Columns,
    _held: Reservation,
}

impl<S: SampleBatches<Error = storeapi::StoreError> + Send> SeriesData for Merged<S> {
    fn next_batch(&mut self, out: &mut queryable::Columns) -> Result<bool, QueryableError> {
        let more = self
            .samples
            .next_batch(&mut self.columns)
            .map_err(|error| QueryableError::Storage(error.to_string()))?;
        append(&self.columns, 0, out);
        Ok(more)
    }
}

/// Samples a batch where some are histograms.
const MIXED_BATCH: usize = 128;

/// As [`Merged`], where some chunks hold histograms.
struct MixedData<D> {
    samples: MixedSamples<D>,
    _held: Reservation,
}

impl<D: Decode + Send> SeriesData for MixedData<D> {
    fn next_batch(&mut self, out: &mut queryable::Columns) -> Result<bool, QueryableError> {
        let mut appended = false;
        for _ in 0..MIXED_BATCH {
            let next = self
                .samples
                .next_sample()
                .map_err(|error| QueryableError::Storage(error.to_string()))?;
            match next {
                None => break,
                Some((ts, Mixed::Float(value))) => {
                    out.ts.push(ts);
                    out.floats.push(value);
                }
                Some((ts, Mixed::Histogram(histogram))) => {
                    out.histogram_ts.push(ts);
                    out.histograms.push(histogram);
                }
            }
            appended = true;
        }
        Ok(appended)
    }
}

fn has_histograms(chunk: &Chunk) -> bool {
    let payloads = [Aggregate::Raw, Aggregate::Sum, Aggregate::Counter];
    let mut payloads = payloads.iter().filter_map(|of| chunk.payload(*of));
    payloads.any(|payload| payload.encoding.is_histogram())
}

fn append(columns: &Columns, from: usize, out: &mut queryable::Columns) {
    out.ts
        .extend_from_slice(columns.timestamps().get(from..).unwrap_or_default());
    out.floats
        .extend_from_slice(columns.values().get(from..).unwrap_or_default());
}

/// Appends the histograms later than `last`; returns whether there were any.
fn append_histograms(
    payload: &Payload,
    last: &mut i64,
    out: &mut queryable::Columns,
) -> Result<bool, ReadError> {
    let mut decoded = Vec::new();
    decode_histograms(payload, &mut decoded)?;
    let before = out.histogram_ts.len();
    for (ts, histogram) in decoded {
        if ts > *last {
            *last = ts;
            out.histogram_ts.push(ts);
            out.histograms.push(histogram);
        }
    }
    Ok(out.histogram_ts.len() > before)
}

fn storage(chunk: &Chunk, error: &dyn std::fmt::Display) -> QueryableError {
    let (from, to) = (chunk.min_time, chunk.max_time);
    QueryableError::Storage(format!("chunk of {from}..={to}: {error}"))
}
