//! The engine: evaluates an expression over a [`Queryable`](crate::queryable::Queryable).
//!
//! In reading order: `block` (step columns of a batch of series), `leaf` (series enter), `window`
//! (functions of range vectors), `element` (functions of each element), `histogram` (arithmetic on native
//! histograms), `aggregate`, `binary`,
//! `merge`, the remaining functions, `exec` (what operators share), `pool` (threads), `build` (from
//! the plan to operators).
//!
//! Evaluation is series-major: a batch of series is decoded and evaluated at all steps, then folded
//! into what is asked for and forgotten. Operators pull blocks from each other; only those that need
//! all of their input keep it, and charge it to the query. Work on series runs on several threads,
//! but results are folded in the order of series, so that sums are Prometheus' to the last bit.

mod absent;
mod aggregate;
mod annotate;
mod binary;
mod block;
mod build;
mod classic;
mod count_values;
mod element;
mod error;
mod exec;
mod gomath;
mod gosort;
mod histogram;
mod histogram_input;
mod info;
mod kahan;
mod labels;
mod leaf;
mod merge;
mod pool;
mod quantiles;
mod result;
mod scalar;
mod share;
mod smoothed;
mod sort;
mod stats;
mod subquery;
mod window;

use crate::ast::{Expr, ValueType};
use crate::context::QueryContext;
use crate::plan::Plan;
use crate::plan::build::QueryTimes;
use crate::queryable::Queryable;
use crate::value::{QueryResult, ScalarValue, StringValue, Value};

use block::Grid;
use exec::Exec;
use pool::Pool;
use scalar::ScalarOperator;

pub use error::{EngineError, EngineErrorKind};
pub use histogram::{HistogramBucket, histogram_buckets};

pub(crate) use element::ElementFunc;
pub(crate) use histogram::is_reset;
pub(crate) use scalar::{go_max, go_min};
pub(crate) use window::{EXTENDED_LOOKBACK_MS, WindowFunc, seconds};

/// How an [`Engine`] works; a query may override some of it in its context.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// How far an instant selector looks back, in milliseconds.
    pub lookback_delta_ms: i64,
    /// How many samples a query may hold at once.
    pub max_samples: usize,
    /// The step of a subquery that has none, in milliseconds.
    pub subquery_step_ms: i64,
    /// Threads that evaluate series; with one, a query runs on its caller's thread only.
    pub threads: usize,
    pub features: EngineFeatures,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            lookback_delta_ms: 300_000,
            max_samples: 50_000_000,
            subquery_step_ms: 60_000,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            features: EngineFeatures::default(),
        }
    }
}

/// What of the language is optional.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EngineFeatures {
    /// Names that a function drops go only at the end of the query, so that they can be used in it.
    pub delayed_name_removal: bool,
}

/// Evaluates queries. Synchronous: call it from a thread that may block.
pub struct Engine {
    options: EngineOptions,
    pool: Option<Pool>,
}

impl Engine {
    /// Returns an engine and starts its threads.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn new(options: EngineOptions) -> std::io::Result<Self> {
        let pool = if options.threads > 1 {
            Some(Pool::start(options.threads)?)
        } else {
            None
        };
        Ok(Self { options, pool })
    }

    /// Returns how the engine works.
    #[must_use]
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Evaluates `expr` at one time, in milliseconds.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn instant(
        &self,
        queryable: &dyn Queryable,
        expr: &Expr,
        ts_ms: i64,
        cx: &QueryContext,
    ) -> Result<QueryResult, EngineError> {
        self.run(queryable, expr, (ts_ms, ts_ms, 0), cx)
    }

    /// Evaluates `expr` from `start_ms` to `end_ms`, both inclusive, every `step_ms`.
    ///
    /// # Errors
    /// See [`EngineError`]; an expression that is neither scalar nor instant vector is bad data.
    pub fn range(
        &self,
        queryable: &dyn Queryable,
        expr: &Expr,
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
        cx: &QueryContext,
    ) -> Result<QueryResult, EngineError> {
        let value_type = expr.value_type();
        if !matches!(value_type, ValueType::Scalar | ValueType::Vector) {
            return Err(EngineError::BadData(format!(
                "invalid expression type \"{}\" for range query, must be Scalar or instant Vector",
                value_type.documented()
            )));
        }
        if step_ms <= 0 {
            return Err(EngineError::BadData(
                "zero or negative query resolution step widths are not accepted. Try a positive \
                 integer"
                    .to_owned(),
            ));
        }
        if end_ms < start_ms {
            return Err(EngineError::BadData(
                "end timestamp must not be before start time".to_owned(),
            ));
        }
        self.run(queryable, expr, (start_ms, end_ms, step_ms), cx)
    }

    /// Evaluates the query, on a thread with a larger stack where the expression is deep.
    fn run(
        &self,
        queryable: &dyn Queryable,
        expr: &Expr,
        times: (i64, i64, i64),
        cx: &QueryContext,
    ) -> Result<QueryResult, EngineError> {
        let depth = depth(expr);
        if depth <= SHALLOW {
            return self.evaluate(queryable, expr, times, cx);
        }
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .name("promql-deep".to_owned())
                .stack_size(depth * STACK_PER_LEVEL)
                .spawn_scoped(scope, || self.evaluate(queryable, expr, times, cx))
                .map_err(|error| EngineError::Internal(format!("no thread for a query: {error}")))?
                .join()
                .unwrap_or_else(|_| Err(EngineError::Internal("a query panicked".to_owned())))
        })
    }

    fn evaluate(
        &self,
        queryable: &dyn Queryable,
        expr: &Expr,
        (start, end, step_ms): (i64, i64, i64),
        cx: &QueryContext,
    ) -> Result<QueryResult, EngineError> {
        cx.check()?;
        let times = QueryTimes {
            start,
            end,
            step_ms,
            lookback_ms: cx
                .lookback_delta_ms()
                .unwrap_or(self.options.lookback_delta_ms),
            subquery_step_ms: self.options.subquery_step_ms,
            features: self.options.features,
        };
        let mut plan = crate::plan::build::plan(expr, &times)?;
        let shared = crate::plan::share::number_equal_parts(&mut plan);
        let grid = Grid::new(start, end, step_ms);
        let mut ex = Exec::new(queryable, cx, &self.options, self.pool.as_ref(), shared);
        check_steps(grid.steps)?;
        let value = match value(&plan, &grid, step_ms == 0, &mut ex) {
            Ok(value) => value,
            Err(error) => return Err(ex.explain(error)),
        };
        let mut stats = ex.stats;
        stats.peak_memory_bytes = cx.memory().peak() as u64;
        drop(ex);
        let (warnings, infos) = cx.annotations();
        Ok(QueryResult {
            value,
            warnings,
            infos,
            stats,
        })
    }
}

/// Expressions up to this depth are evaluated on the caller's stack.
const SHALLOW: usize = 24;

/// What evaluating one level of an expression may need, with room to spare.
const STACK_PER_LEVEL: usize = 256 * 1024;

/// The longest way from an expression to a leaf; the parser bounds it.
fn depth(expr: &Expr) -> usize {
    1 + expr.children().into_iter().map(depth).max().unwrap_or(0)
}

/// Steps that one evaluation may have; a column of them is 128 MiB.
const MAX_STEPS: usize = 1 << 24;

pub(crate) fn check_steps(steps: usize) -> Result<(), EngineError> {
    if steps <= MAX_STEPS {
        return Ok(());
    }
    Err(EngineError::Execution(format!(
        "query or subquery has {steps} steps, more than {MAX_STEPS}: use a longer step or a shorter range"
    )))
}

fn value(
    plan: &Plan,
    grid: &Grid,
    is_instant: bool,
    ex: &mut Exec<'_>,
) -> Result<Value, EngineError> {
    Ok(match plan {
        Plan::String(text) => Value::String(StringValue {
            ts: grid.start,
            value: text.clone(),
        }),
        Plan::Scalar(node) => {
            let column = ScalarOperator::build(node, grid, ex)?.eval(grid, ex)?;
            if is_instant {
                Value::Scalar(ScalarValue {
                    ts: grid.start,
                    value: column.at(0),
                })
            } else {
                Value::Matrix(vec![result::scalar_series(&column, grid)])
            }
        }
        Plan::Vector(node) => {
            let mut operator = build::vector(node, grid, ex)?;
            if is_instant {
                Value::Vector(result::vector(operator.as_mut(), grid, ex)?)
            } else {
                Value::Matrix(result::matrix(operator.as_mut(), grid, ex)?)
            }
        }
        Plan::Matrix(source) => Value::Matrix(result::range(source, grid, ex)?),
    })
}

#[cfg(test)]
mod tests;
