use std::sync::atomic::{AtomicUsize, Ordering};

use model::MatchOp;

use super::*;
use crate::error::ErrorKind;
use crate::series::{Chunk, Series};
use crate::testsuite::{Fixture, MemoryStore, check, collect, xor_chunks};

fn endpoint(address: &str, store: impl SeriesStore + 'static) -> Endpoint {
    Endpoint {
        address: address.into(),
        store: Arc::new(store),
    }
}

fn proxy(endpoints: Vec<Endpoint>) -> Proxy {
    Proxy::new(Arc::new(endpoints), ProxyConfig::default())
}

/// A store of one `up` series with samples `0..10`, under a replica label.
fn replica(name: &str, value: f64) -> MemoryStore {
    let samples: Vec<_> = (0..10).map(|t| (t, value)).collect();
    let labels = Labels::from_pairs([("__name__", "up")]);
    let series = Series {
        labels,
        chunks: xor_chunks(&samples),
    };
    MemoryStore::new(
        Labels::from_pairs([("cluster", "eu"), ("replica", name)]),
        vec![series],
    )
}

fn up() -> Vec<Matcher> {
    vec![Matcher::equal("__name__", "up")]
}

fn request(matchers: Vec<Matcher>) -> SeriesRequest {
    SeriesRequest::new(TimeRange::new(0, 100), matchers)
}

/// A store that says it holds everything and cannot answer.
struct Broken;

#[async_trait]
impl SeriesStore for Broken {
    fn info(&self) -> Arc<StoreInfo> {
        Arc::new(StoreInfo {
            range: Some(TimeRange::ALL),
            ..StoreInfo::default()
        })
    }

    async fn series(&self, _: Arc<SeriesRequest>) -> Result<SeriesStream, StoreError> {
        Err(StoreError::new(
            ErrorKind::Unavailable,
            "connection refused",
        ))
    }

    async fn label_names(&self, _: Arc<LabelsRequest>) -> Result<LabelsAnswer, StoreError> {
        Err(StoreError::new(
            ErrorKind::Unavailable,
            "connection refused",
        ))
    }

    async fn label_values(
        &self,
        _: &str,
        _: Arc<LabelsRequest>,
    ) -> Result<LabelsAnswer, StoreError> {
        Err(StoreError::new(
            ErrorKind::Unavailable,
            "connection refused",
        ))
    }
}

/// Counts how many series were taken out of it.
struct Counting(Arc<AtomicUsize>);

#[async_trait]
impl SeriesStore for Counting {
    fn info(&self) -> Arc<StoreInfo> {
        Broken.info()
    }

    async fn series(&self, _: Arc<SeriesRequest>) -> Result<SeriesStream, StoreError> {
        let taken = Arc::clone(&self.0);
        let endless = (0u64..).map(move |n| {
            taken.fetch_add(1, Ordering::Relaxed);
            let labels = Labels::from_pairs([("n", format!("{n:020}"))]);
            Ok(SeriesFrame::Series(Series {
                labels,
                chunks: Vec::<Chunk>::new(),
            }))
        });
        Ok(futures::stream::iter(endless).boxed())
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

#[tokio::test]
async fn a_proxy_keeps_every_promise_of_a_store() {
    let fixture = Fixture::standard();
    check(
        &proxy(vec![endpoint("a", MemoryStore::of_fixture(&fixture))]),
        &fixture,
    )
    .await;
}

#[tokio::test]
async fn a_proxy_over_parts_keeps_every_promise_of_a_store() {
    let fixture = Fixture::standard();
    let mut parts = vec![Vec::new(), Vec::new(), Vec::new()];
    for (i, (labels, samples)) in fixture.series.iter().enumerate() {
        // One chunk here, the next there, and a copy in the third.
        for (j, chunk) in xor_chunks(samples).into_iter().enumerate() {
            let series = Series {
                labels: labels.clone(),
                chunks: vec![chunk],
            };
            parts[(i + j) % 2].push(series.clone());
            parts[2].push(series);
        }
    }
    let endpoints = parts.into_iter().zip(["a", "b", "c"]).map(|(part, name)| {
        endpoint(
            name,
            MemoryStore::new(fixture.external_labels.clone(), part),
        )
    });
    check(&proxy(endpoints.collect()), &fixture).await;
}

#[tokio::test]
async fn a_proxy_over_proxies_keeps_every_promise_of_a_store() {
    let fixture = Fixture::standard();
    let inner = || proxy(vec![endpoint("memory", MemoryStore::of_fixture(&fixture))]);
    check(
        &proxy(vec![endpoint("left", inner()), endpoint("right", inner())]),
        &fixture,
    )
    .await;
}

#[tokio::test]
async fn replicas_become_one_series_with_the_chunks_of_both() {
    let proxy = proxy(vec![
        endpoint("a", replica("0", 1.0)),
        endpoint("b", replica("1", 2.0)),
    ]);
    assert_eq!(
        collect(&proxy, request(up()))
            .await
            .expect("answers")
            .series
            .len(),
        2
    );
    let without_replica_labels = vec!["replica".to_owned()];
    let request = SeriesRequest {
        without_replica_labels,
        ..request(up())
    };
    let collected = collect(&proxy, request).await.expect("answers");
    assert_eq!(collected.names(), [r#"{__name__="up", cluster="eu"}"#]);
    assert_eq!(collected.series[0].chunks.len(), 2);
}

#[tokio::test]
async fn a_broken_store_is_a_warning_and_the_rest_answers() {
    let proxy = proxy(vec![
        endpoint("a:1", replica("0", 1.0)),
        endpoint("b:2", Broken),
    ]);
    let Selection {
        mut stream,
        coverage,
    } = proxy.select(&Arc::new(request(up()))).expect("selects");
    let (mut series, mut warnings) = (0, Vec::new());
    while let Some(frame) = stream.next().await {
        match frame.expect("partial answers are allowed") {
            SeriesFrame::Warning(text) => warnings.push(text),
            _ => series += 1,
        }
    }
    assert_eq!(
        (series, warnings),
        (1, vec!["store b:2: connection refused".to_owned()])
    );
    let coverage = coverage.snapshot();
    assert!(!coverage.is_complete());
    let seen: Vec<_> = coverage
        .stores
        .iter()
        .map(|s| (&*s.address, s.series, s.samples, s.error.is_some()))
        .collect();
    assert_eq!(seen, [("a:1", 1, 10, false), ("b:2", 0, 0, true)]);

    let (names, coverage) = proxy
        .names(&Arc::new(LabelsRequest::default()))
        .await
        .expect("partial");
    assert_eq!(names.values, ["__name__", "cluster", "replica"]);
    assert_eq!(names.warnings, ["store b:2: connection refused"]);
    assert!(!coverage.is_complete());
}

#[tokio::test]
async fn a_broken_store_ends_the_call_where_all_is_wanted() {
    let proxy = proxy(vec![
        endpoint("a:1", replica("0", 1.0)),
        endpoint("b:2", Broken),
    ]);
    let all = PartialResponse::Abort;
    let refused = collect(
        &proxy,
        SeriesRequest {
            partial_response: all,
            ..request(up())
        },
    )
    .await;
    let error = refused.expect_err("aborts");
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Aborted, "store b:2: connection refused")
    );
    let request = Arc::new(LabelsRequest {
        partial_response: all,
        ..LabelsRequest::default()
    });
    let error = proxy
        .label_values("job", request)
        .await
        .expect_err("aborts");
    assert_eq!(error.kind(), ErrorKind::Aborted);
}

#[tokio::test]
async fn stores_that_cannot_have_the_answer_are_not_asked() {
    // The broken one would show as a warning.
    let other_cluster = MemoryStore::new(Labels::from_pairs([("cluster", "us")]), vec![]);
    let other_time =
        replica("1", 1.0).with_info(|info| info.range = Some(TimeRange::new(1000, 2000)));
    let proxy = proxy(vec![
        endpoint("a", replica("0", 1.0)),
        endpoint("b", other_cluster),
        endpoint("c", other_time),
        endpoint("d", Broken),
    ]);
    let by_address = Matcher::new(MatchOp::NotEqual, "__address__", "d").expect("valid");
    let mut matchers = up();
    matchers.push(Matcher::equal("cluster", "eu"));
    let request = Arc::new(SeriesRequest {
        store_match: vec![vec![by_address]],
        ..request(matchers)
    });
    let Selection { stream, coverage } = proxy.select(&request).expect("selects");
    let frames: Vec<_> = stream.collect().await;
    assert!(
        matches!(frames.as_slice(), [Ok(SeriesFrame::Series(_))]),
        "{frames:?}"
    );
    let coverage = coverage.snapshot();
    assert!(coverage.is_complete());
    assert_eq!((coverage.stores.len(), coverage.pruned), (1, 3));
}

#[tokio::test]
async fn without_endpoints_the_answer_says_so() {
    let proxy = proxy(vec![]);
    let collected = collect(&proxy, request(up())).await.expect("empty");
    assert_eq!(
        (collected.series.len(), collected.warnings),
        (0, vec![NO_ENDPOINTS.to_owned()])
    );
    let all = SeriesRequest {
        partial_response: PartialResponse::Abort,
        ..request(up())
    };
    let error = collect(&proxy, all).await.expect_err("all or nothing");
    assert_eq!(error, StoreError::NoEndpoints);
    // Endpoints none of which can help are an empty answer without complaint.
    let elsewhere = super::tests::proxy(vec![endpoint("a", replica("0", 1.0))]);
    let request = request(vec![Matcher::equal("cluster", "us")]);
    let collected = collect(&elsewhere, request).await.expect("empty");
    assert!(collected.series.is_empty() && collected.warnings.is_empty());
}

#[tokio::test]
async fn series_are_taken_only_as_they_are_asked_for() {
    let (a, b) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let endless = proxy(vec![
        endpoint("a", Counting(Arc::clone(&a))),
        endpoint("b", Counting(Arc::clone(&b))),
    ]);
    let mut stream = endless
        .series(Arc::new(request(up())))
        .await
        .expect("a stream");
    for _ in 0..100 {
        assert!(matches!(
            stream.next().await,
            Some(Ok(SeriesFrame::Series(_)))
        ));
    }
    for taken in [a, b] {
        let taken = taken.load(Ordering::Relaxed);
        assert!((100..=102).contains(&taken), "{taken} series taken for 100");
    }
    let limited = SeriesRequest {
        limit: 7,
        ..request(up())
    };
    assert_eq!(
        collect(&endless, limited).await.expect("ends").series.len(),
        7
    );
}

#[tokio::test]
async fn selector_labels_are_advertised_and_enforced() {
    let config = ProxyConfig {
        selector_labels: Labels::from_pairs([("tier", "global")]),
        ..ProxyConfig::default()
    };
    let proxy = Proxy::new(Arc::new(vec![endpoint("a", replica("0", 1.0))]), config);
    let expected = Labels::from_pairs([("cluster", "eu"), ("replica", "0"), ("tier", "global")]);
    assert_eq!(proxy.info().label_sets, [expected]);
    assert_eq!(proxy.info().range, Some(TimeRange::new(0, 9)));
    let with = |value| {
        let mut matchers = up();
        matchers.push(Matcher::equal("tier", value));
        request(matchers)
    };
    assert_eq!(
        collect(&proxy, with("global"))
            .await
            .expect("answers")
            .series
            .len(),
        1
    );
    assert!(
        collect(&proxy, with("local"))
            .await
            .expect("answers")
            .series
            .is_empty()
    );
}
