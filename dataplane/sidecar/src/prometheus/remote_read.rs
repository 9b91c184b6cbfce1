//! Prometheus' remote read protocol, the streamed form: chunks pass from Prometheus' blocks and head
//! to the wire undecoded. A Prometheus without it answers with samples, which become XOR chunks.
//!
//! Frame: `uvarint length · crc32c of the message (4 bytes, big endian) · ChunkedReadResponse`.
//! Source: Prometheus' "Remote Read API" and `storage/remote/chunked.go`.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use model::{Labels, MatchOp, Matcher, TimeRange};
use prost::Message;
use reqwest::{Method, Response};

use super::{Prometheus, PrometheusError};

const PATH: &str = "/api/v1/read";
/// The most bytes one frame may declare: Prometheus' own default is 50 MB.
const MAX_FRAME_BYTES: usize = 64 << 20;
/// The most bytes of an answer with samples, which cannot be streamed.
const MAX_SAMPLES_BYTES: usize = 512 << 20;

mod wire {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ReadRequest {
        #[prost(message, repeated, tag = "1")]
        pub(super) queries: Vec<Query>,
        /// 0 samples, 1 streamed chunks; in order of preference.
        #[prost(int32, repeated, tag = "2")]
        pub(super) accepted_response_types: Vec<i32>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Query {
        #[prost(int64, tag = "1")]
        pub(super) start_timestamp_ms: i64,
        #[prost(int64, tag = "2")]
        pub(super) end_timestamp_ms: i64,
        #[prost(message, repeated, tag = "3")]
        pub(super) matchers: Vec<LabelMatcher>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct LabelMatcher {
        /// 0 `=`, 1 `!=`, 2 `=~`, 3 `!~`.
        #[prost(int32, tag = "1")]
        pub(super) op: i32,
        #[prost(string, tag = "2")]
        pub(super) name: String,
        #[prost(string, tag = "3")]
        pub(super) value: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Label {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(string, tag = "2")]
        pub(super) value: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ChunkedReadResponse {
        #[prost(message, repeated, tag = "1")]
        pub(super) chunked_series: Vec<ChunkedSeries>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ChunkedSeries {
        #[prost(message, repeated, tag = "1")]
        pub(super) labels: Vec<Label>,
        #[prost(message, repeated, tag = "2")]
        pub(super) chunks: Vec<Chunk>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Chunk {
        #[prost(int64, tag = "1")]
        pub(super) min_time_ms: i64,
        #[prost(int64, tag = "2")]
        pub(super) max_time_ms: i64,
        /// 1 XOR, 2 histogram, 3 float histogram: the encodings of the TSDB.
        #[prost(int32, tag = "3")]
        pub(super) encoding: i32,
        #[prost(bytes = "bytes", tag = "4")]
        pub(super) data: bytes::Bytes,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct ReadResponse {
        #[prost(message, repeated, tag = "1")]
        pub(super) results: Vec<QueryResult>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct QueryResult {
        #[prost(message, repeated, tag = "1")]
        pub(super) timeseries: Vec<TimeSeries>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct TimeSeries {
        #[prost(message, repeated, tag = "1")]
        pub(super) labels: Vec<Label>,
        #[prost(message, repeated, tag = "2")]
        pub(super) samples: Vec<Sample>,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(super) struct Sample {
        #[prost(double, tag = "1")]
        pub(super) value: f64,
        #[prost(int64, tag = "2")]
        pub(super) timestamp: i64,
    }
}

/// One chunk as it lies in the TSDB.
#[derive(Debug, Clone)]
pub struct ReadChunk {
    pub range: TimeRange,
    /// The TSDB's encoding byte: 1 XOR, 2 histogram, 3 float histogram.
    pub encoding: u8,
    /// Sample count and stream, without encoding byte and checksum.
    pub data: Bytes,
}

/// One series, or a part of one: a long series comes in several frames, one after the other.
#[derive(Debug, Clone)]
pub struct ReadSeries {
    pub labels: Labels,
    pub chunks: Vec<ReadChunk>,
}

/// The answer to one remote read.
#[derive(Debug)]
pub enum ReadStream {
    /// Frames as they come.
    Chunks(ChunkStream),
    /// Everything at once, from a Prometheus that does not stream.
    Samples(VecDeque<ReadSeries>),
}

impl ReadStream {
    /// Returns the next series in label order, or nothing at the end.
    ///
    /// # Errors
    /// A connection that breaks, or a frame that is not what the protocol says.
    pub async fn next(&mut self) -> Result<Option<ReadSeries>, PrometheusError> {
        match self {
            Self::Chunks(stream) => stream.next().await,
            Self::Samples(series) => Ok(series.pop_front()),
        }
    }
}

/// Reads frames off a response body.
#[derive(Debug)]
pub struct ChunkStream {
    response: Response,
    buffer: BytesMut,
    ready: VecDeque<ReadSeries>,
    url: String,
}

impl ChunkStream {
    async fn next(&mut self) -> Result<Option<ReadSeries>, PrometheusError> {
        loop {
            if let Some(series) = self.ready.pop_front() {
                return Ok(Some(series));
            }
            if let Some(frame) = take_frame(&mut self.buffer)? {
                self.ready = decode_chunks(frame)?.into();
                continue;
            }
            let part =
                self.response
                    .chunk()
                    .await
                    .map_err(|source| PrometheusError::Unreachable {
                        url: self.url.clone(),
                        source: source.without_url(),
                    })?;
            match part {
                Some(part) => self.buffer.extend_from_slice(&part),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(unexpected("the stream ends inside a frame")),
            }
        }
    }
}

impl Prometheus {
    /// Reads the series that match, with the chunks that touch `range`.
    ///
    /// # Errors
    /// No answer, Prometheus' refusal, or an answer of an unknown type.
    pub async fn remote_read(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<ReadStream, PrometheusError> {
        let request = wire::ReadRequest {
            queries: vec![wire::Query {
                start_timestamp_ms: range.start,
                end_timestamp_ms: range.end,
                matchers: matchers.iter().map(to_wire).collect(),
            }],
            accepted_response_types: vec![1, 0],
        };
        let body = snap::raw::Encoder::new()
            .compress_vec(&request.encode_to_vec())
            .map_err(|err| unexpected(&format!("cannot compress the request: {err}")))?;
        let headers = [
            ("Content-Type", "application/x-protobuf"),
            ("Content-Encoding", "snappy"),
            ("X-Prometheus-Remote-Read-Version", "0.1.0"),
        ];
        let response = self.send(Method::POST, PATH, &headers, Some(body)).await?;
        let kind = response
            .headers()
            .get("content-type")
            .and_then(|v| v.to_str().ok());
        if kind.is_some_and(|kind| kind.starts_with("application/x-streamed-protobuf")) {
            return Ok(ReadStream::Chunks(ChunkStream {
                response,
                buffer: BytesMut::new(),
                ready: VecDeque::new(),
                url: self.base.to_string(),
            }));
        }
        if kind.is_some_and(|kind| kind.starts_with("application/x-protobuf")) {
            let body = self.body(PATH, response).await?;
            return decode_samples(&body).map(|series| ReadStream::Samples(series.into()));
        }
        Err(unexpected(&format!(
            "content type {:?}",
            kind.unwrap_or_default()
        )))
    }
}

fn unexpected(what: &str) -> PrometheusError {
    PrometheusError::Unexpected {
        path: PATH,
        what: what.to_owned(),
    }
}

fn to_wire(matcher: &Matcher) -> wire::LabelMatcher {
    let op = match matcher.op {
        MatchOp::Equal => 0,
        MatchOp::NotEqual => 1,
        MatchOp::Regex => 2,
        MatchOp::NotRegex => 3,
    };
    wire::LabelMatcher {
        op,
        name: matcher.name.clone(),
        value: matcher.value.clone(),
    }
}

/// Takes one whole frame off `buffer` and checks its sum; nothing while more bytes are needed.
fn take_frame(buffer: &mut BytesMut) -> Result<Option<Bytes>, PrometheusError> {
    let mut length = 0usize;
    let mut header = 0;
    loop {
        let Some(byte) = buffer.get(header) else {
            return Ok(None);
        };
        if header >= 5 {
            return Err(unexpected("a frame whose length is no varint"));
        }
        length |= usize::from(byte & 0x7f) << (7 * header);
        header += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    if length > MAX_FRAME_BYTES {
        return Err(unexpected(&format!("a frame of {length} bytes")));
    }
    if buffer.len() < header + 4 + length {
        return Ok(None);
    }
    buffer.advance(header);
    let sum = buffer.get_u32();
    let message = buffer.split_to(length).freeze();
    if crc32c::crc32c(&message) != sum {
        return Err(unexpected("a frame whose checksum does not match"));
    }
    Ok(Some(message))
}

fn decode_chunks(frame: Bytes) -> Result<Vec<ReadSeries>, PrometheusError> {
    let response = wire::ChunkedReadResponse::decode(frame)
        .map_err(|err| unexpected(&format!("a frame that is no message: {err}")))?;
    response
        .chunked_series
        .into_iter()
        .map(|series| {
            let chunks = series.chunks.into_iter().map(|chunk| {
                let encoding = u8::try_from(chunk.encoding)
                    .map_err(|_| unexpected(&format!("chunk encoding {}", chunk.encoding)))?;
                let range = TimeRange::new(chunk.min_time_ms, chunk.max_time_ms);
                Ok(ReadChunk {
                    range,
                    encoding,
                    data: chunk.data,
                })
            });
            Ok(ReadSeries {
                labels: labels(series.labels),
                chunks: chunks.collect::<Result<_, PrometheusError>>()?,
            })
        })
        .collect()
}

fn labels(labels: Vec<wire::Label>) -> Labels {
    Labels::from_pairs(labels.into_iter().map(|label| (label.name, label.value)))
}

/// Decodes an answer with samples and cuts them into XOR chunks.
fn decode_samples(body: &[u8]) -> Result<Vec<ReadSeries>, PrometheusError> {
    let declared = snap::raw::decompress_len(body)
        .map_err(|err| unexpected(&format!("no snappy block: {err}")))?;
    if declared > MAX_SAMPLES_BYTES {
        return Err(unexpected(&format!("an answer of {declared} bytes")));
    }
    let message = snap::raw::Decoder::new()
        .decompress_vec(body)
        .map_err(|err| unexpected(&format!("no snappy block: {err}")))?;
    let response = wire::ReadResponse::decode(message.as_slice())
        .map_err(|err| unexpected(&format!("no ReadResponse: {err}")))?;
    let series = response
        .results
        .into_iter()
        .flat_map(|result| result.timeseries);
    Ok(series
        .map(|series| {
            let samples: Vec<(i64, f64)> = series
                .samples
                .iter()
                .map(|s| (s.timestamp, s.value))
                .collect();
            ReadSeries {
                labels: labels(series.labels),
                chunks: encode(&samples),
            }
        })
        .collect())
}

/// Cuts samples into XOR chunks of the size that Prometheus cuts.
fn encode(samples: &[(i64, f64)]) -> Vec<ReadChunk> {
    const SAMPLES_PER_CHUNK: usize = 120;
    samples
        .chunks(SAMPLES_PER_CHUNK)
        .filter_map(|part| {
            let range = TimeRange::new(part.first()?.0, part.last()?.0);
            let mut appender = chunk::XorAppender::new();
            for (timestamp, value) in part {
                appender.append(*timestamp, *value);
            }
            Some(ReadChunk {
                range,
                encoding: 1,
                data: appender.finish().into(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut length = message.len();
        while length >= 0x80 {
            out.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend(crc32c::crc32c(message).to_be_bytes());
        out.extend(message);
        out
    }

    fn response() -> wire::ChunkedReadResponse {
        wire::ChunkedReadResponse {
            chunked_series: vec![wire::ChunkedSeries {
                labels: vec![wire::Label {
                    name: "a".into(),
                    value: "1".into(),
                }],
                chunks: vec![wire::Chunk {
                    min_time_ms: 5,
                    max_time_ms: 9,
                    encoding: 1,
                    data: Bytes::from_static(&[0, 1, 2]),
                }],
            }],
        }
    }

    #[test]
    fn frames_come_out_whole_whatever_the_cuts() {
        let message = response().encode_to_vec();
        let wire = frame(&message);
        let mut buffer = BytesMut::new();
        for (i, byte) in wire.iter().enumerate() {
            assert!(
                take_frame(&mut buffer).unwrap().is_none(),
                "after {i} bytes"
            );
            buffer.extend_from_slice(&[*byte]);
        }
        let series = decode_chunks(take_frame(&mut buffer).unwrap().unwrap()).unwrap();
        assert_eq!(series[0].labels.to_string(), r#"{a="1"}"#);
        assert_eq!(series[0].chunks[0].range, TimeRange::new(5, 9));
        assert!(buffer.is_empty());
    }

    #[test]
    fn flipped_bytes_and_huge_lengths_are_refused() {
        let mut wire = frame(&response().encode_to_vec());
        *wire.last_mut().unwrap() ^= 1;
        let err = take_frame(&mut BytesMut::from(wire.as_slice())).unwrap_err();
        assert!(err.to_string().contains("checksum"), "{err}");
        let huge = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0];
        let err = take_frame(&mut BytesMut::from(huge.as_slice())).unwrap_err();
        assert!(err.to_string().contains("bytes"), "{err}");
    }

    #[test]
    fn samples_become_chunks_of_the_usual_size() {
        let samples: Vec<(i64, f64)> = (0..250).map(|i| (i * 1_000, i as f64)).collect();
        let chunks = encode(&samples);
        assert_eq!(chunks.len(), 3);
        assert_eq!(chunks[1].range, TimeRange::new(120_000, 239_000));
    }
}
