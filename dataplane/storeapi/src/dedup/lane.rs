//! One lane: chunks that do not overlap, decoded one after the other.

use chunk::{Columns, decode_floats};
use model::TimeRange;

use super::SampleBatches;
use crate::error::{ErrorKind, StoreError};
use crate::series::{Aggregate, Chunk};

/// Spreads chunks, sorted by start, over as few lanes as can be without overlap in any: each goes to
/// the first lane that ends before it starts.
#[must_use]
pub fn lanes(chunks: Vec<Chunk>) -> Vec<Vec<Chunk>> {
    if chunks.is_sorted_by(|a, b| a.max_time < b.min_time) {
        return if chunks.is_empty() {
            Vec::new()
        } else {
            vec![chunks]
        };
    }
    let mut lanes: Vec<Vec<Chunk>> = Vec::new();
    for chunk in chunks {
        let free = lanes.iter_mut().find(|lane| {
            lane.last()
                .is_none_or(|last| last.max_time < chunk.min_time)
        });
        match free {
            Some(lane) => lane.push(chunk),
            None => lanes.push(vec![chunk]),
        }
    }
    lanes
}

/// The float samples of a lane, a batch a chunk.
#[derive(Debug)]
pub struct ChunkLane {
    chunks: std::vec::IntoIter<Chunk>,
    aggregate: Aggregate,
    range: TimeRange,
}

impl ChunkLane {
    /// Returns the samples of one aggregate of `chunks`; chunks wholly outside of `range` are not
    /// decoded. A chunk without the aggregate gives its raw samples, if it has those.
    #[must_use]
    pub fn new(chunks: Vec<Chunk>, aggregate: Aggregate, range: TimeRange) -> Self {
        Self {
            chunks: chunks.into_iter(),
            aggregate,
            range,
        }
    }
}

impl SampleBatches for ChunkLane {
    type Error = StoreError;

    fn next_batch(&mut self, columns: &mut Columns) -> Result<bool, StoreError> {
        columns.clear();
        for chunk in self.chunks.by_ref() {
            if !self
                .range
                .overlaps(&TimeRange::new(chunk.min_time, chunk.max_time))
            {
                continue;
            }
            let payload = chunk.payload(self.aggregate).or(chunk.raw.as_ref());
            let Some(payload) = payload else { continue };
            let span = || format!("chunk of {}..={}", chunk.min_time, chunk.max_time);
            if payload.encoding.is_histogram() {
                let what = format!("{} holds histograms where floats are read", span());
                return Err(StoreError::new(ErrorKind::Unimplemented, what));
            }
            decode_floats(payload.encoding, &payload.data, columns).map_err(|bad| {
                StoreError::Corrupt {
                    what: bad.to_string(),
                    at: span(),
                }
            })?;
            if !columns.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A lane without what lies outside of the range or does not come after what was before.
pub(super) struct Clipped<S> {
    source: S,
    range: TimeRange,
    /// The last time given out.
    last: Option<i64>,
    ended: bool,
}

impl<S: SampleBatches> Clipped<S> {
    pub(super) fn new(source: S, range: TimeRange) -> Self {
        Self {
            source,
            range,
            last: None,
            ended: false,
        }
    }

    pub(super) fn next_batch(&mut self, columns: &mut Columns) -> Result<bool, S::Error> {
        while !self.ended {
            if !self.source.next_batch(columns)? {
                break;
            }
            let ts = columns.timestamps();
            let (Some(&first), Some(&last)) = (ts.first(), ts.last()) else {
                continue;
            };
            let after = self
                .last
                .map_or(self.range.start, |t| self.range.start.max(t + 1));
            self.ended = last > self.range.end;
            if first < after || self.ended || !ts.is_sorted_by(|a, b| a < b) {
                self.keep(columns, after);
            }
            if let Some(last) = columns.timestamps().last() {
                self.last = Some(*last);
                return Ok(true);
            }
        }
        self.ended = true;
        columns.clear();
        Ok(false)
    }

    /// Keeps samples from `after` to the range's end, ascending.
    fn keep(&mut self, columns: &mut Columns, mut after: i64) {
        let all = std::mem::take(columns);
        // Disorder within a batch must not end the lane at a sample that is out of place.
        self.ended = false;
        for (t, value) in all.iter() {
            if t > self.range.end {
                self.ended = true;
                break;
            }
            if t >= after {
                columns.push(t, value);
                after = t + 1;
            }
        }
    }
}
