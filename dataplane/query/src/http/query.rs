//! `/api/v1/query` and `/api/v1/query_range`.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use promql::engine::EngineErrorKind;
use promql::value::Value;
use serde::Deserialize;
use storeapi::proto::thanos::ShardInfo;

use super::coverage::{Report, Summary};
use super::error::{ApiError, ErrorType};
use super::explain::Analysis;
use super::form::Form;
use super::json::{self, Extras, Samples, Stats, Timings};
use super::{Api, Scope, State, answer};
use crate::service::{MAX_STEPS, Outcome, Query, QueryError, When};

const TRUNCATED: &str = "results truncated due to limit";
/// A range query without a step gets about so many.
const DEFAULT_STEPS: i64 = 250;
const NANOS_PER_MS: i64 = 1_000_000;
const NANOS_PER_SECOND: i64 = 1_000_000_000;

pub(super) async fn instant(api: State, headers: HeaderMap, form: Form) -> Response {
    match instant_query(&api, &headers, &form) {
        Ok(request) => run(&api, request).await,
        Err(error) => error.into_response(),
    }
}

pub(super) async fn range(api: State, headers: HeaderMap, form: Form) -> Response {
    match range_query(&api, &headers, &form) {
        Ok(request) => run(&api, request).await,
        Err(error) => error.into_response(),
    }
}

/// A query and what its answer should look like.
pub(super) struct Request {
    pub(super) query: Query,
    limit: usize,
    stats: bool,
    coverage: bool,
    analyze: bool,
    warnings: Vec<String>,
}

pub(super) fn instant_query(
    api: &Api,
    headers: &HeaderMap,
    form: &Form,
) -> Result<Request, ApiError> {
    let limit = form.limit()?;
    let ts = form.time_or("time", api.kit.clock.now_ms())?;
    let auto = api.config.engine.instant_max_resolution;
    let auto_ms = i64::try_from(auto.as_millis()).unwrap_or(i64::MAX);
    request(api, headers, form, When::Instant { ts }, auto_ms, limit)
}

pub(super) fn range_query(
    api: &Api,
    headers: &HeaderMap,
    form: &Form,
) -> Result<Request, ApiError> {
    let limit = form.limit()?;
    let start = form.time("start")?;
    let end = form.time("end")?;
    if end < start {
        let reason = "end timestamp must not be before start time";
        return Err(ApiError::invalid_parameter("end", reason.into()));
    }
    let length_ms = end.saturating_sub(start);
    let step_nanos = match form.duration_nanos("step")? {
        Some(nanos) => nanos,
        None => {
            let smallest = api.config.engine.default_step.as_secs();
            let smallest = i64::try_from(smallest).unwrap_or(i64::MAX);
            (length_ms / 1000 / DEFAULT_STEPS)
                .max(smallest)
                .saturating_mul(NANOS_PER_SECOND)
        }
    };
    // The engine counts in milliseconds; a shorter step is none.
    let step = step_nanos / NANOS_PER_MS;
    if step <= 0 {
        let reason = "zero or negative query resolution step widths are not accepted. Try a \
                      positive integer";
        return Err(ApiError::invalid_parameter("step", reason.into()));
    }
    if length_ms / step > MAX_STEPS {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query \
             resolution (?step=XX)",
        ));
    }
    request(
        api,
        headers,
        form,
        When::Range { start, end, step },
        step / 5,
        limit,
    )
}

fn request(
    api: &Api,
    headers: &HeaderMap,
    form: &Form,
    when: When,
    auto_resolution_ms: i64,
    limit: usize,
) -> Result<Request, ApiError> {
    let timeout = form.duration_nanos("timeout")?;
    let lookback = form.duration_nanos("lookback_delta").map_err(|_| {
        let text = model::labels::quote(form.get("lookback_delta"));
        let reason = format!("cannot parse {text} to a valid duration");
        ApiError::bad_data(format!("error parsing lookback delta duration: {reason}"))
    })?;
    let scope = Scope::decode(api, form, headers)?;
    let engine = form.get("engine");
    if !matches!(engine, "" | "prometheus" | "thanos") {
        return Err(ApiError::bad_data(format!("'{engine}' bad engine")));
    }
    let stats = form.get("stats");
    let mut warnings = Vec::new();
    if !matches!(stats, "" | "true" | "all") {
        warnings.push(format!(
            "value {} for parameter \"stats\" is deprecated and will be rejected in the next major \
             release, use \"true\" or \"all\"",
            model::labels::quote(stats)
        ));
    }
    let query = Query {
        text: form.get("query").to_owned(),
        max_resolution_ms: max_resolution_ms(api, form, auto_resolution_ms)?,
        shard: shard(form)?,
        lookback_delta_ms: lookback.map(|nanos| nanos / NANOS_PER_MS),
        timeout: timeout.map(|nanos| Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))),
        ..Query::over(scope, when)
    };
    Ok(Request {
        query,
        limit,
        stats: !stats.is_empty(),
        coverage: form.switch("coverage", false)?,
        analyze: form.switch("analyze", false)?,
        warnings,
    })
}

fn max_resolution_ms(api: &Api, form: &Form, auto_ms: i64) -> Result<i64, ApiError> {
    const NAME: &str = "max_source_resolution";
    match form.get(NAME) {
        "auto" => Ok(auto_ms),
        "" if api.config.engine.auto_downsampling => Ok(auto_ms),
        "" => Ok(0),
        text => {
            let nanos = super::form::parse_duration_nanos(text)
                .map_err(|reason| ApiError::bad_data(format!("'{NAME}' parameter: {reason}")))?;
            if nanos < 0 {
                return Err(ApiError::bad_data(format!(
                    "negative '{NAME}' is not accepted. Try a positive integer"
                )));
            }
            Ok(nanos / NANOS_PER_MS)
        }
    }
}

#[derive(Deserialize)]
struct Shard {
    #[serde(default, alias = "shardIndex")]
    shard_index: i64,
    #[serde(default, alias = "totalShards")]
    total_shards: i64,
    #[serde(default)]
    by: bool,
    #[serde(default)]
    labels: Vec<String>,
}

fn shard(form: &Form) -> Result<Option<ShardInfo>, ApiError> {
    let text = form.get("shard_info");
    if text.is_empty() {
        return Ok(None);
    }
    let shard: Shard = serde_json::from_str(text).map_err(|error| {
        ApiError::bad_data(format!("could not unmarshal parameter shard_info: {error}"))
    })?;
    Ok((shard.total_shards > 0).then_some(ShardInfo {
        shard_index: shard.shard_index,
        total_shards: shard.total_shards,
        by: shard.by,
        labels: shard.labels,
    }))
}

async fn run(api: &Api, request: Request) -> Response {
    let Request {
        query,
        limit,
        stats,
        coverage,
        analyze,
        warnings,
    } = request;
    // The parser's answer is cheap beside an evaluation that is to be analysed.
    let expr = if analyze {
        api.service.parse(&query.text).ok()
    } else {
        None
    };
    let finish = move |mut outcome: Outcome| {
        let partial = outcome.is_partial();
        if truncate(&mut outcome.result.value, limit) {
            outcome.result.warnings.push(TRUNCATED.to_owned());
        }
        outcome.result.warnings.extend(warnings);
        let stats = stats.then(|| spent(&outcome));
        let extras = Extras {
            stats,
            analysis: expr.map(|expr| Analysis::of(&expr, &outcome)),
            coverage: coverage.then(|| Report::of(&outcome.coverage)),
        };
        let summary = Summary::of(outcome.coverage.iter().map(|of| &of.stores));
        (json::query_body(&outcome.result, &extras), partial, summary)
    };
    match api.service.run(query, finish).await {
        Ok((body, partial, summary)) => {
            let mut response = answer(body, partial);
            summary.write(response.headers_mut());
            response
        }
        Err(error) => ApiError::from(error).into_response(),
    }
}

/// Shortens a list to `limit` and says whether it was longer; 0 is no limit.
fn truncate(value: &mut Value, limit: usize) -> bool {
    let len = match value {
        Value::Vector(samples) => samples.len(),
        Value::Matrix(series) => series.len(),
        Value::Scalar(_) | Value::String(_) => 0,
    };
    if limit == 0 || len <= limit {
        return false;
    }
    match value {
        Value::Vector(samples) => samples.truncate(limit),
        Value::Matrix(series) => series.truncate(limit),
        Value::Scalar(_) | Value::String(_) => {}
    }
    true
}

fn spent(outcome: &Outcome) -> Stats {
    let evaluated = outcome.evaluated.as_secs_f64();
    let samples = outcome.result.stats.samples;
    Stats {
        timings: Timings {
            eval_total_time: evaluated,
            inner_eval_time: evaluated,
            exec_queue_time: outcome.queued.as_secs_f64(),
            exec_total_time: evaluated + outcome.queued.as_secs_f64(),
            ..Timings::default()
        },
        samples: Samples {
            total_queryable_samples: samples,
            samples_read: samples,
            peak_samples: samples,
        },
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let kind = match error.kind() {
            // What the expression itself makes wrong, found by the parser or by the plan.
            EngineErrorKind::BadData => {
                return Self::invalid_parameter("query", error.to_string());
            }
            EngineErrorKind::Execution => ErrorType::Execution,
            EngineErrorKind::Timeout => ErrorType::Timeout,
            EngineErrorKind::Canceled => ErrorType::Canceled,
            EngineErrorKind::Internal => ErrorType::Internal,
        };
        Self::new(kind, error.to_string())
    }
}
