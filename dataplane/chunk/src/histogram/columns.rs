//! Where histograms are decoded to.

use model::histogram::{CounterResetHint, FloatHistogram, Histogram};

use super::{CounterResetHeader, Layout};

/// The histograms of one chunk: their layout once, their numbers row by row; owned by the caller and
/// used again for the next chunk.
#[derive(Debug, Clone, Default)]
pub struct HistogramColumns {
    pub(super) layout: Layout,
    pub(super) header: CounterResetHeader,
    pub(super) rows: Vec<Row>,
    pub(super) buckets: Buckets,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) t: i64,
    pub(super) sum: f64,
    /// Whole numbers or the bits of floats, as the buckets.
    pub(super) count: u64,
    pub(super) zero_count: u64,
    /// Where the row's buckets begin; a stale marker has none.
    pub(super) buckets_at: usize,
}

/// Rows of positive, then negative buckets.
#[derive(Debug, Clone)]
pub(super) enum Buckets {
    /// Differences to the bucket before.
    Int(Vec<i64>),
    /// Counts.
    Float(Vec<f64>),
}

impl Default for Buckets {
    fn default() -> Self {
        Self::Int(Vec::new())
    }
}

impl HistogramColumns {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether the chunk holds floats, so that [`HistogramColumns::histogram`] has nothing.
    pub fn is_float(&self) -> bool {
        matches!(self.buckets, Buckets::Float(_))
    }

    /// What all the histograms have in common.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    pub fn counter_reset_header(&self) -> CounterResetHeader {
        self.header
    }

    /// Returns the time of histogram `i`, milliseconds since the epoch.
    pub fn timestamp(&self, i: usize) -> Option<i64> {
        self.rows.get(i).map(|row| row.t)
    }

    /// Whether histogram `i` marks the end of the series.
    pub fn is_stale(&self, i: usize) -> bool {
        self.rows
            .get(i)
            .is_some_and(|row| model::is_stale_nan(row.sum))
    }

    /// Returns histogram `i` as it was stored; `None` if the chunk holds floats or has no such row.
    pub fn histogram(&self, i: usize) -> Option<Histogram> {
        let (row, Buckets::Int(buckets)) = (self.rows.get(i)?, &self.buckets) else {
            return None;
        };
        if model::is_stale_nan(row.sum) {
            return Some(Histogram {
                sum: row.sum,
                ..Histogram::default()
            });
        }
        let (positive, negative) = self.row(buckets, row)?;
        Some(Histogram {
            counter_reset_hint: self.hint(i),
            schema: self.layout.schema,
            zero_threshold: self.layout.zero_threshold,
            zero_count: row.zero_count,
            count: row.count,
            sum: row.sum,
            positive_spans: self.layout.positive_spans.clone(),
            negative_spans: self.layout.negative_spans.clone(),
            positive_buckets: positive.to_vec(),
            negative_buckets: negative.to_vec(),
            custom_values: self.layout.custom_values.clone(),
        })
    }

    /// Returns histogram `i` as floats, whatever the chunk holds.
    pub fn float_histogram(&self, i: usize) -> Option<FloatHistogram> {
        let (row, Buckets::Float(buckets)) = (self.rows.get(i)?, &self.buckets) else {
            return self.histogram(i).map(|histogram| histogram.to_float());
        };
        if model::is_stale_nan(row.sum) {
            return Some(FloatHistogram {
                sum: row.sum,
                ..FloatHistogram::default()
            });
        }
        let (positive, negative) = self.row(buckets, row)?;
        Some(FloatHistogram {
            counter_reset_hint: self.hint(i),
            schema: self.layout.schema,
            zero_threshold: self.layout.zero_threshold,
            zero_count: f64::from_bits(row.zero_count),
            count: f64::from_bits(row.count),
            sum: row.sum,
            positive_spans: self.layout.positive_spans.clone(),
            negative_spans: self.layout.negative_spans.clone(),
            positive_buckets: positive.to_vec(),
            negative_buckets: negative.to_vec(),
            custom_values: self.layout.custom_values.clone(),
        })
    }

    fn row<'a, T>(&self, buckets: &'a [T], row: &Row) -> Option<(&'a [T], &'a [T])> {
        let (positive, negative) = (self.layout.positive_len(), self.layout.negative_len());
        let end = row
            .buckets_at
            .checked_add(positive)?
            .checked_add(negative)?;
        buckets.get(row.buckets_at..end)?.split_at_checked(positive)
    }

    /// Within a chunk of counters there is no reset; before its first sample nothing is sure, because
    /// the chunk before may be another one by now.
    fn hint(&self, i: usize) -> CounterResetHint {
        match self.header {
            CounterResetHeader::Gauge => CounterResetHint::Gauge,
            _ if i > 0 => CounterResetHint::NotReset,
            _ => CounterResetHint::Unknown,
        }
    }
}
