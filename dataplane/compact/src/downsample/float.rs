//! Floats: count, sum, min, max and counter of each window.

use chunk::{Aggregate, AggregateChunk, Columns, Corrupt, Encoding, SubChunk, XorAppender};
use tsdb::block::EncodedChunk;

use super::counter::Running;
use super::window::{append_in_order, batches, each_window};

/// Running figures, since a window's beginning and since the chunk's.
#[derive(Debug, Clone, Default)]
struct Figures {
    count: u32,
    sum: f64,
    min: f64,
    max: f64,
    counter: f64,
    last: Option<f64>,
}

impl Figures {
    fn add(&mut self, value: f64, begins: bool) {
        if begins {
            (self.count, self.sum) = (0, 0.0);
            (self.min, self.max) = (f64::INFINITY, f64::NEG_INFINITY);
        }
        self.counter = match self.last {
            None => value,
            Some(last) if value < last => self.counter + value,
            Some(last) => self.counter + (value - last),
        };
        self.last = Some(value);
        self.sum += value;
        self.count += 1;
        self.min = if value < self.min { value } else { self.min };
        self.max = if value > self.max { value } else { self.max };
    }
}

/// Five chunks in the making.
#[derive(Debug, Default)]
struct Builder {
    chunks: [Option<XorAppender>; 5],
    times: Option<(i64, i64)>,
}

impl Builder {
    fn put(&mut self, aggregate: Aggregate, t: i64, value: f64) {
        if let Some(slot) = self.chunks.get_mut(aggregate as usize) {
            slot.get_or_insert_with(XorAppender::new).append(t, value);
        }
    }

    /// Enters that the chunk has windows that end then.
    fn cover(&mut self, t: i64) {
        self.times = Some(match self.times {
            None => (t, t),
            Some((min, max)) => (min.min(t), max.max(t)),
        });
    }

    fn finish(self) -> Option<EncodedChunk> {
        let (min_time, max_time) = self.times?;
        let chunks = self.chunks.map(|chunk| chunk.map(XorAppender::finish));
        let mut aggregates = AggregateChunk::default();
        for (aggregate, data) in Aggregate::ALL.into_iter().zip(&chunks) {
            if let Some(data) = data {
                let encoding = Encoding::Xor;
                aggregates.set(aggregate, SubChunk { encoding, data });
            }
        }
        Some(EncodedChunk {
            min_time,
            max_time,
            encoding: Encoding::Aggregate,
            data: aggregates.encode(),
        })
    }
}

/// Downsamples raw samples, which are in order of time.
pub(crate) fn downsample_raw(samples: &[(i64, f64)], to_ms: i64) -> Vec<EncodedChunk> {
    let time = |sample: &(i64, f64)| sample.0;
    let mut chunks = Vec::new();
    let mut numbers: Vec<(i64, f64)> = Vec::new();
    for batch in batches(samples, time, to_ms) {
        numbers.clear();
        numbers.extend(batch.iter().filter(|(_, value)| !value.is_nan()));
        let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else {
            continue;
        };
        let mut state = (Figures::default(), Builder::default());
        state.1.put(Aggregate::Counter, first.0, first.1);
        let end = each_window(
            &numbers,
            time,
            to_ms,
            &mut state,
            |(figures, _), sample, begins| figures.add(sample.1, begins),
            |(figures, builder), t| {
                builder.cover(t);
                builder.put(Aggregate::Count, t, f64::from(figures.count));
                builder.put(Aggregate::Sum, t, figures.sum);
                builder.put(Aggregate::Min, t, figures.min);
                builder.put(Aggregate::Max, t, figures.max);
                builder.put(Aggregate::Counter, t, figures.counter);
            },
        );
        let (_, mut builder) = state;
        if let Some(end) = end {
            builder.put(Aggregate::Counter, end, last.1);
        }
        chunks.extend(builder.finish());
    }
    chunks
}

/// Makes one coarser chunk of aggregate chunks.
pub(crate) fn downsample_aggregates(
    chunks: &[AggregateChunk<'_>],
    to_ms: i64,
) -> Result<Option<EncodedChunk>, Corrupt> {
    let time = |sample: &(i64, f64)| sample.0;
    let mut builder = Builder::default();
    let mut columns = Columns::new();
    let mut samples: Vec<(i64, f64)> = Vec::new();
    for aggregate in [
        Aggregate::Count,
        Aggregate::Sum,
        Aggregate::Min,
        Aggregate::Max,
    ] {
        samples.clear();
        for chunk in chunks {
            if let Some(chunk) = chunk.get(aggregate) {
                columns.clear();
                chunk::decode_floats(chunk.encoding, chunk.data, &mut columns)?;
                append_in_order(&mut samples, columns.iter());
            }
        }
        let mut state = (Figures::default(), &mut builder);
        each_window(
            &samples,
            time,
            to_ms,
            &mut state,
            |(figures, _), sample, begins| figures.add(sample.1, begins),
            |(figures, builder), t| {
                let value = match aggregate {
                    Aggregate::Min => figures.min,
                    Aggregate::Max => figures.max,
                    _ => figures.sum,
                };
                builder.cover(t);
                builder.put(aggregate, t, value);
            },
        );
    }

    let mut running = Running::default();
    samples.clear();
    for chunk in chunks {
        if let Some(chunk) = chunk.get(Aggregate::Counter) {
            columns.clear();
            chunk::decode_floats(chunk.encoding, chunk.data, &mut columns)?;
            let totals = columns
                .iter()
                .filter_map(|(t, value)| running.next(t, value).map(|total| (t, total)));
            samples.extend(totals);
        }
    }
    if let Some(first) = samples.first() {
        builder.put(Aggregate::Counter, first.0, first.1);
        let mut state = (Figures::default(), &mut builder);
        let end = each_window(
            &samples,
            time,
            to_ms,
            &mut state,
            |(figures, _), sample, begins| figures.add(sample.1, begins),
            |(figures, builder), t| {
                builder.cover(t);
                builder.put(Aggregate::Counter, t, figures.counter);
            },
        );
        if let (Some(end), Some(last)) = (end, running.last_value()) {
            builder.put(Aggregate::Counter, end, last);
        }
    }
    Ok(builder.finish())
}
