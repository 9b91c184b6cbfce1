//! Chunks that overlap: decoded, merged by sample, encoded anew.

use std::cmp::Ordering;
use std::str::FromStr;

use chunk::histogram::{
    CounterResetHeader, FloatHistogramAppender, HistogramAppender, NotAppendable,
};
use chunk::{Columns, Encoding, HistogramColumns, XorAppender};
use model::histogram::{FloatHistogram, Histogram};
use tsdb::block::{EncodedChunk, SAMPLES_PER_CHUNK};

use super::Part;
use crate::error::CompactError;

/// How samples of overlapping chunks become one series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dedup {
    /// Every time that any chunk has a sample at, once. Of several samples at one time the first
    /// histogram stays, else the first float, in order of the chunks.
    #[default]
    OneToOne,
    /// One chunk's samples at a time, leaving it for another only after a gap: what a querier does
    /// with replicas.
    Penalty,
}

/// A name that is none of [`Dedup`]'s.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("deduplication function {0:?} is not known; leave it empty or use penalty")]
pub struct UnknownDedup(String);

impl FromStr for Dedup {
    type Err = UnknownDedup;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Ok(Self::OneToOne),
            "penalty" => Ok(Self::Penalty),
            other => Err(UnknownDedup(other.to_owned())),
        }
    }
}

/// A decoded sample.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) t: i64,
    pub(crate) value: Value,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Float(f64),
    Histogram(Box<Histogram>),
    FloatHistogram(Box<FloatHistogram>),
}

impl Value {
    /// Which of two samples at one time is preferred: the lower.
    fn rank(&self) -> u8 {
        match self {
            Self::FloatHistogram(_) => 0,
            Self::Histogram(_) => 1,
            Self::Float(_) => 2,
        }
    }
}

/// Merges chunks, which are in order of time, into chunks that do not overlap.
///
/// # Errors
/// A chunk is not sound, or it is a downsampled one, which cannot be merged by sample.
pub(crate) fn merge(parts: &[&Part], dedup: Dedup) -> Result<Vec<EncodedChunk>, CompactError> {
    let mut merged: Vec<Sample> = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        let samples = decode(part)?;
        merged = match dedup {
            _ if i == 0 => samples,
            Dedup::OneToOne => one_to_one(merged, samples),
            Dedup::Penalty => penalty(merged, samples),
        };
    }
    Ok(encode(&merged))
}

/// Returns a chunk's samples in order of time, without those that are deleted.
pub(crate) fn decode(part: &Part) -> Result<Vec<Sample>, CompactError> {
    let chunk = part.chunk()?;
    let corrupt = |error: chunk::Corrupt| part.corrupt(&error);
    let mut samples = Vec::new();
    if chunk.encoding.is_float() {
        let mut columns = Columns::new();
        chunk::decode_floats(chunk.encoding, chunk.data, &mut columns).map_err(corrupt)?;
        samples.extend(columns.iter().map(|(t, value)| Sample {
            t,
            value: Value::Float(value),
        }));
    } else {
        // Aggregates are refused here.
        let mut columns = HistogramColumns::new();
        chunk::decode_histograms(chunk.encoding, chunk.data, &mut columns).map_err(corrupt)?;
        for i in 0..columns.len() {
            let value = if columns.is_float() {
                columns
                    .float_histogram(i)
                    .map(|histogram| Value::FloatHistogram(Box::new(histogram)))
            } else {
                columns
                    .histogram(i)
                    .map(|histogram| Value::Histogram(Box::new(histogram)))
            };
            if let (Some(t), Some(value)) = (columns.timestamp(i), value) {
                samples.push(Sample { t, value });
            }
        }
    }
    samples.retain(|sample| !part.is_deleted(sample.t));
    if !samples.is_sorted_by(|a, b| a.t < b.t) {
        samples.sort_by_key(|sample| (sample.t, sample.value.rank()));
        samples.dedup_by_key(|sample| sample.t);
    }
    Ok(samples)
}

fn one_to_one(a: Vec<Sample>, b: Vec<Sample>) -> Vec<Sample> {
    let mut merged = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
    while let (Some(left), Some(right)) = (a.peek(), b.peek()) {
        match left.t.cmp(&right.t) {
            Ordering::Less => merged.extend(a.next()),
            Ordering::Greater => merged.extend(b.next()),
            Ordering::Equal if right.value.rank() < left.value.rank() => {
                merged.extend(b.next());
                a.next();
            }
            Ordering::Equal => {
                merged.extend(a.next());
                b.next();
            }
        }
    }
    merged.extend(a);
    merged.extend(b);
    merged
}

/// What a side is kept back for before anything was emitted.
const FIRST_PENALTY_MS: i64 = 5000;

/// Follows one side; the other is passed over for twice the distance between the side's last samples,
/// so that a change takes a gap and two scrapes at nearly the same time do not alternate.
fn penalty(a: Vec<Sample>, b: Vec<Sample>) -> Vec<Sample> {
    let mut merged = Vec::with_capacity(a.len().max(b.len()));
    let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
    let mut last: Option<i64> = None;
    let (mut keep_back_a, mut keep_back_b) = (0, 0);
    loop {
        if let Some(last) = last {
            let before = |keep_back: i64| {
                let from = last.saturating_add(1).saturating_add(keep_back);
                move |sample: &Sample| sample.t < from
            };
            while a.next_if(before(keep_back_a)).is_some() {}
            while b.next_if(before(keep_back_b)).is_some() {}
        }
        let take_a = match (a.peek(), b.peek()) {
            (None, None) => return merged,
            (Some(_), None) => {
                keep_back_a = 0;
                true
            }
            (None, Some(_)) => {
                keep_back_b = 0;
                false
            }
            (Some(left), Some(right)) => {
                let take_a = left.t <= right.t;
                let picked = if take_a { left.t } else { right.t };
                let keep_back = last.map_or(FIRST_PENALTY_MS, |last| {
                    picked.saturating_sub(last).saturating_mul(2)
                });
                (keep_back_a, keep_back_b) = if take_a {
                    (0, keep_back)
                } else {
                    (keep_back, 0)
                };
                take_a
            }
        };
        let sample = if take_a { a.next() } else { b.next() };
        last = sample.as_ref().map(|sample| sample.t);
        merged.extend(sample);
    }
}

/// A chunk in the making.
enum Appender {
    Float(XorAppender),
    Histogram(HistogramAppender),
    FloatHistogram(FloatHistogramAppender),
}

impl Appender {
    fn for_value(value: &Value, header: CounterResetHeader) -> Self {
        match value {
            Value::Float(_) => Self::Float(XorAppender::new()),
            Value::Histogram(_) => Self::Histogram(HistogramAppender::new(header)),
            Value::FloatHistogram(_) => Self::FloatHistogram(FloatHistogramAppender::new(header)),
        }
    }

    fn append(&mut self, sample: &Sample) -> Result<(), NotAppendable> {
        let refused = NotAppendable {
            header: CounterResetHeader::Unknown,
        };
        match (self, &sample.value) {
            (Self::Float(appender), Value::Float(value)) => appender
                .append(sample.t, *value)
                .then_some(())
                .ok_or(refused),
            (Self::Histogram(appender), Value::Histogram(histogram)) => {
                appender.append(sample.t, histogram)
            }
            (Self::FloatHistogram(appender), Value::FloatHistogram(histogram)) => {
                appender.append(sample.t, histogram)
            }
            _ => Err(refused),
        }
    }

    fn len(&self) -> usize {
        usize::from(match self {
            Self::Float(appender) => appender.len(),
            Self::Histogram(appender) => appender.len(),
            Self::FloatHistogram(appender) => appender.len(),
        })
    }

    fn finish(self, min_time: i64, max_time: i64) -> EncodedChunk {
        let (encoding, data) = match self {
            Self::Float(appender) => (Encoding::Xor, appender.finish()),
            Self::Histogram(appender) => (Encoding::Histogram, appender.finish()),
            Self::FloatHistogram(appender) => (Encoding::FloatHistogram, appender.finish()),
        };
        EncodedChunk {
            min_time,
            max_time,
            encoding,
            data,
        }
    }
}

/// Encodes samples, which are in order of time, into chunks of [`SAMPLES_PER_CHUNK`].
pub(crate) fn encode(samples: &[Sample]) -> Vec<EncodedChunk> {
    let mut chunks = Vec::new();
    let mut current: Option<(Appender, i64, i64)> = None;
    for sample in samples {
        let mut header = CounterResetHeader::Unknown;
        if let Some((appender, _, max_time)) = &mut current
            && appender.len() < SAMPLES_PER_CHUNK
        {
            match appender.append(sample) {
                Ok(()) => {
                    *max_time = sample.t;
                    continue;
                }
                Err(refused) => header = refused.header,
            }
        }
        if let Some((appender, min_time, max_time)) = current.take() {
            chunks.push(appender.finish(min_time, max_time));
        }
        let mut appender = Appender::for_value(&sample.value, header);
        // A new chunk takes any sample of its kind.
        if appender.append(sample).is_ok() {
            current = Some((appender, sample.t, sample.t));
        }
    }
    if let Some((appender, min_time, max_time)) = current {
        chunks.push(appender.finish(min_time, max_time));
    }
    chunks
}
