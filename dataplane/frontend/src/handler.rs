//! Which call goes which way.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use runtime::clock::Clock;
use runtime::metrics::Metrics;
use serde::Serialize;

use crate::cache::{Extent, Results};
use crate::config::Config;
use crate::downstream::{Answer, Call, Downstream, DownstreamError};
use crate::matrix::{Envelope, Series, add_texts, join};
use crate::range::RangeQuery;

const PARTIAL_RESPONSE: HeaderName = HeaderName::from_static("x-partial-response");

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    op: &'static str,
}

/// The frontend's metrics.
#[derive(Debug, Clone, Default)]
pub(crate) struct FrontendMetrics {
    queries: Family<Operation, Counter>,
    splits: Counter,
    cache_fetched: Counter,
    cache_hits: Counter,
}

impl FrontendMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let own = Self::default();
        metrics.register(|registry| {
            registry.register(
                "thanos_query_frontend_queries",
                "Total queries passing through query frontend",
                own.queries.clone(),
            );
            registry.register(
                "thanos_frontend_split_queries",
                "Total number of underlying query requests after the split by interval is applied",
                own.splits.clone(),
            );
            registry.register(
                "cortex_cache_fetched_keys",
                "Total count of keys requested from cache",
                own.cache_fetched.clone(),
            );
            registry.register(
                "cortex_cache_hits",
                "Total count of keys found in cache",
                own.cache_hits.clone(),
            );
        });
        own
    }
}

/// What the handler needs.
pub(crate) struct Front {
    pub(crate) config: Config,
    pub(crate) downstream: Downstream,
    pub(crate) results: Option<Results>,
    pub(crate) metrics: FrontendMetrics,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Answers any request.
pub(crate) async fn handle(
    State(front): State<Arc<Front>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path();
    let call = path.rsplit_once("/api/v1/").map(|(_, call)| call);
    let (op, retries) = match call {
        Some("query_range") => ("query_range", front.config.range.retries),
        Some("query") => ("query", front.config.instant_retries),
        Some("labels") => ("label_names", front.config.labels_retries),
        Some("series") => ("series", front.config.labels_retries),
        Some(call) if call.starts_with("label/") && call.ends_with("/values") => {
            ("label_values", front.config.labels_retries)
        }
        _ => ("", 0),
    };
    let is_form = headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    });
    let is_post = method == Method::POST;
    if op.is_empty() || !(method == Method::GET || (is_post && is_form)) {
        let passed = front
            .downstream
            .pass(method, path, uri.query(), &headers, body)
            .await;
        return passed.unwrap_or_else(|error| unreachable_querier(&error));
    }
    front.metrics.queries.get_or_create(&Operation { op }).inc();
    let form = if is_post { body.as_ref() } else { b"" };
    let parameters = form_urlencoded::parse(form).chain(form_urlencoded::parse(
        uri.query().unwrap_or_default().as_bytes(),
    ));
    let mut call = Call {
        path: path.to_owned(),
        parameters: parameters
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect(),
        post: is_post,
        headers: front.forwarded(&headers),
    };
    if matches!(op, "label_names" | "label_values" | "series") {
        front.complete_labels(&mut call);
    }
    let began = Instant::now();
    let response = match op {
        "query_range" => front.range(&call, &headers).await,
        _ => front
            .downstream
            .call(&call, retries)
            .await
            .map(IntoResponse::into_response),
    };
    front.log_if_slow(&call, &headers, began);
    let mut response = response.unwrap_or_else(|error| unreachable_querier(&error));
    if !front.config.disable_cors {
        // The querier's own answers carry it already.
        response
            .headers_mut()
            .entry(header::ACCESS_CONTROL_ALLOW_ORIGIN)
            .or_insert(HeaderValue::from_static("*"));
    }
    response
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody<'a> {
    status: &'static str,
    error_type: &'static str,
    error: &'a str,
}

fn error(status: StatusCode, error_type: &'static str, text: &str) -> Response {
    let body = ErrorBody {
        status: "error",
        error_type,
        error: text,
    };
    (status, axum::Json(body)).into_response()
}

fn unreachable_querier(failed: &DownstreamError) -> Response {
    error(
        StatusCode::BAD_GATEWAY,
        "internal",
        &runtime::telemetry::chain(failed),
    )
}

/// One piece's result, and what has to be said of it.
#[derive(Default)]
struct Piece {
    series: Vec<Series>,
    warnings: Vec<String>,
    infos: Vec<String>,
    no_store: bool,
}

/// Why a piece has no result.
enum PieceError {
    Downstream(DownstreamError),
    /// The querier answered with something that is no matrix: it is the answer to the whole.
    Answer(Answer),
}

impl From<DownstreamError> for PieceError {
    fn from(error: DownstreamError) -> Self {
        Self::Downstream(error)
    }
}

impl Front {
    /// Returns the headers that go on to the querier.
    fn forwarded(&self, headers: &HeaderMap) -> HeaderMap {
        let named = self.config.forward_headers.iter();
        let mut forwarded = HeaderMap::new();
        for name in named.chain([&self.config.tenant_header]) {
            if let (Ok(name), Some(value)) = (HeaderName::try_from(name), headers.get(name)) {
                forwarded.insert(name, value.clone());
            }
        }
        forwarded
    }

    /// Adds what a label or series call does not say.
    fn complete_labels(&self, call: &mut Call) {
        let has = |call: &Call, name: &str| call.parameters.iter().any(|(n, _)| n == name);
        let range_ms = milliseconds(self.config.labels_range);
        if range_ms > 0 && !has(call, "start") {
            let now_ms = self.clock.now_ms();
            if !has(call, "end") {
                let end = now_ms / 1000;
                call.parameters.push(("end".to_owned(), end.to_string()));
                let start = now_ms.saturating_sub(range_ms) / 1000;
                call.parameters
                    .push(("start".to_owned(), start.to_string()));
            }
        }
        if !has(call, "partial_response") {
            let default = self.config.labels_partial_response.to_string();
            call.parameters
                .push(("partial_response".to_owned(), default));
        }
    }

    fn tenant<'a>(&'a self, headers: &'a HeaderMap) -> &'a str {
        let named = headers.get(&self.config.tenant_header);
        named
            .and_then(|value| value.to_str().ok())
            .unwrap_or(&self.config.default_tenant)
    }

    async fn range(&self, call: &Call, headers: &HeaderMap) -> Result<Response, DownstreamError> {
        let config = &self.config.range;
        let whole = RangeQuery::decode(&call.parameters).filter(|query| {
            // What is said about one evaluation cannot be said of several.
            let asks = |name| query.other(name).is_some_and(|value| !value.is_empty());
            query.is_divisible()
                && !["stats", "analyze", "coverage", "limit"]
                    .into_iter()
                    .any(asks)
        });
        let Some(mut whole) = whole else {
            let answer = self.downstream.call(call, config.retries).await?;
            return Ok(answer.into_response());
        };
        let length = whole.end.saturating_sub(whole.start);
        let max_length = milliseconds(config.max_length);
        if max_length > 0 && length > max_length {
            let text = format!(
                "the query time range exceeds the limit (query length: {}s, limit: {}s)",
                length / 1000,
                max_length / 1000
            );
            return Ok(error(StatusCode::BAD_REQUEST, "bad_data", &text));
        }
        if config.align {
            whole.align();
        }
        if whole.other("partial_response").is_none() {
            let default = config.partial_response.to_string();
            whole.others.push(("partial_response".to_owned(), default));
        }
        let interval = milliseconds(config.split_interval);
        let pieces = whole.split(interval);
        self.metrics.splits.inc_by(pieces.len() as u64);
        let keep = self.may_keep(&whole, headers);
        let tenant = self.tenant(headers);
        let work = pieces.iter().map(|piece| {
            let key = keep.then(|| key(tenant, piece, interval));
            self.piece(call, piece, key)
        });
        // Boxed one by one: a stream of unnamed futures of borrowed pieces cannot be sent.
        let work: Vec<futures::future::BoxFuture<'_, _>> = work
            .map(|piece| Box::pin(piece) as futures::future::BoxFuture<'_, _>)
            .collect();
        let done: Result<Vec<Piece>, PieceError> = futures::stream::iter(work)
            .buffered(config.max_parallelism.max(1))
            .try_collect()
            .await;
        match done {
            Ok(done) => Ok(whole_answer(done)),
            Err(PieceError::Answer(answer)) => Ok(answer.into_response()),
            Err(PieceError::Downstream(error)) => Err(error),
        }
    }

    fn may_keep(&self, query: &RangeQuery, headers: &HeaderMap) -> bool {
        let no_store = headers
            .get(header::CACHE_CONTROL)
            .is_some_and(|value| value.as_bytes() == b"no-store");
        let dedup = query.other("dedup");
        self.results.is_some()
            && !no_store
            && query.is_aligned()
            && !dedup
                .is_some_and(|dedup| matches!(dedup, "0" | "f" | "F" | "false" | "False" | "FALSE"))
            && query.other("storeMatch[]").is_none()
    }

    /// Answers a piece from what is kept, as far as that goes.
    async fn piece(
        &self,
        call: &Call,
        piece: &RangeQuery,
        key: Option<String>,
    ) -> Result<Piece, PieceError> {
        let (Some(key), Some(results)) = (key, &self.results) else {
            return self.fetch(call, piece).await;
        };
        let now = self.clock.now_ms();
        self.metrics.cache_fetched.inc();
        let kept = results.get(&key, now).filter(|kept| {
            // Only what touches the piece makes one contiguous range with it.
            kept.start <= piece.end.saturating_add(piece.step)
                && piece.start <= kept.end.saturating_add(piece.step)
        });
        let Some(kept) = kept else {
            let fetched = self.fetch(call, piece).await?;
            self.keep(results, key, piece, &fetched, &fetched.series, now);
            return Ok(fetched);
        };
        self.metrics.cache_hits.inc();
        let mut answer = Piece::default();
        let mut parts = Vec::new();
        if piece.start < kept.start {
            let before = self
                .fetch(call, &piece.over(piece.start, kept.start - piece.step))
                .await?;
            parts.push(answer.add(before));
        }
        parts.push(kept.series.clone());
        if piece.end > kept.end {
            let after = self
                .fetch(call, &piece.over(kept.end + piece.step, piece.end))
                .await?;
            parts.push(answer.add(after));
        }
        if parts.len() == 1 {
            answer.series = kept.within(piece.start, piece.end);
            return Ok(answer);
        }
        let all = join(parts);
        let union = piece.over(piece.start.min(kept.start), piece.end.max(kept.end));
        self.keep(results, key, &union, &answer, &all, now);
        let within = |series: &Series| series.within(piece.start, piece.end);
        answer.series = all.iter().filter_map(within).collect();
        Ok(answer)
    }

    /// Keeps a result, unless it lacks something or is too fresh.
    fn keep(
        &self,
        results: &Results,
        key: String,
        range: &RangeQuery,
        answer: &Piece,
        series: &[Series],
        now_ms: i64,
    ) {
        let settled = now_ms.saturating_sub(milliseconds(self.config.range.max_freshness));
        let end = settled
            .div_euclid(range.step)
            .saturating_mul(range.step)
            .min(range.end);
        if answer.no_store || !answer.warnings.is_empty() || end < range.start {
            return;
        }
        let within = |series: &Series| series.within(range.start, end);
        let extent = Extent {
            start: range.start,
            end,
            series: series.iter().filter_map(within).collect(),
            made_ms: now_ms,
        };
        results.put(key, extent);
    }

    async fn fetch(&self, call: &Call, range: &RangeQuery) -> Result<Piece, PieceError> {
        let call = Call {
            parameters: range.parameters(),
            ..call.clone()
        };
        let answer = self
            .downstream
            .call(&call, self.config.range.retries)
            .await?;
        let envelope = if answer.status == StatusCode::OK {
            Envelope::parse(&answer.body)
        } else {
            None
        };
        let Some(envelope) = envelope else {
            return Err(PieceError::Answer(answer));
        };
        Ok(Piece {
            no_store: answer.is_no_store(),
            series: envelope.data.result,
            warnings: envelope.warnings,
            infos: envelope.infos,
        })
    }

    fn log_if_slow(&self, call: &Call, headers: &HeaderMap, began: Instant) {
        let Some(threshold) = self.config.slow_queries else {
            return;
        };
        let took = began.elapsed();
        if took < threshold {
            return;
        }
        let user = self.config.slow_query_user_header.as_ref();
        let user = user
            .and_then(|name| headers.get(name)?.to_str().ok())
            .unwrap_or_default();
        let get = |name: &str| {
            let found = call.parameters.iter().find(|(n, _)| n == name);
            found.map_or("", |(_, value)| value.as_str())
        };
        tracing::info!(
            path = call.path,
            duration_seconds = took.as_secs_f64(),
            query = get("query"),
            start = get("start"),
            end = get("end"),
            step = get("step"),
            user,
            "slow query"
        );
    }
}

impl Piece {
    /// Takes over what has to be said of `other`; returns its series.
    fn add(&mut self, other: Self) -> Vec<Series> {
        add_texts(&mut self.warnings, other.warnings);
        add_texts(&mut self.infos, other.infos);
        self.no_store |= other.no_store;
        other.series
    }
}

fn whole_answer(pieces: Vec<Piece>) -> Response {
    let mut said = Piece::default();
    let parts: Vec<_> = pieces.into_iter().map(|piece| said.add(piece)).collect();
    let mut envelope = Envelope::of(join(parts));
    envelope.warnings = said.warnings;
    envelope.infos = said.infos;
    let mut response = envelope.write().into_response();
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    if said.no_store {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(PARTIAL_RESPONSE, HeaderValue::from_static("true"));
    }
    response
}

/// Returns everything that an answer depends on, and which interval it is of.
fn key(tenant: &str, piece: &RangeQuery, interval: i64) -> String {
    let number = if interval > 0 {
        piece.start.div_euclid(interval)
    } else {
        0
    };
    let mut others = piece.others.clone();
    others.sort();
    let mut key = form_urlencoded::Serializer::new(String::from("fe:"));
    key.append_pair("tenant", tenant)
        .append_pair("query", &piece.query)
        .append_pair("step", &piece.step.to_string())
        .append_pair("split", &interval.to_string())
        .append_pair("interval", &number.to_string());
    key.extend_pairs(others).finish()
}

fn milliseconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
