//! Appending histograms.
//!
//! A chunk has one layout. Where Prometheus would rewrite the whole chunk for a histogram with further
//! buckets, [`NotAppendable`] tells the caller to begin a new chunk: the samples are the same, the
//! bytes are Prometheus' as long as the layout stays.

use model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Histogram};

use super::decode::HEADER_BYTES;
use super::{CounterResetHeader, Layout};
use crate::bits::BitWriter;
use crate::varbit::{put_varbit_int, put_varbit_uint};
use crate::xor::XorWindow;

/// The chunk does not take the histogram; it was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the chunk does not take another histogram of this kind; begin a new one")]
pub struct NotAppendable {
    /// What the new chunk's header is to say.
    pub header: CounterResetHeader,
}

/// Writes one chunk of whole-number histograms.
#[derive(Debug, Clone)]
pub struct HistogramAppender {
    chunk: Chunk,
    count: u64,
    count_delta: i64,
    zero_count: u64,
    zero_count_delta: i64,
    buckets: Vec<i64>,
    bucket_deltas: Vec<i64>,
}

/// Writes one chunk of float histograms.
#[derive(Debug, Clone)]
pub struct FloatHistogramAppender {
    chunk: Chunk,
    count: XorWindow,
    zero_count: XorWindow,
    buckets: Vec<XorWindow>,
}

/// What both have: header, layout, time and sum.
#[derive(Debug, Clone)]
struct Chunk {
    writer: BitWriter,
    header: CounterResetHeader,
    layout: Layout,
    n: u16,
    t: i64,
    delta: i64,
    sum: XorWindow,
}

impl Chunk {
    fn new(header: CounterResetHeader) -> Self {
        Self {
            writer: BitWriter::new(vec![0; HEADER_BYTES]),
            header,
            layout: Layout::default(),
            n: 0,
            t: 0,
            delta: 0,
            sum: XorWindow::new(0),
        }
    }

    /// The time of a histogram after the first.
    fn put_time(&mut self, t: i64) {
        let delta = t.wrapping_sub(self.t);
        put_varbit_int(&mut self.writer, delta.wrapping_sub(self.delta));
        self.delta = delta;
        self.t = t;
    }

    fn begin(&mut self, t: i64, hint: CounterResetHint, layout: Layout) {
        match hint {
            CounterResetHint::Gauge => self.header = CounterResetHeader::Gauge,
            CounterResetHint::Reset => self.header = CounterResetHeader::Reset,
            CounterResetHint::Unknown | CounterResetHint::NotReset => {}
        }
        layout.write(&mut self.writer);
        self.layout = layout;
        put_varbit_int(&mut self.writer, t);
        self.t = t;
    }

    /// Whether the chunk takes a histogram like this, as far as both kinds have it in common. `fell`
    /// says that a count went down.
    fn check(
        &self,
        hint: CounterResetHint,
        is_stale: bool,
        layout: &Layout,
        fell: bool,
    ) -> Result<(), NotAppendable> {
        let refuse = |header| Err(NotAppendable { header });
        let is_gauge = hint == CounterResetHint::Gauge;
        let unsure = if is_gauge {
            CounterResetHeader::Gauge
        } else {
            CounterResetHeader::Unknown
        };
        if self.n == u16::MAX || is_gauge != (self.header == CounterResetHeader::Gauge) {
            return refuse(unsure);
        }
        if hint == CounterResetHint::Reset {
            return refuse(CounterResetHeader::Reset);
        }
        if is_stale {
            return Ok(());
        }
        if model::is_stale_nan(self.sum.last()) {
            return refuse(unsure);
        }
        if !is_gauge && fell {
            return refuse(CounterResetHeader::Reset);
        }
        let bounds_changed = layout.schema == CUSTOM_BUCKETS_SCHEMA
            && layout.custom_values != self.layout.custom_values;
        if !is_gauge && layout.schema == self.layout.schema && bounds_changed {
            return refuse(CounterResetHeader::Reset);
        }
        if *layout == self.layout {
            Ok(())
        } else {
            refuse(unsure)
        }
    }

    fn put_sum(&mut self, sum: f64) {
        self.sum.write(&mut self.writer, sum.to_bits());
    }

    fn finish(mut self) -> Vec<u8> {
        let [hi, lo] = self.n.to_be_bytes();
        let header = [hi, lo, self.header as u8];
        for (slot, byte) in self.writer.header_mut().iter_mut().zip(header) {
            *slot = byte;
        }
        self.writer.finish()
    }
}

impl HistogramAppender {
    /// Begins a chunk whose header says `header`, unless the first histogram's hint says more.
    pub fn new(header: CounterResetHeader) -> Self {
        Self {
            chunk: Chunk::new(header),
            count: 0,
            count_delta: 0,
            zero_count: 0,
            zero_count_delta: 0,
            buckets: Vec::new(),
            bucket_deltas: Vec::new(),
        }
    }

    /// Appends a histogram whose buckets are as many as its spans say.
    ///
    /// # Errors
    /// The histogram takes a new chunk.
    pub fn append(&mut self, t: i64, histogram: &Histogram) -> Result<(), NotAppendable> {
        let empty;
        let hint = histogram.counter_reset_hint;
        let histogram = if histogram.is_stale() {
            empty = Histogram {
                sum: histogram.sum,
                ..Histogram::default()
            };
            &empty
        } else {
            histogram
        };
        let layout = Layout {
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            positive_spans: histogram.positive_spans.clone(),
            negative_spans: histogram.negative_spans.clone(),
            custom_values: histogram.custom_values.clone(),
        };
        let buckets = || {
            histogram
                .positive_buckets
                .iter()
                .chain(&histogram.negative_buckets)
        };
        if self.chunk.n == 0 {
            self.chunk.begin(t, hint, layout);
            let writer = &mut self.chunk.writer;
            put_varbit_uint(writer, histogram.count);
            put_varbit_uint(writer, histogram.zero_count);
            writer.write(histogram.sum.to_bits(), 64);
            self.chunk.sum = XorWindow::new(histogram.sum.to_bits());
            self.buckets = buckets().copied().collect();
            self.bucket_deltas = vec![0; self.buckets.len()];
            for bucket in &self.buckets {
                put_varbit_int(writer, *bucket);
            }
        } else {
            let is_stale = histogram.is_stale();
            let fell = histogram.count < self.count
                || histogram.zero_count < self.zero_count
                || layout == self.chunk.layout && self.some_bucket_fell(histogram);
            self.chunk.check(hint, is_stale, &layout, fell)?;
            self.chunk.put_time(t);
            let count_delta = histogram.count.wrapping_sub(self.count).cast_signed();
            let zero_delta = histogram
                .zero_count
                .wrapping_sub(self.zero_count)
                .cast_signed();
            let writer = &mut self.chunk.writer;
            if is_stale {
                put_varbit_int(writer, 0);
                put_varbit_int(writer, 0);
            } else {
                put_varbit_int(writer, count_delta.wrapping_sub(self.count_delta));
                put_varbit_int(writer, zero_delta.wrapping_sub(self.zero_count_delta));
            }
            self.count_delta = count_delta;
            self.zero_count_delta = zero_delta;
            self.chunk.put_sum(histogram.sum);
            let states = self.buckets.iter_mut().zip(&mut self.bucket_deltas);
            for (bucket, (last, last_delta)) in buckets().zip(states) {
                let delta = bucket.wrapping_sub(*last);
                put_varbit_int(&mut self.chunk.writer, delta.wrapping_sub(*last_delta));
                *last_delta = delta;
                *last = *bucket;
            }
        }
        self.count = histogram.count;
        self.zero_count = histogram.zero_count;
        self.chunk.n += 1;
        Ok(())
    }

    fn some_bucket_fell(&self, histogram: &Histogram) -> bool {
        let (positive, negative) = self
            .buckets
            .split_at(histogram.positive_buckets.len().min(self.buckets.len()));
        let fell = |last: &[i64], now: &[i64]| {
            let mut difference = 0i64;
            last.iter().zip(now).any(|(last, now)| {
                difference = difference.wrapping_add(now.wrapping_sub(*last));
                difference < 0
            })
        };
        fell(positive, &histogram.positive_buckets) || fell(negative, &histogram.negative_buckets)
    }

    /// How many histograms there are.
    pub fn len(&self) -> u16 {
        self.chunk.n
    }

    pub fn is_empty(&self) -> bool {
        self.chunk.n == 0
    }

    /// The length in bytes that [`HistogramAppender::finish`] would give.
    pub fn byte_len(&self) -> usize {
        self.chunk.writer.byte_len()
    }

    /// Returns the chunk, beginning with its sample count.
    pub fn finish(self) -> Vec<u8> {
        self.chunk.finish()
    }
}

impl FloatHistogramAppender {
    /// Begins a chunk whose header says `header`, unless the first histogram's hint says more.
    pub fn new(header: CounterResetHeader) -> Self {
        Self {
            chunk: Chunk::new(header),
            count: XorWindow::new(0),
            zero_count: XorWindow::new(0),
            buckets: Vec::new(),
        }
    }

    /// Appends a histogram whose buckets are as many as its spans say.
    ///
    /// # Errors
    /// The histogram takes a new chunk.
    pub fn append(&mut self, t: i64, histogram: &FloatHistogram) -> Result<(), NotAppendable> {
        let empty;
        let hint = histogram.counter_reset_hint;
        let histogram = if histogram.is_stale() {
            empty = FloatHistogram {
                sum: histogram.sum,
                ..FloatHistogram::default()
            };
            &empty
        } else {
            histogram
        };
        let layout = Layout {
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            positive_spans: histogram.positive_spans.clone(),
            negative_spans: histogram.negative_spans.clone(),
            custom_values: histogram.custom_values.clone(),
        };
        let buckets = || {
            histogram
                .positive_buckets
                .iter()
                .chain(&histogram.negative_buckets)
        };
        if self.chunk.n == 0 {
            self.chunk.begin(t, hint, layout);
            let writer = &mut self.chunk.writer;
            let mut begin = |value: f64| {
                writer.write(value.to_bits(), 64);
                XorWindow::new(value.to_bits())
            };
            self.count = begin(histogram.count);
            self.zero_count = begin(histogram.zero_count);
            let sum = begin(histogram.sum);
            self.buckets = buckets().copied().map(begin).collect();
            self.chunk.sum = sum;
        } else {
            let is_stale = histogram.is_stale();
            let fell = histogram.count < self.count.last()
                || histogram.zero_count < self.zero_count.last()
                || layout == self.chunk.layout
                    && self
                        .buckets
                        .iter()
                        .zip(buckets())
                        .any(|(last, now)| *now < last.last());
            self.chunk.check(hint, is_stale, &layout, fell)?;
            self.chunk.put_time(t);
            self.count
                .write(&mut self.chunk.writer, histogram.count.to_bits());
            self.zero_count
                .write(&mut self.chunk.writer, histogram.zero_count.to_bits());
            self.chunk.put_sum(histogram.sum);
            for (state, bucket) in self.buckets.iter_mut().zip(buckets()) {
                state.write(&mut self.chunk.writer, bucket.to_bits());
            }
        }
        self.chunk.n += 1;
        Ok(())
    }

    /// How many histograms there are.
    pub fn len(&self) -> u16 {
        self.chunk.n
    }

    pub fn is_empty(&self) -> bool {
        self.chunk.n == 0
    }

    /// The length in bytes that [`FloatHistogramAppender::finish`] would give.
    pub fn byte_len(&self) -> usize {
        self.chunk.writer.byte_len()
    }

    /// Returns the chunk, beginning with its sample count.
    pub fn finish(self) -> Vec<u8> {
        self.chunk.finish()
    }
}
