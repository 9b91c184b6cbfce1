use std::sync::Arc;

use runtime::metrics::Metrics;
use tsdb::meta::Thanos;

use super::*;
use crate::fetcher::BlockFiles;

fn id(n: u64) -> BlockId {
    BlockId::from_parts(n, u128::from(n))
}

fn block(n: u64, sources: &[u64]) -> BlockMeta {
    let mut meta = BlockMeta::new(id(n), 0, 100);
    meta.compaction.sources = sources.iter().map(|&n| id(n)).collect();
    meta.thanos = Some(Thanos::new(
        &Labels::from_pairs([("cluster", "a")]),
        source::SIDECAR,
    ));
    meta
}

fn view(metas: Vec<(BlockMeta, Option<i64>)>) -> View {
    let blocks = metas.into_iter().map(|(meta, deletion_time)| {
        let files = Arc::new(BlockFiles::default());
        (
            meta.ulid,
            FetchedBlock {
                meta: Arc::new(meta),
                files,
                deletion_time,
            },
        )
    });
    View {
        blocks: blocks.collect(),
        ..View::default()
    }
}

fn seen(filters: &Filters, mut view: View, now_ms: i64) -> Vec<BlockId> {
    let metrics = Metrics::empty();
    filters.apply(&mut view, now_ms, &FetcherMetrics::register(&metrics));
    view.blocks.into_keys().collect()
}

#[test]
fn blocks_whose_sources_another_has_are_hidden() {
    let metas = vec![
        block(1, &[1]),
        block(2, &[2]),
        block(3, &[3]),
        block(10, &[1, 2]),
        block(11, &[1, 2]),
        block(20, &[2, 3]),
    ];
    let metas = metas.into_iter().map(|meta| (meta, None)).collect();
    assert_eq!(seen(&Filters::default(), view(metas), 0), [id(10), id(20)]);
}

#[test]
fn other_streams_and_resolutions_are_no_duplicates() {
    let mut other_stream = block(11, &[1, 2]);
    other_stream.thanos = Some(Thanos::new(
        &Labels::from_pairs([("cluster", "b")]),
        source::SIDECAR,
    ));
    let mut other_resolution = block(12, &[1, 2]);
    if let Some(thanos) = &mut other_resolution.thanos {
        thanos.downsample.resolution.0 = 300_000;
    }
    let metas = [block(10, &[1, 2]), other_stream, other_resolution];
    let metas = metas.into_iter().map(|meta| (meta, None)).collect();
    assert_eq!(seen(&Filters::default(), view(metas), 0).len(), 3);
}

#[test]
fn blocks_without_sources_are_kept() {
    let metas = vec![(block(1, &[]), None), (block(2, &[]), None)];
    assert_eq!(seen(&Filters::default(), view(metas), 0).len(), 2);
}

#[test]
fn time_is_half_open_on_disk() {
    for (start, end, expected) in [(100, 200, 0), (99, 200, 1), (-50, -1, 0), (-50, 0, 1)] {
        let filters = Filters {
            time: Some(TimeRange::new(start, end)),
            ..Filters::default()
        };
        let view = view(vec![(block(1, &[1]), None)]);
        assert_eq!(seen(&filters, view, 0).len(), expected, "{start}..={end}");
    }
}

#[test]
fn fresh_blocks_wait_unless_a_compactor_wrote_them() {
    let filters = Filters {
        consistency_delay_ms: 1000,
        ..Filters::default()
    };
    let mut compacted = block(500, &[1]);
    let mut uploaded = block(1, &[2]);
    if let Some(thanos) = &mut compacted.thanos {
        thanos.source = source::COMPACTOR.into();
    }
    if let Some(thanos) = &mut uploaded.thanos {
        thanos.upload_time = Some("1970-01-01T00:00:01.2Z".into());
    }
    let all = || {
        let metas = [block(600, &[600]), compacted.clone(), uploaded.clone()];
        view(metas.into_iter().map(|meta| (meta, None)).collect())
    };
    assert_eq!(seen(&filters, all(), 1_500), [id(500)]);
    assert_eq!(seen(&filters, all(), 1_600), [id(500), id(600)]);
    assert_eq!(seen(&filters, all(), 2_200), [id(1), id(500), id(600)]);
}

#[test]
fn marked_blocks_are_served_until_the_delay_has_passed() {
    let filters = Filters {
        ignore_deletion_marks_delay_ms: Some(10_000),
        ..Filters::default()
    };
    let marked = || view(vec![(block(1, &[1]), Some(100))]);
    assert_eq!(seen(&filters, marked(), 110_000).len(), 1);
    assert_eq!(seen(&filters, marked(), 110_001).len(), 0);
    assert_eq!(seen(&Filters::default(), marked(), i64::MAX).len(), 1);
}
