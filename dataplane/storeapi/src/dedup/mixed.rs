//! Replicas some of whose samples are histograms.
//!
//! The algorithms need times only; values matter to them where counters are lifted. So here they run
//! over columns whose values are places: which lane, and which sample of the chunk it stands in. The
//! sample itself waits on the lane's shelf, which holds one decoded chunk.

use std::sync::{Arc, Mutex, PoisonError};

use chunk::Columns;
use model::TimeRange;
use model::histogram::{CounterResetHint, FloatHistogram};

use super::lane::Clipped;
use super::{Algorithm, SampleBatches, ValueKind, chain, penalty};
use crate::error::StoreError;
use crate::series::Chunk;

/// Places a lane has: more than a chunk can hold, few enough that a lane and a place fit a float.
const PLACES: usize = 1 << 20;

/// A sample of either kind.
#[derive(Debug, Clone)]
pub enum Mixed {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

/// Appends the samples of a chunk, in order of time.
pub trait Decode: FnMut(&Chunk, &mut Vec<(i64, Mixed)>) -> Result<(), StoreError> + Clone {}

impl<D: FnMut(&Chunk, &mut Vec<(i64, Mixed)>) -> Result<(), StoreError> + Clone> Decode for D {}

/// The samples of the chunk that a lane stands in.
#[derive(Debug, Default)]
struct Shelf {
    /// The number of the first sample, counted through all chunks of the lane.
    first: u64,
    samples: Vec<(i64, Mixed)>,
}

/// A lane that gives out places.
struct Places<D> {
    chunks: std::vec::IntoIter<Chunk>,
    decode: D,
    lane: usize,
    shelf: Arc<Mutex<Shelf>>,
}

impl<D: Decode> SampleBatches for Places<D> {
    type Error = StoreError;

    fn next_batch(&mut self, columns: &mut Columns) -> Result<bool, StoreError> {
        columns.clear();
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in self.chunks.by_ref() {
            shelf.first += shelf.samples.len() as u64;
            shelf.samples.clear();
            (self.decode)(&chunk, &mut shelf.samples)?;
            if shelf.samples.len() > PLACES {
                return Err(StoreError::Corrupt {
                    what: format!("{} samples in one chunk", shelf.samples.len()),
                    at: format!("chunk of {}..={}", chunk.min_time, chunk.max_time),
                });
            }
            for (place, (t, _)) in shelf.samples.iter().enumerate() {
                #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
                columns.push(*t, (self.lane * PLACES + place) as f64);
            }
            if !columns.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

enum Fold<S> {
    Penalty(penalty::Node<S>),
    Chain(chain::Chain<S>),
}

/// One stream of samples of both kinds out of several lanes, clipped to a time range.
pub struct MixedSamples<D> {
    fold: Fold<Places<D>>,
    shelves: Vec<Arc<Mutex<Shelf>>>,
    /// Lane and number of the sample given out last.
    last: Option<(usize, u64)>,
}

impl<D: Decode> MixedSamples<D> {
    /// Returns the stream of `lanes`, whose chunks `decode` reads.
    #[must_use]
    pub fn new(lanes: Vec<Vec<Chunk>>, decode: &D, range: TimeRange, algorithm: Algorithm) -> Self {
        let shelves: Vec<Arc<Mutex<Shelf>>> = lanes.iter().map(|_| Arc::default()).collect();
        let places = lanes.into_iter().zip(&shelves).enumerate();
        let places = places.map(|(lane, (chunks, shelf))| {
            let places = Places {
                chunks: chunks.into_iter(),
                decode: decode.clone(),
                lane,
                shelf: Arc::clone(shelf),
            };
            Clipped::new(places, range)
        });
        let places = places.collect();
        Self {
            fold: match algorithm {
                // Places are no counters.
                Algorithm::Penalty => Fold::Penalty(penalty::Node::fold(places, ValueKind::Gauge)),
                Algorithm::Chain => Fold::Chain(chain::Chain::new(places)),
            },
            shelves,
            last: None,
        }
    }

    /// Returns the next sample. A histogram that does not follow the one that its replica had before
    /// it does not say whether the counter was reset in between.
    ///
    /// # Errors
    /// Malformed data; the stream is not asked again.
    pub fn next_sample(&mut self) -> Result<Option<(i64, Mixed)>, StoreError> {
        let next = match &mut self.fold {
            Fold::Penalty(node) => node.next()?.then(|| (node.t(), node.value())),
            Fold::Chain(chain) => chain.next()?,
        };
        let Some((t, value)) = next else {
            return Ok(None);
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "made of a whole number above"
        )]
        let value = value as usize;
        let (lane, place) = (value / PLACES, value % PLACES);
        let Some(shelf) = self.shelves.get(lane) else {
            return Ok(None);
        };
        let shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let number = shelf.first + place as u64;
        let before = self.last.replace((lane, number));
        let follows = before.is_some_and(|(other, n)| other == lane && n + 1 == number);
        let mut sample = shelf.samples.get(place).map(|(_, sample)| sample.clone());
        if let Some(Mixed::Histogram(histogram)) = &mut sample
            && !follows
            && histogram.counter_reset_hint != CounterResetHint::Gauge
            && histogram.counter_reset_hint != CounterResetHint::Unknown
        {
            Arc::make_mut(histogram).counter_reset_hint = CounterResetHint::Unknown;
        }
        Ok(sample.map(|sample| (t, sample)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1000;

    /// Chunks are stand-ins here: they say only when their samples begin and end, in seconds.
    fn chunk(from: i64, to: i64) -> Chunk {
        Chunk {
            min_time: from * SECOND,
            max_time: to * SECOND,
            ..Chunk::default()
        }
    }

    /// A histogram every ten seconds that counts the seconds and says it follows the one before.
    fn decode(chunk: &Chunk, out: &mut Vec<(i64, Mixed)>) {
        for t in (chunk.min_time..=chunk.max_time).step_by(10_000) {
            let histogram = FloatHistogram {
                counter_reset_hint: CounterResetHint::NotReset,
                #[expect(clippy::cast_precision_loss, reason = "small")]
                count: (t / SECOND) as f64,
                ..FloatHistogram::default()
            };
            out.push((t, Mixed::Histogram(Arc::new(histogram))));
        }
    }

    /// Returns the second, the count, and whether the hint of the replica still stands.
    fn run(lanes: Vec<Vec<Chunk>>, algorithm: Algorithm) -> Vec<(i64, f64, bool)> {
        let decode = |chunk: &Chunk, out: &mut Vec<(i64, Mixed)>| {
            decode(chunk, out);
            Ok(())
        };
        let mut samples = MixedSamples::new(lanes, &decode, TimeRange::ALL, algorithm);
        let mut found = Vec::new();
        while let Some((t, Mixed::Histogram(h))) = samples.next_sample().expect("decodes") {
            let stands = h.counter_reset_hint == CounterResetHint::NotReset;
            found.push((t / SECOND, h.count, stands));
        }
        found
    }

    #[test]
    fn one_replica_keeps_its_hints_across_chunks() {
        for algorithm in [Algorithm::Penalty, Algorithm::Chain] {
            let found = run(vec![vec![chunk(0, 20), chunk(30, 40)]], algorithm);
            assert_eq!(
                found,
                [
                    (0, 0.0, false),
                    (10, 10.0, true),
                    (20, 20.0, true),
                    (30, 30.0, true),
                    (40, 40.0, true)
                ]
            );
        }
    }

    #[test]
    fn the_chain_takes_every_time_and_forgets_hints_at_each_switch() {
        let lanes = vec![vec![chunk(0, 20)], vec![chunk(15, 35)]];
        assert_eq!(
            run(lanes, Algorithm::Chain),
            [
                (0, 0.0, false),
                (10, 10.0, true),
                (15, 15.0, false),
                (20, 20.0, false),
                (25, 25.0, false),
                (35, 35.0, true)
            ]
        );
    }

    #[test]
    fn the_penalty_stays_with_a_replica_until_it_ends() {
        let lanes = vec![vec![chunk(0, 40)], vec![chunk(5, 85)]];
        // The other one may speak once the first is late by twice its step.
        assert_eq!(
            run(lanes, Algorithm::Penalty),
            [
                (0, 0.0, false),
                (10, 10.0, true),
                (20, 20.0, true),
                (30, 30.0, true),
                (40, 40.0, true),
                (65, 65.0, false),
                (75, 75.0, true),
                (85, 85.0, true)
            ]
        );
    }
}
