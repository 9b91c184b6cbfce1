//! A frontend over real sockets, before a querier that counts what it is asked.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests end where something unexpected happens"
)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use frontend::config::{CacheConfig, Config, RangeConfig};
use frontend::{Frontend, StartError};
use http::StatusCode;
use runtime::clock::ManualClock;
use runtime::http::HttpConfig;
use runtime::service::Kit;
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(30);
const HOUR: i64 = 3_600;
/// What every clock here shows, in seconds: ten days.
const NOW: i64 = 240 * HOUR;

/// A querier whose series is the time itself.
#[derive(Default)]
struct Querier {
    /// Ranges asked for, in order of time, as `start-end`.
    asked: Mutex<Vec<(i64, i64)>>,
    /// Calls that fail before one succeeds.
    failures: AtomicUsize,
    partial: Mutex<bool>,
}

impl Querier {
    fn take(&self) -> Vec<(i64, i64)> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.sort_unstable();
        asked
    }
}

async fn query_range(
    State(querier): State<Arc<Querier>>,
    Query(parameters): Query<HashMap<String, String>>,
) -> Response {
    let number = |name: &str| parameters[name].parse::<f64>().unwrap() as i64;
    let (start, end, step) = (number("start"), number("end"), number("step"));
    querier.asked.lock().unwrap().push((start, end));
    let fails = querier
        .failures
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        });
    if fails.is_ok() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if parameters["query"] == "broken" {
        let body = json!({"status": "error", "errorType": "execution", "error": "it broke"});
        return (StatusCode::UNPROCESSABLE_ENTITY, axum::Json(body)).into_response();
    }
    let values: Vec<Value> = (start..=end)
        .step_by(usize::try_from(step).unwrap())
        .map(|t| json!([t, t.to_string()]))
        .collect();
    let result = json!([{"metric": {"__name__": "t"}, "values": values}]);
    let mut body = json!({"status": "success", "data": {"resultType": "matrix", "result": result}});
    let mut response = if *querier.partial.lock().unwrap() {
        body["warnings"] = json!(["a store is away"]);
        let mut response = axum::Json(body).into_response();
        let headers = response.headers_mut();
        headers.insert("cache-control", "no-store".parse().unwrap());
        response
    } else {
        axum::Json(body).into_response()
    };
    response
        .headers_mut()
        .insert("x-querier", "yes".parse().unwrap());
    response
}

/// Answers with its own parameters.
async fn labels(Query(parameters): Query<std::collections::BTreeMap<String, String>>) -> Response {
    axum::Json(parameters).into_response()
}

struct Pair {
    querier: Arc<Querier>,
    url: String,
    client: reqwest::Client,
    kit: Kit,
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.kit.shutdown.begin();
    }
}

fn config(downstream: SocketAddr) -> Config {
    Config {
        http: HttpConfig {
            address: "127.0.0.1:0".into(),
            grace_period: Duration::ZERO,
            ..HttpConfig::default()
        },
        downstream_url: format!("http://{downstream}"),
        range: RangeConfig {
            align: true,
            split_interval: Duration::from_secs(24 * 3600),
            max_length: Duration::ZERO,
            max_parallelism: 14,
            retries: 5,
            max_freshness: Duration::from_secs(60),
            partial_response: true,
            cache: Some(CacheConfig {
                max_bytes: 10 << 20,
                validity: Duration::ZERO,
            }),
        },
        labels_retries: 5,
        labels_range: Duration::from_secs(24 * 3600),
        labels_partial_response: true,
        instant_retries: 5,
        slow_queries: None,
        slow_query_user_header: None,
        forward_headers: Vec::new(),
        tenant_header: "THANOS-TENANT".into(),
        default_tenant: "default-tenant".into(),
        compress_responses: false,
        disable_cors: false,
    }
}

async fn start(change: impl FnOnce(&mut Config)) -> Pair {
    runtime::tls::install_provider();
    let querier = Arc::<Querier>::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new()
        .route("/api/v1/query_range", get(query_range))
        .route("/api/v1/labels", get(labels))
        .route("/api/v1/stores", get(async || "stores"))
        .route("/-/ready", get(async || "ok"))
        .with_state(Arc::clone(&querier));
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    let mut config = config(address);
    change(&mut config);
    let kit = Kit::for_tests(Arc::new(ManualClock::new(NOW * 1000)));
    let frontend = Frontend::build(config, kit.clone()).await.unwrap();
    let url = format!("http://{}", frontend.http_addr());
    let mut group = kit.task_group();
    frontend.spawn(&mut group);
    tokio::spawn(async move {
        // Aborted where a test ends while requests are open.
        let _ = group.run(DEADLINE).await;
    });
    let mut probe = kit.probe.subscribe();
    let ready = probe.wait_for(|state| state.ready.is_ok());
    tokio::time::timeout(DEADLINE, ready)
        .await
        .unwrap()
        .unwrap();
    Pair {
        querier,
        url,
        client: reqwest::Client::builder()
            .timeout(DEADLINE)
            .build()
            .unwrap(),
        kit,
    }
}

impl Pair {
    async fn range(&self, query: &str, start: i64, end: i64, step: i64) -> reqwest::Response {
        let parameters = [
            ("query", query.to_owned()),
            ("start", start.to_string()),
            ("end", end.to_string()),
            ("step", step.to_string()),
        ];
        let request = self.client.get(format!("{}/api/v1/query_range", self.url));
        request.query(&parameters).send().await.unwrap()
    }

    /// Returns the times of an answer, whose values have to be these times.
    async fn times(&self, query: &str, start: i64, end: i64, step: i64) -> Vec<i64> {
        let response = self.range(query, start, end, step).await;
        assert_eq!(response.status().as_u16(), 200);
        let body: Value = response.json().await.unwrap();
        let values = body["data"]["result"][0]["values"]
            .as_array()
            .unwrap()
            .clone();
        let time = |point: &Value| {
            let time = point[0].as_i64().unwrap();
            assert_eq!(point[1], time.to_string());
            time
        };
        values.iter().map(time).collect()
    }
}

fn steps(start: i64, end: i64, step: i64) -> Vec<i64> {
    (start..=end)
        .step_by(usize::try_from(step).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_query_is_split_and_its_parts_are_kept() {
    let pair = start(|_| {}).await;
    let (from, to) = (30 * HOUR, 80 * HOUR);
    assert_eq!(pair.times("t", from, to, 600).await, steps(from, to, 600));
    let days = [
        (from, 48 * HOUR - 600),
        (48 * HOUR, 72 * HOUR - 600),
        (72 * HOUR, to),
    ];
    assert_eq!(pair.querier.take(), days);
    // Again, and parts of it: nothing is asked.
    assert_eq!(pair.times("t", from, to, 600).await, steps(from, to, 600));
    let (inner, until) = (40 * HOUR, 50 * HOUR);
    assert_eq!(
        pair.times("t", inner, until, 600).await,
        steps(inner, until, 600)
    );
    assert_eq!(pair.querier.take(), []);
    // More to both sides: only what is new is asked for.
    let (earlier, later) = (28 * HOUR, 82 * HOUR);
    assert_eq!(
        pair.times("t", earlier, later, 600).await,
        steps(earlier, later, 600)
    );
    assert_eq!(
        pair.querier.take(),
        [(earlier, from - 600), (to + 600, later)]
    );
    // Another query or step is something else.
    pair.times("t + 0", from, from + HOUR, 600).await;
    pair.times("t", from, from + HOUR, 300).await;
    assert_eq!(pair.querier.take().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_fresh_is_asked_for_again() {
    let pair = start(|_| {}).await;
    let from = NOW - HOUR;
    assert_eq!(pair.times("t", from, NOW, 30).await, steps(from, NOW, 30));
    pair.querier.take();
    assert_eq!(pair.times("t", from, NOW, 30).await, steps(from, NOW, 30));
    // All but the last minute was kept; now is a boundary of days, so it is a piece of its own.
    assert_eq!(pair.querier.take(), [(NOW - 30, NOW - 30), (NOW, NOW)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_answer_says_so_and_is_not_kept() {
    let pair = start(|_| {}).await;
    *pair.querier.partial.lock().unwrap() = true;
    let response = pair.range("t", 0, HOUR, 600).await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["x-partial-response"], "true");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["warnings"], json!(["a store is away"]));
    *pair.querier.partial.lock().unwrap() = false;
    pair.querier.take();
    let response = pair.range("t", 0, HOUR, 600).await;
    assert_eq!(response.headers().get("cache-control"), None);
    assert_eq!(pair.querier.take(), [(0, HOUR)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_retried_and_errors_are_the_queriers() {
    let pair = start(|_| {}).await;
    pair.querier.failures.store(2, Ordering::SeqCst);
    assert_eq!(pair.times("t", 0, HOUR, 600).await, steps(0, HOUR, 600));
    assert_eq!(pair.querier.take().len(), 3);
    let response = pair.range("broken", 0, 50 * HOUR, 600).await;
    assert_eq!(response.status().as_u16(), 422);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"], "it broke");
    pair.querier.failures.store(100, Ordering::SeqCst);
    let response = pair.range("t", 0, 50, 1).await;
    assert_eq!(response.status().as_u16(), 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_goes_through_as_it_came() {
    let pair = start(|config| config.range.max_length = Duration::from_secs(60 * 3600)).await;
    // Its end is part of its meaning: neither split nor aligned.
    pair.times("t @ end()", 7, 50 * HOUR, 600).await;
    assert_eq!(pair.querier.take(), [(7, 50 * HOUR)]);
    let response = pair.range("t", 0, 70 * HOUR, 600).await;
    assert_eq!(response.status().as_u16(), 400);
    let body: Value = response.json().await.unwrap();
    assert!(
        body["error"]
            .as_str()
            .unwrap()
            .contains("exceeds the limit"),
        "{body}"
    );
    let stores = pair.client.get(format!("{}/api/v1/stores", pair.url));
    assert_eq!(stores.send().await.unwrap().text().await.unwrap(), "stores");
    let absent = pair.client.get(format!("{}/nothing", pair.url));
    assert_eq!(absent.send().await.unwrap().status().as_u16(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn label_calls_are_completed() {
    let pair = start(|_| {}).await;
    let ask = async |parameters: &str| {
        let request = pair
            .client
            .get(format!("{}/api/v1/labels{parameters}", pair.url));
        request.send().await.unwrap().json::<Value>().await.unwrap()
    };
    assert_eq!(
        ask("").await,
        json!({"start": (NOW - 24 * HOUR).to_string(), "end": NOW.to_string(), "partial_response": "true"})
    );
    assert_eq!(
        ask("?start=1&partial_response=false").await,
        json!({"start": "1", "partial_response": "false"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_share_no_results() {
    let pair = start(|_| {}).await;
    for tenant in ["a", "b", "a"] {
        let url = format!(
            "{}/api/v1/query_range?query=t&start=0&end=60&step=15",
            pair.url
        );
        let response = pair
            .client
            .get(url)
            .header("thanos-tenant", tenant)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status().as_u16(), 200);
    }
    assert_eq!(pair.querier.take(), [(0, 60), (0, 60)]);
    let metrics = pair
        .client
        .get(format!("{}/metrics", pair.url))
        .send()
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    for line in [
        "thanos_query_frontend_queries_total{op=\"query_range\"} 3",
        "cortex_cache_fetched_keys_total 3",
        "cortex_cache_hits_total 1",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}\n{metrics}"
        );
    }
}

#[tokio::test]
async fn an_address_that_is_no_url_is_refused() {
    runtime::tls::install_provider();
    let kit = Kit::for_tests(Arc::new(ManualClock::new(0)));
    let mut config = config("127.0.0.1:1".parse().unwrap());
    config.downstream_url = "query:10902".into();
    let refused = Frontend::build(config, kit).await.map(|_| ());
    assert!(matches!(refused, Err(StartError::Url { .. })));
}
