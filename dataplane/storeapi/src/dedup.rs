//! Replicas into one: several lanes of samples of the same series become one stream of samples.
//!
//! Reading order: [`lanes`] spreads a series' overlapping chunks over lanes without overlap;
//! [`ChunkLane`] decodes a lane; [`Deduped`] folds lanes by [`Algorithm`]. Where there is only one
//! lane its batches pass through as they were decoded. [`MixedSamples`] does it where histograms are
//! among the samples.
//!
//! It works on decoded columns, never on chunks, and knows no labels.

mod chain;
mod lane;
mod mixed;
mod penalty;

use chunk::Columns;
use model::TimeRange;

pub use lane::{ChunkLane, lanes};
pub use mixed::{Decode, Mixed, MixedSamples};

/// Samples a batch of a merged stream: a few chunks' worth, small enough to stay in the cache.
const BATCH_SAMPLES: usize = 512;

/// A source of samples in ascending order of time.
pub trait SampleBatches {
    /// Why samples cannot be had.
    type Error;

    /// Replaces what is in `columns` with the next batch; returns `false`, and leaves nothing, at the
    /// end. A sample that is not later than the one before is skipped by the reader.
    ///
    /// # Errors
    /// Malformed data; the source is not asked again.
    fn next_batch(&mut self, columns: &mut Columns) -> Result<bool, Self::Error>;
}

/// How replicas become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Algorithm {
    /// Stays with a replica until it has a gap: switching costs twice the last step.
    #[default]
    Penalty,
    /// Takes every distinct timestamp of any replica.
    Chain,
}

impl Algorithm {
    /// Returns the algorithm of the flag's value, if it is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "penalty" => Some(Self::Penalty),
            "chain" => Some(Self::Chain),
            _ => None,
        }
    }
}

/// What the samples are to the function that reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ValueKind {
    /// Values are taken as they are.
    #[default]
    Gauge,
    /// A value never falls because of a switch between replicas: the side that lags is lifted by the
    /// difference from then on. Only [`Algorithm::Penalty`] does so.
    Counter,
}

impl ValueKind {
    /// Returns how the samples under a PromQL function are to be deduplicated.
    #[must_use]
    pub fn of_function(function: &str) -> Self {
        match function {
            "rate" | "irate" | "increase" | "resets" => Self::Counter,
            _ => Self::Gauge,
        }
    }
}

/// One stream of samples out of several lanes, clipped to a time range.
pub struct Deduped<S: SampleBatches>(Fold<S>);

enum Fold<S: SampleBatches> {
    Single(lane::Clipped<S>),
    Penalty(penalty::Node<S>),
    Chain(chain::Chain<S>),
}

impl<S: SampleBatches> Deduped<S> {
    /// Returns the stream of `lanes`, folded from the first to the last, with samples of `range` only.
    #[must_use]
    pub fn new(lanes: Vec<S>, range: TimeRange, algorithm: Algorithm, kind: ValueKind) -> Self {
        let mut lanes: Vec<_> = lanes
            .into_iter()
            .map(|lane| lane::Clipped::new(lane, range))
            .collect();
        if lanes.len() == 1
            && let Some(only) = lanes.pop()
        {
            return Self(Fold::Single(only));
        }
        Self(match algorithm {
            Algorithm::Penalty => Fold::Penalty(penalty::Node::fold(lanes, kind)),
            Algorithm::Chain => Fold::Chain(chain::Chain::new(lanes)),
        })
    }
}

impl<S: SampleBatches> SampleBatches for Deduped<S> {
    type Error = S::Error;

    fn next_batch(&mut self, columns: &mut Columns) -> Result<bool, S::Error> {
        columns.clear();
        match &mut self.0 {
            Fold::Single(lane) => return lane.next_batch(columns),
            Fold::Penalty(node) => {
                while columns.len() < BATCH_SAMPLES && node.next()? {
                    columns.push(node.t(), node.value());
                }
            }
            Fold::Chain(chain) => {
                while columns.len() < BATCH_SAMPLES
                    && let Some((t, value)) = chain.next()?
                {
                    columns.push(t, value);
                }
            }
        }
        Ok(!columns.is_empty())
    }
}

#[cfg(test)]
mod tests;
