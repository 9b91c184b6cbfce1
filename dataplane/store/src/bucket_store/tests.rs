use block::{BlockId, layout};
use chunk::aggregate::{Aggregate as Part, AggregateChunk, SubChunk};
use chunk::{Columns, Encoding};
use model::{Labels, TimeRange};
use objstore::fault::{FaultPlan, FaultyBucket};
use objstore::metered::Metered;
use objstore::{Content, ObjectStoreBucket};
use runtime::clock::ManualClock;
use storeapi::testsuite::{Collected, Fixture, check, collect};
use storeapi::{Aggregate, SeriesRequest};
use tsdb::block::{BlockWriter, EncodedChunk, cut_float_chunks};
use tsdb::meta::{Resolution, Thanos, source};

use super::*;
use crate::SeriesLimits;
use crate::component::open;
use crate::config::SyncConfig;
use crate::sync::Syncer;

const HOUR_MS: i64 = 3_600_000;

pub(crate) type Samples = Vec<(i64, f64)>;

/// A store over a bucket, with its folder and its loop.
pub(crate) struct Rig {
    pub(crate) store: Arc<BucketStore>,
    pub(crate) syncer: Syncer,
    pub(crate) kit: Kit,
    clock: ManualClock,
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) async fn rig(bucket: Arc<dyn Bucket>, read: ReadConfig) -> Rig {
    let dir = tempfile::tempdir().expect("tempdir");
    let clock = ManualClock::new(1_800_000_000_000);
    let kit = Kit::for_tests(Arc::new(clock.clone()));
    let sync = SyncConfig {
        data_dir: dir.path().join("data"),
        ..SyncConfig::default()
    };
    let (store, mut syncer) = open(bucket, read, sync, &kit).expect("opens");
    syncer.round().await.expect("syncs");
    Rig {
        store,
        syncer,
        kit,
        clock,
        dir,
    }
}

pub(crate) fn id(n: u64) -> BlockId {
    BlockId::from_parts(1_700_000_000_000 + n, u128::from(n))
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

pub(crate) async fn upload(
    bucket: &dyn Bucket,
    id: BlockId,
    external: &Labels,
    series: Vec<(Labels, Vec<EncodedChunk>)>,
) {
    upload_at(bucket, id, external, Resolution::RAW, series).await;
}

async fn upload_at(
    bucket: &dyn Bucket,
    id: BlockId,
    external: &Labels,
    resolution: Resolution,
    series: Vec<(Labels, Vec<EncodedChunk>)>,
) {
    // Small segments, so that a block has several.
    let mut writer = BlockWriter::new().with_segment_bytes(2 << 10);
    for (labels, chunks) in series {
        writer.add(labels, chunks);
    }
    let mut thanos = Thanos::new(external, source::SIDECAR);
    thanos.downsample.resolution = resolution;
    let written = writer.finish(id, Some(thanos)).expect("writes");
    for (file, content) in written.files {
        bucket
            .upload(&layout::object(id, &file), content.into())
            .await
            .expect("uploads");
    }
}

/// Cuts samples into a block for each span of so many milliseconds.
async fn upload_spans(
    bucket: &dyn Bucket,
    external: &Labels,
    series: &[(Labels, Samples)],
    span_ms: i64,
) {
    let times = || {
        series
            .iter()
            .flat_map(|(_, samples)| samples.iter().map(|(t, _)| *t))
    };
    let end = times().max().unwrap_or(0);
    let mut start = 0;
    while start <= end {
        let of_span = series.iter().filter_map(|(labels, samples)| {
            let samples: Samples = samples
                .iter()
                .filter(|(t, _)| (start..start + span_ms).contains(t))
                .copied()
                .collect();
            (!samples.is_empty()).then(|| (labels.clone(), cut_float_chunks(&samples)))
        });
        let number = u64::try_from(start / span_ms).expect("not negative");
        upload(bucket, id(number), external, of_span.collect()).await;
        start += span_ms;
    }
}

pub(crate) fn everything() -> Matcher {
    Matcher::new(model::MatchOp::Regex, "__name__", ".+").expect("valid")
}

pub(crate) fn request(range: TimeRange) -> SeriesRequest {
    SeriesRequest::new(range, vec![everything()])
}

pub(crate) fn decoded(collected: &Collected) -> Vec<(Labels, Samples)> {
    let series = collected.series.iter().map(|series| {
        let mut samples = Vec::new();
        for chunk in &series.chunks {
            let raw = chunk.raw.as_ref().expect("raw");
            let mut columns = Columns::new();
            chunk::decode_xor(&raw.data, &mut columns).expect("sound");
            samples.extend(columns.iter());
        }
        samples.sort_by_key(|(t, _)| *t);
        (series.labels.clone(), samples)
    });
    series.collect()
}

#[tokio::test]
async fn one_block_and_many_blocks_conform() {
    let fixture = Fixture::standard();
    for span_ms in [24 * HOUR_MS, HOUR_MS, HOUR_MS / 3] {
        let bucket = Arc::new(ObjectStoreBucket::in_memory("b"));
        upload_spans(&*bucket, &fixture.external_labels, &fixture.series, span_ms).await;
        let rig = rig(bucket, ReadConfig::default()).await;
        check(&*rig.store, &fixture).await;
    }
}

/// Returns some thousand series whose order the external labels change.
fn many() -> Vec<(Labels, Samples)> {
    let mut series = Vec::new();
    for i in 0..3000i64 {
        let instance = format!("host-{:04}", i / 3);
        let mut pairs = vec![("__name__", "requests"), ("instance", instance.as_str())];
        // One of three is the beginning of the next, and has its next name before the external ones.
        if i % 3 == 1 {
            pairs.push(("mode", "idle"));
        } else if i % 3 == 2 {
            pairs.extend([("mode", "idle"), ("zone", "z")]);
        }
        let samples = (0..200).map(|m| (m * 60_000, (i * m) as f64)).collect();
        series.push((labels(&pairs), samples));
    }
    series.sort_by(|a, b| a.0.cmp(&b.0));
    series
}

#[tokio::test]
async fn thousands_of_series_come_complete_and_in_order() {
    let series = many();
    let external = labels(&[("cluster", "a"), ("prometheus", "m/p"), ("replica", "0")]);
    let bucket = Arc::new(ObjectStoreBucket::in_memory("b"));
    upload_spans(&*bucket, &external, &series, 100 * 60_000).await;
    let rig = rig(bucket, ReadConfig::default()).await;
    let mut expected: Vec<(Labels, Samples)> = series
        .iter()
        .map(|(labels, samples)| (labels.overlaid_with(&external), samples.clone()))
        .collect();
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    let collected = collect(&*rig.store, request(TimeRange::ALL))
        .await
        .expect("answers");
    assert_eq!(collected.warnings, Vec::<String>::new());
    assert!(decoded(&collected) == expected, "series differ");

    let strip = SeriesRequest {
        without_replica_labels: vec!["replica".into(), "instance".into()],
        ..request(TimeRange::ALL)
    };
    // `collect` checks the order.
    let collected = collect(&*rig.store, strip).await.expect("answers");
    assert_eq!(collected.series.len(), 3);
}

#[tokio::test]
async fn few_requests_reach_the_bucket_and_none_for_postings_the_second_time() {
    let metrics = runtime::metrics::Metrics::empty();
    let bucket = Arc::new(Metered::new(ObjectStoreBucket::in_memory("b"), &metrics));
    upload(&*bucket, id(0), &labels(&[("cluster", "a")]), {
        let series = many().into_iter();
        series
            .map(|(labels, samples)| (labels, cut_float_chunks(&samples[..1])))
            .collect()
    })
    .await;
    let rig = rig(bucket, ReadConfig::default()).await;
    let reads = || {
        let text = metrics.encode().expect("encodes");
        let line = "thanos_objstore_bucket_operations_total{bucket=\"b\",operation=\"get_range\"} ";
        let value = text
            .lines()
            .find_map(|l| l.strip_prefix(line))
            .expect("counted");
        value.parse::<u64>().expect("a number")
    };
    let select = || {
        let matchers = vec![Matcher::equal("instance", "host-0500")];
        SeriesRequest::new(TimeRange::ALL, matchers)
    };
    let before = reads();
    assert_eq!(
        collect(&*rig.store, select())
            .await
            .expect("answers")
            .series
            .len(),
        3
    );
    assert_eq!(reads() - before, 3, "postings, series, chunks");
    let before = reads();
    assert_eq!(
        collect(&*rig.store, select())
            .await
            .expect("answers")
            .series
            .len(),
        3
    );
    assert_eq!(reads() - before, 2, "series, chunks");
}

/// Flips one byte of an object.
async fn flip(bucket: &dyn Bucket, object: &str, at: usize) {
    let mut content = bucket.get(object).await.expect("reads").to_vec();
    content[at] ^= 0x20;
    bucket
        .upload(object, Content::from(content))
        .await
        .expect("uploads");
}

#[tokio::test]
async fn flipped_byte_anywhere_gives_a_warning_and_never_a_wrong_sample() {
    let external = labels(&[("cluster", "a")]);
    let series: Vec<(Labels, Samples)> = (0..3)
        .map(|i| {
            let samples = (0..4)
                .map(|m| (m * 60_000, f64::from(i) + m as f64))
                .collect();
            (
                labels(&[("__name__", "up"), ("instance", &format!("h{i}"))]),
                samples,
            )
        })
        .collect();
    let pristine = ObjectStoreBucket::in_memory("b");
    let chunks = |offset: i64| {
        let shifted = series.iter().map(move |(labels, samples)| {
            let samples: Samples = samples.iter().map(|(t, v)| (t + offset, *v)).collect();
            (labels.clone(), cut_float_chunks(&samples))
        });
        shifted.collect::<Vec<_>>()
    };
    upload(&pristine, id(1), &external, chunks(0)).await;
    upload(&pristine, id(2), &external, chunks(HOUR_MS)).await;
    let whole = {
        let rig = rig(Arc::new(pristine.clone()), ReadConfig::default()).await;
        decoded(
            &collect(&*rig.store, request(TimeRange::ALL))
                .await
                .expect("answers"),
        )
    };
    let mut warned = 0;
    for file in ["index", "chunks/000001"] {
        let object = layout::object(id(1), file);
        let content = pristine.get(&object).await.expect("reads");
        for at in 0..content.len() {
            let bucket = ObjectStoreBucket::in_memory("b");
            for other in [id(1), id(2)] {
                for file in ["index", "chunks/000001", "meta.json"] {
                    let name = layout::object(other, file);
                    let content = pristine.get(&name).await.expect("reads");
                    bucket.upload(&name, content.into()).await.expect("uploads");
                }
            }
            flip(&bucket, &object, at).await;
            let rig = rig(Arc::new(bucket), ReadConfig::default()).await;
            let collected = collect(&*rig.store, request(TimeRange::ALL)).await;
            let collected = collected.unwrap_or_else(|error| panic!("{file} at {at}: {error}"));
            let seen = decoded(&collected);
            for ((labels, samples), (expected_labels, expected)) in seen.iter().zip(&whole) {
                assert_eq!(labels, expected_labels, "{file} at {at}");
                assert!(
                    samples.iter().all(|sample| expected.contains(sample)),
                    "{file} at {at}: {samples:?}"
                );
                let of_other = expected.iter().filter(|(t, _)| *t >= HOUR_MS);
                assert!(
                    of_other.clone().all(|sample| samples.contains(sample)),
                    "{file} at {at}: the other block is not complete"
                );
            }
            assert_eq!(seen.len(), whole.len(), "{file} at {at}");
            if seen == whole {
                continue;
            }
            warned += 1;
            let text = collected.warnings.concat();
            assert!(
                text.contains(&id(1).to_string()),
                "{file} at {at}: {text:?}"
            );
            let all_or_nothing = SeriesRequest {
                partial_response: PartialResponse::Abort,
                ..request(TimeRange::ALL)
            };
            let error = collect(&*rig.store, all_or_nothing)
                .await
                .expect_err("aborts");
            assert_eq!(error.kind(), ErrorKind::Aborted, "{file} at {at}: {error}");
        }
    }
    assert!(warned > 100, "only {warned} flips mattered");
}

#[tokio::test]
async fn short_bodies_and_errors_give_warnings_and_never_a_wrong_sample() {
    let series: Vec<_> = many().into_iter().take(300).collect();
    let external = labels(&[("cluster", "a")]);
    let inner = ObjectStoreBucket::in_memory("b");
    upload_spans(&inner, &external, &series, 50 * 60_000).await;
    let expected: std::collections::BTreeMap<Labels, Samples> = series
        .iter()
        .map(|(labels, samples)| (labels.overlaid_with(&external), samples.clone()))
        .collect();
    let mut incomplete = 0;
    for seed in 0..20 {
        let plan = FaultPlan {
            seed,
            short_body_ratio: 0.15,
            error_ratio: 0.15,
            ..FaultPlan::default()
        };
        let faulty = Arc::new(FaultyBucket::new(inner.clone(), plan));
        let dir = tempfile::tempdir().expect("tempdir");
        let kit = Kit::for_tests(Arc::new(ManualClock::new(1_800_000_000_000)));
        let sync = SyncConfig {
            data_dir: dir.path().to_owned(),
            ..SyncConfig::default()
        };
        let (store, mut syncer) = open(faulty, ReadConfig::default(), sync, &kit).expect("opens");
        let mut tries = 0;
        while syncer.round().await.is_err() {
            tries += 1;
            assert!(tries < 200, "does not sync");
        }
        let collected = collect(&*store, request(TimeRange::ALL))
            .await
            .expect("answers");
        let mut complete = collected.series.len() == expected.len();
        for (labels, samples) in decoded(&collected) {
            let all = expected
                .get(&labels)
                .unwrap_or_else(|| panic!("invented {labels}"));
            assert!(
                samples.iter().all(|sample| all.contains(sample)),
                "seed {seed}: {labels}"
            );
            complete &= samples.len() == all.len();
        }
        if !complete {
            incomplete += 1;
            assert!(
                !collected.warnings.is_empty(),
                "seed {seed}: silently short"
            );
        }
    }
    assert!(incomplete > 0, "no fault had an effect");
}

#[tokio::test]
async fn downsampled_blocks_give_the_aggregates_asked_for() {
    let external = labels(&[("cluster", "a")]);
    let sub = cut_float_chunks(&[(299_999, 5.0), (599_999, 7.0)])
        .remove(0)
        .data;
    let mut aggregate = AggregateChunk::default();
    for part in [Part::Count, Part::Sum, Part::Counter] {
        aggregate.set(
            part,
            SubChunk {
                encoding: Encoding::Xor,
                data: &sub,
            },
        );
    }
    let chunk = EncodedChunk {
        min_time: 0,
        max_time: 599_999,
        encoding: Encoding::Aggregate,
        data: aggregate.encode(),
    };
    let up = labels(&[("__name__", "up")]);
    let bucket = Arc::new(ObjectStoreBucket::in_memory("b"));
    let five = Resolution::FIVE_MINUTES;
    upload_at(
        &*bucket,
        id(1),
        &external,
        five,
        vec![(up.clone(), vec![chunk])],
    )
    .await;
    let raw = cut_float_chunks(&[(0, 1.0), (599_999, 2.0)]);
    upload(&*bucket, id(2), &external, vec![(up, raw)]).await;
    let rig = rig(bucket, ReadConfig::default()).await;
    let ask = |max_resolution_ms, aggregates| {
        let request = SeriesRequest {
            max_resolution_ms,
            aggregates,
            ..request(TimeRange::ALL)
        };
        collect(&*rig.store, request)
    };
    let wanted = vec![Aggregate::Count, Aggregate::Sum, Aggregate::Min];
    let coarse = ask(300_000, wanted.clone()).await.expect("answers");
    let chunk = &coarse.series[0].chunks[0];
    assert_eq!(chunk.payload(Aggregate::Raw), None);
    assert_eq!(chunk.payload(Aggregate::Sum).expect("asked for").data, sub);
    assert_eq!(
        chunk.payload(Aggregate::Count).expect("asked for").encoding,
        Encoding::Xor
    );
    assert_eq!(chunk.payload(Aggregate::Min), None, "not there");
    assert_eq!(chunk.payload(Aggregate::Counter), None, "not asked for");
    let fine = ask(299_999, wanted).await.expect("answers");
    assert!(
        fine.series[0].chunks[0].raw.is_some(),
        "raw blocks answer raw"
    );
}

#[tokio::test]
async fn limits_end_the_call_even_where_partial_answers_are_welcome() {
    let series: Vec<_> = many().into_iter().take(300).collect();
    let bucket = Arc::new(ObjectStoreBucket::in_memory("b"));
    upload_spans(&*bucket, &labels(&[("cluster", "a")]), &series, HOUR_MS).await;
    let none = SeriesLimits::default();
    for (limits, pool, what) in [
        (
            SeriesLimits {
                series: 299,
                ..none
            },
            0,
            "series",
        ),
        (
            SeriesLimits {
                samples: 10_000,
                ..none
            },
            0,
            "samples",
        ),
        (
            SeriesLimits {
                bytes: 1_000,
                ..none
            },
            0,
            "bytes",
        ),
        (none, 1_000, "chunk pool bytes"),
    ] {
        let read = ReadConfig {
            limits,
            chunk_pool_bytes: pool,
            ..ReadConfig::default()
        };
        let rig = rig(Arc::clone(&bucket) as Arc<dyn Bucket>, read).await;
        let error = collect(&*rig.store, request(TimeRange::ALL))
            .await
            .expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Exhausted, "{what}: {error}");
        assert!(
            error
                .to_string()
                .contains(&format!("exceeded {what} limit")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn torn_header_on_disk_is_built_again_and_unused_ones_are_unmapped() {
    let bucket = Arc::new(ObjectStoreBucket::in_memory("b"));
    let up = labels(&[("__name__", "up")]);
    let block = vec![(up, cut_float_chunks(&[(1000, 1.0)]))];
    upload(&*bucket, id(1), &labels(&[("cluster", "a")]), block).await;
    let rig = rig(bucket, ReadConfig::default()).await;
    let header = rig
        .dir
        .path()
        .join("data")
        .join(id(1).to_string())
        .join("index-header");
    let whole = std::fs::read(&header).expect("reads");
    let idle_ms = 5 * 60_000;
    for torn in [&b""[..], b"torn", &[0; 4096]] {
        rig.clock.advance_ms(idle_ms + 1);
        rig.store.unload_unused();
        std::fs::remove_file(&header).expect("removes");
        std::fs::write(&header, torn).expect("writes");
        let ask = || collect(&*rig.store, request(TimeRange::ALL));
        let collected = ask().await.expect("answers");
        assert_eq!((collected.series.len(), collected.warnings.len()), (1, 0));
        assert_eq!(std::fs::read(&header).expect("reads"), whole, "built again");

        // While it is mapped nothing opens the file, and a moment before the timeout it still is.
        std::fs::remove_file(&header).expect("removes");
        rig.clock.advance_ms(idle_ms);
        rig.store.unload_unused();
        ask().await.expect("answers");
        assert!(!header.try_exists().expect("answers"), "still mapped");
        rig.clock.advance_ms(idle_ms + 1);
        rig.store.unload_unused();
        ask().await.expect("answers");
        assert!(header.try_exists().expect("answers"), "was unmapped");
    }
}
