//! The door between the engine and whatever holds samples.
//!
//! A storage answers a [`SelectRequest`] with a [`SeriesSet`]: series in label order, each with its
//! labels as symbols and a [`SeriesData`] that appends one chunk's samples per call into columns the
//! engine owns. No call happens per sample, and the data of different series may be read on
//! different threads.

use std::sync::Arc;

use model::histogram::FloatHistogram;
use model::{Matcher, TimeRange};

use crate::context::QueryContext;
use crate::symbols::{SymbolLabels, SymbolTable};

/// What one selector of a query wants.
#[derive(Debug, Clone)]
pub struct SelectRequest<'a> {
    /// All have to match.
    pub matchers: &'a [Matcher],
    /// The times that can matter, in milliseconds, both ends inclusive. Samples outside it are
    /// allowed and ignored.
    pub range: TimeRange,
    pub hints: SelectHints,
}

/// What the storage may use to read less; ignoring it is always right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SelectHints {
    /// Distance of the evaluation steps; 0 for an instant query.
    pub step_ms: i64,
    /// Length of the range selector's window; 0 for an instant selector.
    pub range_ms: i64,
    /// The nearest function or aggregation around the selector.
    pub func: Option<String>,
    /// The labels of the aggregation directly around the selector.
    pub grouping: Vec<String>,
    /// Whether `grouping` is `by` (otherwise `without`).
    pub by: bool,
    /// At most so many series; 0 is no limit.
    pub limit: usize,
}

/// Something that can be queried.
pub trait Queryable: Send + Sync {
    /// Starts a selection. All selectors of a query are started before the first is read, so an
    /// implementation can fetch ahead.
    ///
    /// # Errors
    /// What the storage cannot answer; a partial answer is a warning of the set instead.
    fn select(
        &self,
        request: &SelectRequest<'_>,
        cx: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, QueryableError>;
}

/// The series of one selection, in label order, no label set twice.
pub trait SeriesSet: Send {
    /// Returns the next series, or nothing at the end.
    ///
    /// # Errors
    /// What the storage cannot read; the query fails with it.
    fn next(&mut self, symbols: &mut SymbolTable) -> Result<Option<Series>, QueryableError>;

    /// Returns what the user should know about the answer; asked for once, at the end.
    fn warnings(&mut self) -> Vec<String>;
}

/// One series of a [`SeriesSet`].
pub struct Series {
    pub labels: SymbolLabels,
    pub data: Box<dyn SeriesData>,
}

/// The samples of one series.
pub trait SeriesData: Send {
    /// Appends the samples of the next chunk, later than all before; returns false, having appended
    /// nothing, at the end.
    ///
    /// # Errors
    /// A chunk that cannot be read.
    fn next_batch(&mut self, out: &mut Columns) -> Result<bool, QueryableError>;
}

/// Samples of one series as columns. A chunk holds either floats or histograms; a series that
/// changed its kind has both, each in order of time.
#[derive(Debug, Default, Clone)]
pub struct Columns {
    /// Times of `floats`, ascending.
    pub ts: Vec<i64>,
    pub floats: Vec<f64>,
    /// Times of `histograms`, ascending.
    pub histogram_ts: Vec<i64>,
    pub histograms: Vec<Arc<FloatHistogram>>,
}

impl Columns {
    /// Forgets the samples and keeps the allocations.
    pub fn clear(&mut self) {
        self.ts.clear();
        self.floats.clear();
        self.histogram_ts.clear();
        self.histograms.clear();
    }

    /// Returns the bytes held, for memory accounts.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        16 * (self.ts.capacity() + self.histogram_ts.capacity())
            + self
                .histograms
                .iter()
                .map(|h| histogram_bytes(h))
                .sum::<usize>()
    }
}

/// Returns the bytes of a histogram, for memory accounts.
pub(crate) fn histogram_bytes(histogram: &FloatHistogram) -> usize {
    size_of::<FloatHistogram>()
        + size_of_val(histogram.positive_spans.as_slice())
        + size_of_val(histogram.negative_spans.as_slice())
        + size_of_val(histogram.positive_buckets.as_slice())
        + size_of_val(histogram.negative_buckets.as_slice())
        + size_of_val(histogram.custom_values.as_slice())
}

/// Why a storage could not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueryableError {
    /// The storage failed, or refused because of one of its limits.
    #[error("{0}")]
    Storage(String),
    /// The query was given up while the storage worked.
    #[error("query was canceled")]
    Canceled,
    /// The query's time was over while the storage worked.
    #[error("query timed out")]
    Timeout,
    /// The query would need more memory than it may use.
    #[error("{0}")]
    Memory(#[from] crate::context::MemoryExceeded),
}
