//! What explains: why, explain, analyze, the document of the API.

use model::Labels;
use reqwest::StatusCode;
use serde_json::{Value, json};
use storeapi::Series;
use storeapi::testsuite::{MemoryStore, xor_chunks};

use crate::harness::{Api, NOW_MS, counters, seconds, serve_store};

fn outcome_of<'a>(why: &'a Value, name: &str) -> &'a Value {
    why["stores"]
        .as_array()
        .unwrap()
        .iter()
        .find(|store| store["name"] == name)
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn why_says_who_has_what_and_who_cannot() {
    let (_a, first) =
        serve_store(counters(&[("cluster", "eu"), ("replica", "a")], &["p"], 0)).await;
    let (_b, second) =
        serve_store(counters(&[("cluster", "eu"), ("replica", "b")], &["p"], 0)).await;
    let (_c, other) = serve_store(counters(&[("cluster", "us")], &["p"], 0)).await;
    let api = Api::over(&[first, second, other]).await;
    let why = api.data("why", &[("match[]", "m{cluster=\"eu\"}")]).await;
    assert_eq!(
        why["verdict"], "found in 2 of 3 stores, from 2 replicas",
        "{why}"
    );
    let store = outcome_of(&why, &first.to_string());
    assert_eq!(store["outcome"], "has");
    assert_eq!(
        store["series"][0],
        json!({
            "labels": {"__name__": "m", "cluster": "eu", "job": "api", "pod": "p"},
            "replica": {"replica": "a"}, "lastSample": "2023-11-14T22:13:05Z", "stale": false,
            "value": "239",
        })
    );
    let store = outcome_of(&why, &other.to_string());
    assert_eq!(store["outcome"], "pruned");
    assert_eq!(
        store["reason"],
        "its external labels contradict the selector"
    );

    let early = seconds(NOW_MS - 86_400_000);
    let why = api.data("why", &[("match[]", "m"), ("time", &early)]).await;
    assert_eq!(
        why["verdict"],
        "no store can have it: see the reason of each"
    );
    assert_eq!(why["stores"][0]["reason"], "it has nothing of that time");

    let why = api.data("why", &[("match[]", "absent")]).await;
    let verdict = why["verdict"].as_str().unwrap();
    assert!(verdict.contains("is it scraped at all?"), "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn why_knows_series_that_ended_and_gaps() {
    let series = |name: &str, samples: &[(i64, f64)]| Series {
        labels: Labels::from_pairs([("__name__", name)]),
        chunks: xor_chunks(samples),
    };
    let (_store, address) = serve_store(MemoryStore::new(
        Labels::from_pairs([("cluster", "eu")]),
        vec![
            series(
                "ended",
                &[(NOW_MS - 9_000, 1.0), (NOW_MS - 5_000, model::stale_nan())],
            ),
            series("gap", &[(NOW_MS - 900_000, 1.0), (NOW_MS + 900_000, 1.0)]),
        ],
    ))
    .await;
    let api = Api::over(&[address]).await;
    let why = api.data("why", &[("match[]", "ended")]).await;
    assert_eq!(why["stores"][0]["outcome"], "stale", "{why}");
    assert_eq!(why["stores"][0]["series"][0]["stale"], true);
    let why = api.data("why", &[("match[]", "gap")]).await;
    assert_eq!(why["stores"][0]["outcome"], "otherTimes", "{why}");
    let (status, body) = api.get("why", &[("match[]", "{")]).await;
    assert_eq!(
        (status, &body["errorType"]),
        (StatusCode::BAD_REQUEST, &json!("bad_data"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_explained_and_analysed_as_a_tree() {
    let (_store, address) = serve_store(counters(&[("cluster", "eu")], &["p", "q"], 0)).await;
    let api = Api::over(&[address]).await;
    let query = ("query", "sum by (pod) (rate(m[5m])) / 2");
    let tree = api.data("query_explain", &[query]).await;
    let expected = json!({
        "name": "[binary] /",
        "children": [
            {"name": "[aggregate] sum by (pod)", "children": [
                {"name": "[function] rate", "children": [{"name": "[matrixSelector] m[5m]"}]},
            ]},
            {"name": "[literal] 2"},
        ],
    });
    assert_eq!(tree, expected);
    let range = [query, ("start", "0"), ("end", "60"), ("step", "15")];
    assert_eq!(api.data("query_range_explain", &range).await, expected);
    let (status, _) = api.get("query_range_explain", &[query]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);

    let data = api.data("query", &[query, ("analyze", "true")]).await;
    let root = &data["analysis"];
    assert_eq!(root["name"], "[binary] /");
    let selector = &root["children"][0]["children"][0]["children"][0];
    assert_eq!(selector["name"], "[matrixSelector] m[5m]");
    let store = &selector["fanout"][0];
    assert_eq!(store["endpointAddr"], address.to_string(), "{root}");
    assert_eq!(
        (&store["series"], &selector["totalSamples"]),
        (&json!(2), &store["samples"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_call_exists_and_answers_as_documented() {
    let api = Api::over(&[]).await;
    let document = api.send("/api/v1/openapi.yaml", &[]).await;
    assert_eq!(document.status(), StatusCode::OK);
    let document: Value = serde_saphyr::from_str(&document.text().await.unwrap()).unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, _) in methods.as_object().unwrap() {
            let url = api.url(&format!("/api/v1{}", path.replace("{name}", "job")));
            let request = match method.as_str() {
                "get" => api.client.get(&url),
                // Without a parameter that it may require: a documented error, too.
                _ => api
                    .client
                    .post(&url)
                    .header("content-type", "application/x-www-form-urlencoded"),
            };
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            assert!([200, 400].contains(&status), "{method} {path}: {status}");
            if path == "/openapi.yaml" || path == "/read" {
                continue;
            }
            let body: Value = response.json().await.unwrap();
            let expected = if status == 200 { "success" } else { "error" };
            assert_eq!(body["status"], expected, "{method} {path}: {body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn status_pages_that_need_no_peer_have_prometheus_shape() {
    let api = Api::over(&[]).await;
    assert_eq!(
        api.data("status/config", &[]).await,
        json!({"yaml": "global:\n  evaluation_interval: 1m\n"})
    );
    let tsdb = api.data("status/tsdb", &[]).await;
    assert_eq!(tsdb["headStats"]["numSeries"], 0);
    assert_eq!(tsdb["seriesCountByMetricName"], json!([]));
    let (status, _) = api.get("status/tsdb", &[("limit", "0")]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}
