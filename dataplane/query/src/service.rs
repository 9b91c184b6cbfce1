//! One query from its text to its result: limits, deadline, a turn at the gate, evaluation on a thread
//! of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use promql::context::{MemoryAccount, QueryContext};
use promql::engine::{Engine, EngineError, EngineErrorKind};
use promql::queryable::QueryableError;
use promql::value::QueryResult;
use promql::{Expr, ParseError, ParseOptions};
use storeapi::proto::thanos as pb;
use storeapi::{PartialResponse, Proxy};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::config::{AnswersConfig, EngineConfig};
use crate::gate::{Crowded, Gate, Turn};
use crate::metrics::QueryMetrics;
use crate::select::{SelectOptions, Selected, Selection, SelectorCoverage};
use crate::tenant::Tenant;

/// The steps a range query may have.
pub(crate) const MAX_STEPS: i64 = 11_000;

const FIVE_MINUTES_MS: i64 = 300_000;
const ONE_HOUR_MS: i64 = 3_600_000;

/// The time or times a query is evaluated at, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Instant { ts: i64 },
    Range { start: i64, end: i64, step: i64 },
}

/// A query with everything a request may choose.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) text: String,
    pub(crate) when: When,
    /// Whether replicas become one series.
    pub(crate) dedup: bool,
    pub(crate) replica_labels: Vec<String>,
    /// The coarsest resolution that may be read, in milliseconds; 0 is raw only.
    pub(crate) max_resolution_ms: i64,
    pub(crate) partial_response: bool,
    pub(crate) store_match: Vec<Vec<model::Matcher>>,
    pub(crate) shard: Option<pb::ShardInfo>,
    pub(crate) tenant: Tenant,
    pub(crate) lookback_delta_ms: Option<i64>,
    /// Shorter than the configured timeout, if given.
    pub(crate) timeout: Option<Duration>,
}

impl Query {
    /// Returns a query without text for what is not PromQL: raw data, in the reach of `scope`.
    pub(crate) fn over(reach: Reach, when: When) -> Self {
        Self {
            text: String::new(),
            when,
            dedup: reach.dedup,
            replica_labels: reach.replica_labels,
            max_resolution_ms: 0,
            partial_response: reach.partial_response,
            store_match: reach.store_match,
            shard: None,
            tenant: reach.tenant,
            lookback_delta_ms: None,
            timeout: None,
        }
    }
}

/// Whose data a request may reach, and how replicas count.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    /// Whether replicas become one series.
    pub(crate) dedup: bool,
    pub(crate) replica_labels: Vec<String>,
    pub(crate) partial_response: bool,
    pub(crate) store_match: Vec<Vec<model::Matcher>>,
    pub(crate) tenant: Tenant,
}

/// What a job on a thread of its own works with.
pub(crate) struct Work {
    pub(crate) selection: Selection,
    pub(crate) context: QueryContext,
    /// How long it waited for its turn.
    pub(crate) queued: Duration,
    selected: Arc<Mutex<Vec<Selected>>>,
}

impl Work {
    /// Returns who was asked so far, one entry a selection.
    pub(crate) fn coverage(&self) -> Vec<SelectorCoverage> {
        let selected = self.selected.lock().unwrap_or_else(PoisonError::into_inner);
        selected.iter().map(Selected::coverage).collect()
    }
}

/// A result with how it came about.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) result: QueryResult,
    /// Who was asked, one entry a selection.
    pub(crate) coverage: Vec<SelectorCoverage>,
    pub(crate) queued: Duration,
    pub(crate) evaluated: Duration,
}

impl Outcome {
    /// Returns whether the data of a store is missing.
    pub(crate) fn is_partial(&self) -> bool {
        let failed = |of: &SelectorCoverage| of.stores.stores.iter().any(|s| s.error.is_some());
        self.coverage.iter().any(failed) || has_storage_warning(&self.result.warnings)
    }
}

/// Returns whether one of an answer's warnings is about the data and not about the expression.
pub(crate) fn has_storage_warning(warnings: &[String]) -> bool {
    warnings
        .iter()
        .any(|text| !text.starts_with("PromQL warning: "))
}

/// Why a query has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueryError {
    #[error(transparent)]
    Parse(#[from] ParseError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("query timed out in query queue")]
    QueueTimeout,
    #[error(transparent)]
    Crowded(#[from] Crowded),
    #[error(transparent)]
    Storage(#[from] QueryableError),
    #[error("evaluation ended abnormally: {0}")]
    Aborted(String),
}

impl QueryError {
    pub(crate) fn kind(&self) -> EngineErrorKind {
        match self {
            Self::Parse(_) => EngineErrorKind::BadData,
            Self::Engine(error) => error.kind(),
            Self::QueueTimeout => EngineErrorKind::Timeout,
            Self::Crowded(_) => EngineErrorKind::Timeout,
            Self::Storage(QueryableError::Canceled) => EngineErrorKind::Canceled,
            Self::Storage(QueryableError::Timeout) => EngineErrorKind::Timeout,
            Self::Storage(_) => EngineErrorKind::Execution,
            Self::Aborted(_) => EngineErrorKind::Internal,
        }
    }
}

/// Evaluates queries over the proxy.
pub(crate) struct Service {
    pub(crate) engine: Arc<Engine>,
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) config: EngineConfig,
    pub(crate) answers: AnswersConfig,
    pub(crate) metrics: QueryMetrics,
    pub(crate) parse_options: ParseOptions,
    pub(crate) gate: Gate,
    /// What all queries together hold.
    pub(crate) memory: Arc<MemoryAccount>,
    pub(crate) runtime: Handle,
}

/// Gives the query up when the caller goes away.
struct CancelOnDrop {
    flag: Arc<AtomicBool>,
    token: CancellationToken,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.flag.store(true, Ordering::Relaxed);
        self.token.cancel();
    }
}

/// Counts a query as long as its thread works, also when nobody waits for it any more.
struct InFlight {
    metrics: QueryMetrics,
    _turn: Turn,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
    }
}

impl Service {
    /// Parses a query's text.
    ///
    /// # Errors
    /// The text is no query.
    pub(crate) fn parse(&self, text: &str) -> Result<Expr, ParseError> {
        promql::parse(text, &self.parse_options)
    }

    /// Evaluates `query` and hands the result to `finish` on the thread that evaluated it, so that
    /// encoding a large answer holds nobody else up.
    ///
    /// # Cancel safety
    /// Dropping the future gives the query up.
    ///
    /// # Errors
    /// A text that is no query, a limit, or a failure of the evaluation or the storage.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        query: Query,
        finish: impl FnOnce(Outcome) -> T + Send + 'static,
    ) -> Result<T, QueryError> {
        let expr = self.parse(&query.text)?;
        if let When::Range { start, end, .. } = query.when {
            #[expect(clippy::cast_precision_loss, reason = "a histogram's observation")]
            self.metrics
                .range_timespan
                .observe(end.saturating_sub(start) as f64 / 1000.0);
        }
        let engine = Arc::clone(&self.engine);
        let metrics = self.metrics.clone();
        let when = query.when;
        self.perform(&query, move |work| {
            let started = Instant::now();
            let result = match when {
                When::Instant { ts } => engine.instant(&work.selection, &expr, ts, &work.context),
                When::Range { start, end, step } => {
                    engine.range(&work.selection, &expr, start, end, step, &work.context)
                }
            }?;
            let outcome = Outcome {
                result,
                coverage: work.coverage(),
                queued: work.queued,
                evaluated: started.elapsed(),
            };
            metrics.observe(&outcome);
            Ok(finish(outcome))
        })
        .await
    }

    /// Gives `job` a thread of its own once it is its turn, with the storage that `query` describes.
    ///
    /// # Cancel safety
    /// Dropping the future gives the job up.
    ///
    /// # Errors
    /// What `job` answers, or that its time or its turn did not come.
    pub(crate) async fn perform<T: Send + 'static>(
        &self,
        query: &Query,
        job: impl FnOnce(&Work) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, QueryError> {
        let began = Instant::now();
        let timeout = query
            .timeout
            .map_or(self.config.timeout, |t| t.min(self.config.timeout));
        let deadline = began + timeout;
        let turn = tokio::time::timeout_at(deadline.into(), self.gate.turn(query.tenant.line()));
        let Ok(turn) = turn.await else {
            return Err(QueryError::QueueTimeout);
        };
        let turn = turn?;
        let queued = began.elapsed();
        self.metrics.gate_wait.observe(queued.as_secs_f64());
        self.metrics.in_flight.inc();
        let in_flight = InFlight {
            metrics: self.metrics.clone(),
            _turn: turn,
        };
        let cancel = CancelOnDrop {
            flag: Arc::new(AtomicBool::new(false)),
            token: CancellationToken::new(),
        };
        let selected = Arc::<Mutex<Vec<Selected>>>::default();
        let memory =
            MemoryAccount::within(Arc::clone(&self.memory), self.config.memory_limit_bytes);
        let mut context = QueryContext::builder()
            .text(query.text.as_str())
            .deadline(deadline)
            .cancel_flag(Arc::clone(&cancel.flag))
            .memory(Arc::new(memory));
        if let Some(lookback) = self.lookback_delta_ms(query) {
            context = context.lookback_delta_ms(lookback);
        }
        let work = Work {
            selection: self.selection(query, cancel.token.clone(), Arc::clone(&selected)),
            context: context.build(),
            queued,
            selected,
        };
        let evaluation = tokio::task::spawn_blocking(move || {
            let _in_flight = in_flight;
            job(&work)
        });
        // Streams that wait for a silent store are ended when the time is over.
        let evaluation = async {
            let mut evaluation = evaluation;
            match tokio::time::timeout_at(deadline.into(), &mut evaluation).await {
                Ok(ended) => ended,
                Err(_elapsed) => {
                    cancel.token.cancel();
                    evaluation.await
                }
            }
        };
        let outcome = match evaluation.await {
            Ok(outcome) => outcome?,
            Err(error) => return Err(QueryError::Aborted(error.to_string())),
        };
        drop(cancel);
        Ok(outcome)
    }

    fn selection(
        &self,
        query: &Query,
        cancel: CancellationToken,
        selected: Arc<Mutex<Vec<Selected>>>,
    ) -> Selection {
        Selection {
            proxy: Arc::clone(&self.proxy),
            runtime: self.runtime.clone(),
            options: SelectOptions {
                replica_labels: if query.dedup {
                    query.replica_labels.clone()
                } else {
                    Vec::new()
                },
                dedup: self.answers.dedup,
                max_resolution_ms: query.max_resolution_ms,
                partial_response: if query.partial_response {
                    PartialResponse::Warn
                } else {
                    PartialResponse::Abort
                },
                store_match: query.store_match.clone(),
                shard: query.shard.clone(),
                tenant: query.tenant.clone(),
            },
            cancel,
            selected,
        }
    }

    /// Returns how far instant selectors look back; `None` leaves it to the engine.
    fn lookback_delta_ms(&self, query: &Query) -> Option<i64> {
        if let Some(asked) = query.lookback_delta_ms.filter(|ms| *ms > 0) {
            return Some(asked);
        }
        let configured = self
            .config
            .lookback_delta
            .map(|delta| i64::try_from(delta.as_millis()).unwrap_or(i64::MAX));
        if !self.config.dynamic_lookback_delta {
            return configured;
        }
        let at_least = match query.max_resolution_ms {
            ms if ms >= ONE_HOUR_MS => ONE_HOUR_MS,
            ms if ms >= FIVE_MINUTES_MS => FIVE_MINUTES_MS,
            _ => return configured,
        };
        Some(configured.map_or(at_least, |delta| delta.max(at_least)))
    }
}
