//! Which parts of downsampled chunks a function wants, and samples made of them.

use std::sync::Arc;

use chunk::{Columns, Encoding, HistogramColumns};
use model::histogram::{CounterResetHint, FloatHistogram};
use storeapi::dedup::{Mixed, SampleBatches};
use storeapi::{Aggregate, Chunk, Payload, StoreError};

/// What stands for a sample where a chunk is downsampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Sum divided by count.
    Average,
    Count,
    Sum,
    Min,
    Max,
    Counter,
}

impl Wanted {
    /// Returns what the function or aggregation nearest to a selector wants.
    pub(super) fn of(function: Option<&str>) -> Self {
        let Some(function) = function else {
            return Self::Average;
        };
        let is = |name: &str| {
            function
                .strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        };
        match function {
            "rate" | "increase" | "irate" | "resets" | "xrate" | "xincrease" => Self::Counter,
            _ if is("min") => Self::Min,
            _ if is("max") => Self::Max,
            _ if function == "count" || function.starts_with("count_") => Self::Count,
            // sum_over_time, but not sum itself: that adds series, each as its average.
            _ if function.starts_with("sum_") => Self::Sum,
            _ => Self::Average,
        }
    }

    /// Returns what a request asks for; raw where there is nothing else.
    pub(super) fn aggregates(self) -> Vec<Aggregate> {
        match self {
            Self::Average => vec![Aggregate::Count, Aggregate::Sum],
            other => vec![other.single()],
        }
    }

    fn single(self) -> Aggregate {
        match self {
            Self::Average | Self::Sum => Aggregate::Sum,
            Self::Count => Aggregate::Count,
            Self::Min => Aggregate::Min,
            Self::Max => Aggregate::Max,
            Self::Counter => Aggregate::Counter,
        }
    }
}

/// A chunk that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Corrupt(#[from] chunk::Corrupt),
    #[error("chunk encoding {0:?} is not supported here")]
    Unsupported(Encoding),
    #[error("downsampled chunk lacks its {0:?}")]
    Missing(Aggregate),
    #[error("downsampled chunk has {count} counts for {sum} sums")]
    Uneven { count: usize, sum: usize },
}

/// Appends the samples of a float payload.
pub(super) fn decode_floats(payload: &Payload, out: &mut Columns) -> Result<(), ReadError> {
    if !payload.encoding.is_float() {
        return Err(ReadError::Unsupported(payload.encoding));
    }
    Ok(chunk::decode_floats(payload.encoding, &payload.data, out)?)
}

/// Appends the histograms of a payload, stale markers included.
pub(super) fn decode_histograms(
    payload: &Payload,
    out: &mut Vec<(i64, Arc<FloatHistogram>)>,
) -> Result<(), ReadError> {
    let mut columns = HistogramColumns::new();
    chunk::decode_histograms(payload.encoding, &payload.data, &mut columns)?;
    for i in 0..columns.len() {
        if let (Some(ts), Some(histogram)) = (columns.timestamp(i), columns.float_histogram(i)) {
            out.push((ts, Arc::new(histogram)));
        }
    }
    Ok(())
}

/// Appends the samples of a chunk of which nobody knows the kind: what stands for them where it is
/// downsampled.
pub(super) fn decode_mixed(
    wanted: Wanted,
    chunk: &Chunk,
    out: &mut Vec<(i64, Mixed)>,
) -> Result<(), ReadError> {
    if let Some(raw) = &chunk.raw {
        return decode_payload(raw, out);
    }
    let payload = |aggregate| {
        chunk
            .payload(aggregate)
            .ok_or(ReadError::Missing(aggregate))
    };
    let is_histogram = chunk
        .payload(Aggregate::Sum)
        .or_else(|| chunk.payload(Aggregate::Counter))
        .is_some_and(|payload| payload.encoding.is_histogram());
    match wanted {
        // Least and greatest of histograms are not kept; their average is the nearest to it.
        Wanted::Min | Wanted::Max if is_histogram => {}
        Wanted::Average => {}
        other => return decode_payload(payload(other.single())?, out),
    }
    let (first, mut counts) = (out.len(), Columns::new());
    decode_payload(payload(Aggregate::Sum)?, out)?;
    decode_floats(payload(Aggregate::Count)?, &mut counts)?;
    let sums = out.get_mut(first..).unwrap_or_default();
    if sums.len() != counts.len() {
        return Err(ReadError::Uneven {
            count: counts.len(),
            sum: sums.len(),
        });
    }
    for ((_, sample), count) in sums.iter_mut().zip(counts.values()) {
        match sample {
            Mixed::Float(sum) => *sum /= count,
            Mixed::Histogram(sum) => divide(Arc::make_mut(sum), *count),
        }
    }
    Ok(())
}

fn decode_payload(payload: &Payload, out: &mut Vec<(i64, Mixed)>) -> Result<(), ReadError> {
    if payload.encoding.is_histogram() {
        let mut histograms = Vec::new();
        decode_histograms(payload, &mut histograms)?;
        let samples = histograms.into_iter();
        out.extend(samples.map(|(ts, histogram)| (ts, Mixed::Histogram(histogram))));
        return Ok(());
    }
    let mut floats = Columns::new();
    decode_floats(payload, &mut floats)?;
    out.extend(floats.iter().map(|(ts, value)| (ts, Mixed::Float(value))));
    Ok(())
}

fn divide(histogram: &mut FloatHistogram, by: f64) {
    let numbers = [
        &mut histogram.count,
        &mut histogram.sum,
        &mut histogram.zero_count,
    ];
    numbers
        .into_iter()
        .chain(&mut histogram.positive_buckets)
        .chain(&mut histogram.negative_buckets)
        .for_each(|number| *number /= by);
    // An average is no counter.
    histogram.counter_reset_hint = CounterResetHint::Gauge;
}

/// The samples of chunks that do not overlap and of which some are downsampled.
pub(super) struct AggregateLane {
    chunks: std::vec::IntoIter<Chunk>,
    wanted: Wanted,
    scratch: Columns,
    /// Where counters are wanted; raw chunks take part, so that none seems to reset where the
    /// resolution changes.
    fold: Option<CounterFold>,
}

impl AggregateLane {
    pub(super) fn new(chunks: Vec<Chunk>, wanted: Wanted) -> Self {
        Self {
            chunks: chunks.into_iter(),
            wanted,
            scratch: Columns::new(),
            fold: (wanted == Wanted::Counter).then(CounterFold::default),
        }
    }

    fn decode(&mut self, chunk: &Chunk, out: &mut Columns) -> Result<(), ReadError> {
        self.scratch.clear();
        match &mut self.fold {
            Some(fold) => {
                let counter = chunk.payload(Aggregate::Counter).or(chunk.raw.as_ref());
                let payload = counter.ok_or(ReadError::Missing(Aggregate::Counter))?;
                decode_floats(payload, &mut self.scratch)?;
                fold.push_chunk(&self.scratch, out);
                Ok(())
            }
            None => match &chunk.raw {
                Some(raw) => decode_floats(raw, out),
                None => decode_aggregate(self.wanted, chunk, &mut self.scratch, out),
            },
        }
    }
}

impl SampleBatches for AggregateLane {
    type Error = StoreError;

    fn next_batch(&mut self, columns: &mut Columns) -> Result<bool, StoreError> {
        columns.clear();
        while let Some(chunk) = self.chunks.next() {
            self.decode(&chunk, columns)
                .map_err(|error| StoreError::Corrupt {
                    what: error.to_string(),
                    at: format!("chunk of {}..={}", chunk.min_time, chunk.max_time),
                })?;
            if !columns.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Appends what stands for the samples of a downsampled chunk; `scratch` is empty.
fn decode_aggregate(
    wanted: Wanted,
    chunk: &Chunk,
    scratch: &mut Columns,
    out: &mut Columns,
) -> Result<(), ReadError> {
    let payload = |aggregate| {
        chunk
            .payload(aggregate)
            .ok_or(ReadError::Missing(aggregate))
    };
    if wanted != Wanted::Average {
        return decode_floats(payload(wanted.single())?, out);
    }
    let first = out.len();
    decode_floats(payload(Aggregate::Sum)?, out)?;
    decode_floats(payload(Aggregate::Count)?, scratch)?;
    let sums: Vec<(i64, f64)> = out.iter().skip(first).collect();
    if sums.len() != scratch.len() {
        return Err(ReadError::Uneven {
            count: scratch.len(),
            sum: sums.len(),
        });
    }
    out.truncate(first);
    for ((ts, sum), count) in sums.into_iter().zip(scratch.values()) {
        out.push(ts, sum / count);
    }
    Ok(())
}

/// Makes one ever-growing counter of downsampled chunks: adds up the resets between them, and drops
/// the sample with which a chunk repeats its last timestamp to say what the counter really was.
#[derive(Debug, Default, Clone)]
pub(super) struct CounterFold {
    last: Option<(i64, f64)>,
    total: f64,
}

impl CounterFold {
    /// Appends the folded samples of the next chunk.
    pub(super) fn push_chunk(&mut self, samples: &Columns, out: &mut Columns) {
        for (ts, value) in samples.iter() {
            let Some((last_ts, last_value)) = self.last else {
                self.last = Some((ts, value));
                self.total = value;
                out.push(ts, value);
                continue;
            };
            if ts <= last_ts {
                // The true value of the sample before, or an overlap that has been read already.
                if ts == last_ts {
                    self.last = Some((ts, value));
                }
                continue;
            }
            self.total += if value < last_value {
                value
            } else {
                value - last_value
            };
            self.last = Some((ts, value));
            out.push(ts, self.total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_choose_their_aggregate() {
        for (function, wanted) in [
            (None, Wanted::Average),
            (Some("rate"), Wanted::Counter),
            (Some("min_over_time"), Wanted::Min),
            (Some("max"), Wanted::Max),
            (Some("count_over_time"), Wanted::Count),
            (Some("count_values"), Wanted::Count),
            (Some("sum_over_time"), Wanted::Sum),
            (Some("sum"), Wanted::Average),
            (Some("minute"), Wanted::Average),
            (Some("avg_over_time"), Wanted::Average),
        ] {
            assert_eq!(Wanted::of(function), wanted, "{function:?}");
        }
    }

    #[test]
    fn resets_within_and_between_chunks_are_added_up() {
        let mut fold = CounterFold::default();
        let mut out = Columns::new();
        let chunk = |samples: &[(i64, f64)]| {
            let mut columns = Columns::new();
            for (ts, value) in samples {
                columns.push(*ts, *value);
            }
            columns
        };
        // The first chunk ends at 30 after folding a reset; the counter really stood at 10.
        fold.push_chunk(
            &chunk(&[(1, 5.0), (2, 20.0), (3, 30.0), (3, 10.0)]),
            &mut out,
        );
        fold.push_chunk(&chunk(&[(4, 12.0), (5, 1.0), (5, 1.0)]), &mut out);
        let samples: Vec<_> = out.iter().collect();
        assert_eq!(
            samples,
            [(1, 5.0), (2, 20.0), (3, 30.0), (4, 32.0), (5, 33.0)]
        );
    }
}
