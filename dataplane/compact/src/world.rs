//! A bucket with blocks in it, for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use block::fetcher::{Fetcher, FetcherMetrics, View};
use block::{BlockId, layout};
use chunk::Columns;
use model::{Labels, TimeRange};
use objstore::{Bucket, ObjectStoreBucket};
use runtime::clock::ManualClock;
use runtime::metrics::Metrics;
use runtime::shutdown::Shutdown;
use tsdb::block::{BlockReader, BlockWriter, cut_float_chunks};
use tsdb::meta::{BlockMeta, Resolution, Thanos, source};
use tsdb::segment::segment_name;
use tsdb::tombstones::Tombstones;

use crate::error::CompactError;
use crate::execute::{Compacted, Tools};
use crate::group::GroupKey;
use crate::lease::Guard;
use crate::merge::overlap::Dedup;

/// When tests begin, in milliseconds since the Unix epoch.
pub(crate) const NOW_MS: i64 = 1_700_000_000_000;

/// Samples by series and time; values as bits, so that NaNs compare.
pub(crate) type Samples = BTreeMap<Labels, BTreeMap<i64, u64>>;

pub(crate) struct World {
    pub(crate) bucket: Arc<dyn Bucket>,
    pub(crate) tools: Tools,
    pub(crate) clock: ManualClock,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new(bucket: Arc<dyn Bucket>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = ManualClock::new(NOW_MS);
        let tools = Tools {
            bucket: Arc::clone(&bucket),
            data_dir: folder.path().to_owned(),
            guard: Guard::unguarded(),
            clock: Arc::new(clock.clone()),
            shutdown: Shutdown::new(),
            fetch_concurrency: 2,
        };
        Self {
            bucket,
            tools,
            clock,
            _folder: folder,
        }
    }

    pub(crate) fn in_memory() -> Self {
        Self::new(Arc::new(ObjectStoreBucket::in_memory("b")))
    }

    pub(crate) async fn put(
        &self,
        number: u128,
        range: (i64, i64),
        writer: BlockWriter,
    ) -> BlockId {
        self.put_labelled(number, range, writer, &[("cluster", "eu")])
            .await
    }

    pub(crate) async fn put_labelled(
        &self,
        number: u128,
        range: (i64, i64),
        writer: BlockWriter,
        labels: &[(&str, &str)],
    ) -> BlockId {
        let id = BlockId::from_parts(1_600_000_000_000, number);
        let labels = Labels::from_pairs(labels.iter().copied());
        let written = writer
            .finish(id, Some(Thanos::new(&labels, source::SIDECAR)))
            .expect("the block is sound");
        let mut meta = written.meta;
        (meta.min_time, meta.max_time) = range;
        for (name, bytes) in written.files {
            let bytes = if name == layout::META {
                meta.encode()
            } else {
                bytes
            };
            self.put_object(id, &name, bytes).await;
        }
        id
    }

    pub(crate) async fn put_object(&self, id: BlockId, file: &str, bytes: Vec<u8>) {
        self.bucket
            .upload(&layout::object(id, file), bytes.into())
            .await
            .expect("uploads");
    }

    pub(crate) async fn view(&self) -> View {
        let metrics = FetcherMetrics::register(&Metrics::empty());
        Fetcher::new(Arc::clone(&self.bucket), None, 4, metrics)
            .fetch()
            .await
            .expect("lists")
    }

    pub(crate) async fn compact(
        &self,
        blocks: &[BlockId],
        dedup: Dedup,
    ) -> Result<Compacted, CompactError> {
        let key = GroupKey {
            resolution: Resolution::RAW,
            labels: Labels::from_pairs([("cluster", "eu")]),
        };
        let view = self.view().await;
        self.tools.compact(&key, blocks, &view, dedup).await
    }

    pub(crate) async fn open(&self, id: BlockId) -> BlockReader {
        let get = async |file: &str| self.bucket.get(&layout::object(id, file)).await;
        let meta = get(layout::META).await.expect("the meta is there");
        let mut segments = Vec::new();
        while let Ok(segment) = get(&segment_name(segments.len() as u32)).await {
            segments.push(segment);
        }
        let meta = BlockMeta::decode(&meta).expect("the meta is sound");
        let index = get(layout::INDEX).await.expect("the index is there");
        BlockReader::new(meta, index, segments, Tombstones::new()).expect("the block is sound")
    }

    pub(crate) async fn samples(&self, id: BlockId) -> Samples {
        let block = self.open(id).await;
        block.verify().expect("the block is sound");
        samples(&block)
    }
}

pub(crate) fn samples(block: &BlockReader) -> Samples {
    let mut all = Samples::new();
    for series in block.select(&[], TimeRange::ALL).expect("it is sound") {
        let samples = all.entry(series.labels).or_default();
        for (_, chunk) in series.chunks {
            let mut columns = Columns::new();
            chunk::decode_floats(chunk.encoding, chunk.data, &mut columns).expect("it is sound");
            for (t, value) in columns.iter() {
                assert_eq!(samples.insert(t, value.to_bits()), None, "twice at {t}");
            }
        }
    }
    all
}

pub(crate) fn writer(samples: &Samples, segment_bytes: u64) -> BlockWriter {
    let mut writer = BlockWriter::new().with_segment_bytes(segment_bytes);
    for (labels, samples) in samples {
        let samples: Vec<(i64, f64)> = samples
            .iter()
            .map(|(t, bits)| (*t, f64::from_bits(*bits)))
            .collect();
        writer.add(labels.clone(), cut_float_chunks(&samples));
    }
    writer
}

pub(crate) fn labels(i: usize) -> Labels {
    Labels::from_pairs([
        ("__name__".to_owned(), format!("m{}", i % 3)),
        ("instance".to_owned(), format!("host-{i:03}")),
    ])
}

pub(crate) fn union(blocks: &[Samples]) -> Samples {
    let mut all = Samples::new();
    for block in blocks {
        for (labels, samples) in block {
            let known = all.entry(labels.clone()).or_default();
            for (t, bits) in samples {
                known.entry(*t).or_insert(*bits);
            }
        }
    }
    all
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads")
        .block_on(future)
}

pub(crate) fn ramp(n: i64, step: i64, offset: i64) -> Samples {
    let samples = (0..n).map(|i| (offset + i * step, (i as f64).to_bits()));
    Samples::from([(labels(1), samples.collect())])
}
