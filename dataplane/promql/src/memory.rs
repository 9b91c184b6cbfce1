//! Samples in memory: a [`Queryable`] for tests, benchmarks and rule tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::histogram::{CounterResetHint, FloatHistogram};
use model::{Labels, Matcher};

use crate::context::QueryContext;
use crate::engine::is_reset;
use crate::queryable::{
    Columns, Queryable, QueryableError, SelectRequest, Series, SeriesData, SeriesSet,
};
use crate::symbols::{SymbolLabels, SymbolTable};

/// Samples handed over at once, as many as a chunk usually holds.
const BATCH: usize = 120;

/// Series by labels.
#[derive(Debug, Clone, Default)]
pub struct MemoryStorage {
    series: BTreeMap<Labels, Arc<Columns>>,
}

impl MemoryStorage {
    /// Returns a storage without series.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a float; its time has to be after that of the series' last float.
    pub fn push(&mut self, labels: &Labels, ts_ms: i64, value: f64) {
        let columns = self.columns(labels);
        columns.ts.push(ts_ms);
        columns.floats.push(value);
    }

    /// Appends floats; their times have to ascend and be after that of the series' last float.
    pub fn extend(&mut self, labels: &Labels, samples: impl IntoIterator<Item = (i64, f64)>) {
        let columns = self.columns(labels);
        for (ts_ms, value) in samples {
            columns.ts.push(ts_ms);
            columns.floats.push(value);
        }
    }

    /// Appends a histogram; its time has to be after that of the series' last sample. Its counter reset
    /// hint becomes what it would be after a round trip through chunks: known only inside a chunk.
    pub fn push_histogram(&mut self, labels: &Labels, ts_ms: i64, mut value: FloatHistogram) {
        let columns = self.columns(labels);
        let float_between = columns.ts.last() > columns.histogram_ts.last();
        let before = columns.histograms.last().filter(|_| !float_between);
        value.counter_reset_hint = hint(&value, before.map(Arc::as_ref));
        columns.histogram_ts.push(ts_ms);
        columns.histograms.push(Arc::new(value));
    }

    fn columns(&mut self, labels: &Labels) -> &mut Columns {
        let columns = self.series.entry(labels.clone()).or_default();
        Arc::make_mut(columns)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.series.clear();
    }
}

/// The hint that a chunk gives a histogram behind `before`. The first of a chunk has none: whether the
/// chunk before it is the one that was written before it, nobody knows.
fn hint(value: &FloatHistogram, before: Option<&FloatHistogram>) -> CounterResetHint {
    use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
    if value.counter_reset_hint == Gauge {
        return Gauge;
    }
    let Some(before) = before.filter(|before| before.counter_reset_hint != Gauge) else {
        return Unknown;
    };
    if value.is_stale() {
        return NotReset;
    }
    let begins_chunk = value.counter_reset_hint == Reset
        || before.is_stale()
        || value.schema != before.schema
        || value.zero_threshold != before.zero_threshold
        || value.custom_values != before.custom_values;
    let unknown = FloatHistogram {
        counter_reset_hint: Unknown,
        ..value.clone()
    };
    if begins_chunk || is_reset(&unknown, before) {
        Unknown
    } else {
        NotReset
    }
}

impl Queryable for MemoryStorage {
    fn select(
        &self,
        request: &SelectRequest<'_>,
        _: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, QueryableError> {
        let matches = |labels: &Labels, matchers: &[Matcher]| {
            matchers
                .iter()
                .all(|matcher| matcher.matches_labels(labels))
        };
        let selected: Vec<(Labels, Arc<Columns>)> = self
            .series
            .iter()
            .filter(|(labels, _)| matches(labels, request.matchers))
            .map(|(labels, columns)| (labels.clone(), Arc::clone(columns)))
            .collect();
        let range = request.range;
        Ok(Box::new(Selection {
            series: selected.into_iter(),
            start: range.start,
            end: range.end,
        }))
    }
}

struct Selection {
    series: std::vec::IntoIter<(Labels, Arc<Columns>)>,
    start: i64,
    end: i64,
}

impl SeriesSet for Selection {
    fn next(&mut self, symbols: &mut SymbolTable) -> Result<Option<Series>, QueryableError> {
        let Some((labels, columns)) = self.series.next() else {
            return Ok(None);
        };
        let within = |ts: &[i64]| {
            ts.partition_point(|&t| t < self.start)..ts.partition_point(|&t| t <= self.end)
        };
        let data = Data {
            floats: within(&columns.ts),
            histograms: within(&columns.histogram_ts),
            columns,
        };
        let labels = SymbolLabels::intern(&labels, symbols);
        Ok(Some(Series {
            labels,
            data: Box::new(data),
        }))
    }

    fn warnings(&mut self) -> Vec<String> {
        Vec::new()
    }
}

struct Data {
    columns: Arc<Columns>,
    floats: std::ops::Range<usize>,
    histograms: std::ops::Range<usize>,
}

impl SeriesData for Data {
    fn next_batch(&mut self, out: &mut Columns) -> Result<bool, QueryableError> {
        let next = |range: &mut std::ops::Range<usize>| {
            let batch = range.start..range.end.min(range.start + BATCH);
            range.start = batch.end;
            batch
        };
        let batch = next(&mut self.floats);
        if !batch.is_empty() {
            out.ts.extend_from_slice(&self.columns.ts[batch.clone()]);
            out.floats.extend_from_slice(&self.columns.floats[batch]);
            return Ok(true);
        }
        let batch = next(&mut self.histograms);
        out.histogram_ts
            .extend_from_slice(&self.columns.histogram_ts[batch.clone()]);
        out.histograms
            .extend_from_slice(&self.columns.histograms[batch.clone()]);
        Ok(!batch.is_empty())
    }
}
