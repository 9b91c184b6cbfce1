//! Queriers and stores on free ports of the loopback interface.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::Labels;
use query::config::{
    AnswersConfig, Config, EndpointsConfig, EngineConfig, SeriesLimits, WebConfig,
};
use query::endpoints::{ClientSpec, EndpointSources, EndpointSpec};
use query::{Parts, Querier};
use reqwest::{Response, StatusCode};
use runtime::clock::ManualClock;
use runtime::grpc::{GrpcConfig, GrpcServer};
use runtime::http::HttpConfig;
use runtime::service::Kit;
use serde_json::Value;
use storeapi::dedup::Algorithm;
use storeapi::server::STREAMING_METHODS;
use storeapi::testsuite::{MemoryStore, xor_chunks};
use storeapi::{Series, SeriesStore, Services};
use tokio::task::JoinHandle;

/// What everything here waits at most.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// What the clock of every process here shows: 2023-11-14T22:13:20Z.
pub(crate) const NOW_MS: i64 = 1_700_000_000_000;

/// A process of this test: ends when dropped.
pub(crate) struct Process {
    pub(crate) kit: Kit,
    task: JoinHandle<()>,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kit.shutdown.begin();
        self.task.abort();
    }
}

fn kit() -> Kit {
    runtime::tls::install_provider();
    Kit::for_tests(Arc::new(ManualClock::new(NOW_MS)))
}

/// Serves `services` and returns where.
pub(crate) async fn serve(services: Services) -> (Process, SocketAddr) {
    let kit = kit();
    kit.probe.ready();
    let config = GrpcConfig {
        address: "127.0.0.1:0".into(),
        grace_period: Duration::ZERO,
        ..GrpcConfig::default()
    };
    let server = GrpcServer::bind(&config).await.unwrap();
    let address = server.local_addr();
    let routes = services.into_routes(&kit.probe);
    let serving = server.serve(kit.clone(), routes, STREAMING_METHODS);
    let task = tokio::spawn(async move { serving.await.unwrap() });
    (Process { kit, task }, address)
}

/// Serves a store and returns where.
pub(crate) async fn serve_store(store: impl SeriesStore + 'static) -> (Process, SocketAddr) {
    serve(Services {
        store: Some(Arc::new(store)),
        ..Services::default()
    })
    .await
}

/// Returns a store of one counter `m{job,pod}` a pod under `external` labels: a sample every 15 s, the
/// first `offset_ms` after `NOW_MS - 1h`, that grows by one.
pub(crate) fn counters(external: &[(&str, &str)], pods: &[&str], offset_ms: i64) -> MemoryStore {
    let samples: Vec<(i64, f64)> = (0..240u32)
        .map(|i| {
            (
                NOW_MS - 3_600_000 + offset_ms + i64::from(i) * 15_000,
                f64::from(i),
            )
        })
        .collect();
    let series = pods.iter().map(|pod| Series {
        labels: Labels::from_pairs([("__name__", "m"), ("job", "api"), ("pod", pod)]),
        chunks: xor_chunks(&samples),
    });
    MemoryStore::new(
        Labels::from_pairs(external.iter().copied()),
        series.collect(),
    )
}

pub(crate) fn config() -> Config {
    Config {
        http: HttpConfig {
            address: "127.0.0.1:0".into(),
            grace_period: Duration::ZERO,
            ..HttpConfig::default()
        },
        grpc: GrpcConfig {
            address: "127.0.0.1:0".into(),
            grace_period: Duration::ZERO,
            ..GrpcConfig::default()
        },
        web: WebConfig::default(),
        endpoints: EndpointsConfig {
            sources: EndpointSources::default(),
            reload_interval: Duration::from_millis(50),
            dns_interval: Duration::from_secs(30),
            info_interval: Duration::from_millis(100),
            info_timeout: Duration::from_secs(5),
            unhealthy_timeout: Duration::from_secs(300),
            response_timeout: Duration::ZERO,
        },
        engine: EngineConfig {
            timeout: Duration::from_secs(120),
            max_concurrent: 20,
            lookback_delta: None,
            dynamic_lookback_delta: true,
            default_evaluation_interval: Duration::from_secs(60),
            default_step: Duration::from_secs(1),
            auto_downsampling: false,
            instant_max_resolution: Duration::ZERO,
            memory_limit_bytes: 1 << 30,
            total_memory_limit_bytes: usize::MAX,
            threads: 1,
            experimental: false,
            extended_functions: false,
        },
        answers: AnswersConfig {
            replica_labels: vec!["replica".into()],
            dedup: Algorithm::Penalty,
            partial_response: true,
            rules_partial_response: true,
            targets_partial_response: true,
            metadata_partial_response: true,
            exemplars_partial_response: true,
            status_partial_response: true,
            metadata_range: Duration::ZERO,
            tenant_header: "THANOS-TENANT".into(),
            default_tenant: "default-tenant".into(),
            enforced_tenant_label: None,
        },
        selector_labels: Labels::empty(),
        limits: SeriesLimits::default(),
        flags: [("query.timeout".to_owned(), "2m".to_owned())].into(),
    }
}

pub(crate) fn endpoint(address: SocketAddr) -> EndpointSpec {
    EndpointSpec::parse(&address.to_string(), false, ClientSpec::default()).unwrap()
}

/// A querier that has asked its endpoints once.
pub(crate) struct Api {
    _process: Process,
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) client: reqwest::Client,
}

impl Api {
    /// Starts a querier over stores at `addresses`.
    pub(crate) async fn over(addresses: &[SocketAddr]) -> Self {
        Self::start(config(), addresses).await
    }

    pub(crate) async fn start(config: Config, addresses: &[SocketAddr]) -> Self {
        Self::with_parts(config, addresses, Parts::default()).await
    }

    pub(crate) async fn with_parts(
        mut config: Config,
        addresses: &[SocketAddr],
        parts: Parts,
    ) -> Self {
        config
            .endpoints
            .sources
            .fixed
            .extend(addresses.iter().map(|address| endpoint(*address)));
        let kit = kit();
        let querier = Querier::build(config, parts, kit.clone()).await.unwrap();
        let (http, grpc) = (querier.http_addr(), querier.grpc_addr());
        let mut group = kit.task_group();
        querier.spawn(&mut group);
        let task = tokio::spawn(async move {
            // Aborted where a test ends while requests are open.
            let _ = group.run(DEADLINE).await;
        });
        let mut probe = kit.probe.subscribe();
        let ready = probe.wait_for(|state| state.ready.is_ok());
        tokio::time::timeout(DEADLINE, ready)
            .await
            .unwrap()
            .unwrap();
        let client = reqwest::Client::builder()
            .timeout(DEADLINE)
            .build()
            .unwrap();
        Self {
            _process: Process { kit, task },
            http,
            grpc,
            client,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    pub(crate) async fn send(&self, path: &str, params: &[(&str, &str)]) -> Response {
        self.client
            .get(self.url(path))
            .query(params)
            .send()
            .await
            .unwrap()
    }

    /// Calls the API and returns status and body.
    pub(crate) async fn get(&self, path: &str, params: &[(&str, &str)]) -> (StatusCode, Value) {
        let response = self.send(&format!("/api/v1/{path}"), params).await;
        (response.status(), response.json().await.unwrap())
    }

    /// Calls the API and returns the data of an answer that has to be a success.
    pub(crate) async fn data(&self, path: &str, params: &[(&str, &str)]) -> Value {
        let (status, mut body) = self.get(path, params).await;
        assert_eq!(
            (status, &body["status"]),
            (StatusCode::OK, &"success".into()),
            "{body}"
        );
        body["data"].take()
    }

    /// Evaluates `query` at the moment the clock shows.
    pub(crate) async fn instant(&self, query: &str, more: &[(&str, &str)]) -> Value {
        let params = [&[("query", query)], more].concat();
        self.data("query", &params).await["result"].take()
    }

    /// Waits until `condition` holds for what `path` answers.
    pub(crate) async fn wait_for(&self, path: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let waiting = async {
            loop {
                let data = self.data(path, &[]).await;
                if condition(&data) {
                    return data;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, waiting).await.unwrap()
    }
}

/// Returns milliseconds as the seconds of a parameter.
pub(crate) fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}
