//! Instant and range queries.

use serde_json::{Value, json};

use crate::harness::{Api, NOW_MS, config, counters, seconds, serve_store};

const NOW: i64 = NOW_MS / 1000;

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_prometheus_shape() {
    let (_store, address) = serve_store(counters(&[("cluster", "eu")], &["a"], 0)).await;
    let api = Api::over(&[address]).await;
    let metric = json!({"__name__": "m", "cluster": "eu", "job": "api", "pod": "a"});

    let data = api
        .data("query", &[("query", "m"), ("time", &NOW.to_string())])
        .await;
    assert_eq!(
        data,
        json!({"resultType": "vector", "result": [{"metric": metric, "value": [NOW, "239"]}]})
    );
    let data = api.data("query", &[("query", "m[30s]")]).await;
    assert_eq!(
        data,
        json!({"resultType": "matrix", "result": [
            {"metric": metric, "values": [[NOW - 15, "239"]]}
        ]})
    );
    let data = api.data("query", &[("query", "1 / 0")]).await;
    assert_eq!(
        data,
        json!({"resultType": "scalar", "result": [NOW, "+Inf"]})
    );
    let data = api.data("query", &[("query", "'text'")]).await;
    assert_eq!(
        data,
        json!({"resultType": "string", "result": [NOW, "text"]})
    );

    let (start, end) = (seconds(NOW_MS - 120_000), seconds(NOW_MS - 60_000));
    let range = [
        ("query", "increase(m[1m])"),
        ("start", start.as_str()),
        ("end", end.as_str()),
        ("step", "30s"),
    ];
    let data = api.data("query_range", &range).await;
    let expected = json!({"resultType": "matrix", "result": [{
        "metric": {"cluster": "eu", "job": "api", "pod": "a"},
        "values": [[NOW - 120, "4"], [NOW - 90, "4"], [NOW - 60, "4"]],
    }]});
    assert_eq!(data, expected);

    let posted = api
        .client
        .post(api.url("/api/v1/query_range"))
        .form(&range)
        .send()
        .await
        .unwrap();
    let posted: Value = posted.json().await.unwrap();
    assert_eq!(posted["data"], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_one_series_unless_asked_otherwise() {
    // The second replica scrapes 5 s later and misses the first ten minutes.
    let one = counters(&[("cluster", "eu"), ("replica", "0")], &["a"], 0);
    let two = counters(&[("cluster", "eu"), ("replica", "1")], &["a"], 5_000);
    let (_one, first) = serve_store(one).await;
    let (_two, second) = serve_store(two).await;
    let api = Api::over(&[first, second]).await;

    let merged = json!({"cluster": "eu", "job": "api", "pod": "a", "__name__": "m"});
    let result = api.instant("m", &[]).await;
    assert_eq!(result[0]["metric"], merged);
    assert_eq!(result.as_array().unwrap().len(), 1);
    // One replica's samples, not both in turn.
    let samples = api.instant("count_over_time(m[10m])", &[]).await;
    assert_eq!(samples[0]["value"][1], "40");

    let result = api.instant("m", &[("dedup", "false")]).await;
    assert_eq!(result.as_array().unwrap().len(), 2);
    assert_eq!(result[1]["metric"]["replica"], "1");
    let result = api.instant("m", &[("replicaLabels[]", "cluster")]).await;
    assert_eq!(result.as_array().unwrap().len(), 2);
    assert_eq!(result[0]["metric"].get("cluster"), None);
    let result = api
        .instant("m", &[("storeMatch[]", "{replica=\"1\"}"), ("dedup", "0")])
        .await;
    assert_eq!(result.as_array().unwrap().len(), 1);
    let only_first = format!("{{__address__=\"{first}\"}}");
    let result = api
        .instant("m", &[("storeMatch[]", &only_first), ("dedup", "0")])
        .await;
    assert_eq!(result[0]["metric"]["replica"], "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_of_equal_series_in_two_stores_are_joined() {
    let (_one, first) = serve_store(counters(&[("cluster", "eu")], &["a", "b"], 0)).await;
    let (_two, second) = serve_store(counters(&[("cluster", "eu")], &["b", "c"], 0)).await;
    let api = Api::over(&[first, second]).await;
    let result = api
        .instant("sum by (pod) (count_over_time(m[1h]))", &[])
        .await;
    let counts: Vec<_> = result
        .as_array()
        .unwrap()
        .iter()
        .map(|sample| {
            (
                sample["metric"]["pod"].as_str().unwrap(),
                sample["value"][1].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(counts, [("a", "239"), ("b", "239"), ("c", "239")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn limit_statistics_and_compression_are_honoured() {
    let pods: Vec<String> = (0..300).map(|i| format!("pod-{i:03}")).collect();
    let pods: Vec<&str> = pods.iter().map(String::as_str).collect();
    let (_store, address) = serve_store(counters(&[], &pods, 0)).await;
    let api = Api::over(&[address]).await;

    let (_, body) = api
        .get(
            "query",
            &[("query", "m"), ("limit", "2"), ("stats", "true")],
        )
        .await;
    assert_eq!(body["data"]["result"].as_array().unwrap().len(), 2);
    assert_eq!(body["warnings"], json!(["results truncated due to limit"]));
    assert!(
        body["data"]["stats"]["samples"]["totalQueryableSamples"]
            .as_u64()
            .unwrap()
            >= 300
    );
    assert!(
        body["data"]["stats"]["timings"]["execTotalTime"]
            .as_f64()
            .unwrap()
            > 0.0
    );
    let (_, body) = api.get("query", &[("query", "m")]).await;
    assert_eq!(body["data"]["result"].as_array().unwrap().len(), 300);
    assert_eq!(
        (body.get("warnings"), body["data"].get("stats")),
        (None, None)
    );

    for encoding in ["gzip", "zstd"] {
        let request = api
            .client
            .get(api.url("/api/v1/query"))
            .query(&[("query", "m")]);
        let response = request
            .header("accept-encoding", encoding)
            .send()
            .await
            .unwrap();
        assert_eq!(response.headers()["content-encoding"], encoding);
        assert!(response.bytes().await.unwrap().len() < 10_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_over_its_memory_fails_with_the_selector() {
    let (_store, address) = serve_store(counters(&[], &["a"], 0)).await;
    let mut config = config();
    config.engine.memory_limit_bytes = 64;
    let api = Api::start(config, &[address]).await;
    let (status, body) = api.get("query", &[("query", "sum(m{pod=\"a\"})")]).await;
    assert_eq!(
        (status.as_u16(), &body["errorType"]),
        (422, &"execution".into())
    );
    assert!(
        body["error"].as_str().unwrap().contains("pod=\"a\""),
        "{body}"
    );
}
