//! The engine's storage: one stream of series a selector, fetched ahead on the async threads and
//! decoded on the engine's.

mod aggregate;
mod data;
mod pump;

use std::sync::{Arc, Mutex, PoisonError};

use model::TimeRange;
use promql::context::{Interrupt, QueryContext};
use promql::queryable::{
    Queryable, QueryableError, SelectHints, SelectRequest, Series, SeriesData, SeriesSet,
};
use promql::symbols::{SymbolLabels, SymbolTable};
use storeapi::dedup::Algorithm;
use storeapi::proto::thanos as pb;
use storeapi::{Coverage, CoverageRecorder, PartialResponse, Proxy, SeriesRequest};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::tenant::Tenant;
use aggregate::Wanted;
use pump::{Batches, Item};

/// What all selectors of one query share.
#[derive(Debug, Clone, Default)]
pub(crate) struct SelectOptions {
    /// Labels that tell replicas apart; they are stripped and the replicas become one series. Empty
    /// where replicas stay as they are.
    pub(crate) replica_labels: Vec<String>,
    pub(crate) dedup: Algorithm,
    /// The coarsest resolution that may be read, in milliseconds; 0 is raw only.
    pub(crate) max_resolution_ms: i64,
    pub(crate) partial_response: PartialResponse,
    pub(crate) store_match: Vec<Vec<model::Matcher>>,
    pub(crate) shard: Option<pb::ShardInfo>,
    /// Whose series may be read.
    pub(crate) tenant: Tenant,
}

/// The storage of one query.
pub(crate) struct Selection {
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) runtime: Handle,
    pub(crate) options: SelectOptions,
    /// Ends the streams when the query is given up.
    pub(crate) cancel: CancellationToken,
    /// Takes the record of each selection.
    pub(crate) selected: Arc<Mutex<Vec<Selected>>>,
}

/// A selection under way.
#[derive(Debug)]
pub(crate) struct Selected {
    selector: Arc<str>,
    range: TimeRange,
    recorder: Arc<CoverageRecorder>,
}

/// Who took part in the answer to one selection.
#[derive(Debug, Clone)]
pub(crate) struct SelectorCoverage {
    pub(crate) selector: Arc<str>,
    /// The times that could matter, milliseconds.
    pub(crate) range: TimeRange,
    pub(crate) stores: Coverage,
}

impl Selected {
    /// Returns what is known now.
    pub(crate) fn coverage(&self) -> SelectorCoverage {
        SelectorCoverage {
            selector: Arc::clone(&self.selector),
            range: self.range,
            stores: self.recorder.snapshot(),
        }
    }
}

impl Queryable for Selection {
    fn select(
        &self,
        request: &SelectRequest<'_>,
        cx: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, QueryableError> {
        Ok(Box::new(self.open(request, cx)?))
    }
}

impl Selection {
    /// Starts the stream of a selection.
    ///
    /// # Errors
    /// What is known to be wrong before the first series.
    pub(crate) fn open(
        &self,
        request: &SelectRequest<'_>,
        cx: &QueryContext,
    ) -> Result<StoreSeriesSet, QueryableError> {
        let wanted = Wanted::of(request.hints.func.as_deref());
        let options = &self.options;
        // Here and not in the expression: `info()` selects series that no selector of it names.
        let mut matchers = request.matchers.to_vec();
        options.tenant.restrict(&mut matchers);
        let store_request = SeriesRequest {
            range: Some(request.range),
            matchers,
            max_resolution_ms: max_resolution_ms(options.max_resolution_ms, &request.hints),
            aggregates: wanted.aggregates(),
            partial_response: options.partial_response,
            query_hints: Some(query_hints(&request.hints)),
            shard: options.shard.clone(),
            without_replica_labels: options.replica_labels.clone(),
            limit: u64::try_from(request.hints.limit).unwrap_or(u64::MAX),
            batch_size: storeapi::DEFAULT_BATCH_SIZE,
            store_match: options.store_match.clone(),
            tenant: options.tenant.name(),
            ..SeriesRequest::default()
        };
        let selected = self
            .proxy
            .select(&Arc::new(store_request))
            .map_err(|error| QueryableError::Storage(error.to_string()))?;
        let selector: Arc<str> = selector_text(request.matchers).into();
        self.selected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Selected {
                selector: Arc::clone(&selector),
                range: request.range,
                recorder: selected.coverage,
            });
        let batches = Batches::start(&self.runtime, selected.stream, self.cancel.clone());
        let reader = data::Reader {
            wanted,
            range: request.range,
            merge: data::Merge::new(options, request.hints.func.as_deref()),
            memory: Arc::clone(cx.memory()),
            selector,
        };
        Ok(StoreSeriesSet {
            batches,
            reader,
            cx: cx.clone(),
            warnings: Vec::new(),
        })
    }
}

/// The series of one selection.
pub(crate) struct StoreSeriesSet {
    batches: Batches,
    reader: data::Reader,
    cx: QueryContext,
    warnings: Vec<String>,
}

impl SeriesSet for StoreSeriesSet {
    fn next(&mut self, symbols: &mut SymbolTable) -> Result<Option<Series>, QueryableError> {
        let Some(series) = self.next_encoded()? else {
            return Ok(None);
        };
        let labels = SymbolLabels::intern(&series.labels, symbols);
        let data = self.reader.read(series)?;
        Ok(Some(Series { labels, data }))
    }

    fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }
}

impl StoreSeriesSet {
    /// Returns the next series with its chunks as they came, of all replicas.
    ///
    /// # Errors
    /// A failure of the storage, or the end of the query's time.
    pub(crate) fn next_encoded(&mut self) -> Result<Option<storeapi::Series>, QueryableError> {
        loop {
            match self.batches.next() {
                Some(Ok(Item::Series(series))) => return Ok(Some(series)),
                Some(Ok(Item::Warning(text))) => self.warnings.push(text),
                Some(Err(error)) => {
                    self.interrupted()?;
                    return Err(QueryableError::Storage(error.to_string()));
                }
                None => {
                    // A stream that is cut off by cancellation ends like one that is complete.
                    self.interrupted()?;
                    if self.batches.was_cut() {
                        return Err(QueryableError::Canceled);
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// Returns the samples of a series that [`StoreSeriesSet::next_encoded`] returned.
    ///
    /// # Errors
    /// The chunks would exceed the query's memory.
    pub(crate) fn decode(
        &self,
        series: storeapi::Series,
    ) -> Result<Box<dyn SeriesData>, QueryableError> {
        self.reader.read(series)
    }

    fn interrupted(&self) -> Result<(), QueryableError> {
        self.cx.check().map_err(|interrupt| match interrupt {
            Interrupt::Canceled => QueryableError::Canceled,
            Interrupt::Timeout => QueryableError::Timeout,
        })
    }
}

/// Functions that need several samples in their window: downsampled data is of use only where the
/// window holds at least two of its points.
const NEEDS_SEVERAL_SAMPLES: [&str; 12] = [
    "rate",
    "irate",
    "increase",
    "delta",
    "idelta",
    "deriv",
    "predict_linear",
    "holt_winters",
    "double_exponential_smoothing",
    "xrate",
    "xincrease",
    "xdelta",
];

fn max_resolution_ms(allowed_ms: i64, hints: &SelectHints) -> i64 {
    let needs_several = hints
        .func
        .as_deref()
        .is_some_and(|func| NEEDS_SEVERAL_SAMPLES.contains(&func));
    if needs_several && hints.range_ms > 0 {
        allowed_ms.min(hints.range_ms / 2)
    } else {
        allowed_ms
    }
}

fn query_hints(hints: &SelectHints) -> pb::QueryHints {
    pb::QueryHints {
        step_millis: hints.step_ms,
        func: hints
            .func
            .as_ref()
            .map(|name| pb::Func { name: name.clone() }),
        grouping: (!hints.grouping.is_empty() || hints.by).then(|| pb::Grouping {
            by: hints.by,
            labels: hints.grouping.clone(),
        }),
        range: (hints.range_ms > 0).then_some(pb::Range {
            millis: hints.range_ms,
        }),
        ..pb::QueryHints::default()
    }
}

/// Returns matchers as a selector, for errors and reports.
pub(crate) fn selector_text(matchers: &[model::Matcher]) -> String {
    let parts: Vec<_> = matchers.iter().map(ToString::to_string).collect();
    format!("{{{}}}", parts.join(", "))
}

#[cfg(test)]
mod tests;
