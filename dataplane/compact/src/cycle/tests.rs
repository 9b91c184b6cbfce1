//! Whole rounds over a bucket, undisturbed and broken off at every write.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use objstore::bucket::EntryStream;
use objstore::fault::{FaultPlan, FaultyBucket};
use objstore::{
    Attributes, Bucket, BucketError, Condition, Content, ErrorKind as BucketErrorKind, Listing,
    Operation, Version,
};
use runtime::metrics::Metrics;

use super::*;
use crate::retention::{Keep, Policy};
use crate::world::{NOW_MS, Samples, World, labels, union, writer};

const HOUR_MS: i64 = 3_600_000;

/// The beginning of the range of two weeks in which `NOW_MS` lies.
const BASE_MS: i64 = NOW_MS - NOW_MS % (14 * 24 * HOUR_MS) - 28 * 24 * HOUR_MS;

fn config(tools: &Tools) -> WorkConfig {
    WorkConfig {
        data_dir: tools.data_dir.clone(),
        downsampling: false,
        concurrency: 2,
        retention: Policy::default(),
        delete_delay: Duration::ZERO,
        ..WorkConfig::default()
    }
}

fn cycle(world: &World, bucket: Arc<dyn Bucket>, config: WorkConfig) -> Cycle {
    let metrics = Metrics::empty();
    let tools = Tools {
        bucket,
        ..world.tools.clone()
    };
    Cycle::new(
        tools,
        config,
        FetcherMetrics::register(&metrics),
        CompactMetrics::register(&metrics),
    )
}

/// A sample every ten minutes of a few series.
fn two_hours(i: i64) -> Samples {
    let start = BASE_MS + i * 2 * HOUR_MS;
    let series = |number: usize| {
        let samples = (0..12).map(|s| {
            let t = start + s * 600_000;
            (t, ((t / 60_000 % 1000) as f64 + number as f64).to_bits())
        });
        (labels(number), samples.collect())
    };
    (0..3).map(|n| series(n + i as usize % 2)).collect()
}

async fn fill(world: &World, blocks: Range<i64>) -> Samples {
    let mut all = Vec::new();
    for i in blocks {
        let samples = two_hours(i);
        let start = BASE_MS + i * 2 * HOUR_MS;
        let range = (start, start + 2 * HOUR_MS);
        world
            .put(i as u128 + 1, range, writer(&samples, 1 << 20))
            .await;
        all.push(samples);
    }
    union(&all)
}

/// The samples of all raw blocks that nothing marks or replaces.
async fn visible(world: &World) -> Samples {
    let mut view = world.view().await;
    view.blocks.retain(|_, block| block.deletion_time.is_none());
    let replaced: BTreeSet<BlockId> = clean::superseded(&view.blocks)
        .into_iter()
        .map(|(gone, _)| gone)
        .collect();
    let mut all = Vec::new();
    for (id, block) in &view.blocks {
        if !replaced.contains(id) && Candidate::new(block).resolution() == Resolution::RAW {
            all.push(world.samples(*id).await);
        }
    }
    union(&all)
}

fn hours(view: &View) -> Vec<i64> {
    let blocks = view.blocks.values().map(|block| &block.meta);
    let mut times: Vec<(i64, i64)> = blocks
        .map(|meta| (meta.min_time, (meta.max_time - meta.min_time) / HOUR_MS))
        .collect();
    times.sort_unstable();
    times.into_iter().map(|(_, hours)| hours).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_becomes_large_blocks_and_nothing_is_left_of_the_small_ones() {
    let world = World::in_memory();
    let expected = fill(&world, 0..30).await;
    let mut cycle = cycle(&world, Arc::clone(&world.bucket), config(&world.tools));
    cycle.round(Some(0)).await.expect("the bucket works");
    // Two days, eight hours, and the last two blocks, as the newest is left alone.
    assert_eq!(hours(&world.view().await), [48, 8, 2, 2]);
    assert_eq!(visible(&world).await, expected);
    let progress = cycle.progress().load_full();
    assert_eq!(progress.todo.compactions, 0);
    assert_eq!((progress.rounds, progress.last_error.as_deref()), (1, None));
    cycle.round(Some(0)).await.expect("the bucket works");
    assert_eq!(hours(&world.view().await), [48, 8, 2, 2], "it is at rest");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_touched_with_a_wrong_clock_or_beside_another_compactor() {
    let world = World::in_memory();
    fill(&world, 0..10).await;
    let before = hours(&world.view().await);
    let mut cycle = cycle(&world, Arc::clone(&world.bucket), config(&world.tools));
    for skew_ms in [None, Some(400_000), Some(-400_000)] {
        cycle.round(skew_ms).await.expect("it answers");
        assert_eq!(hours(&world.view().await), before);
    }
    // A block as another compactor makes it, a minute after this one began.
    let id = BlockId::from_parts((NOW_MS + 60_000) as u64, 1);
    let start = BASE_MS + 100 * HOUR_MS;
    let mut meta = BlockMeta::new(id, start, start + HOUR_MS);
    let set = model::Labels::from_pairs([("cluster", "eu")]);
    meta.thanos = Some(tsdb::meta::Thanos::new(&set, tsdb::meta::source::COMPACTOR));
    world.put_object(id, "meta.json", meta.encode()).await;
    world.clock.advance_ms(120_000);
    cycle.round(Some(0)).await.expect("it answers");
    assert_eq!(hours(&world.view().await).len(), before.len() + 1);
    assert_eq!(cycle.progress().load().foreign_compactor, Some(id));
    world.clock.advance_ms(foreign::QUIET_MS);
    block::transfer::delete(&*world.bucket, id)
        .await
        .expect("deletes");
    cycle.round(Some(0)).await.expect("it answers");
    assert!(hours(&world.view().await).len() < before.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_cannot_be_read_is_put_aside_and_the_others_go_on() {
    let world = World::in_memory();
    fill(&world, 0..9).await;
    let broken = BlockId::from_parts(1_600_000_000_000, 2);
    let object = block::layout::object(broken, "chunks/000001");
    let mut bytes = world.bucket.get(&object).await.expect("reads").to_vec();
    bytes[40] ^= 1;
    world.put_object(broken, "chunks/000001", bytes).await;
    let mut cycle = cycle(&world, Arc::clone(&world.bucket), config(&world.tools));
    cycle
        .round(Some(0))
        .await
        .expect("one bad block is no failure");
    let view = world.view().await;
    assert!(view.blocks[&broken].files.no_compact_mark);
    // The first stands alone before it, the two behind it and the next four are compacted.
    assert_eq!(hours(&view), [2, 2, 4, 8, 2]);
    let progress = cycle.progress().load_full();
    assert_eq!(progress.quarantined[0].block, broken);
    assert!(progress.quarantined[0].reason.contains("chunks/000001"));
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_blocks_go_only_when_coarser_ones_cover_them() {
    let world = World::in_memory();
    fill(&world, 0..30).await;
    let day_ms = 24 * HOUR_MS;
    let policy = Policy {
        keep: Keep {
            raw_ms: Some(2 * day_ms),
            ..Keep::default()
        },
        overrides: Vec::new(),
        downsampling: true,
    };
    let config = WorkConfig {
        downsampling: true,
        retention: policy,
        ..config(&world.tools)
    };
    let mut cycle = cycle(&world, Arc::clone(&world.bucket), config);
    cycle.round(Some(0)).await.expect("the bucket works");
    let view = world.view().await;
    let resolutions: BTreeSet<i64> = view
        .blocks
        .values()
        .map(|block| Candidate::new(block).resolution().0)
        .collect();
    // All samples are weeks old: every raw block went, every one of them lives on coarser.
    assert_eq!(resolutions, BTreeSet::from([300_000, 3_600_000]));
    let sources = |resolution: i64| -> BTreeSet<BlockId> {
        let blocks = view.blocks.values();
        blocks
            .filter(|block| Candidate::new(block).resolution().0 == resolution)
            .flat_map(|block| block.meta.compaction.sources.clone())
            .collect()
    };
    assert_eq!(sources(300_000).len(), 30);
    assert_eq!(sources(3_600_000), sources(300_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_merged_and_their_blocks_go() {
    let world = World::in_memory();
    let range = (BASE_MS, BASE_MS + 2 * HOUR_MS);
    // Both scrape the same; one missed an hour.
    let whole = two_hours(0);
    let mut holed = whole.clone();
    for samples in holed.values_mut() {
        samples.retain(|t, _| *t < BASE_MS + HOUR_MS);
    }
    for (number, samples, replica) in [(1, &holed, "a"), (2, &whole, "b")] {
        let labels = [("cluster", "eu"), ("replica", replica)];
        world
            .put_labelled(number, range, writer(samples, 1 << 20), &labels)
            .await;
    }
    let config = WorkConfig {
        replica_labels: vec!["replica".to_owned()],
        vertical: true,
        ..config(&world.tools)
    };
    let mut cycle = cycle(&world, Arc::clone(&world.bucket), config);
    cycle.round(Some(0)).await.expect("the bucket works");
    let view = world.view().await;
    assert_eq!(view.blocks.len(), 1);
    let (id, block) = view.blocks.first_key_value().expect("there is one");
    let labels = block::filters::external_labels(&block.meta);
    assert_eq!(labels.to_string(), "{cluster=\"eu\"}");
    assert_eq!(world.samples(*id).await, whole);
    assert_eq!(block.meta.compaction.sources.len(), 2);
}

/// Passes so many writes on and then nothing at all, as a process that is killed.
#[derive(Debug)]
struct CutOff {
    inner: Arc<dyn Bucket>,
    writes_left: AtomicI64,
    /// Whether the write at which it ends still arrives.
    last_arrives: bool,
}

impl CutOff {
    fn error(&self, operation: Operation, name: &str) -> BucketError {
        BucketError::new(operation, "b", name, BucketErrorKind::Unavailable, "killed")
    }

    fn read(&self, name: &str) -> Result<(), BucketError> {
        match self.writes_left.load(Ordering::SeqCst) >= 0 {
            true => Ok(()),
            false => Err(self.error(Operation::Get, name)),
        }
    }

    /// Whether the write is carried out, and whether its writer hears of it.
    fn write(&self) -> (bool, bool) {
        let left = self.writes_left.fetch_sub(1, Ordering::SeqCst);
        (left > 0 || left == 0 && self.last_arrives, left > 0)
    }
}

#[async_trait]
impl Bucket for CutOff {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn iter(&self, folder: &str, listing: Listing) -> EntryStream {
        match self.read(folder) {
            Ok(()) => self.inner.iter(folder, listing),
            Err(error) => futures::stream::iter([Err(error)]).boxed(),
        }
    }

    async fn get(&self, name: &str) -> Result<Bytes, BucketError> {
        self.read(name)?;
        self.inner.get(name).await
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        self.read(name)?;
        self.inner.get_range(name, range).await
    }

    async fn exists(&self, name: &str) -> Result<bool, BucketError> {
        self.read(name)?;
        self.inner.exists(name).await
    }

    async fn attributes(&self, name: &str) -> Result<Attributes, BucketError> {
        self.read(name)?;
        self.inner.attributes(name).await
    }

    async fn upload(&self, name: &str, content: Content) -> Result<(), BucketError> {
        let (carried_out, heard) = self.write();
        if carried_out {
            self.inner.upload(name, content).await?;
        }
        heard
            .then_some(())
            .ok_or_else(|| self.error(Operation::Upload, name))
    }

    async fn get_versioned(&self, name: &str) -> Result<(Bytes, Version), BucketError> {
        self.read(name)?;
        self.inner.get_versioned(name).await
    }

    async fn put_if(
        &self,
        name: &str,
        content: Bytes,
        condition: Condition,
    ) -> Result<Version, BucketError> {
        self.inner.put_if(name, content, condition).await
    }

    async fn delete(&self, name: &str) -> Result<(), BucketError> {
        let (carried_out, heard) = self.write();
        if carried_out {
            self.inner.delete(name).await?;
        }
        heard
            .then_some(())
            .ok_or_else(|| self.error(Operation::Delete, name))
    }
}

/// At every write of a whole round, uploads, marks and deletions, the process ends, once before and once after the write took effect. At each such point
/// every sample is still there for readers, no block lacks a file, and a rerun comes to the same end.
#[tokio::test(flavor = "multi_thread")]
async fn a_round_that_ends_at_any_write_loses_nothing_and_is_made_up_for() {
    let mut writes = 0;
    loop {
        let mut finished = true;
        for last_arrives in [false, true] {
            let world = World::in_memory();
            let expected = fill(&world, 0..10).await;
            let cut_off = Arc::new(CutOff {
                inner: Arc::clone(&world.bucket),
                writes_left: AtomicI64::new(writes),
                last_arrives,
            });
            let mut killed = cycle(&world, cut_off, config(&world.tools));
            finished &= killed.round(Some(0)).await.is_ok();
            drop(killed);
            assert_eq!(visible(&world).await, expected, "after {writes} writes");
            let view = world.view().await;
            for (id, block) in &view.blocks {
                if block.deletion_time.is_none() {
                    world
                        .tools
                        .verify_complete(*id, &view)
                        .await
                        .unwrap_or_else(|error| unreachable!("{id} after {writes}: {error}"));
                }
            }
            // What a killed upload left is old enough to be removed by then.
            world.clock.advance_ms(3 * clean::PARTIAL_AGE_MS);
            let mut again = cycle(&world, Arc::clone(&world.bucket), config(&world.tools));
            again.round(Some(0)).await.expect("the bucket works");
            assert_eq!(
                visible(&world).await,
                expected,
                "rerun after {writes} writes"
            );
            let raw: Vec<i64> = hours(&world.view().await);
            assert_eq!(
                raw,
                [8, 8, 2, 2][..raw.len().min(4)],
                "after {writes} writes"
            );
        }
        if finished {
            break;
        }
        writes += 1;
    }
    assert!(writes > 10, "{writes} writes are too few for a round");
}

/// A bucket that fails often, lists half, answers short and applies what it says it did not.
#[tokio::test(flavor = "multi_thread")]
async fn rounds_over_a_failing_bucket_end_where_those_over_a_sound_one_do() {
    for seed in 0..4 {
        let world = World::in_memory();
        let expected = fill(&world, 0..10).await;
        let faulty = Arc::new(FaultyBucket::new(
            Arc::clone(&world.bucket),
            FaultPlan {
                seed,
                error_ratio: 0.02,
                short_body_ratio: 0.02,
                applied_but_failed_ratio: 0.05,
                broken_listing_ratio: 0.1,
                latency: None,
            },
        ));
        let mut cycle = cycle(&world, Arc::clone(&faulty) as _, config(&world.tools));
        let mut rounds = 0;
        while cycle.round(Some(0)).await.is_err() {
            assert_eq!(visible(&world).await, expected, "seed {seed}");
            rounds += 1;
            assert!(rounds < 200, "seed {seed} does not converge");
        }
        assert!(faulty.injected() > 0, "seed {seed}");
        assert_eq!(visible(&world).await, expected, "seed {seed}");
        let view = world.view().await;
        assert!(
            view.blocks
                .values()
                .all(|block| !block.files.no_compact_mark),
            "a short answer is no reason to put a block aside"
        );
    }
}

/// How many raw samples the blocks of a resolution stand for.
async fn counted(world: &World, resolution: Resolution) -> f64 {
    let view = world.view().await;
    let mut total = 0.0;
    for (id, block) in &view.blocks {
        if Candidate::new(block).resolution() != resolution || block.deletion_time.is_some() {
            continue;
        }
        let block = world.open(*id).await;
        for series in block.select(&[], model::TimeRange::ALL).expect("sound") {
            for (_, chunk) in series.chunks {
                let aggregates = chunk::AggregateChunk::decode(chunk.data).expect("sound");
                let counts = aggregates.get(chunk::Aggregate::Count).expect("there");
                let mut columns = chunk::Columns::new();
                chunk::decode_floats(counts.encoding, counts.data, &mut columns).expect("sound");
                total += columns.values().iter().sum::<f64>();
            }
        }
    }
    total
}

/// The same for downsampling and retention: a large block expires, and goes when it is covered.
#[tokio::test(flavor = "multi_thread")]
async fn downsampling_and_retention_end_anywhere_and_come_to_the_same() {
    let retiring = |world: &World| WorkConfig {
        downsampling: true,
        retention: Policy {
            keep: Keep {
                raw_ms: Some(48 * HOUR_MS),
                ..Keep::default()
            },
            overrides: Vec::new(),
            downsampling: true,
        },
        ..config(&world.tools)
    };
    let samples = union(&(0..24).map(two_hours).collect::<Vec<_>>());
    let n_samples = samples.values().map(|series| series.len()).sum::<usize>() as f64;
    for writes in 0.. {
        let mut finished = true;
        for last_arrives in [false, true] {
            let world = World::in_memory();
            let range = (BASE_MS, BASE_MS + 48 * HOUR_MS);
            world.put(1, range, writer(&samples, 1 << 20)).await;
            let cut_off = Arc::new(CutOff {
                inner: Arc::clone(&world.bucket),
                writes_left: AtomicI64::new(writes),
                last_arrives,
            });
            let mut killed = cycle(&world, cut_off, retiring(&world));
            finished &= killed.round(Some(0)).await.is_ok();
            drop(killed);
            let is_raw = visible(&world).await == samples;
            let five = counted(&world, Resolution::FIVE_MINUTES).await;
            let hours = counted(&world, Resolution::ONE_HOUR).await;
            let covered = five == n_samples && hours == n_samples;
            assert!(is_raw || covered, "after {writes} writes: {five}, {hours}");
            world.clock.advance_ms(3 * clean::PARTIAL_AGE_MS);
            let mut again = cycle(&world, Arc::clone(&world.bucket), retiring(&world));
            again.round(Some(0)).await.expect("the bucket works");
            let view = world.view().await;
            assert_eq!(view.blocks.len(), 2, "after {writes} writes");
            for resolution in [Resolution::FIVE_MINUTES, Resolution::ONE_HOUR] {
                assert_eq!(counted(&world, resolution).await, n_samples);
            }
        }
        if finished {
            assert!(writes > 8, "{writes} writes are too few");
            break;
        }
    }
}
