use std::time::{Duration, Instant};

use block::{BlockId, layout};
use model::Labels;
use objstore::ObjectStoreBucket;
use objstore::fault::{FaultPlan, FaultyBucket};
use runtime::clock::SystemClock;
use runtime::grpc::{ChannelConfig, GrpcConfig, channel};
use runtime::http::HttpConfig;
use storeapi::testsuite::{Fixture, check};
use storeapi::{RemoteConfig, RemoteStore};
use tsdb::block::{BlockWriter, cut_float_chunks};
use tsdb::meta::{Thanos, source};

use super::*;

const DEADLINE: Duration = Duration::from_secs(30);

struct Running {
    http: String,
    grpc: String,
    kit: Kit,
    task: tokio::task::JoinHandle<Result<(), runtime::tasks::TaskError>>,
    _dir: tempfile::TempDir,
}

async fn start(bucket: Arc<dyn Bucket>) -> Running {
    runtime::tls::install_provider();
    let dir = tempfile::tempdir().expect("tempdir");
    let address = "127.0.0.1:0".to_owned();
    let config = Config {
        http: HttpConfig {
            address: address.clone(),
            ..HttpConfig::default()
        },
        grpc: GrpcConfig {
            address,
            ..GrpcConfig::default()
        },
        sync: SyncConfig {
            data_dir: dir.path().to_owned(),
            ..SyncConfig::default()
        },
        web_label: "cluster".to_owned(),
        ..Config::default()
    };
    let kit = Kit::for_tests(Arc::new(SystemClock));
    let gateway = Gateway::build(config, bucket, kit.clone())
        .await
        .expect("builds");
    let (http, grpc) = (gateway.http_addr(), gateway.grpc_addr());
    let mut group = kit.task_group();
    gateway.spawn(&mut group);
    let task = tokio::spawn(group.run(DEADLINE));
    Running {
        http: format!("http://{http}"),
        grpc: grpc.to_string(),
        kit,
        task,
        _dir: dir,
    }
}

impl Running {
    async fn ready(&self) {
        let mut probe = self.kit.probe.subscribe();
        let ready = probe.wait_for(|state| state.ready.is_ok());
        tokio::time::timeout(DEADLINE, ready)
            .await
            .expect("in time")
            .expect("lives");
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("{}{path}", self.http))
            .await
            .expect("answers");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }

    async fn stop(self) {
        self.kit.shutdown.begin();
        self.task.await.expect("joins").expect("ends in order");
    }
}

#[tokio::test]
async fn empty_bucket_is_ready_at_once() {
    let begun = Instant::now();
    let running = start(Arc::new(ObjectStoreBucket::in_memory("b"))).await;
    running.ready().await;
    // Far above what it takes, so that only a wait would show.
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(running.get("/-/ready").await.0, 200);
    running.stop().await;
}

#[tokio::test]
async fn bucket_that_is_down_leaves_it_alive_and_not_ready_until_it_is_up() {
    let inner = ObjectStoreBucket::in_memory("b");
    let bucket = Arc::new(FaultyBucket::new(inner, FaultPlan::default()));
    bucket.set_down(true);
    let running = start(Arc::clone(&bucket) as Arc<dyn Bucket>).await;
    let failed = "thanos_blocks_meta_sync_failures_total 1";
    let begun = Instant::now();
    while !running.get("/metrics").await.1.contains(failed) {
        assert!(begun.elapsed() < DEADLINE, "no sync was tried");
        tokio::task::yield_now().await;
    }
    assert_eq!(running.get("/-/ready").await.0, 503);
    assert_eq!(running.get("/-/healthy").await.0, 200);
    bucket.set_down(false);
    running.ready().await;
    running.stop().await;
}

#[tokio::test]
async fn blocks_are_served_over_grpc_and_listed_over_http() {
    let fixture = Fixture::standard();
    let id = BlockId::from_parts(1_700_000_000_000, 1);
    let mut writer = BlockWriter::new();
    for (labels, samples) in &fixture.series {
        writer.add(labels.clone(), cut_float_chunks(samples));
    }
    let thanos = Thanos::new(&fixture.external_labels, source::SIDECAR);
    let written = writer.finish(id, Some(thanos)).expect("writes");
    let bucket = Arc::new(ObjectStoreBucket::in_memory("b"));
    for (file, content) in written.files {
        bucket
            .upload(&layout::object(id, &file), content.into())
            .await
            .expect("uploads");
    }
    let running = start(bucket).await;
    running.ready().await;

    let to_peer = channel(&running.grpc, None, &ChannelConfig::default()).expect("an address");
    let remote = RemoteStore::new(&running.grpc, to_peer, RemoteConfig::default());
    remote.refresh_info().await.expect("answers Info");
    check(&remote, &fixture).await;
    drop(remote);

    let (status, body) = running.get("/api/v1/blocks?view=loaded").await;
    assert_eq!(status, 200);
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(body["status"], "success");
    assert_eq!(body["data"]["label"], "cluster");
    assert_eq!(body["data"]["blocks"][0]["ulid"], id.to_string());
    let external = body["data"]["blocks"][0]["thanos"]["labels"]
        .as_object()
        .expect("labels");
    let pairs = external
        .iter()
        .map(|(name, value)| (name, value.as_str().expect("text")));
    assert_eq!(Labels::from_pairs(pairs), fixture.external_labels);
    assert_eq!(running.get("/api/v1/blocks?view=x").await.0, 400);
    running.stop().await;
}
