//! Queriers over queriers.

use std::sync::Arc;

use futures::StreamExt;
use query::Parts;
use runtime::grpc::{ChannelConfig, channel};
use storeapi::proto::thanos as pb;
use storeapi::testsuite::{Fixture, MemoryStore, check};
use storeapi::{Apis, ErrorKind, QueryApi, RemoteApis, RemoteConfig, RemoteStore};

use crate::harness::{Api, NOW_MS, config, counters, serve_store};

#[tokio::test(flavor = "multi_thread")]
async fn a_querier_is_a_store_to_the_one_above() {
    let one = counters(&[("cluster", "eu"), ("replica", "0")], &["a"], 0);
    let two = counters(&[("cluster", "us"), ("replica", "1")], &["b"], 0);
    let (_one, first) = serve_store(one).await;
    let (_two, second) = serve_store(two).await;
    let below = Api::over(&[first, second]).await;
    let above = Api::over(&[below.grpc]).await;
    for query in [
        "m",
        "sum by (cluster) (rate(m[5m]))",
        "count_over_time(m[1h])",
    ] {
        assert_eq!(
            above.instant(query, &[]).await,
            below.instant(query, &[]).await,
            "{query}"
        );
    }
    let stores = above.data("stores", &[]).await;
    assert_eq!(stores["query"][0]["name"], below.grpc.to_string());
    assert_eq!(stores["query"][0]["labelSets"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_the_process_is_asked_beside_those_of_others() {
    let (_other, address) = serve_store(counters(&[("cluster", "us")], &["b"], 0)).await;
    // What only a server knows, a store within the process does not say.
    let local =
        counters(&[("cluster", "eu")], &["a"], 0).with_info(|info| info.apis = Apis::default());
    let parts = Parts {
        local: vec![("local-store".into(), Arc::new(local))],
        component: Some("all-in-one"),
        ..Parts::default()
    };
    let api = Api::with_parts(config(), &[address], parts).await;
    let result = api.instant("count by (cluster) (m)", &[]).await;
    let clusters: Vec<_> = result
        .as_array()
        .unwrap()
        .iter()
        .map(|sample| &sample["metric"]["cluster"])
        .collect();
    assert_eq!(clusters, ["eu", "us"]);
    let stores = api.data("stores", &[]).await;
    let names: Vec<_> = stores["store"]
        .as_array()
        .unwrap()
        .iter()
        .map(|store| &store["name"])
        .collect();
    assert_eq!(names, ["local-store", address.to_string().as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_querier_keeps_every_promise_of_a_store() {
    let fixture = Fixture::standard();
    let (_store, address) = serve_store(MemoryStore::of_fixture(&fixture)).await;
    let api = Api::over(&[address]).await;
    let channel = channel(&api.grpc.to_string(), None, &ChannelConfig::default()).unwrap();
    let remote = RemoteStore::new("querier", channel, RemoteConfig::default());
    remote.refresh_info().await.unwrap();
    check(&remote, &fixture).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_query_service_evaluates_and_ends_with_statistics() {
    let (_store, address) = serve_store(counters(&[], &["a", "b", "c"], 0)).await;
    let mut config = config();
    config.engine.max_concurrent = 2;
    let api = Api::start(config, &[address]).await;
    let channel = channel(&api.grpc.to_string(), None, &ChannelConfig::default()).unwrap();
    let peer = Arc::new(RemoteApis::new(channel));

    let request = pb::QueryRequest {
        query: "m * 2".into(),
        time_seconds: NOW_MS / 1000,
        enable_dedup: true,
        response_batch_size: 2,
        ..pb::QueryRequest::default()
    };
    let frames: Vec<_> = peer.query(request.clone()).await.unwrap().collect().await;
    use pb::query_response::Result as Frame;
    let frames: Vec<_> = frames
        .into_iter()
        .map(|frame| frame.unwrap().result.unwrap())
        .collect();
    let [Frame::TimeseriesBatch(two), last, Frame::Stats(stats)] = frames.as_slice() else {
        panic!("{frames:?}");
    };
    assert_eq!(two.series.len(), 2);
    assert_eq!(two.series[0].samples[0].value, 478.0);
    assert!(
        matches!(last, Frame::TimeseriesBatch(one) if one.series.len() == 1),
        "{last:?}"
    );
    assert!(stats.samples_total >= 3, "{stats:?}");

    let request = pb::QueryRangeRequest {
        query: "sum(m)".into(),
        start_time_seconds: NOW_MS / 1000 - 60,
        end_time_seconds: NOW_MS / 1000,
        interval_seconds: 30,
        ..pb::QueryRangeRequest::default()
    };
    let mut frames = peer.query_range(request.clone()).await.unwrap();
    use pb::query_range_response::Result as RangeFrame;
    match frames.next().await.unwrap().unwrap().result.unwrap() {
        RangeFrame::Timeseries(series) => assert_eq!(series.samples.len(), 3),
        other => panic!("{other:?}"),
    }
    let broken = pb::QueryRequest {
        query: "sum(".into(),
        ..request_of(&request)
    };
    let error = match peer.query(broken).await {
        Err(error) => error,
        Ok(mut frames) => frames.next().await.unwrap().unwrap_err(),
    };
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("parse error"), "{error}");
}

fn request_of(range: &pb::QueryRangeRequest) -> pb::QueryRequest {
    pb::QueryRequest {
        time_seconds: range.end_time_seconds,
        ..pb::QueryRequest::default()
    }
}
