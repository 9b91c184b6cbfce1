use std::sync::Arc;

use tsdb::meta::{BlockMeta, Thanos};

use super::*;

const HOURS: i64 = HOUR_MS;

/// A block of `start..end` hours whose index has `index_bytes`.
fn block(number: u128, start: i64, end: i64, index_bytes: u64) -> Candidate {
    let id = BlockId::from_parts(1, number);
    Candidate {
        meta: Arc::new(BlockMeta::new(id, start * HOURS, end * HOURS)),
        index_bytes,
        chunk_bytes: 0,
        no_compact: false,
        no_downsample: false,
    }
}

fn blocks(times: &[(i64, i64)]) -> Vec<Candidate> {
    let numbered = times.iter().zip(0u128..);
    numbered
        .map(|(&(start, end), number)| block(number, start, end, 100))
        .collect()
}

/// The times in hours of what each compaction takes.
fn planned(planner: &Planner, blocks: &[Candidate]) -> Vec<Vec<(i64, i64)>> {
    let times = |id: &BlockId| {
        let block = blocks.iter().find(|block| block.id() == *id);
        let meta = &block.expect("it was given").meta;
        (meta.min_time / HOURS, meta.max_time / HOURS)
    };
    let plan = planner.plan(blocks);
    plan.compactions
        .iter()
        .map(|ids| ids.iter().map(times).collect())
        .collect()
}

fn check(what: &str, times: &[(i64, i64)], expected: &[&[(i64, i64)]]) {
    let planner = Planner::new(MAX_LEVEL, true, 64 << 30);
    assert_eq!(planned(&planner, &blocks(times)), expected, "{what}");
}

#[test]
fn parts_of_the_smallest_range_come_first() {
    check("nothing at all", &[], &[]);
    check("one block", &[(0, 2)], &[]);
    check(
        "the newest may still grow into its range",
        &[(0, 2), (2, 4), (4, 6)],
        &[],
    );
    check(
        "four fill eight hours",
        &[(0, 2), (2, 4), (4, 6), (6, 8), (8, 10)],
        &[&[(0, 2), (2, 4), (4, 6), (6, 8)]],
    );
    check(
        "four fill eight hours but the last is the newest",
        &[(0, 2), (2, 4), (4, 6), (6, 8)],
        &[],
    );
    check(
        "a gap is no hindrance once a newer block is behind it",
        &[(0, 2), (4, 6), (8, 10), (10, 12)],
        &[&[(0, 2), (4, 6)]],
    );
    check(
        "one-hour blocks become two-hour ones first",
        &[(0, 1), (1, 2), (2, 4), (4, 6), (6, 8), (8, 10)],
        &[&[(0, 1), (1, 2)]],
    );
    check(
        "parts that do not touch are done together",
        &[
            (0, 2),
            (2, 4),
            (4, 6),
            (6, 8),
            (8, 10),
            (10, 12),
            (12, 14),
            (14, 16),
            (16, 18),
        ],
        &[
            &[(0, 2), (2, 4), (4, 6), (6, 8)],
            &[(8, 10), (10, 12), (12, 14), (14, 16)],
        ],
    );
    check(
        "eight-hour blocks fill two days",
        &[
            (0, 8),
            (8, 16),
            (16, 24),
            (24, 32),
            (32, 40),
            (40, 48),
            (48, 56),
        ],
        &[&[(0, 8), (8, 16), (16, 24), (24, 32), (32, 40), (40, 48)]],
    );
    let days: Vec<(i64, i64)> = (0..8).map(|i| (i * 48, i * 48 + 48)).collect();
    check("two-day blocks fill two weeks", &days, &[&days[..7]]);
    check(
        "a block across a border of ranges belongs to none",
        &[(0, 2), (2, 4), (4, 6), (7, 9), (9, 11), (20, 22)],
        &[&[(0, 2), (2, 4), (4, 6)]],
    );
    check(
        "times before the epoch are aligned too",
        &[(-8, -6), (-6, -4), (-4, -2), (-2, 0), (0, 2)],
        &[&[(-8, -6), (-6, -4), (-4, -2), (-2, 0)]],
    );
}

#[test]
fn overlaps_come_before_all_else() {
    check(
        "a wide block with those that it covers",
        &[(0, 8), (0, 2), (4, 6), (8, 10), (10, 12)],
        &[&[(0, 8), (0, 2), (4, 6)]],
    );
    check(
        "the first overlap alone",
        &[(0, 2), (1, 3), (4, 6), (5, 7)],
        &[&[(0, 2), (1, 3)]],
    );
    check("the newest too", &[(0, 2), (0, 2)], &[&[(0, 2), (0, 2)]]);
}

#[test]
fn overlaps_that_may_not_be_merged_hold_up_only_themselves() {
    let times = [(0, 2), (1, 2), (2, 4), (4, 6), (6, 8), (8, 10)];
    let blocks = blocks(&times);
    let planner = Planner::new(MAX_LEVEL, false, 64 << 30);
    let plan = planner.plan(&blocks);
    assert_eq!(
        plan.left_out,
        [
            (blocks[0].id(), LeftOut::Overlap),
            (blocks[1].id(), LeftOut::Overlap)
        ]
    );
    assert_eq!(planned(&planner, &blocks), [[(2, 4), (4, 6), (6, 8)]]);
}

#[test]
fn downsampled_blocks_are_never_merged_over_an_overlap() {
    let mut blocks = blocks(&[(0, 48), (0, 48), (48, 96), (96, 144)]);
    for block in &mut blocks {
        let mut meta = (*block.meta).clone();
        let mut thanos = Thanos::default();
        thanos.downsample.resolution = Resolution::FIVE_MINUTES;
        meta.thanos = Some(thanos);
        block.meta = Arc::new(meta);
    }
    let plan = Planner::new(MAX_LEVEL, true, 64 << 30).plan(&blocks);
    let left_out: Vec<_> = plan.left_out.iter().map(|(_, why)| *why).collect();
    assert_eq!(left_out, [LeftOut::OverlapDownsampled; 2]);
    assert_eq!(plan.compactions, Vec::<Vec<BlockId>>::new());
}

#[test]
fn a_marked_block_parts_its_neighbours() {
    let mut blocks = blocks(&[(0, 2), (2, 4), (4, 6), (6, 8), (8, 10)]);
    blocks[1].no_compact = true;
    let planner = Planner::new(MAX_LEVEL, true, 64 << 30);
    assert_eq!(planned(&planner, &blocks), [[(4, 6), (6, 8)]]);
    blocks[2].no_compact = true;
    assert_eq!(planned(&planner, &blocks), Vec::<Vec<_>>::new());
    // An overlap with a marked block is none.
    blocks[0] = block(0, 0, 4, 1);
    assert_eq!(planned(&planner, &blocks), Vec::<Vec<_>>::new());
}

#[test]
fn a_failed_block_keeps_its_range_from_being_tried_again() {
    let mut blocks = blocks(&[(0, 2), (2, 4), (8, 10), (10, 12), (16, 18), (18, 20)]);
    let mut meta = (*blocks[0].meta).clone();
    meta.compaction.failed = true;
    blocks[0].meta = Arc::new(meta);
    let planner = Planner::new(MAX_LEVEL, true, 64 << 30);
    assert_eq!(planned(&planner, &blocks), [[(8, 10), (10, 12)]]);
}

#[test]
fn an_index_that_would_be_too_large_is_cut_in_time() {
    let times = [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10)];
    // Four times 100 exceed 85 % of 400, two do not.
    let planner = Planner::new(MAX_LEVEL, true, 400);
    assert_eq!(
        planned(&planner, &blocks(&times)),
        [vec![(0, 2), (2, 4), (4, 6)]]
    );
    let planner = Planner::new(MAX_LEVEL, true, 300);
    assert_eq!(
        planned(&planner, &blocks(&times)),
        [[(0, 2), (2, 4)], [(4, 6), (6, 8)]]
    );
    let planner = Planner::new(MAX_LEVEL, true, 200);
    assert_eq!(
        planned(&planner, &blocks(&times)),
        Vec::<Vec<_>>::new(),
        "no two of them fit"
    );
    let overlapping = [block(0, 0, 2, 150), block(1, 0, 2, 500), block(2, 1, 3, 10)];
    let plan = Planner::new(MAX_LEVEL, true, 400).plan(&overlapping);
    assert_eq!(plan.left_out, [(overlapping[1].id(), LeftOut::IndexSize)]);
    assert_eq!(
        plan.compactions,
        [[overlapping[0].id(), overlapping[2].id()]]
    );
}

#[test]
fn large_blocks_with_many_deletions_are_rewritten_alone() {
    let with_tombstones = |number, start, end, num_tombstones| {
        let mut candidate = block(number, start, end, 1);
        let mut meta = (*candidate.meta).clone();
        meta.stats.num_series = 100;
        meta.stats.num_tombstones = num_tombstones;
        candidate.meta = Arc::new(meta);
        candidate
    };
    let planner = Planner::new(MAX_LEVEL, true, 64 << 30);
    let blocks = [
        with_tombstones(0, 0, 48, 6),
        with_tombstones(1, 48, 96, 5),
        with_tombstones(2, 96, 144, 50),
    ];
    assert_eq!(planned(&planner, &blocks), [[(0, 48)]], "the newest is not");
    let small = [with_tombstones(0, 0, 2, 50), with_tombstones(1, 2, 4, 50)];
    assert_eq!(planned(&planner, &small), Vec::<Vec<_>>::new());
}

#[test]
fn a_lower_level_ends_at_its_range() {
    let times = [
        (0, 8),
        (8, 16),
        (16, 24),
        (24, 32),
        (32, 40),
        (40, 48),
        (48, 56),
    ];
    let planner = Planner::new(2, true, 64 << 30);
    assert_eq!(planned(&planner, &blocks(&times)), Vec::<Vec<_>>::new());
}

/// Planning and compacting until nothing is left to do ends, with blocks of at most two weeks.
#[test]
fn planning_over_and_over_converges() {
    let planner = Planner::new(MAX_LEVEL, true, 64 << 30);
    let times: Vec<(i64, i64)> = (0..24 * 35 / 2).map(|i| (2 * i, 2 * i + 2)).collect();
    let mut blocks = blocks(&times);
    let mut rounds = 0;
    loop {
        let plan = planner.plan(&blocks);
        if plan.compactions.is_empty() {
            break;
        }
        for ids in plan.compactions {
            let gone = blocks.extract_if(.., |block| ids.contains(&block.id()));
            let gone: Vec<Candidate> = gone.collect();
            let start = gone.iter().map(|block| block.meta.min_time).min();
            let end = gone.iter().map(|block| block.meta.max_time).max();
            let (start, end) = (start.expect("some"), end.expect("some"));
            rounds += 1;
            blocks.push(block(10_000 + rounds, start / HOURS, end / HOURS, 100));
        }
        blocks.sort_by_key(|block| block.meta.min_time);
    }
    let lengths: Vec<i64> = blocks
        .iter()
        .map(|block| (block.meta.max_time - block.meta.min_time) / HOURS)
        .collect();
    assert_eq!(&lengths[..2], [14 * 24; 2]);
    let total: i64 = lengths.iter().sum();
    assert_eq!(total, 24 * 35, "no hour is lost");
}
