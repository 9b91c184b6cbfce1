//! Server and client together, over a loopback connection.

use std::collections::BTreeMap;
use std::sync::Mutex;

use futures::StreamExt;
use model::{Labels, Matcher, TimeRange};
use runtime::clock::ManualClock;
use runtime::grpc::{ChannelConfig, GrpcConfig, GrpcServer, channel};
use runtime::service::Kit;

use super::*;
use crate::apis::{
    Answer, ExemplarsApi, MetadataApi, QueryApi, QueryRangeStream, QueryStream, RulesApi,
    StatusApi, TargetsApi,
};
use crate::proto::thanos as pb;
use crate::proxy::{Endpoint, Proxy, ProxyConfig};
use crate::server::{STREAMING_METHODS, Services};
use crate::store::{Apis, Component, SeriesFrame};
use crate::testsuite::{Fixture, MemoryStore, check, collect};

/// A served set of services; the server ends with it.
struct Served {
    address: String,
    kit: Kit,
    serving: tokio::task::JoinHandle<()>,
}

impl Served {
    async fn start(services: Services) -> Self {
        let config = GrpcConfig {
            address: "127.0.0.1:0".to_owned(),
            ..GrpcConfig::default()
        };
        let server = GrpcServer::bind(&config).await.expect("binds");
        let address = server.local_addr().to_string();
        let kit = Kit::for_tests(Arc::new(ManualClock::default()));
        let routes = services.into_routes(&kit.probe);
        let task_kit = kit.clone();
        let serving = tokio::spawn(async move {
            server
                .serve(task_kit, routes, STREAMING_METHODS)
                .await
                .expect("serves");
        });
        Self {
            address,
            kit,
            serving,
        }
    }

    async fn store(store: impl SeriesStore + 'static) -> Self {
        Self::start(Services {
            store: Some(Arc::new(store)),
            ..Services::default()
        })
        .await
    }

    fn channel(&self) -> Channel {
        channel(&self.address, None, &ChannelConfig::default()).expect("an address")
    }

    async fn remote(&self, config: RemoteConfig) -> RemoteStore {
        let remote = RemoteStore::new(&self.address, self.channel(), config);
        remote.refresh_info().await.expect("info");
        remote
    }

    async fn stop(self) {
        self.kit.shutdown.begin();
        self.serving.await.expect("drains");
    }
}

fn up() -> SeriesRequest {
    SeriesRequest::new(
        TimeRange::new(0, 100),
        vec![Matcher::equal("__name__", "up")],
    )
}

#[tokio::test]
async fn a_remote_store_keeps_every_promise_of_a_store() {
    let fixture = Fixture::standard();
    let served = Served::store(MemoryStore::of_fixture(&fixture)).await;
    check(&served.remote(RemoteConfig::default()).await, &fixture).await;
    served.stop().await;
}

#[tokio::test]
async fn a_peer_that_neither_strips_nor_shards_is_helped_out() {
    let fixture = Fixture::standard();
    let store = MemoryStore::of_fixture(&fixture).with_info(|info| {
        info.supports_without_replica_labels = false;
        info.supports_sharding = false;
    });
    let served = Served::store(store).await;
    let remote = served.remote(RemoteConfig::default()).await;
    let proxy = Proxy::new(
        Arc::new(vec![Endpoint {
            address: "peer".into(),
            store: Arc::new(remote),
        }]),
        ProxyConfig::default(),
    );
    check(&proxy, &fixture).await;
    served.stop().await;
}

#[tokio::test]
async fn a_proxy_over_remote_stores_keeps_every_promise_even_behind_a_server() {
    let fixture = Fixture::standard();
    let mut servers = Vec::new();
    let mut endpoints = Vec::new();
    for _ in 0..2 {
        let served = Served::store(MemoryStore::of_fixture(&fixture)).await;
        let remote = served.remote(RemoteConfig::default()).await;
        endpoints.push(Endpoint {
            address: remote.address().into(),
            store: Arc::new(remote),
        });
        servers.push(served);
    }
    let querier = Served::store(Proxy::new(Arc::new(endpoints), ProxyConfig::default())).await;
    check(&querier.remote(RemoteConfig::default()).await, &fixture).await;
    querier.stop().await;
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test]
async fn any_batch_size_gives_the_same_series() {
    let fixture = Fixture::standard();
    let served = Served::store(MemoryStore::of_fixture(&fixture)).await;
    let remote = served.remote(RemoteConfig::default()).await;
    let mut answers = Vec::new();
    for batch_size in [0, 1, 3, 64, usize::MAX] {
        let everything =
            vec![Matcher::new(model::MatchOp::Regex, "__name__", ".+").expect("valid")];
        let request = SeriesRequest {
            batch_size,
            ..SeriesRequest::new(fixture.range(), everything)
        };
        answers.push(collect(&remote, request).await.expect("answers").series);
    }
    assert_eq!(answers[0].len(), fixture.series.len());
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    served.stop().await;
}

/// Does what its closure says with a request.
struct Scripted<F>(F);

#[async_trait]
impl<F> SeriesStore for Scripted<F>
where
    F: Fn(&SeriesRequest) -> Result<SeriesStream, StoreError> + Send + Sync,
{
    fn info(&self) -> Arc<StoreInfo> {
        Arc::new(StoreInfo {
            range: Some(TimeRange::ALL),
            ..StoreInfo::default()
        })
    }

    async fn series(&self, request: Arc<SeriesRequest>) -> Result<SeriesStream, StoreError> {
        (self.0)(&request)
    }

    async fn label_names(&self, request: Arc<LabelsRequest>) -> Result<LabelsAnswer, StoreError> {
        Ok(LabelsAnswer {
            values: request.tenant.iter().cloned().collect(),
            ..Default::default()
        })
    }

    async fn label_values(
        &self,
        label: &str,
        _: Arc<LabelsRequest>,
    ) -> Result<LabelsAnswer, StoreError> {
        let warnings = vec![format!("asked for {label}")];
        Ok(LabelsAnswer {
            warnings,
            ..Default::default()
        })
    }
}

#[tokio::test]
async fn a_silent_store_is_given_up_after_the_response_timeout() {
    // One frame, then nothing more; and a store that does not even open its stream.
    let one = || SeriesFrame::Series(crate::series::Series::default());
    let stalls = Scripted(move |request: &SeriesRequest| {
        let head = futures::stream::iter((!request.skip_chunks).then(one).map(Ok));
        Ok(head.chain(futures::stream::pending()).boxed())
    });
    let served = Served::store(stalls).await;
    let after = Duration::from_millis(50);
    let config = RemoteConfig {
        response_timeout: Some(after),
        ..RemoteConfig::default()
    };
    let remote = served.remote(config).await;
    for (skip_chunks, expected) in [(false, 1), (true, 0)] {
        let request = SeriesRequest {
            skip_chunks,
            ..up()
        };
        let mut frames = 0;
        let error = match remote.series(Arc::new(request)).await {
            Err(error) => error,
            Ok(mut stream) => loop {
                match stream.next().await.expect("ends with an error") {
                    Ok(_) => frames += 1,
                    Err(error) => break error,
                }
            },
        };
        assert_eq!((frames, error), (expected, StoreError::Silent { after }));
    }
    served.kit.shutdown.begin();
    served.serving.abort();
}

#[tokio::test]
async fn time_that_the_reader_takes_is_not_the_stores_silence() {
    let after = Duration::from_millis(50);
    let three = Scripted(|_: &SeriesRequest| {
        let series = || Ok(SeriesFrame::Series(crate::series::Series::default()));
        Ok(futures::stream::iter([series(), series(), series()]).boxed())
    });
    let served = Served::store(three).await;
    let config = RemoteConfig {
        response_timeout: Some(after),
        ..RemoteConfig::default()
    };
    let remote = served.remote(config).await;
    let request = SeriesRequest {
        batch_size: 1,
        ..up()
    };
    let mut stream = remote.series(Arc::new(request)).await.expect("a stream");
    assert!(matches!(stream.next().await, Some(Ok(_))));
    // Longer than the timeout by any clock that only moves forward.
    let until = std::time::Instant::now() + 3 * after;
    while std::time::Instant::now() < until {
        tokio::task::yield_now().await;
    }
    let rest: Vec<_> = stream.collect().await;
    assert!(matches!(rest.as_slice(), [Ok(_), Ok(_)]), "{rest:?}");
    served.stop().await;
}

#[tokio::test]
async fn warnings_hints_errors_and_tenants_cross_the_wire() {
    let hint = prost_types::Any {
        type_url: "type/x".into(),
        value: vec![1, 2],
    };
    let sent = hint.clone();
    let store = Scripted(move |request: &SeriesRequest| {
        assert_eq!(request.limit, 5);
        let tenant = request.tenant.clone().unwrap_or_default();
        Ok(futures::stream::iter([
            Ok(SeriesFrame::Warning(format!("tenant {tenant}"))),
            Ok(SeriesFrame::Hints(sent.clone())),
            Err(StoreError::Limit {
                what: "series",
                used: 6,
                limit: 5,
            }),
        ])
        .boxed())
    });
    let served = Served::store(store).await;
    let remote = served.remote(RemoteConfig::default()).await;
    let request = SeriesRequest {
        limit: 5,
        tenant: Some("team-a".into()),
        ..up()
    };
    let stream = remote.series(Arc::new(request)).await.expect("a stream");
    let frames: Vec<_> = stream.collect().await;
    let [Ok(warning), Ok(hints), Err(error)] = frames.as_slice() else {
        panic!("{frames:?}")
    };
    assert_eq!(*warning, SeriesFrame::Warning("tenant team-a".into()));
    assert_eq!(*hints, SeriesFrame::Hints(hint));
    assert_eq!(error.kind(), ErrorKind::Exhausted);
    assert_eq!(error.to_string(), "exceeded series limit: 6 of at most 5");

    let request = LabelsRequest {
        tenant: Some("team-b".into()),
        ..LabelsRequest::default()
    };
    let names = remote
        .label_names(Arc::new(request.clone()))
        .await
        .expect("answers");
    assert_eq!(names.values, ["team-b"]);
    let values = remote
        .label_values("job", Arc::new(request))
        .await
        .expect("answers");
    assert_eq!(values.warnings, ["asked for job"]);
    served.stop().await;
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_invalid() {
    let served = Served::store(MemoryStore::of_fixture(&Fixture::standard())).await;
    let mut client = StoreClient::new(served.channel());
    let matcher = |r#type, value: &str| pb::LabelMatcher {
        r#type,
        name: "job".into(),
        value: value.into(),
    };
    let with = |m| pb::SeriesRequest {
        matchers: vec![m],
        ..pb::SeriesRequest::default()
    };
    let unknown_aggregate = pb::SeriesRequest {
        aggregates: vec![6],
        ..with(matcher(0, "x"))
    };
    for request in [
        with(matcher(2, "(")),
        with(matcher(9, "x")),
        unknown_aggregate,
    ] {
        let status = client.series(request.clone()).await.expect_err("refused");
        assert_eq!(status.code(), tonic::Code::InvalidArgument, "{request:?}");
    }
    let status = client
        .label_values(pb::LabelValuesRequest::default())
        .await
        .expect_err("refused");
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    drop(client);
    served.stop().await;
}

/// Answers every service beside Store with one item and one warning.
struct Everything;

fn warned<T>(value: T) -> Answer<T> {
    Answer {
        value,
        warnings: vec!["careful".into()],
    }
}

#[async_trait]
impl RulesApi for Everything {
    async fn rules(
        &self,
        request: pb::RulesRequest,
    ) -> Result<Answer<Vec<pb::RuleGroup>>, StoreError> {
        let group = |name| pb::RuleGroup {
            name,
            ..pb::RuleGroup::default()
        };
        Ok(warned(request.rule_group.into_iter().map(group).collect()))
    }
}

#[async_trait]
impl TargetsApi for Everything {
    async fn targets(
        &self,
        _: pb::TargetsRequest,
    ) -> Result<Answer<pb::TargetDiscovery>, StoreError> {
        let target = pb::ActiveTarget {
            scrape_pool: "pool".into(),
            ..pb::ActiveTarget::default()
        };
        Ok(warned(pb::TargetDiscovery {
            active_targets: vec![target],
            dropped_targets: vec![],
        }))
    }
}

#[async_trait]
impl MetadataApi for Everything {
    async fn metric_metadata(
        &self,
        request: pb::MetricMetadataRequest,
    ) -> Result<Answer<pb::MetricMetadata>, StoreError> {
        let meta = pb::Meta {
            r#type: "counter".into(),
            ..pb::Meta::default()
        };
        let entry = pb::MetricMetadataEntry { metas: vec![meta] };
        Ok(warned(pb::MetricMetadata {
            metadata: BTreeMap::from([(request.metric, entry)]),
        }))
    }
}

#[async_trait]
impl ExemplarsApi for Everything {
    async fn exemplars(
        &self,
        request: pb::ExemplarsRequest,
    ) -> Result<Answer<Vec<pb::ExemplarData>>, StoreError> {
        let exemplar = pb::Exemplar {
            labels: None,
            value: 1.5,
            ts: request.start,
        };
        Ok(warned(vec![pb::ExemplarData {
            series_labels: None,
            exemplars: vec![exemplar],
        }]))
    }
}

#[async_trait]
impl StatusApi for Everything {
    async fn tsdb_statistics(
        &self,
        _: pb::TsdbStatisticsRequest,
    ) -> Result<Answer<pb::TsdbStatistics>, StoreError> {
        let entry = ("tenant".to_owned(), pb::TsdbStatisticsEntry::default());
        Ok(warned(pb::TsdbStatistics {
            statistics: BTreeMap::from([entry]),
        }))
    }
}

#[async_trait]
impl QueryApi for Everything {
    async fn query(&self, request: pb::QueryRequest) -> Result<QueryStream, StoreError> {
        use pb::query_response::Result as Frame;
        let frame = |result| {
            Ok(pb::QueryResponse {
                result: Some(result),
            })
        };
        let stats = pb::QueryStats {
            samples_total: 1,
            peak_samples: 1,
        };
        let frames = [
            frame(Frame::Warnings(request.query)),
            frame(Frame::Stats(stats)),
        ];
        Ok(futures::stream::iter(frames).boxed())
    }

    async fn query_range(&self, _: pb::QueryRangeRequest) -> Result<QueryRangeStream, StoreError> {
        Err(StoreError::invalid("no range"))
    }
}

#[tokio::test]
async fn the_other_services_answer_and_info_names_exactly_them() {
    let services = Services {
        rules: Some(Arc::new(Everything)),
        targets: Some(Arc::new(Everything)),
        metadata: Some(Arc::new(Everything)),
        exemplars: Some(Arc::new(Everything)),
        query: Some(Arc::new(Everything)),
        status: Some(Arc::new(Everything)),
        info: StoreInfo {
            component: Component::Sidecar,
            ..StoreInfo::default()
        },
        ..Services::default()
    };
    let served = Served::start(services).await;
    let remote = served.remote(RemoteConfig::default()).await;
    let info = remote.info();
    assert_eq!(info.component, Component::Sidecar);
    let expected = Apis {
        store: false,
        rules: true,
        metadata: true,
        targets: true,
        exemplars: Some(TimeRange::ALL),
        query: true,
        status: true,
    };
    assert_eq!(info.apis, expected);

    let apis = remote.apis();
    let request = pb::RulesRequest {
        rule_group: vec!["a".into(), "b".into()],
        ..pb::RulesRequest::default()
    };
    let rules = apis.rules(request).await.expect("answers");
    assert_eq!(
        rules
            .value
            .iter()
            .map(|group| group.name.as_str())
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!(rules.warnings, ["careful"]);
    let targets = apis
        .targets(pb::TargetsRequest::default())
        .await
        .expect("answers");
    assert_eq!(targets.value.active_targets[0].scrape_pool, "pool");
    let request = pb::MetricMetadataRequest {
        metric: "up".into(),
        ..Default::default()
    };
    let metadata = apis.metric_metadata(request).await.expect("answers");
    assert_eq!(metadata.value.metadata["up"].metas[0].r#type, "counter");
    let request = pb::ExemplarsRequest {
        start: 7,
        ..pb::ExemplarsRequest::default()
    };
    let exemplars = apis.exemplars(request).await.expect("answers");
    assert_eq!(exemplars.value[0].exemplars[0].ts, 7);
    let statistics = apis
        .tsdb_statistics(pb::TsdbStatisticsRequest::default())
        .await
        .expect("answers");
    assert!(statistics.value.statistics.contains_key("tenant"));
    assert_eq!(statistics.warnings, ["careful"]);
    let request = pb::QueryRequest {
        query: "1".into(),
        ..pb::QueryRequest::default()
    };
    let frames: Vec<_> = apis.query(request).await.expect("a stream").collect().await;
    assert_eq!(frames.len(), 2);
    let refused = apis
        .query_range(pb::QueryRangeRequest::default())
        .await
        .err()
        .expect("refused");
    assert_eq!(
        (refused.kind(), refused.to_string().as_str()),
        (ErrorKind::Invalid, "no range")
    );
    // What is not offered is not there.
    let refused = remote.series(Arc::new(up())).await.err().expect("refused");
    assert_eq!(refused.kind(), ErrorKind::Unimplemented);
    drop((remote, apis));
    served.stop().await;
}

#[tokio::test]
async fn health_follows_readiness() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::health_client::HealthClient;
    let served = Served::store(MemoryStore::of_fixture(&Fixture::standard())).await;
    let mut client = HealthClient::new(served.channel());
    let request = || HealthCheckRequest {
        service: String::new(),
    };
    let response = client.check(request()).await.expect("answers").into_inner();
    assert_eq!(response.status(), ServingStatus::NotServing);
    let mut watch = client.watch(request()).await.expect("answers").into_inner();
    let mut next = async || {
        watch
            .message()
            .await
            .expect("open")
            .expect("a state")
            .status()
    };
    assert_eq!(next().await, ServingStatus::NotServing);
    served.kit.probe.ready();
    assert_eq!(next().await, ServingStatus::Serving);
    served.kit.probe.not_ready("draining");
    assert_eq!(next().await, ServingStatus::NotServing);
    served.kit.shutdown.begin();
    served.serving.abort();
}

#[tokio::test]
async fn both_reflections_list_the_services() {
    let served = Served::store(MemoryStore::of_fixture(&Fixture::standard())).await;
    macro_rules! listed {
        ($version:ident) => {{
            use reflection::server_reflection_request::MessageRequest;
            use reflection::server_reflection_response::MessageResponse;
            use tonic_reflection::pb::$version as reflection;
            let request = reflection::ServerReflectionRequest {
                host: String::new(),
                message_request: Some(MessageRequest::ListServices(String::new())),
            };
            let mut client =
                reflection::server_reflection_client::ServerReflectionClient::new(served.channel());
            let responses = client
                .server_reflection_info(futures::stream::iter([request]))
                .await
                .expect("answers");
            let response = responses
                .into_inner()
                .message()
                .await
                .expect("open")
                .expect("one");
            match response.message_response {
                Some(MessageResponse::ListServicesResponse(list)) => list
                    .service
                    .into_iter()
                    .map(|service| service.name)
                    .collect::<Vec<_>>(),
                other => panic!("{other:?}"),
            }
        }};
    }
    for services in [listed!(v1), listed!(v1alpha)] {
        for name in ["thanos.Store", "thanos.info.Info", "grpc.health.v1.Health"] {
            assert!(
                services.iter().any(|service| service == name),
                "{name} not in {services:?}"
            );
        }
    }
    served.stop().await;
}

#[tokio::test]
async fn a_failed_info_leaves_what_was_known() {
    let fixture = Fixture::standard();
    let served = Served::store(MemoryStore::of_fixture(&fixture)).await;
    let remote = served.remote(RemoteConfig::default()).await;
    let known = remote.info();
    assert_eq!(
        known.label_sets,
        std::slice::from_ref(&fixture.external_labels)
    );
    served.stop().await;
    assert!(remote.refresh_info().await.is_err());
    assert_eq!(remote.info(), known);
    let error = remote
        .series(Arc::new(up()))
        .await
        .err()
        .expect("nobody there");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_caller_that_leaves_cancels_the_store() {
    let alive = Arc::new(Mutex::new(Vec::new()));
    let handles = Arc::clone(&alive);
    let endless = Scripted(move |_: &SeriesRequest| {
        let token = Arc::new(());
        handles
            .lock()
            .expect("not poisoned")
            .push(Arc::downgrade(&token));
        let series = move |n: u64| {
            let _held = &token;
            let labels = Labels::from_pairs([("n", format!("{n:020}"))]);
            Ok(SeriesFrame::Series(crate::series::Series {
                labels,
                chunks: vec![],
            }))
        };
        Ok(futures::stream::iter((0..).map(series)).boxed())
    });
    let served = Served::store(endless).await;
    let remote = served.remote(RemoteConfig::default()).await;
    let mut stream = remote.series(Arc::new(up())).await.expect("a stream");
    for _ in 0..1000 {
        assert!(matches!(stream.next().await, Some(Ok(_))));
    }
    drop(stream);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let gone = || {
        alive
            .lock()
            .expect("not poisoned")
            .iter()
            .all(|weak| weak.strong_count() == 0)
    };
    while !gone() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the store still works for nobody"
        );
        tokio::task::yield_now().await;
    }
    served.stop().await;
}
