//! Tenants: which series, labels and rules one of them sees.

use std::net::SocketAddr;

use model::Labels;
use reqwest::StatusCode;
use serde_json::{Value, json};
use storeapi::Series;
use storeapi::testsuite::{MemoryStore, xor_chunks};

use crate::harness::{Api, NOW_MS, config, serve_store};

/// Returns a querier that keeps tenants apart, over a store of two of them.
async fn enforcing(address: SocketAddr) -> Api {
    let mut config = config();
    config.answers.enforced_tenant_label = Some("tenant_id".into());
    Api::start(config, &[address]).await
}

fn two_tenants() -> MemoryStore {
    let series = [("a", "1"), ("b", "2")].map(|(tenant, pod)| Series {
        labels: Labels::from_pairs([("__name__", "m"), ("pod", pod), ("tenant_id", tenant)]),
        chunks: xor_chunks(&[(NOW_MS - 1000, 1.0)]),
    });
    MemoryStore::new(Labels::empty(), series.into())
}

async fn ask(api: &Api, path: &str, tenant: &str) -> (StatusCode, Value) {
    let request = api.client.get(api.url(&format!("/api/v1/{path}")));
    let response = request
        .header("thanos-tenant", tenant)
        .send()
        .await
        .unwrap();
    (response.status(), response.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_sees_its_own_series_whatever_it_asks_for() {
    let (_store, address) = serve_store(two_tenants()).await;
    let api = enforcing(address).await;
    for (query, expected) in [
        ("count(m)", "1"),
        ("count({__name__=~\".+\"})", "1"),
        ("count(m{tenant_id=\"b\"})", "1"),
        ("count(m{tenant_id=~\".+\"} or m)", "1"),
        ("sum(count_over_time(m[5m]))", "1"),
    ] {
        let path = format!("query?query={}", urlencode(query));
        let (status, body) = ask(&api, &path, "a").await;
        assert_eq!(status, StatusCode::OK, "{body}");
        assert_eq!(body["data"]["result"][0]["value"][1], expected, "{query}");
    }
    for (path, expected) in [
        ("label/pod/values", json!(["1"])),
        ("label/tenant_id/values?match[]=m", json!(["a"])),
        (
            "series?match[]={__name__=\"m\"}",
            json!([{"__name__": "m", "pod": "1", "tenant_id": "a"}]),
        ),
    ] {
        let (status, body) = ask(&api, path, "a").await;
        assert_eq!(
            (status, &body["data"]),
            (StatusCode::OK, &expected),
            "{path}"
        );
    }
    // Nobody's header is the default tenant's, who has nothing.
    assert_eq!(api.instant("m", &[]).await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_is_no_tenant() {
    let api = Api::over(&[]).await;
    let (status, body) = ask(&api, "query?query=1", "../b").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(body["errorType"], "bad_data", "{body}");
}

fn urlencode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
