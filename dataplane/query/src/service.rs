//! One query from its text to its result: limits, deadline, a turn at the gate, evaluation on a thread
//! of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use promql::context::{MemoryAccount, QueryContext};
use promql::engine::{Engine, EngineError, EngineErrorKind};
use promql::value::QueryResult;
use promql::{Expr, ParseError, ParseOptions};
use storeapi::proto::thanos as pb;
use storeapi::{Coverage, CoverageRecorder, PartialResponse, Proxy};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::config::{AnswersConfig, EngineConfig};
use crate::metrics::QueryMetrics;
use crate::select::{SelectOptions, Selection};
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

/// A result with how it came about.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) result: QueryResult,
    /// Who was asked, one entry a selector.
    pub(crate) coverage: Vec<Coverage>,
    pub(crate) queued: Duration,
    pub(crate) evaluated: Duration,
}

impl Outcome {
    /// Returns whether the data of a store is missing.
    pub(crate) fn is_partial(&self) -> bool {
        let failed = |coverage: &Coverage| coverage.stores.iter().any(|s| s.error.is_some());
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
    #[error("the querier is shutting down")]
    ShuttingDown,
    #[error("evaluation ended abnormally: {0}")]
    Aborted(String),
}

impl QueryError {
    pub(crate) fn kind(&self) -> EngineErrorKind {
        match self {
            Self::Parse(_) => EngineErrorKind::BadData,
            Self::Engine(error) => error.kind(),
            Self::QueueTimeout => EngineErrorKind::Timeout,
            Self::ShuttingDown => EngineErrorKind::Canceled,
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
    pub(crate) gate: Arc<Semaphore>,
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
    _turn: tokio::sync::OwnedSemaphorePermit,
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
        let began = Instant::now();
        let expr = self.parse(&query.text)?;
        let timeout = query
            .timeout
            .map_or(self.config.timeout, |t| t.min(self.config.timeout));
        let deadline = began + timeout;
        let turn = tokio::time::timeout_at(deadline.into(), Arc::clone(&self.gate).acquire_owned());
        let turn = match turn.await {
            Ok(Ok(turn)) => turn,
            Ok(Err(_closed)) => return Err(QueryError::ShuttingDown),
            Err(_elapsed) => return Err(QueryError::QueueTimeout),
        };
        let queued = began.elapsed();
        self.metrics.gate_wait.observe(queued.as_secs_f64());
        self.metrics.in_flight.inc();
        let in_flight = InFlight {
            metrics: self.metrics.clone(),
            _turn: turn,
        };
        if let When::Range { start, end, .. } = query.when {
            #[expect(clippy::cast_precision_loss, reason = "a histogram's observation")]
            self.metrics
                .range_timespan
                .observe(end.saturating_sub(start) as f64 / 1000.0);
        }

        let cancel = CancelOnDrop {
            flag: Arc::new(AtomicBool::new(false)),
            token: CancellationToken::new(),
        };
        let coverage = Arc::<Mutex<Vec<Arc<CoverageRecorder>>>>::default();
        let selection = self.selection(&query, cancel.token.clone(), Arc::clone(&coverage));
        let mut context = QueryContext::builder()
            .text(query.text.as_str())
            .deadline(deadline)
            .cancel_flag(Arc::clone(&cancel.flag))
            .memory(Arc::new(MemoryAccount::with_limit(
                self.config.memory_limit_bytes,
            )));
        if let Some(lookback) = self.lookback_delta_ms(&query) {
            context = context.lookback_delta_ms(lookback);
        }
        let context = context.build();
        let engine = Arc::clone(&self.engine);
        let partial_answers = self.metrics.partial_answers.clone();
        let when = query.when;
        let evaluation = tokio::task::spawn_blocking(move || {
            let _in_flight = in_flight;
            let started = Instant::now();
            let result = match when {
                When::Instant { ts } => engine.instant(&selection, &expr, ts, &context),
                When::Range { start, end, step } => {
                    engine.range(&selection, &expr, start, end, step, &context)
                }
            }?;
            let recorders = coverage.lock().unwrap_or_else(PoisonError::into_inner);
            let outcome = Outcome {
                result,
                coverage: recorders
                    .iter()
                    .map(|recorder| recorder.snapshot())
                    .collect(),
                queued,
                evaluated: started.elapsed(),
            };
            drop(recorders);
            if outcome.is_partial() {
                partial_answers.inc();
            }
            Ok::<T, EngineError>(finish(outcome))
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
        coverage: Arc<Mutex<Vec<Arc<CoverageRecorder>>>>,
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
            coverage,
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
