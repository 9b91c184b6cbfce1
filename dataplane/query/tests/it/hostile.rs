//! Stores that lie, expressions that are meant to hurt, callers that go away.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use model::{Labels, TimeRange};
use reqwest::StatusCode;
use serde_json::Value;
use storeapi::testsuite::xor_chunks;
use storeapi::{
    Apis, Chunk, Component, LabelsAnswer, LabelsRequest, Payload, Series, SeriesFrame,
    SeriesRequest, SeriesStore, SeriesStream, StoreError, StoreInfo, async_trait,
};

use crate::harness::{Api, DEADLINE, NOW_MS, Process, counters, serve_store};
use crate::partial::serve_silent;

/// Sends the same series to everybody, whatever was asked for.
struct Liar(Vec<Series>);

#[async_trait]
impl SeriesStore for Liar {
    fn info(&self) -> Arc<StoreInfo> {
        Arc::new(StoreInfo {
            component: Component::Store,
            range: Some(TimeRange::ALL),
            label_sets: vec![Labels::from_pairs([("cluster", "liar")])],
            apis: Apis {
                store: true,
                ..Apis::default()
            },
            supports_sharding: true,
            supports_without_replica_labels: true,
            ..StoreInfo::default()
        })
    }

    async fn series(&self, _: Arc<SeriesRequest>) -> Result<SeriesStream, StoreError> {
        let frames = self
            .0
            .clone()
            .into_iter()
            .map(|s| Ok(SeriesFrame::Series(s)));
        Ok(futures::stream::iter(frames).boxed())
    }

    async fn label_names(&self, _: Arc<LabelsRequest>) -> Result<LabelsAnswer, StoreError> {
        Ok(LabelsAnswer::default())
    }

    async fn label_values(
        &self,
        _: &str,
        _: Arc<LabelsRequest>,
    ) -> Result<LabelsAnswer, StoreError> {
        Ok(LabelsAnswer::default())
    }
}

fn series(pod: &str, chunks: Vec<Chunk>) -> Series {
    let pairs = [
        ("__name__", "m"),
        ("cluster", "liar"),
        ("job", "api"),
        ("pod", pod),
    ];
    Series {
        labels: Labels::from_pairs(pairs),
        chunks,
    }
}

fn samples() -> Vec<Chunk> {
    xor_chunks(&[(NOW_MS - 20_000, 1.0), (NOW_MS - 10_000, 2.0)])
}

fn broken(data: &'static [u8]) -> Vec<Chunk> {
    let payload = Payload {
        encoding: chunk::Encoding::Xor,
        data: Bytes::from_static(data),
    };
    vec![Chunk::raw(NOW_MS - 20_000, NOW_MS, payload)]
}

/// A querier over an honest store of two pods and a liar.
async fn beside_a_liar(lies: Vec<Series>) -> (Api, [Process; 2]) {
    let (honest, first) = serve_store(counters(&[("cluster", "eu")], &["p", "q"], 0)).await;
    let (liar, second) = serve_store(Liar(lies)).await;
    (Api::over(&[first, second]).await, [honest, liar])
}

/// Counts the honest store's series in an answer.
fn honest(body: &Value) -> usize {
    let result = body["data"]["result"].as_array().unwrap();
    let honest = result.iter().filter(|one| one["metric"]["cluster"] == "eu");
    honest.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn series_out_of_order_are_an_error_of_that_store_alone() {
    let (api, _processes) = beside_a_liar(vec![
        series("b", samples()),
        series("a", samples()),
        series("c", samples()),
    ])
    .await;
    let response = api.send("/api/v1/query", &[("query", "m")]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["x-partial-response"], "true");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let body: Value = response.json().await.unwrap();
    assert_eq!(honest(&body), 2);
    assert!(
        body["warnings"][0].as_str().unwrap().contains("order"),
        "{body}"
    );
    let refused = [("query", "m"), ("partial_response", "false")];
    let (status, _) = api.get("query", &refused).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_sent_twice_is_one() {
    let twice = vec![series("a", samples()), series("a", samples())];
    let (api, _processes) = beside_a_liar(twice).await;
    let query = "sum by (cluster) (count_over_time(m{cluster=\"liar\"}[1m]))";
    let found = api.instant(query, &[]).await;
    assert_eq!(found[0]["value"][1], "2", "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_of_other_times_do_not_count() {
    let early = [(NOW_MS - 90_000_000, 1.0), (NOW_MS - 89_000_000, 2.0)];
    // The first says what it holds; the second's header claims the present.
    let mut disguised = xor_chunks(&early);
    disguised[0].max_time = NOW_MS;
    let lies = vec![series("a", xor_chunks(&early)), series("b", disguised)];
    let (api, _processes) = beside_a_liar(lies).await;
    let (status, body) = api
        .get("query", &[("query", "count_over_time(m[5m])")])
        .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["data"]["result"].as_array().unwrap().len(), 2);
    assert_eq!(honest(&body), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_cannot_be_read_is_an_error_that_names_it() {
    for data in [
        b"".as_slice(),
        b"\x00",
        b"\xff\xff\x01",
        b"\x00\x05\x80\x80\x80\x80\x80\x80",
    ] {
        let (api, _processes) = beside_a_liar(vec![series("a", broken(data))]).await;
        let (status, body) = api.get("query", &[("query", "m")]).await;
        let text = body.to_string();
        match status {
            StatusCode::OK => assert_eq!(honest(&body), 2, "{text}"),
            other => {
                assert_eq!(other, StatusCode::UNPROCESSABLE_ENTITY, "{text}");
                assert!(text.contains("chunk of"), "{text}");
            }
        }
        // The others are unharmed.
        let found = api.instant("count(m{cluster=\"eu\"})", &[]).await;
        assert_eq!(found[0]["value"][1], "2");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions_that_are_meant_to_hurt_harm_no_neighbour() {
    let (_store, address) = serve_store(counters(&[("cluster", "eu")], &["p"], 0)).await;
    let api = Api::over(&[address]).await;
    let nested = |open: &str, close: &str| open.repeat(1000) + "m" + &close.repeat(1000);
    let regex = format!("m{{pod=~\"{}\"}}", "(a|b)*c?".repeat(8192));
    for query in [
        nested("(", ")"),
        nested("sum(", ")"),
        nested("-", ""),
        regex,
        "m + ".repeat(5000) + "m",
        format!(
            "label_replace(m, \"x\", \"{}\", \"\", \"\")",
            "y".repeat(100_000)
        ),
        "{__name__=~\".+\"}[30d:1s]".to_owned(),
    ] {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("query", &query)
            .append_pair("time", "1700000000")
            .append_pair("timeout", "1")
            .finish();
        let request = api.client.post(api.url("/api/v1/query"));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let response = request.body(form).send().await.unwrap();
        // How long it took is no matter of a test build; that it ends is, within the client's timeout.
        let status = response.status();
        let shown: String = query.chars().take(40).collect();
        assert!(
            status == StatusCode::OK || status.is_client_error() || status == 503,
            "{shown}: {status}"
        );
        // A neighbour is served.
        assert_eq!(api.instant("count(m)", &[]).await[0]["value"][1], "1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_when_its_caller_goes_away() {
    let (_silent, address): (Process, SocketAddr) = serve_silent().await;
    let api = Api::over(&[address]).await;
    let in_flight = async |expected: &str| {
        let line = format!("thanos_query_concurrent_gate_queries_in_flight {expected}");
        let waiting = async {
            loop {
                let metrics = api.send("/metrics", &[]).await.text().await.unwrap();
                if metrics.lines().any(|found| found == line) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, waiting).await.unwrap();
    };
    let request = api.client.get(api.url("/api/v1/query?query=m"));
    let call = tokio::spawn(async move { request.send().await });
    in_flight("1").await;
    let left = Instant::now();
    call.abort();
    in_flight("0").await;
    let took = left.elapsed();
    // 50 ms are promised; a busy machine is given more before this fails.
    assert!(took < Duration::from_secs(2), "{took:?}");
    let mut out = std::io::stdout().lock();
    use std::io::Write as _;
    // For whoever reads the log.
    let _ = writeln!(out, "given up after {took:?}");
}
