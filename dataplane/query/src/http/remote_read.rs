//! `/api/v1/read`: Prometheus' remote read, as samples in one message or as a stream of chunks.
//!
//! A streamed frame is `uvarint length · crc32c of the message (4 bytes, big endian) ·
//! ChunkedReadResponse`. Chunks travel as they came where a series' raw chunks do not overlap; where
//! they do, replicas are made one first, and the samples encoded again.
//! Source: Prometheus' "Remote Read API" and `storage/remote/chunked.go`.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::RawQuery;
use axum::response::{IntoResponse, Response};
use chunk::{Encoding, XorAppender};
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use model::histogram::FloatHistogram;
use model::{Matcher, TimeRange};
use promql::queryable::{Columns, QueryableError, SelectHints, SelectRequest};
use prost::Message;
use storeapi::proto::prometheus_copy as prompb;
use storeapi::request::matchers_from_proto;
use storeapi::{Chunk, Series};
use tokio::sync::mpsc;

use super::error::ApiError;
use super::form::Form;
use super::{Scope, State};
use crate::grpc::{histogram, labels};
use crate::select::StoreSeriesSet;
use crate::service::{Query, QueryError, When, Work};

/// The most bytes a request may have, uncompressed; Prometheus' own limit.
const MAX_REQUEST_BYTES: usize = 32 << 20;
/// The most samples of an answer that is not streamed; Prometheus' default.
const MAX_SAMPLES: usize = 50_000_000;
/// About how many bytes of chunks a frame has; Prometheus' default.
const FRAME_BYTES: usize = 1 << 20;
/// Frames that wait for a slow reader.
const FRAMES_AHEAD: usize = 4;
/// Samples a chunk that is encoded here, as Prometheus cuts them.
const SAMPLES_A_CHUNK: usize = 120;

/// One query of a request.
struct Wanted {
    matchers: Vec<Matcher>,
    range: TimeRange,
    hints: SelectHints,
}

pub(super) async fn read(
    api: State,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let form = Form::decode(query.as_deref().unwrap_or_default(), b"");
    let plain = |status: StatusCode, text: String| (status, text + "\n").into_response();
    let (request, scope) = match decode(&body).and_then(|request| {
        let scope = Scope::decode(&api, &form, &headers).map_err(|error| error.to_string())?;
        Ok((request, scope))
    }) {
        Ok(decoded) => decoded,
        Err(text) => return plain(StatusCode::BAD_REQUEST, text),
    };
    let wanted = match wanted(&request) {
        Ok(wanted) => wanted,
        Err(text) => return plain(StatusCode::BAD_REQUEST, text),
    };
    let streamed = i32::from(prompb::read_request::ResponseType::StreamedXorChunks);
    let samples = i32::from(prompb::read_request::ResponseType::Samples);
    let known = request
        .accepted_response_types
        .iter()
        .find(|kind| [streamed, samples].contains(*kind));
    let query = Query::over(scope, When::Instant { ts: 0 });
    if known.copied() == Some(streamed) {
        return stream(&api, query, wanted);
    }
    if known.is_none() && !request.accepted_response_types.is_empty() {
        let text = "server does not support any of the requested response types";
        return plain(StatusCode::BAD_REQUEST, text.to_owned());
    }
    let answer = api
        .service
        .perform(&query, move |work| read_samples(work, &wanted));
    match answer.await {
        Ok(body) => {
            let mut response = body.into_response();
            let headers = response.headers_mut();
            let kind = HeaderValue::from_static("application/x-protobuf");
            headers.insert(header::CONTENT_TYPE, kind);
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("snappy"));
            response
        }
        Err(error) => {
            let error = ApiError::from(error);
            plain(error.kind.status(), error.to_string())
        }
    }
}

fn decode(body: &[u8]) -> Result<prompb::ReadRequest, String> {
    let len = snap::raw::decompress_len(body).map_err(|error| error.to_string())?;
    if len > MAX_REQUEST_BYTES {
        return Err(format!(
            "snappy: decoded length {len} exceeds limit {MAX_REQUEST_BYTES}"
        ));
    }
    let message = snap::raw::Decoder::new()
        .decompress_vec(body)
        .map_err(|error| error.to_string())?;
    prompb::ReadRequest::decode(message.as_slice()).map_err(|error| error.to_string())
}

fn wanted(request: &prompb::ReadRequest) -> Result<Vec<Wanted>, String> {
    let one = |query: &prompb::ReadQuery| {
        let hints = query.hints.clone().unwrap_or_default();
        Ok(Wanted {
            matchers: matchers_from_proto(&query.matchers).map_err(|error| error.to_string())?,
            range: TimeRange::new(query.start_timestamp_ms, query.end_timestamp_ms),
            hints: SelectHints {
                step_ms: hints.step_ms,
                range_ms: hints.range_ms,
                // Without it nothing is read as an aggregate: the caller expects samples.
                func: None,
                grouping: hints.grouping,
                by: hints.by,
                limit: 0,
            },
        })
    };
    request.queries.iter().map(one).collect()
}

fn open(work: &Work, wanted: &Wanted) -> Result<StoreSeriesSet, QueryError> {
    let request = SelectRequest {
        matchers: &wanted.matchers,
        range: wanted.range,
        hints: wanted.hints.clone(),
    };
    Ok(work.selection.open(&request, &work.context)?)
}

fn read_samples(work: &Work, wanted: &[Wanted]) -> Result<Vec<u8>, QueryError> {
    let mut response = prompb::ReadResponse::default();
    let mut total = 0;
    for wanted in wanted {
        let mut set = open(work, wanted)?;
        let mut result = prompb::QueryResult::default();
        while let Some(series) = set.next_encoded()? {
            let mut timeseries = prompb::TimeSeries {
                labels: labels(&series.labels),
                ..prompb::TimeSeries::default()
            };
            let columns = columns(&set, series)?;
            let floats = columns.ts.iter().zip(&columns.floats);
            for (timestamp, value) in floats.filter(|(ts, _)| wanted.range.contains(**ts)) {
                timeseries.samples.push(prompb::Sample {
                    value: *value,
                    timestamp: *timestamp,
                });
            }
            let histograms = columns.histogram_ts.iter().zip(&columns.histograms);
            for (ts, value) in histograms.filter(|(ts, _)| wanted.range.contains(**ts)) {
                timeseries.histograms.push(histogram(*ts, value));
            }
            total += timeseries.samples.len() + timeseries.histograms.len();
            if total > MAX_SAMPLES {
                return Err(limit(format!("exceeded sample limit ({MAX_SAMPLES})")));
            }
            result.timeseries.push(timeseries);
        }
        response.results.push(result);
    }
    snap::raw::Encoder::new()
        .compress_vec(&response.encode_to_vec())
        .map_err(|error| limit(error.to_string()))
}

fn limit(text: String) -> QueryError {
    QueryError::Storage(QueryableError::Storage(text))
}

fn columns(set: &StoreSeriesSet, series: Series) -> Result<Columns, QueryError> {
    let mut data = set.decode(series)?;
    let mut columns = Columns::default();
    while data.next_batch(&mut columns)? {}
    Ok(columns)
}

/// A body under way: frames as they come, the work behind them, and how it ended.
struct Frames {
    receiver: mpsc::Receiver<Bytes>,
    work: Option<BoxFuture<'static, Result<(), QueryError>>>,
    failed: Option<QueryError>,
}

impl Frames {
    async fn next(&mut self) -> Option<Result<Bytes, QueryError>> {
        loop {
            let Some(work) = &mut self.work else {
                // What was sent before the end is still in the channel.
                return match self.receiver.recv().await {
                    Some(frame) => Some(Ok(frame)),
                    None => self.failed.take().map(Err),
                };
            };
            tokio::select! {
                Some(frame) = self.receiver.recv() => return Some(Ok(frame)),
                ended = work => {
                    self.work = None;
                    self.failed = ended.err();
                }
            }
        }
    }
}

fn stream(api: &State, query: Query, wanted: Vec<Wanted>) -> Response {
    let (sender, receiver) = mpsc::channel(FRAMES_AHEAD);
    let service = Arc::clone(&api.service);
    let work = async move {
        service
            .perform(&query, move |work| {
                for (index, wanted) in (0i64..).zip(&wanted) {
                    send_chunks(work, wanted, index, &sender)?;
                }
                Ok(())
            })
            .await
    };
    let frames = Frames {
        receiver,
        work: Some(Box::pin(work)),
        failed: None,
    };
    let body = futures::stream::unfold(frames, async |mut frames| {
        let next = frames.next().await?;
        Some((next, frames))
    });
    let mut response = Body::from_stream(body).into_response();
    let kind = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn send_chunks(
    work: &Work,
    wanted: &Wanted,
    query_index: i64,
    sender: &mpsc::Sender<Bytes>,
) -> Result<(), QueryError> {
    let mut set = open(work, wanted)?;
    while let Some(mut series) = set.next_encoded()? {
        let labels = labels(&series.labels);
        let of_range = |c: &Chunk| {
            wanted
                .range
                .overlaps(&TimeRange::new(c.min_time, c.max_time))
        };
        series.chunks.retain(of_range);
        let is_plain = series.chunks.iter().all(|chunk| chunk.raw.is_some())
            && series.chunks.is_sorted_by(|a, b| a.max_time < b.min_time);
        let chunks = if is_plain {
            series.chunks.iter().filter_map(as_it_came).collect()
        } else {
            encode(&columns(&set, series)?)
        };
        let mut chunks = chunks.into_iter().peekable();
        while chunks.peek().is_some() {
            let mut bytes = 0;
            let mut some = Vec::new();
            while bytes < FRAME_BYTES
                && let Some(chunk) = chunks.next()
            {
                bytes += chunk.data.len();
                some.push(chunk);
            }
            let frame = frame(&prompb::ChunkedReadResponse {
                chunked_series: vec![prompb::ChunkedSeries {
                    labels: labels.clone(),
                    chunks: some,
                }],
                query_index,
            });
            if sender.blocking_send(frame).is_err() {
                return Err(QueryError::Storage(QueryableError::Canceled));
            }
        }
    }
    Ok(())
}

fn frame(message: &prompb::ChunkedReadResponse) -> Bytes {
    let message = message.encode_to_vec();
    let mut out = Vec::with_capacity(message.len() + 16);
    prost::encoding::encode_varint(message.len() as u64, &mut out);
    out.extend_from_slice(&crc32c::crc32c(&message).to_be_bytes());
    out.extend_from_slice(&message);
    out.into()
}

fn as_it_came(chunk: &Chunk) -> Option<prompb::ReadChunk> {
    use prompb::read_chunk::Encoding as Wire;
    let raw = chunk.raw.as_ref()?;
    let kind = match raw.encoding {
        Encoding::Xor => Wire::Xor,
        Encoding::Histogram => Wire::Histogram,
        Encoding::FloatHistogram => Wire::FloatHistogram,
        // Readers of this protocol know no others.
        _ => return None,
    };
    Some(prompb::ReadChunk {
        min_time_ms: chunk.min_time,
        max_time_ms: chunk.max_time,
        r#type: kind.into(),
        data: raw.data.clone(),
    })
}

/// Returns new chunks of the samples, in order of time.
fn encode(columns: &Columns) -> Vec<prompb::ReadChunk> {
    use prompb::read_chunk::Encoding as Wire;
    let mut chunks = Vec::new();
    let floats: Vec<(i64, f64)> = columns
        .ts
        .iter()
        .copied()
        .zip(columns.floats.iter().copied())
        .collect();
    for samples in floats.chunks(SAMPLES_A_CHUNK) {
        let mut xor = XorAppender::new();
        for (ts, value) in samples {
            xor.append(*ts, *value);
        }
        chunks.push(prompb::ReadChunk {
            min_time_ms: samples.first().map_or(0, |(ts, _)| *ts),
            max_time_ms: samples.last().map_or(0, |(ts, _)| *ts),
            r#type: Wire::Xor.into(),
            data: xor.finish().into(),
        });
    }
    let histograms: Vec<(i64, &FloatHistogram)> = columns
        .histogram_ts
        .iter()
        .copied()
        .zip(columns.histograms.iter().map(Arc::as_ref))
        .collect();
    chunks.extend(encode_histograms(&histograms));
    chunks.sort_by_key(|chunk| chunk.min_time_ms);
    chunks
}

/// A new chunk where a histogram does not fit the layout of the one before.
fn encode_histograms(samples: &[(i64, &FloatHistogram)]) -> Vec<prompb::ReadChunk> {
    use chunk::histogram::{CounterResetHeader, FloatHistogramAppender};
    use prompb::read_chunk::Encoding as Wire;
    let start = |histogram: &FloatHistogram| {
        use model::histogram::CounterResetHint;
        FloatHistogramAppender::new(match histogram.counter_reset_hint {
            CounterResetHint::Gauge => CounterResetHeader::Gauge,
            CounterResetHint::Reset => CounterResetHeader::Reset,
            CounterResetHint::NotReset => CounterResetHeader::NotReset,
            CounterResetHint::Unknown => CounterResetHeader::Unknown,
        })
    };
    let mut chunks = Vec::new();
    let mut rest = samples;
    while let Some((first, histogram)) = rest.first() {
        let mut appender = start(histogram);
        let mut taken = 0;
        for (ts, histogram) in rest.iter().take(SAMPLES_A_CHUNK) {
            if appender.append(*ts, histogram).is_err() {
                break;
            }
            taken += 1;
        }
        if taken == 0 {
            // It fits no chunk at all: nothing that was stored is like that.
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        let last = rest.get(taken - 1).map_or(*first, |(ts, _)| *ts);
        chunks.push(prompb::ReadChunk {
            min_time_ms: *first,
            max_time_ms: last,
            r#type: Wire::FloatHistogram.into(),
            data: appender.finish().into(),
        });
        rest = rest.get(taken..).unwrap_or_default();
    }
    chunks
}
