//! What gives out stored samples as they are: remote read and federation; and who took part in it.

use bytes::{Buf as _, Bytes};
use model::histogram::{FloatHistogram, Span};
use model::{Labels, Matcher};
use prost::Message as _;
use serde_json::json;
use storeapi::proto::prometheus_copy as prompb;
use storeapi::request::matchers_to_proto;
use storeapi::testsuite::{MemoryStore, xor_chunks};
use storeapi::{Chunk, Payload, Series};

use crate::harness::{Api, NOW_MS, counters, serve_store};

/// Asks for `m` of the last hour.
async fn remote_read(api: &Api, accepted: &[i32], parameters: &str) -> (String, Bytes) {
    let request = prompb::ReadRequest {
        queries: vec![prompb::ReadQuery {
            start_timestamp_ms: NOW_MS - 3_600_000,
            end_timestamp_ms: NOW_MS,
            matchers: matchers_to_proto(&[Matcher::equal("__name__", "m")]),
            hints: None,
        }],
        accepted_response_types: accepted.to_vec(),
    };
    let body = snap::raw::Encoder::new()
        .compress_vec(&request.encode_to_vec())
        .unwrap();
    let url = api.url(&format!("/api/v1/read{parameters}"));
    let response = api.client.post(url).body(body).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    (kind, response.bytes().await.unwrap())
}

fn chunks(mut body: Bytes) -> Vec<prompb::ChunkedSeries> {
    let mut all = Vec::new();
    while body.has_remaining() {
        let len = usize::try_from(prost::encoding::decode_varint(&mut body).unwrap()).unwrap();
        let sum = body.get_u32();
        let message = body.split_to(len);
        assert_eq!(crc32c::crc32c(&message), sum);
        let frame = prompb::ChunkedReadResponse::decode(message).unwrap();
        assert_eq!(frame.query_index, 0);
        all.extend(frame.chunked_series);
    }
    all
}

fn samples(chunks: &[prompb::ReadChunk]) -> Vec<(i64, f64)> {
    let mut columns = chunk::Columns::new();
    for chunk in chunks {
        assert_eq!(chunk.r#type, 1);
        chunk::decode_floats(chunk::Encoding::Xor, &chunk.data, &mut columns).unwrap();
    }
    columns.iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn remote_read_gives_samples_or_chunks_of_one_series_a_replica_set() {
    let (_a, first) = serve_store(counters(&[("replica", "a")], &["p"], 0)).await;
    let (_b, second) = serve_store(counters(&[("replica", "b")], &["p"], 1000)).await;
    let api = Api::over(&[first, second]).await;
    let expected: Vec<(i64, f64)> = (0..240u32)
        .map(|i| (NOW_MS - 3_600_000 + i64::from(i) * 15_000, f64::from(i)))
        .collect();

    let (kind, body) = remote_read(&api, &[], "").await;
    assert_eq!(kind, "application/x-protobuf");
    let body = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
    let response = prompb::ReadResponse::decode(body.as_slice()).unwrap();
    let [result] = response.results.as_slice() else {
        panic!("{response:?}")
    };
    let [series] = result.timeseries.as_slice() else {
        panic!("{result:?}")
    };
    let found: Vec<_> = series
        .samples
        .iter()
        .map(|s| (s.timestamp, s.value))
        .collect();
    assert_eq!(found, expected);
    assert!(series.labels.iter().all(|label| label.name != "replica"));

    let (kind, body) = remote_read(&api, &[1, 0], "").await;
    assert!(
        kind.starts_with("application/x-streamed-protobuf"),
        "{kind}"
    );
    let series = chunks(body);
    assert_eq!(series.len(), 1);
    assert_eq!(samples(&series[0].chunks), expected);
    // Without deduplication both replicas come, their chunks as they are.
    let (_, body) = remote_read(&api, &[1], "?dedup=false").await;
    let series = chunks(body);
    assert_eq!(series.len(), 2);
    assert_eq!(samples(&series[0].chunks), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_not_remote_read_is_refused() {
    let api = Api::over(&[]).await;
    for body in [b"".as_slice(), b"\x04\x0cabcd", b"\xff\xff\xff\xff\x0f"] {
        let url = api.url("/api/v1/read");
        let response = api
            .client
            .post(url)
            .body(body.to_vec())
            .send()
            .await
            .unwrap();
        assert_eq!(response.status().as_u16(), 400, "{body:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn federation_gives_the_latest_sample_that_is_not_stale() {
    let series = |name: &str, samples: &[(i64, f64)]| Series {
        labels: Labels::from_pairs([("__name__", name), ("job", "api")]),
        chunks: xor_chunks(samples),
    };
    let store = MemoryStore::new(
        Labels::from_pairs([("cluster", "eu")]),
        vec![
            series(
                "ended",
                &[(NOW_MS - 20_000, 1.0), (NOW_MS - 5_000, model::stale_nan())],
            ),
            series("m", &[(NOW_MS - 20_000, 1.0), (NOW_MS - 5_000, 2.5)]),
            series("old", &[(NOW_MS - 400_000, 1.0)]),
        ],
    );
    let (_store, address) = serve_store(store).await;
    let api = Api::over(&[address]).await;
    let selectors = [("match[]", "{job=\"api\"}"), ("match[]", "m")];
    let response = api.send("/federate", &selectors).await;
    assert_eq!(response.status().as_u16(), 200);
    let expected = format!(
        "# TYPE m untyped\nm{{cluster=\"eu\",job=\"api\",instance=\"\"}} 2.5 {}\n",
        NOW_MS - 5_000
    );
    assert_eq!(response.text().await.unwrap(), expected);
    let response = api.send("/federate", &[("match[]", "{")]).await;
    assert_eq!(response.status().as_u16(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_which_stores_took_part() {
    let (_eu, eu) = serve_store(counters(&[("cluster", "eu")], &["p", "q"], 0)).await;
    let (_us, us) = serve_store(counters(&[("cluster", "us")], &["p"], 0)).await;
    let api = Api::over(&[eu, us]).await;
    let params = [
        ("query", "sum(m{cluster=\"eu\"}) / sum(m)"),
        ("coverage", "true"),
    ];
    let response = api.send("/api/v1/query", &params).await;
    assert_eq!(
        response.headers()["x-hindsight-coverage"],
        "asked=3, answered=3, failed=0, pruned=1"
    );
    let body: serde_json::Value = response.json().await.unwrap();
    let coverage = &body["data"]["coverage"];
    assert_eq!(coverage["complete"], true);
    let selections = coverage["selections"].as_array().unwrap();
    let of_eu = selections
        .iter()
        .find(|s| s["selector"].as_str().unwrap().contains("eu"))
        .unwrap();
    assert_eq!(of_eu["pruned"], 1);
    let [store] = of_eu["stores"].as_array().unwrap().as_slice() else {
        panic!("{of_eu}")
    };
    assert_eq!(store["name"], eu.to_string());
    assert_eq!(store["labelSets"], json!([{"cluster": "eu"}]));
    assert_eq!(
        (&store["series"], &store["downsampledChunks"]),
        (&json!(2), &json!(0))
    );
    let labels = api.send("/api/v1/labels", &[("match[]", "m")]).await;
    assert_eq!(
        labels.headers()["x-hindsight-coverage"],
        "asked=2, answered=2, failed=0, pruned=0"
    );
    // Not unless asked for: clients check bodies against a schema.
    let (_, body) = api.get("query", &params[..1]).await;
    assert_eq!(body["data"].get("coverage"), None);
}

/// Native histograms of one bucket that count up, every 15 s.
fn histograms(
    external: &[(&str, &str)],
    offset_ms: i64,
    missing: std::ops::Range<i64>,
) -> MemoryStore {
    let mut appender = chunk::histogram::FloatHistogramAppender::new(Default::default());
    let times: Vec<i64> = (0..40)
        .filter(|i| !missing.contains(i))
        .map(|i| NOW_MS - 600_000 + offset_ms + i * 15_000)
        .collect();
    for t in &times {
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let count = (t - (NOW_MS - 600_000)) as f64 / 1000.0;
        let histogram = FloatHistogram {
            count,
            sum: count,
            positive_spans: vec![Span {
                offset: 0,
                length: 1,
            }],
            positive_buckets: vec![count],
            ..FloatHistogram::default()
        };
        appender.append(*t, &histogram).unwrap();
    }
    let payload = Payload {
        encoding: chunk::Encoding::FloatHistogram,
        data: appender.finish().into(),
    };
    let series = Series {
        labels: Labels::from_pairs([("__name__", "h")]),
        chunks: vec![Chunk::raw(times[0], *times.last().unwrap(), payload)],
    };
    MemoryStore::new(Labels::from_pairs(external.iter().copied()), vec![series])
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_of_native_histograms_are_one_series_without_gaps() {
    let (_a, first) = serve_store(histograms(&[("replica", "a")], 0, 15..25)).await;
    let (_b, second) = serve_store(histograms(&[("replica", "b")], 2_000, 0..0)).await;
    let api = Api::over(&[first, second]).await;
    let params = [
        ("query", "h"),
        ("start", "1699999500"),
        ("end", "1699999980"),
        ("step", "60"),
    ];
    let data = api.data("query_range", &params).await;
    let [series] = data["result"].as_array().unwrap().as_slice() else {
        panic!("{data}")
    };
    let counts: Vec<f64> = series["histograms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value[1]["count"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(counts.len(), 9);
    assert!(counts.is_sorted(), "{counts:?}");
    // In a's gap the count goes on growing: b's are taken.
    let longest = counts
        .windows(2)
        .map(|two| two[1] - two[0])
        .fold(0.0, f64::max);
    assert!(longest < 100.0, "{counts:?}");
    // A switch between replicas is no reset: a second counts a second.
    let rate = api.instant("histogram_count(rate(h[9m]))", &[]).await;
    let rate: f64 = rate[0]["value"][1].as_str().unwrap().parse().unwrap();
    assert!((0.9..1.1).contains(&rate), "{rate}");
    // Replicas apart are two.
    let apart = api.instant("count(h)", &[("dedup", "false")]).await;
    assert_eq!(apart[0]["value"][1], "2");
}
