//! Two compactors on one bucket, as processes have them.

use std::time::Instant;

use runtime::clock::SystemClock;
use runtime::http::HttpConfig;
use tokio::task::JoinHandle;

use super::*;
use crate::config::WorkConfig;
use crate::world::{Samples, World, labels, writer};

const HOUR_MS: i64 = 3_600_000;

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);

struct Running {
    kit: Kit,
    http: SocketAddr,
    task: JoinHandle<()>,
}

async fn start(world: &World, folder: &Path) -> Running {
    let kit = Kit::for_tests(Arc::new(SystemClock));
    let config = Config {
        http: Some(HttpConfig {
            address: "127.0.0.1:0".to_owned(),
            ..HttpConfig::default()
        }),
        web_label: String::new(),
        work: WorkConfig {
            data_dir: folder.to_owned(),
            wait_interval: Some(Duration::from_millis(50)),
            downsampling: false,
            delete_delay: Duration::ZERO,
            ..WorkConfig::default()
        },
    };
    let compactor = Compactor::build(config, Arc::clone(&world.bucket), kit.clone())
        .await
        .expect("it starts");
    let http = compactor.http_addr().expect("it serves");
    let mut group = kit.task_group();
    compactor.spawn(&mut group);
    let task = tokio::spawn(async move {
        group.run(DEADLINE).await.expect("it ends in order");
    });
    Running { kit, http, task }
}

async fn get(address: SocketAddr, path: &str) -> serde_json::Value {
    let url = format!("http://{address}{path}");
    let text = reqwest::get(url).await.expect("answers").text().await;
    serde_json::from_str(&text.expect("a body")).expect("JSON")
}

/// Puts blocks of two hours, from the `first` on.
async fn fill(world: &World, blocks: std::ops::Range<i64>) {
    for i in blocks {
        let start = i * 2 * HOUR_MS;
        let samples = Samples::from([(labels(1), [(start, 1u64)].into())]);
        let range = (start, start + 2 * HOUR_MS);
        world
            .put(i as u128 + 1, range, writer(&samples, 1 << 20))
            .await;
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < DEADLINE, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_works_and_the_other_takes_over_when_it_ends() {
    runtime::tls::install_provider();
    let world = World::in_memory();
    fill(&world, 0..5).await;
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let first = start(&world, folders[0].path()).await;
    until("the first compacts", async || {
        world.view().await.blocks.len() == 2
    })
    .await;
    let second = start(&world, folders[1].path()).await;

    let status = get(first.http, "/api/v1/status/hindsight").await;
    assert_eq!(status["data"]["component"], "compact");
    assert_eq!(status["data"]["leaseHeld"], true);
    until("the second waits", async || {
        let progress = get(second.http, "/api/v1/compact/progress").await;
        progress["data"]["phase"] == "waiting for the lease"
    })
    .await;
    let status = get(second.http, "/api/v1/status/hindsight").await;
    assert_eq!(status["data"]["leaseHeld"], false);
    assert_eq!(status["data"]["ready"], true);

    first.kit.shutdown.begin();
    first.task.await.expect("it ends");
    fill(&world, 5..10).await;
    until("the second compacts", async || {
        world.view().await.blocks.len() == 4
    })
    .await;
    let blocks = get(second.http, "/api/v1/blocks").await;
    let n_blocks = blocks["data"]["blocks"].as_array().map(Vec::len);
    assert_eq!(n_blocks, Some(4), "{blocks}");
    second.kit.shutdown.begin();
    second.task.await.expect("it ends");
}
