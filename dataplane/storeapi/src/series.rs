//! What travels: a series with its chunks, cheap to clone and undecoded.

use bytes::Bytes;
use chunk::Encoding;
use model::Labels;

/// One series, or a part of one, as a store sends it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Series {
    /// With external labels, without the replica labels that the request strips.
    pub labels: Labels,
    /// Sorted by (min, max) time; may reach beyond the requested range; empty with `skip_chunks`.
    pub chunks: Vec<Chunk>,
}

impl Series {
    /// Returns the encoded bytes of all chunks.
    #[must_use]
    pub fn chunk_bytes(&self) -> usize {
        self.chunks.iter().map(Chunk::data_len).sum()
    }
}

/// One chunk: raw samples or downsampled aggregates, over an inclusive time range in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Chunk {
    pub min_time: i64,
    pub max_time: i64,
    pub raw: Option<Payload>,
    /// Boxed: rare, and four of five chunks on a hot path have none.
    pub aggregates: Option<Box<Aggregates>>,
}

impl Chunk {
    /// Returns a chunk of raw samples.
    #[must_use]
    pub fn raw(min_time: i64, max_time: i64, payload: Payload) -> Self {
        Self {
            min_time,
            max_time,
            raw: Some(payload),
            aggregates: None,
        }
    }

    /// Returns the payload of one aggregate; [`Aggregate::Raw`] is the raw one.
    #[must_use]
    pub fn payload(&self, aggregate: Aggregate) -> Option<&Payload> {
        let aggregates = self.aggregates.as_deref();
        match aggregate {
            Aggregate::Raw => self.raw.as_ref(),
            Aggregate::Count => aggregates?.count.as_ref(),
            Aggregate::Sum => aggregates?.sum.as_ref(),
            Aggregate::Min => aggregates?.min.as_ref(),
            Aggregate::Max => aggregates?.max.as_ref(),
            Aggregate::Counter => aggregates?.counter.as_ref(),
        }
    }

    /// Sets the payload of one aggregate.
    pub fn set_payload(&mut self, aggregate: Aggregate, payload: Payload) {
        if aggregate == Aggregate::Raw {
            self.raw = Some(payload);
            return;
        }
        let aggregates = self.aggregates.get_or_insert_default();
        let slot = match aggregate {
            Aggregate::Raw | Aggregate::Count => &mut aggregates.count,
            Aggregate::Sum => &mut aggregates.sum,
            Aggregate::Min => &mut aggregates.min,
            Aggregate::Max => &mut aggregates.max,
            Aggregate::Counter => &mut aggregates.counter,
        };
        *slot = Some(payload);
    }

    /// Returns the bytes of all payloads.
    #[must_use]
    pub fn data_len(&self) -> usize {
        let len = |payload: &Option<Payload>| payload.as_ref().map_or(0, |p| p.data.len());
        let aggregates = self.aggregates.as_deref().map_or(0, |a| {
            len(&a.count) + len(&a.sum) + len(&a.min) + len(&a.max) + len(&a.counter)
        });
        len(&self.raw) + aggregates
    }
}

/// The five parts of a downsampled chunk, each present only where it was asked for and exists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Aggregates {
    pub count: Option<Payload>,
    pub sum: Option<Payload>,
    pub min: Option<Payload>,
    pub max: Option<Payload>,
    pub counter: Option<Payload>,
}

/// Encoded samples; the bytes begin with the two-byte sample count, as in the TSDB.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Payload {
    pub encoding: Encoding,
    pub data: Bytes,
}

/// What a request wants of downsampled data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Aggregate {
    Raw,
    Count,
    Sum,
    Min,
    Max,
    Counter,
}

impl Aggregate {
    /// All of them, in the order of the wire's numbers.
    pub const ALL: [Self; 6] = [
        Self::Raw,
        Self::Count,
        Self::Sum,
        Self::Min,
        Self::Max,
        Self::Counter,
    ];
}
