//! Native histograms: count, sum and counter of each window.
//!
//! Sums are gauges, since they fall. A counter runs on over resets and begins anew with each chunk; at
//! the border a reader sees a reset, as it does in Thanos' chunks.

use chunk::histogram::{CounterResetHeader, FloatHistogramAppender};
use chunk::{
    Aggregate, AggregateChunk, Columns, Corrupt, Encoding, HistogramColumns, SubChunk, XorAppender,
};
use model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram};
use tsdb::block::EncodedChunk;

use super::buckets::{Buckets, with_one_layout};
use super::window::{append_in_order as append_floats, batches, each_window};

/// A histogram at its time.
#[derive(Debug, Clone)]
pub(crate) struct HistogramSample {
    t: i64,
    histogram: FloatHistogram,
}

#[cfg(test)]
impl HistogramSample {
    pub(crate) fn new(t: i64, histogram: FloatHistogram) -> Self {
        Self { t, histogram }
    }
}

/// What an aggregate chunk is made of; kinds do not mix within a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Floats,
    Exponential,
    CustomBuckets,
}

/// Returns what a chunk is made of.
pub(crate) fn kind_of(chunk: &AggregateChunk<'_>) -> Result<Kind, Corrupt> {
    let Some(counter) = chunk.get(Aggregate::Counter) else {
        return Ok(Kind::Floats);
    };
    if !counter.encoding.is_histogram() {
        return Ok(Kind::Floats);
    }
    let mut columns = HistogramColumns::new();
    chunk::decode_histograms(counter.encoding, counter.data, &mut columns)?;
    Ok(match columns.layout().schema {
        CUSTOM_BUCKETS_SCHEMA => Kind::CustomBuckets,
        _ => Kind::Exponential,
    })
}

/// Appends a chunk's histograms but stale markers and those before one that came already.
pub(crate) fn append_in_order(to: &mut Vec<HistogramSample>, columns: &HistogramColumns) {
    let mut last = i64::MIN;
    for i in 0..columns.len() {
        if let (Some(t), Some(histogram)) = (columns.timestamp(i), columns.float_histogram(i))
            && t >= last
            && !histogram.is_stale()
        {
            to.push(HistogramSample { t, histogram });
            last = t;
        }
    }
}

#[derive(Debug, Default)]
struct Figures {
    count: u32,
    sum: Option<Buckets>,
    counter: Option<Buckets>,
    previous: Option<Buckets>,
    /// What each window came to, by its end.
    windows: Vec<Window>,
}

#[derive(Debug)]
struct Window {
    end: i64,
    count: u32,
    sum: Buckets,
    counter: Buckets,
}

impl Figures {
    fn add(&mut self, histogram: &FloatHistogram, schema: i32, begins: bool) {
        if begins {
            (self.count, self.sum) = (0, None);
        }
        let original = Buckets::new(histogram);
        let mut buckets = original.clone();
        buckets.coarsen_to(schema);
        let is_gauge = histogram.counter_reset_hint == CounterResetHint::Gauge;
        match (&mut self.counter, &self.previous) {
            (Some(counter), Some(previous)) if counter.is_compatible(&buckets) => {
                let mut grown = buckets.clone();
                if is_gauge || !original.is_reset_after(previous) {
                    grown.subtract(previous);
                }
                counter.add(&grown);
            }
            // The first, or one that cannot be added: the count begins anew.
            _ => self.counter = Some(buckets.clone()),
        }
        match &mut self.sum {
            Some(sum) if sum.is_compatible(&buckets) => sum.add(&buckets),
            sum => *sum = Some(buckets.clone()),
        }
        self.previous = Some(buckets);
        self.count += 1;
    }

    fn close(&mut self, end: i64) {
        if let (Some(sum), Some(counter)) = (&self.sum, &self.counter) {
            self.windows.push(Window {
                end,
                count: self.count,
                sum: sum.clone(),
                counter: counter.clone(),
            });
        }
    }
}

fn is_gauge(samples: &[HistogramSample]) -> bool {
    samples
        .first()
        .is_some_and(|first| first.histogram.counter_reset_hint == CounterResetHint::Gauge)
}

/// The windows of histograms, at the coarsest schema among them.
fn windows(samples: &[HistogramSample], to_ms: i64) -> Vec<Window> {
    let schema = samples.iter().map(|sample| sample.histogram.schema).min();
    let schema = schema.unwrap_or_default();
    let mut figures = Figures::default();
    each_window(
        samples,
        |sample| sample.t,
        to_ms,
        &mut figures,
        |figures, sample, begins| figures.add(&sample.histogram, schema, begins),
        Figures::close,
    );
    figures.windows
}

/// Downsamples raw histograms, which are in order of time.
pub(crate) fn downsample_raw(samples: &[HistogramSample], to_ms: i64) -> Vec<EncodedChunk> {
    let mut chunks = Vec::new();
    for batch in batches(samples, |sample| sample.t, to_ms) {
        // Exponential and custom buckets have no common chunk.
        let numbers: Vec<HistogramSample> = batch
            .iter()
            .filter(|sample| !sample.histogram.sum.is_nan())
            .cloned()
            .collect();
        for run in numbers
            .chunk_by(|a, b| Buckets::new(&a.histogram).is_compatible(&Buckets::new(&b.histogram)))
        {
            let windows = windows(run, to_ms);
            let counts = windows
                .iter()
                .map(|window| (window.end, f64::from(window.count)));
            chunks.extend(encode(
                counts.collect(),
                &sums(&windows),
                &counters(&windows),
                is_gauge(run),
            ));
        }
    }
    chunks
}

fn sums(windows: &[Window]) -> Vec<(i64, Buckets)> {
    let sums = windows
        .iter()
        .map(|window| (window.end, window.sum.clone()));
    sums.collect()
}

fn counters(windows: &[Window]) -> Vec<(i64, Buckets)> {
    let counters = windows
        .iter()
        .map(|window| (window.end, window.counter.clone()));
    counters.collect()
}

/// Makes one coarser chunk of aggregate chunks of histograms.
pub(crate) fn downsample_aggregates(
    chunks: &[AggregateChunk<'_>],
    to_ms: i64,
) -> Result<Option<EncodedChunk>, Corrupt> {
    let of_histograms = |aggregate: Aggregate| -> Result<Vec<HistogramSample>, Corrupt> {
        let mut columns = HistogramColumns::new();
        let mut samples = Vec::new();
        for chunk in chunks {
            if let Some(chunk) = chunk.get(aggregate) {
                chunk::decode_histograms(chunk.encoding, chunk.data, &mut columns)?;
                append_in_order(&mut samples, &columns);
            }
        }
        Ok(samples)
    };
    let counters_in = of_histograms(Aggregate::Counter)?;
    let gauge = is_gauge(&counters_in);
    let counters = counters(&windows(&counters_in, to_ms));
    let sums = sums(&windows(&of_histograms(Aggregate::Sum)?, to_ms));
    let mut columns = Columns::new();
    let mut counts: Vec<(i64, f64)> = Vec::new();
    for chunk in chunks {
        if let Some(chunk) = chunk.get(Aggregate::Count) {
            columns.clear();
            chunk::decode_floats(chunk.encoding, chunk.data, &mut columns)?;
            append_floats(&mut counts, columns.iter());
        }
    }
    let mut totals: (f64, Vec<(i64, f64)>) = (0.0, Vec::new());
    each_window(
        &counts,
        |sample| sample.0,
        to_ms,
        &mut totals,
        |(total, _), sample, begins| *total = sample.1 + if begins { 0.0 } else { *total },
        |(total, windows), end| windows.push((end, *total)),
    );
    Ok(encode(totals.1, &sums, &counters, gauge))
}

fn encode(
    counts: Vec<(i64, f64)>,
    sums: &[(i64, Buckets)],
    counters: &[(i64, Buckets)],
    gauge: bool,
) -> Option<EncodedChunk> {
    let mut appender = XorAppender::new();
    for (t, count) in &counts {
        appender.append(*t, *count);
    }
    let counts_data = appender.finish();
    let sums_data = encode_histograms(sums, CounterResetHint::Gauge);
    let hint = match gauge {
        true => CounterResetHint::Gauge,
        false => CounterResetHint::Unknown,
    };
    let counters_data = encode_histograms(counters, hint);
    let mut aggregates = AggregateChunk::default();
    let float = Encoding::FloatHistogram;
    for (aggregate, encoding, data) in [
        (Aggregate::Count, Encoding::Xor, &counts_data),
        (Aggregate::Sum, float, &sums_data),
        (Aggregate::Counter, float, &counters_data),
    ] {
        aggregates.set(aggregate, SubChunk { encoding, data });
    }
    let times = || {
        let counts = counts.iter().map(|(t, _)| *t);
        let histograms = sums.iter().chain(counters).map(|(t, _)| *t);
        counts.chain(histograms)
    };
    Some(EncodedChunk {
        min_time: times().min()?,
        max_time: times().max()?,
        encoding: Encoding::Aggregate,
        data: aggregates.encode(),
    })
}

fn encode_histograms(histograms: &[(i64, Buckets)], hint: CounterResetHint) -> Vec<u8> {
    // A counter may fall by rounding; as a gauge it is taken as it is.
    try_encode(histograms, hint)
        .or_else(|| try_encode(histograms, CounterResetHint::Gauge))
        .unwrap_or_default()
}

fn try_encode(histograms: &[(i64, Buckets)], hint: CounterResetHint) -> Option<Vec<u8>> {
    let buckets: Vec<Buckets> = histograms.iter().map(|(_, own)| own.clone()).collect();
    let mut appender = FloatHistogramAppender::new(match hint {
        CounterResetHint::Gauge => CounterResetHeader::Gauge,
        _ => CounterResetHeader::Unknown,
    });
    for ((t, _), histogram) in histograms.iter().zip(with_one_layout(&buckets, hint)) {
        appender.append(*t, &histogram).ok()?;
    }
    Some(appender.finish())
}
