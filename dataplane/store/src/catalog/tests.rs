use std::path::Path;

use block::BlockFiles;
use block::fetcher::FetchedBlock;
use tsdb::meta::{BlockMeta, Resolution, Thanos, source};

use super::*;

fn block(n: u64, start: i64, end: i64, resolution: Resolution, cluster: &str) -> Arc<Block> {
    let mut meta = BlockMeta::new(BlockId::from_parts(n, 0), start, end);
    let mut thanos = Thanos::new(&Labels::from_pairs([("cluster", cluster)]), source::SIDECAR);
    thanos.downsample.resolution = resolution;
    meta.thanos = Some(thanos);
    let files = Arc::new(BlockFiles::default());
    let fetched = FetchedBlock {
        meta: Arc::new(meta),
        files,
        deletion_time: None,
    };
    Arc::new(Block::new(&fetched, Path::new("/nonexistent")))
}

fn chosen(catalog: &Catalog, start: i64, end: i64, max_resolution_ms: i64) -> Vec<u64> {
    let blocks = catalog.choose(TimeRange::new(start, end), max_resolution_ms);
    let mut ids: Vec<u64> = blocks.iter().map(|block| block.id.timestamp_ms()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn only_blocks_of_the_time_asked_for_are_chosen() {
    let raw = Resolution::RAW;
    let blocks = (0..4).map(|n| block(n, n as i64 * 100, n as i64 * 100 + 100, raw, "a"));
    let catalog = Catalog::new(blocks.collect(), vec![], None);
    assert_eq!(chosen(&catalog, 100, 199, 0), [1]);
    assert_eq!(chosen(&catalog, 99, 200, 0), [0, 1, 2]);
    assert_eq!(chosen(&catalog, i64::MIN, i64::MAX, 0), [0, 1, 2, 3]);
    assert_eq!(chosen(&catalog, 400, 500, 0), [0u64; 0]);
}

#[test]
fn coarse_blocks_come_first_and_finer_ones_fill_the_gaps() {
    let (raw, five, hour) = (
        Resolution::RAW,
        Resolution::FIVE_MINUTES,
        Resolution::ONE_HOUR,
    );
    let catalog = Catalog::new(
        vec![
            block(1, 0, 100, raw, "a"),
            block(2, 100, 200, raw, "a"),
            block(3, 200, 300, raw, "a"),
            block(4, 300, 400, raw, "a"),
            block(5, 0, 300, five, "a"),
            block(6, 100, 200, hour, "a"),
            block(7, 0, 400, raw, "b"),
        ],
        vec![],
        None,
    );
    assert_eq!(chosen(&catalog, 0, 399, 0), [1, 2, 3, 4, 7]);
    assert_eq!(chosen(&catalog, 0, 399, 299_999), [1, 2, 3, 4, 7]);
    assert_eq!(chosen(&catalog, 0, 399, 300_000), [4, 5, 7]);
    assert_eq!(chosen(&catalog, 0, 399, 3_600_000), [4, 5, 6, 7]);
    assert_eq!(chosen(&catalog, 120, 180, 3_600_000), [6, 7]);
    assert_eq!(chosen(&catalog, 0, 399, -1), [1, 2, 3, 4, 7]);
}

#[test]
fn overlapping_blocks_of_one_resolution_are_all_chosen_once() {
    let raw = Resolution::RAW;
    let blocks = vec![
        block(1, 0, 100, raw, "a"),
        block(2, 50, 80, raw, "a"),
        block(3, 90, 150, raw, "a"),
    ];
    let catalog = Catalog::new(blocks, vec![], None);
    assert_eq!(chosen(&catalog, 0, 200, 0), [1, 2, 3]);
}

#[test]
fn info_covers_broken_blocks_and_stays_within_the_window() {
    let broken = Broken {
        id: BlockId::from_parts(9, 0),
        external_labels: Labels::from_pairs([("cluster", "b")]),
        range: TimeRange::new(500, 599),
        reason: "flipped".into(),
    };
    let blocks = vec![block(1, 0, 100, Resolution::RAW, "a")];
    let window = Some(TimeRange::new(50, i64::MAX));
    let catalog = Catalog::new(blocks, vec![broken], window);
    let info = catalog.info();
    assert_eq!(info.range, Some(TimeRange::new(50, 599)));
    assert_eq!(info.label_sets.len(), 2);
    assert_eq!(info.tsdb_infos.len(), 2);
    assert_eq!(catalog.broken(TimeRange::new(0, 499)).count(), 0);
    assert_eq!(catalog.broken(TimeRange::new(0, 500)).count(), 1);
    assert_eq!(Catalog::default().info().range, None);
}
