//! `thanos.Query`: PromQL over gRPC, for queriers above and for rulers.

use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use promql::engine::EngineErrorKind;
use promql::value::{SampleValue, Value};
use storeapi::info::to_wire_labels;
use storeapi::proto::prometheus_copy as prompb;
use storeapi::proto::thanos as pb;
use storeapi::request::matchers_from_proto;
use storeapi::{ErrorKind, QueryApi, QueryRangeStream, QueryStream, StoreError, async_trait};

use crate::service::{MAX_STEPS, Outcome, Query, QueryError, Service, When};
use crate::tenant::Tenant;

/// Evaluates what peers ask.
pub(crate) struct QueryServer(pub(crate) Arc<Service>);

/// What a query's answer consists of.
enum Frame {
    Warning(String),
    Series(Vec<prompb::TimeSeries>),
    Stats(pb::QueryStats),
}

#[async_trait]
impl QueryApi for QueryServer {
    async fn query(&self, request: pb::QueryRequest) -> Result<QueryStream, StoreError> {
        let batch = request.response_batch_size;
        let when = When::Instant {
            ts: milliseconds(request.time_seconds),
        };
        let query = Query {
            text: request.query,
            when,
            dedup: request.enable_dedup,
            replica_labels: request.replica_labels,
            max_resolution_ms: milliseconds(request.max_resolution_seconds),
            partial_response: request.enable_partial_response,
            store_match: store_match(&request.store_matchers)?,
            shard: request.shard_info.filter(|shard| shard.total_shards > 0),
            tenant: Tenant::default(),
            lookback_delta_ms: lookback(request.lookback_delta_seconds),
            timeout: timeout(request.timeout_seconds),
        };
        let frames = self.frames(query, batch).await?;
        use pb::query_response::Result as Wire;
        let frames = frames.into_iter().map(move |frame| {
            let result = match frame {
                Frame::Warning(text) => Wire::Warnings(text),
                Frame::Stats(stats) => Wire::Stats(stats),
                Frame::Series(mut series) if batch <= 1 && series.len() == 1 => {
                    Wire::Timeseries(series.remove(0))
                }
                Frame::Series(series) => Wire::TimeseriesBatch(pb::TimeSeriesBatch { series }),
            };
            Ok(pb::QueryResponse {
                result: Some(result),
            })
        });
        Ok(Box::pin(stream::iter(frames)))
    }

    async fn query_range(
        &self,
        request: pb::QueryRangeRequest,
    ) -> Result<QueryRangeStream, StoreError> {
        let batch = request.response_batch_size;
        let (start, end) = (
            milliseconds(request.start_time_seconds),
            milliseconds(request.end_time_seconds),
        );
        let step = milliseconds(request.interval_seconds);
        if end < start {
            return Err(StoreError::invalid(
                "end timestamp must not be before start time",
            ));
        }
        if step <= 0 {
            return Err(StoreError::invalid(
                "the interval must be at least one second",
            ));
        }
        if end.saturating_sub(start) / step > MAX_STEPS {
            return Err(StoreError::invalid(
                "more than 11,000 points per timeseries",
            ));
        }
        let query = Query {
            text: request.query,
            when: When::Range { start, end, step },
            dedup: request.enable_dedup,
            replica_labels: request.replica_labels,
            max_resolution_ms: milliseconds(request.max_resolution_seconds),
            partial_response: request.enable_partial_response,
            store_match: store_match(&request.store_matchers)?,
            shard: request.shard_info.filter(|shard| shard.total_shards > 0),
            tenant: Tenant::default(),
            lookback_delta_ms: lookback(request.lookback_delta_seconds),
            timeout: timeout(request.timeout_seconds),
        };
        let frames = self.frames(query, batch).await?;
        use pb::query_range_response::Result as Wire;
        let frames = frames.into_iter().map(move |frame| {
            let result = match frame {
                Frame::Warning(text) => Wire::Warnings(text),
                Frame::Stats(stats) => Wire::Stats(stats),
                Frame::Series(mut series) if batch <= 1 && series.len() == 1 => {
                    Wire::Timeseries(series.remove(0))
                }
                Frame::Series(series) => Wire::TimeseriesBatch(pb::TimeSeriesBatch { series }),
            };
            Ok(pb::QueryRangeResponse {
                result: Some(result),
            })
        });
        Ok(Box::pin(stream::iter(frames)))
    }
}

impl QueryServer {
    async fn frames(&self, query: Query, batch: i64) -> Result<Vec<Frame>, StoreError> {
        let batch = usize::try_from(batch).unwrap_or(1).max(1);
        Ok(self
            .0
            .run(query, move |outcome| frames(outcome, batch))
            .await?)
    }
}

impl From<QueryError> for StoreError {
    fn from(error: QueryError) -> Self {
        let kind = match error.kind() {
            EngineErrorKind::BadData => ErrorKind::Invalid,
            EngineErrorKind::Execution => ErrorKind::Aborted,
            EngineErrorKind::Timeout => ErrorKind::Timeout,
            EngineErrorKind::Canceled => ErrorKind::Canceled,
            EngineErrorKind::Internal => ErrorKind::Internal,
        };
        Self::new(kind, error.to_string())
    }
}

fn frames(outcome: Outcome, batch: usize) -> Vec<Frame> {
    let stats = pb::QueryStats {
        samples_total: i64::try_from(outcome.result.stats.samples).unwrap_or(i64::MAX),
        peak_samples: i64::try_from(outcome.result.stats.samples).unwrap_or(i64::MAX),
    };
    let mut series = wire_series(outcome.result.value);
    let mut frames = Vec::with_capacity(series.len() / batch + 2);
    while !series.is_empty() {
        let rest = series.split_off(batch.min(series.len()));
        frames.push(Frame::Series(std::mem::replace(&mut series, rest)));
    }
    frames.extend(outcome.result.warnings.into_iter().map(Frame::Warning));
    frames.push(Frame::Stats(stats));
    frames
}

fn wire_series(value: Value) -> Vec<prompb::TimeSeries> {
    let float = |(timestamp, value)| prompb::Sample { value, timestamp };
    match value {
        Value::Scalar(scalar) => vec![prompb::TimeSeries {
            samples: vec![float((scalar.ts, scalar.value))],
            ..prompb::TimeSeries::default()
        }],
        // The wire has no strings.
        Value::String(_) => Vec::new(),
        Value::Vector(samples) => samples
            .into_iter()
            .map(|sample| {
                let mut series = prompb::TimeSeries {
                    labels: labels(&sample.labels),
                    ..prompb::TimeSeries::default()
                };
                match sample.value {
                    SampleValue::Float(value) => series.samples.push(float((sample.ts, value))),
                    SampleValue::Histogram(value) => {
                        series.histograms.push(histogram(sample.ts, &value));
                    }
                }
                series
            })
            .collect(),
        Value::Matrix(all) => all
            .into_iter()
            .map(|series| prompb::TimeSeries {
                labels: labels(&series.labels),
                samples: series.floats.into_iter().map(float).collect(),
                histograms: series
                    .histograms
                    .iter()
                    .map(|(timestamp, value)| histogram(*timestamp, value))
                    .collect(),
                ..prompb::TimeSeries::default()
            })
            .collect(),
    }
}

pub(crate) fn labels(labels: &model::Labels) -> Vec<pb::Label> {
    to_wire_labels(labels)
}

pub(crate) fn histogram(
    timestamp: i64,
    value: &model::histogram::FloatHistogram,
) -> prompb::Histogram {
    use model::histogram::{CounterResetHint, Span};
    let spans = |spans: &[Span]| {
        let span = |span: &Span| prompb::BucketSpan {
            offset: span.offset,
            length: span.length,
        };
        spans.iter().map(span).collect()
    };
    let hint = match value.counter_reset_hint {
        CounterResetHint::Unknown => prompb::histogram::ResetHint::Unknown,
        CounterResetHint::Reset => prompb::histogram::ResetHint::Yes,
        CounterResetHint::NotReset => prompb::histogram::ResetHint::No,
        CounterResetHint::Gauge => prompb::histogram::ResetHint::Gauge,
    };
    prompb::Histogram {
        count: Some(prompb::histogram::Count::CountFloat(value.count)),
        sum: value.sum,
        schema: value.schema,
        zero_threshold: value.zero_threshold,
        zero_count: Some(prompb::histogram::ZeroCount::ZeroCountFloat(
            value.zero_count,
        )),
        negative_spans: spans(&value.negative_spans),
        negative_counts: value.negative_buckets.clone(),
        positive_spans: spans(&value.positive_spans),
        positive_counts: value.positive_buckets.clone(),
        reset_hint: hint.into(),
        timestamp,
        custom_values: value.custom_values.clone(),
        ..prompb::Histogram::default()
    }
}

fn store_match(sets: &[pb::StoreMatchers]) -> Result<Vec<Vec<model::Matcher>>, StoreError> {
    sets.iter()
        .map(|set| matchers_from_proto(&set.label_matchers))
        .collect()
}

fn milliseconds(seconds: i64) -> i64 {
    seconds.saturating_mul(1000)
}

fn lookback(seconds: i64) -> Option<i64> {
    (seconds > 0).then(|| milliseconds(seconds))
}

fn timeout(seconds: i64) -> Option<Duration> {
    u64::try_from(seconds)
        .ok()
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs)
}
