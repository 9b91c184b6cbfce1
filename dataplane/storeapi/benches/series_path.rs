//! What a series costs on its way: decoding a frame, merging, deduplicating, and the whole trip over
//! a loopback connection through a proxy.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use chunk::Columns;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::StreamExt;
use model::{Labels, Matcher, TimeRange};
use prost::Message;
use runtime::clock::ManualClock;
use runtime::grpc::{ChannelConfig, GrpcConfig, GrpcServer, channel};
use runtime::service::Kit;
use storeapi::dedup::{Algorithm, ChunkLane, Deduped, SampleBatches, ValueKind, lanes};
use storeapi::server::STREAMING_METHODS;
use storeapi::testsuite::{MemoryStore, xor_chunks};
use storeapi::wire::WireFrame;
use storeapi::{
    Aggregate, Endpoint, Proxy, ProxyConfig, RemoteConfig, RemoteStore, Series, SeriesFrame,
    SeriesRequest, SeriesStore, Services,
};

const N_SERIES: usize = 10_000;
const N_SAMPLES: i64 = 240;
const STEP_MS: i64 = 15_000;

fn series(offset: i64) -> Vec<Series> {
    let series = |i: usize| {
        let pod = format!("api-6d4cf56db6-{i:05}");
        let labels = Labels::from_pairs([
            ("__name__", "http_requests_total"),
            ("code", ["200", "404", "500"][i % 3]),
            ("container", "api"),
            ("endpoint", "metrics"),
            ("instance", &format!("10.0.{}.{}:8080", i / 256, i % 256)),
            ("job", "default/api"),
            ("method", "GET"),
            ("namespace", "default"),
            ("pod", &pod),
            ("service", "api"),
        ]);
        let sample = |n: i64| (n * STEP_MS + offset, (n * 7 + i as i64) as f64);
        let samples: Vec<_> = (0..N_SAMPLES).map(sample).collect();
        Series {
            labels,
            chunks: xor_chunks(&samples),
        }
    };
    (0..N_SERIES).map(series).collect()
}

fn replica(name: &str, offset: i64) -> MemoryStore {
    let external = Labels::from_pairs([("cluster", "eu"), ("replica", name)]);
    MemoryStore::new(external, series(offset))
}

fn request() -> Arc<SeriesRequest> {
    let matchers = vec![Matcher::equal("__name__", "http_requests_total")];
    Arc::new(SeriesRequest {
        without_replica_labels: vec!["replica".to_owned()],
        ..SeriesRequest::new(TimeRange::ALL, matchers)
    })
}

async fn drain(store: &dyn SeriesStore) -> usize {
    let mut stream = store.series(request()).await.expect("a stream");
    let mut chunks = 0;
    while let Some(frame) = stream.next().await {
        if let SeriesFrame::Series(series) = frame.expect("a frame") {
            chunks += black_box(series).chunks.len();
        }
    }
    chunks
}

fn wire(c: &mut Criterion) {
    let all = series(0);
    let frames: Vec<Bytes> = all
        .chunks(64)
        .map(|batch| WireFrame::Batch(batch.to_vec()).encode_to_vec().into())
        .collect();
    let mut group = c.benchmark_group("wire");
    group.throughput(Throughput::Elements(N_SERIES as u64));
    group.bench_function("decode", |b| {
        b.iter(|| {
            for frame in &frames {
                black_box(WireFrame::decode(frame.clone()).expect("decodes"));
            }
        });
    });
    let batches: Vec<_> = all
        .chunks(64)
        .map(|batch| WireFrame::Batch(batch.to_vec()))
        .collect();
    group.bench_function("encode", |b| {
        b.iter(|| {
            batches
                .iter()
                .map(|batch| black_box(batch.encode_to_vec()).len())
                .sum::<usize>()
        });
    });
    group.finish();
}

fn dedup(c: &mut Criterion) {
    let mut chunks = series(0).swap_remove(7).chunks;
    chunks.extend(series(100).swap_remove(7).chunks);
    chunks.sort();
    let mut group = c.benchmark_group("dedup");
    group.throughput(Throughput::Elements(2 * N_SAMPLES as u64));
    for (name, algorithm) in [("penalty", Algorithm::Penalty), ("chain", Algorithm::Chain)] {
        group.bench_function(name, |b| {
            let mut columns = Columns::new();
            b.iter(|| {
                let sources = lanes(chunks.clone())
                    .into_iter()
                    .map(|lane| ChunkLane::new(lane, Aggregate::Raw, TimeRange::ALL))
                    .collect();
                let mut stream =
                    Deduped::new(sources, TimeRange::ALL, algorithm, ValueKind::Counter);
                while stream.next_batch(&mut columns).expect("decodes") {
                    black_box(columns.values());
                }
            });
        });
    }
    group.finish();
}

fn proxy(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut group = c.benchmark_group("proxy");
    group
        .sample_size(20)
        .throughput(Throughput::Elements(2 * N_SERIES as u64));

    let endpoint = |address: &str, store: Arc<dyn SeriesStore>| Endpoint {
        address: address.into(),
        store,
    };
    let local = vec![
        endpoint("a", Arc::new(replica("0", 0))),
        endpoint("b", Arc::new(replica("1", 100))),
    ];
    let proxy = Proxy::new(Arc::new(local.clone()), ProxyConfig::default());
    group.bench_function("two replicas in memory", |b| {
        b.iter(|| assert_eq!(runtime.block_on(drain(&proxy)), 4 * N_SERIES));
    });

    let remote = runtime.block_on(async {
        let mut remote = Vec::new();
        for Endpoint { store, .. } in local {
            let config = GrpcConfig {
                address: "127.0.0.1:0".to_owned(),
                ..GrpcConfig::default()
            };
            let server = GrpcServer::bind(&config).await.expect("binds");
            let address = server.local_addr().to_string();
            let kit = Kit::for_tests(Arc::new(ManualClock::default()));
            let services = Services {
                store: Some(store),
                ..Services::default()
            };
            let routes = services.into_routes(&kit.probe);
            tokio::spawn(server.serve(kit, routes, STREAMING_METHODS));
            let channel = channel(&address, None, &ChannelConfig::default()).expect("an address");
            let store = RemoteStore::new(&address, channel, RemoteConfig::default());
            store.refresh_info().await.expect("info");
            remote.push(endpoint(&address, Arc::new(store)));
        }
        remote
    });
    let proxy = Proxy::new(Arc::new(remote), ProxyConfig::default());
    group.bench_function("two replicas over loopback", |b| {
        b.iter(|| assert_eq!(runtime.block_on(drain(&proxy)), 4 * N_SERIES));
    });
    group.finish();
}

criterion_group!(benches, wire, dedup, proxy);
criterion_main!(benches);
