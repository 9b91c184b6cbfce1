//! The sidecar beside a real Prometheus.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test's own functions fail by panicking and say why they were skipped"
)]

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use model::{Matcher, TimeRange};
use runtime::clock::SystemClock;
use runtime::grpc::{ChannelConfig, GrpcConfig, channel};
use runtime::http::HttpConfig;
use runtime::service::Kit;
use sidecar::reload::ReloadConfig;
use sidecar::reload::template::Lookup;
use sidecar::ship::ShipConfig;
use sidecar::store::SeriesLimits;
use storeapi::client::{RemoteConfig, RemoteStore};
use storeapi::proto::thanos as pb;
use storeapi::{
    LabelsRequest, MetadataApi, RulesApi, Series, SeriesFrame, SeriesRequest, SeriesStore,
    TargetsApi,
};

const DEADLINE: Duration = Duration::from_secs(60);

/// A Prometheus that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Returns the real Prometheus, or says why the test cannot run.
fn prometheus() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("HINDSIGHT_PROMETHEUS") else {
        assert!(
            std::env::var("CI").is_err(),
            "HINDSIGHT_PROMETHEUS has to be set in CI"
        );
        eprintln!("SKIP: sidecar beside prometheus: HINDSIGHT_PROMETHEUS names no folder");
        return None;
    };
    Some(PathBuf::from(folder).join("prometheus"))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn start(binary: &Path, folder: &Path, port: u16) -> Server {
    let child = Command::new(binary)
        .arg(format!(
            "--config.file={}",
            folder.join("out/prometheus.yaml").display()
        ))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.join("data").display()
        ))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .args(["--web.enable-lifecycle", "--storage.tsdb.no-lockfile"])
        .args([
            "--storage.tsdb.min-block-duration=2h",
            "--storage.tsdb.max-block-duration=2h",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Server(child)
}

fn template(port: u16, more: &str) -> String {
    format!(
        "global:\n  scrape_interval: 250ms\n  external_labels:\n    cluster: test\n    \
         prometheus_replica: $(POD_NAME)\n{more}\nrule_files: ['{{RULES}}']\nscrape_configs:\n\
         - job_name: self\n  static_configs:\n  - targets: ['127.0.0.1:{port}']\n"
    )
}

fn config(folder: &Path, port: u16) -> sidecar::Config {
    let local = |address: &str| address.to_owned();
    sidecar::Config {
        prometheus_url: format!("http://127.0.0.1:{port}"),
        get_config_interval: Duration::from_millis(200),
        get_config_timeout: Duration::from_secs(10),
        min_time: 0,
        reload: ReloadConfig {
            config_file: Some(folder.join("template/prometheus.yaml.tmpl")),
            output_file: Some(folder.join("out/prometheus.yaml")),
            rule_dirs: vec![folder.join("rules")],
            watch_interval: Duration::from_secs(180),
            retry_interval: Duration::from_millis(300),
        },
        variables: Lookup::new(|name| (name == "POD_NAME").then(|| "pod-0".to_owned())),
        ship: ShipConfig {
            folder: folder.join("data"),
            upload_compacted: false,
            concurrency: 1,
            hash_files: false,
            state_file: sidecar::ship::state::FILE_NAME.to_owned(),
            ignore_unequal_block_size: false,
            allow_out_of_order: false,
            skip_corrupted: false,
        },
        limits: SeriesLimits::default(),
        http: HttpConfig {
            address: local("127.0.0.1:0"),
            ..HttpConfig::default()
        },
        grpc: GrpcConfig {
            address: local("127.0.0.1:0"),
            ..GrpcConfig::default()
        },
    }
}

/// Polls `ask` until it answers something.
async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(DEADLINE, asking)
        .await
        .unwrap_or_else(|_| panic!("not within a minute: {what}"))
}

async fn status(address: SocketAddr) -> serde_json::Value {
    let url = format!("http://{address}/api/v1/status/hindsight");
    let body: serde_json::Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    body["data"].clone()
}

async fn series(store: &RemoteStore, request: SeriesRequest) -> Vec<Series> {
    let frames = store.series(Arc::new(request)).await.unwrap();
    let frames: Vec<SeriesFrame> = frames.try_collect().await.unwrap();
    let series = frames.into_iter().filter_map(|frame| match frame {
        SeriesFrame::Series(series) => Some(series),
        _ => None,
    });
    series.collect()
}

fn up() -> SeriesRequest {
    SeriesRequest::new(
        TimeRange::new(0, i64::MAX),
        vec![Matcher::equal("__name__", "up")],
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_starts_with_its_configuration_and_is_served_and_reloaded() {
    let Some(binary) = prometheus() else { return };
    drop(rustls::crypto::ring::default_provider().install_default());
    let folder = tempfile::tempdir().unwrap();
    let (root, port) = (folder.path(), free_port());
    std::fs::create_dir(root.join("template")).unwrap();
    std::fs::create_dir(root.join("rules")).unwrap();
    let rules = root.join("rules/*.yaml").display().to_string();
    let write = |more: &str| {
        let text = template(port, more).replace("{RULES}", &rules);
        std::fs::write(root.join("template/prometheus.yaml.tmpl"), text).unwrap();
    };
    write("");

    let kit = Kit::for_tests(Arc::new(SystemClock));
    let sidecar = sidecar::build(config(root, port), None, kit.clone())
        .await
        .unwrap();
    let (http, grpc) = (sidecar.http_addr(), sidecar.grpc_addr());
    let running = tokio::spawn(sidecar.run());

    // Healthy without Prometheus, so that a native sidecar lets Prometheus start; not ready.
    let mut probe = kit.probe.subscribe();
    tokio::time::timeout(DEADLINE, probe.wait_for(|state| state.healthy.is_ok()))
        .await
        .unwrap()
        .unwrap();
    assert!(!kit.probe.is_ready());
    assert!(
        std::fs::read_to_string(root.join("out/prometheus.yaml"))
            .unwrap()
            .contains("pod-0")
    );

    let server = start(&binary, root, port);
    tokio::time::timeout(DEADLINE, probe.wait_for(|state| state.ready.is_ok()))
        .await
        .unwrap()
        .unwrap();

    let remote = channel(&grpc.to_string(), None, &ChannelConfig::default()).unwrap();
    let store = RemoteStore::new(&grpc.to_string(), remote, RemoteConfig::default());
    let info = store.refresh_info().await.unwrap();
    assert_eq!(
        info.label_sets[0].to_string(),
        r#"{cluster="test", prometheus_replica="pod-0"}"#
    );
    let found = eventually("a first sample", || async {
        Some(series(&store, up()).await).filter(|found| !found.is_empty())
    })
    .await;
    assert_eq!(found[0].labels.get("prometheus_replica"), Some("pod-0"));
    let chunk = &found[0].chunks[0];
    let mut columns = chunk::Columns::default();
    chunk::decode_xor(&chunk.raw.as_ref().unwrap().data, &mut columns).unwrap();
    assert!(
        columns
            .values()
            .iter()
            .all(|value| *value == 1.0 || *value == 0.0)
    );

    // Without the replica label, labels only, and in order.
    let mut request = SeriesRequest::new(
        TimeRange::ALL,
        vec![Matcher::new(model::MatchOp::Regex, "__name__", "prometheus_tsdb_.+").unwrap()],
    );
    request.without_replica_labels = vec!["prometheus_replica".to_owned()];
    let found = series(&store, request.clone()).await;
    assert!(
        found.len() > 10
            && found
                .iter()
                .all(|s| s.labels.get("prometheus_replica").is_none())
    );
    assert!(found.is_sorted_by(|a, b| a.labels < b.labels));
    request.skip_chunks = true;
    let labels_only = series(&store, request).await;
    assert!(labels_only.iter().all(|s| s.chunks.is_empty()));
    assert!(labels_only.len() >= found.len());

    // Matchers on external labels are answered here.
    let mut other = up();
    other.matchers.push(Matcher::equal("cluster", "other"));
    assert!(series(&store, other).await.is_empty());
    let request = Arc::new(LabelsRequest::default());
    let names = store
        .label_names(Arc::clone(&request))
        .await
        .unwrap()
        .values;
    assert!(names.contains(&"cluster".to_owned()) && names.contains(&"job".to_owned()));
    let values = store.label_values("cluster", request).await.unwrap().values;
    assert_eq!(values, ["test"]);

    // A rule file that appears is loaded; so is a changed template.
    std::fs::write(
        root.join("rules/a.yaml"),
        "groups: [{name: g, rules: [{record: r, expr: up}]}]\n",
    )
    .unwrap();
    let apis = store.apis();
    eventually("the rule is loaded", || async {
        let groups = apis.rules(pb::RulesRequest::default()).await.unwrap().value;
        groups.first().map(|group| group.name.clone())
    })
    .await;
    let targets = apis
        .targets(pb::TargetsRequest::default())
        .await
        .unwrap()
        .value;
    assert_eq!(targets.active_targets.len(), 1);
    let request = pb::MetricMetadataRequest {
        limit: -1,
        ..Default::default()
    };
    assert!(
        !apis
            .metric_metadata(request)
            .await
            .unwrap()
            .value
            .metadata
            .is_empty()
    );

    let before = status(http).await;
    write("    region: eu\n");
    eventually("the new label", || async {
        let info = store.refresh_info().await.unwrap();
        info.label_sets[0].get("region").map(str::to_owned)
    })
    .await;
    let after = status(http).await;
    assert_ne!(before["configHash"], after["configHash"]);
    assert_eq!(after["configHash"], after["wantedConfigHash"]);

    // A configuration that Prometheus refuses is reported in its words, and the old one goes on.
    write("no_such_field: 1\n");
    let refused = eventually("the refusal", || async {
        status(http).await["configError"]
            .as_str()
            .map(str::to_owned)
    })
    .await;
    assert!(refused.contains("no_such_field"), "{refused}");
    assert_eq!(status(http).await["configHash"], after["configHash"]);
    write("    region: eu\n");
    eventually("the mended configuration", || async {
        status(http).await["configError"].is_null().then_some(())
    })
    .await;

    // Prometheus goes: not ready, and says why; healthy all the while.
    drop(server);
    tokio::time::timeout(DEADLINE, probe.wait_for(|state| state.ready.is_err()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kit.probe.state().healthy, Ok(()));

    kit.shutdown.begin();
    tokio::time::timeout(DEADLINE, running)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}
