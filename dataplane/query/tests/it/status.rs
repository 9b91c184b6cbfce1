//! Stores, status, page, metrics, prefixes, discovery by file.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::{Api, config, counters, endpoint, serve_store};

#[tokio::test(flavor = "multi_thread")]
async fn status_pages_have_the_shape_that_tools_expect() {
    let (_store, address) = serve_store(counters(&[("cluster", "eu")], &["a"], 0)).await;
    let api = Api::over(&[address]).await;
    let stores = api.data("stores", &[]).await;
    assert_eq!(
        stores,
        json!({"store": [{
            "name": address.to_string(),
            "lastCheck": "2023-11-14T22:13:20Z",
            "lastError": null,
            "labelSets": [{"cluster": "eu"}],
            "minTime": 1_699_996_400_000i64,
            "maxTime": 1_699_999_985_000i64,
        }]})
    );
    let build = api.data("status/buildinfo", &[]).await;
    assert!(
        build["version"]
            .as_str()
            .unwrap()
            .starts_with("0.42.0+hindsight."),
        "{build}"
    );
    assert_eq!(build.get("features"), None);
    assert_eq!(
        api.data("status/flags", &[]).await,
        json!({"query.timeout": "2m"})
    );
    let runtime = api.data("status/runtimeinfo", &[]).await;
    assert_eq!(runtime["startTime"], "2023-11-14T22:13:20Z");
    let own = api.data("status/hindsight", &[]).await;
    assert_eq!(
        (&own["component"], &own["ready"]),
        (&json!("query"), &json!(true))
    );
    assert_eq!((&own["stores"], &own["storesUp"]), (&json!(1), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_that_dashboards_ask_for_are_there() {
    let (_store, address) = serve_store(counters(&[("cluster", "eu")], &["a"], 0)).await;
    let api = Api::over(&[address]).await;
    api.instant("m", &[]).await;
    let range = [
        ("query", "m"),
        ("start", "0"),
        ("end", "60"),
        ("step", "15"),
    ];
    api.data("query_range", &range).await;
    let metrics = api.send("/metrics", &[]).await.text().await.unwrap();
    for line in [
        "thanos_query_concurrent_gate_queries_in_flight 0",
        "thanos_query_concurrent_gate_queries_max 20",
        "thanos_query_store_apis_dns_lookups_total 0",
        "thanos_query_store_apis_dns_failures_total 0",
        "thanos_query_range_requested_timespan_duration_seconds_count 1",
        "thanos_store_nodes_grpc_connections{external_labels=\"{cluster=\\\"eu\\\"}\",store_type=\"store\"} 1",
        "http_requests_total{code=\"200\",handler=\"query\",method=\"get\"} 1",
        "http_requests_total{code=\"200\",handler=\"query_range\",method=\"get\"} 1",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}\n{metrics}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn page_and_api_are_found_under_the_prefix() {
    let mut config = config();
    config.web.route_prefix = "/thanos".into();
    let api = Api::start(config, &[]).await;
    // Follows the redirect from the root.
    for path in ["/", "/thanos", "/thanos/", "/thanos/graph"] {
        let page = api.send(path, &[]).await;
        assert_eq!(page.status(), StatusCode::OK, "{path}");
        assert!(
            page.text().await.unwrap().contains("PromQL expression"),
            "{path}"
        );
    }
    let response = api.send("/thanos/api/v1/query", &[("query", "1")]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        api.send("/thanos/assets/app.js", &[]).await.status(),
        StatusCode::OK
    );
    assert_eq!(api.send("/-/ready", &[]).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_may_call_unless_refused() {
    let api = Api::over(&[]).await;
    let url = api.url("/api/v1/query?query=1");
    let response = api.client.get(&url).send().await.unwrap();
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    let response = api
        .client
        .request(Method::OPTIONS, &url)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let mut config = config();
    config.web.disable_cors = true;
    let api = Api::start(config, &[]).await;
    let response = api
        .client
        .get(api.url("/api/v1/query?query=1"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers().get("access-control-allow-origin"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_come_and_go_with_their_file() {
    let (_one, first) = serve_store(counters(&[("cluster", "eu")], &["a"], 0)).await;
    let (_two, second) = serve_store(counters(&[("cluster", "us")], &["b"], 0)).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("endpoints.yaml");
    let write = |address: std::net::SocketAddr| {
        let staged = dir.path().join("staged");
        std::fs::write(&staged, format!("endpoints:\n- address: {address}\n")).unwrap();
        std::fs::rename(&staged, &file).unwrap();
    };
    write(first);
    let mut config = config();
    config.endpoints.sources.sd_config.flag = "endpoint.sd-config";
    config.endpoints.sources.sd_config.path = Some(file.clone());
    let api = Api::start(config, &[]).await;
    let named = |address: std::net::SocketAddr| {
        move |stores: &serde_json::Value| {
            let listed = stores["store"].as_array();
            listed.is_some_and(|all| all.len() == 1 && all[0]["name"] == address.to_string())
        }
    };
    api.wait_for("stores", named(first)).await;
    write(second);
    api.wait_for("stores", named(second)).await;
    assert_eq!(api.instant("m", &[]).await[0]["metric"]["cluster"], "us");
    // A file that cannot be read leaves what was known.
    std::fs::write(&file, "endpoints: {").unwrap();
    assert_eq!(api.instant("m", &[]).await[0]["metric"]["cluster"], "us");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_gone_is_listed_as_down_and_no_longer_asked() {
    let (store, address) = serve_store(counters(&[("cluster", "eu")], &["a"], 0)).await;
    let mut config = config();
    config.endpoints.info_interval = Duration::from_millis(50);
    config.endpoints.sources.fixed = vec![endpoint(address)];
    let api = Api::start(config, &[]).await;
    assert_eq!(api.instant("m", &[]).await.as_array().unwrap().len(), 1);
    drop(store);
    let down = |stores: &serde_json::Value| {
        stores
            .as_object()
            .unwrap()
            .values()
            .any(|all| !all[0]["lastError"].is_null())
    };
    api.wait_for("stores", down).await;
    let (_, body) = api.get("query", &[("query", "m")]).await;
    assert_eq!(body["data"]["result"], json!([]));
}
