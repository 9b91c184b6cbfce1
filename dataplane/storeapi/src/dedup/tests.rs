use std::convert::Infallible;

use bytes::Bytes;
use chunk::{Columns, Encoding, XorAppender};
use model::TimeRange;
use proptest::prelude::*;

use super::*;
use crate::series::{Aggregate, Chunk, Payload};

type Samples = Vec<(i64, f64)>;

/// Gives samples in batches of `size`, to put batch borders everywhere.
struct InBatches {
    samples: std::vec::IntoIter<(i64, f64)>,
    size: usize,
}

impl SampleBatches for InBatches {
    type Error = Infallible;

    fn next_batch(&mut self, columns: &mut Columns) -> Result<bool, Infallible> {
        columns.clear();
        for (t, value) in self.samples.by_ref().take(self.size) {
            columns.push(t, value);
        }
        Ok(!columns.is_empty())
    }
}

fn run<S: SampleBatches>(mut stream: Deduped<S>) -> Samples
where
    S::Error: std::fmt::Debug,
{
    let (mut columns, mut samples) = (Columns::new(), Vec::new());
    while stream.next_batch(&mut columns).expect("decodes") {
        assert!(!columns.is_empty(), "a batch has samples");
        samples.extend(columns.iter());
    }
    assert!(!stream.next_batch(&mut columns).expect("stays ended"));
    samples
}

fn dedup_in(
    lanes: &[Samples],
    range: TimeRange,
    algorithm: Algorithm,
    kind: ValueKind,
    batch: usize,
) -> Samples {
    let lanes = lanes
        .iter()
        .map(|l| InBatches {
            samples: l.clone().into_iter(),
            size: batch,
        })
        .collect();
    run(Deduped::new(lanes, range, algorithm, kind))
}

fn dedup(lanes: &[Samples], algorithm: Algorithm, kind: ValueKind) -> Samples {
    dedup_in(lanes, TimeRange::ALL, algorithm, kind, 3)
}

fn penalty(lanes: &[Samples]) -> Samples {
    dedup(lanes, Algorithm::Penalty, ValueKind::Gauge)
}

/// `count` samples every `step` from `start`, of a constant value that tells the replica.
fn every(start: i64, step: i64, count: i64, value: f64) -> Samples {
    (0..count).map(|i| (start + i * step, value)).collect()
}

#[test]
fn one_lane_passes_through() {
    let lane = vec![(1, 1.0), (2, f64::NAN), (3, 3.0)];
    for algorithm in [Algorithm::Penalty, Algorithm::Chain] {
        let seen = dedup(std::slice::from_ref(&lane), algorithm, ValueKind::Counter);
        assert_eq!(format!("{seen:?}"), format!("{lane:?}"));
        assert!(dedup(&[], algorithm, ValueKind::Gauge).is_empty());
        assert!(dedup(&[vec![], vec![]], algorithm, ValueKind::Gauge).is_empty());
    }
}

#[test]
fn a_replica_that_is_a_little_later_never_mixes_in() {
    let (a, b) = (every(0, 30_000, 20, 1.0), every(2_000, 30_000, 20, 2.0));
    assert_eq!(penalty(&[a.clone(), b.clone()]), a);
    // The initial penalty lets nothing of b in although a's second sample is 30 s away.
    assert_eq!(penalty(&[b, a.clone()]), a);
}

#[test]
fn the_other_replica_fills_a_gap_after_two_missed_scrapes() {
    let mut a = every(0, 10_000, 20, 1.0);
    a.retain(|(t, _)| !(50_000..120_000).contains(t));
    let b = every(1_000, 10_000, 20, 2.0);
    // After a's 40 s the penalty of b is 20 s: b may speak from 60.001 s on.
    let expected: Samples = every(0, 10_000, 5, 1.0)
        .into_iter()
        .chain(every(61_000, 10_000, 14, 2.0))
        .collect();
    assert_eq!(penalty(&[a, b]), expected);
}

#[test]
fn a_replica_that_ends_gives_way_at_once() {
    let (a, b) = (every(0, 10_000, 3, 1.0), every(1_000, 10_000, 6, 2.0));
    // The penalty still stands when a is exhausted: b continues from 20 s + 1 ms + 20 s.
    let expected = vec![
        (0, 1.0),
        (10_000, 1.0),
        (20_000, 1.0),
        (41_000, 2.0),
        (51_000, 2.0),
    ];
    assert_eq!(penalty(&[a, b]), expected);
}

#[test]
fn equal_timestamps_go_to_the_first_replica() {
    let (a, b) = (every(0, 1000, 5, 1.0), every(0, 1000, 5, 2.0));
    assert_eq!(penalty(&[a.clone(), b]), a);
}

#[test]
fn a_counter_never_falls_because_of_a_switch() {
    let a = vec![(0, 100.0), (10_000, 110.0), (20_000, 120.0)];
    let b = vec![
        (1_000, 40.0),
        (11_000, 50.0),
        (21_000, 60.0),
        (41_000, 80.0),
        (51_000, 90.0),
    ];
    let lanes = [a, b];
    let gauge = dedup(&lanes, Algorithm::Penalty, ValueKind::Gauge);
    assert_eq!(
        gauge.iter().map(|s| s.1).collect::<Vec<_>>(),
        [100.0, 110.0, 120.0, 80.0, 90.0]
    );
    let counter = dedup(&lanes, Algorithm::Penalty, ValueKind::Counter);
    // b stood at 80 where 120 had been given out: it is lifted by 40 from there on.
    assert_eq!(
        counter.iter().map(|s| s.1).collect::<Vec<_>>(),
        [100.0, 110.0, 120.0, 120.0, 130.0]
    );
}

#[test]
fn a_lifted_stale_marker_stays_one() {
    let a = vec![(0, 100.0), (10_000, 110.0)];
    let b = vec![(1_000, 1.0), (31_000, 2.0), (41_000, model::stale_nan())];
    let seen = dedup(&[a, b], Algorithm::Penalty, ValueKind::Counter);
    assert_eq!(seen.get(2).copied(), Some((31_000, 110.0)));
    assert!(
        seen.last()
            .is_some_and(|(t, v)| *t == 41_000 && model::is_stale_nan(*v))
    );
}

#[test]
fn three_replicas_fold_from_the_left() {
    let a = every(0, 10_000, 4, 1.0);
    let b = every(500, 10_000, 8, 2.0);
    let c = every(800, 10_000, 12, 3.0);
    let folded = penalty(&[a.clone(), b.clone(), c.clone()]);
    assert_eq!(folded, penalty(&[penalty(&[a, b]), c]));
    assert_eq!(folded.last(), Some(&(110_800, 3.0)));
}

#[test]
fn chain_takes_every_distinct_time() {
    let a = vec![(1, 1.0), (3, 1.0), (5, 1.0)];
    let b = vec![(2, 2.0), (3, 2.0), (6, 2.0)];
    let seen = dedup(&[a, b], Algorithm::Chain, ValueKind::Gauge);
    assert_eq!(
        seen.iter().map(|s| s.0).collect::<Vec<_>>(),
        [1, 2, 3, 5, 6]
    );
}

#[test]
fn samples_outside_the_range_do_not_exist() {
    let lanes = [every(0, 10, 20, 1.0), every(5, 10, 20, 2.0)];
    let range = TimeRange::new(35, 90);
    for algorithm in [Algorithm::Penalty, Algorithm::Chain] {
        for lanes in [&lanes[..], &lanes[..1]] {
            let inside: Vec<Samples> = lanes
                .iter()
                .map(|lane| {
                    lane.iter()
                        .copied()
                        .filter(|(t, _)| range.contains(*t))
                        .collect()
                })
                .collect();
            assert_eq!(
                dedup_in(lanes, range, algorithm, ValueKind::Gauge, 7),
                dedup(&inside, algorithm, ValueKind::Gauge)
            );
        }
    }
}

fn chunk_of(samples: &[(i64, f64)]) -> Chunk {
    let mut appender = XorAppender::new();
    for (t, value) in samples {
        assert!(appender.append(*t, *value), "fits");
    }
    let payload = Payload {
        encoding: Encoding::Xor,
        data: Bytes::from(appender.finish()),
    };
    let (first, last) = (
        samples.first().expect("some"),
        samples.last().expect("some"),
    );
    Chunk::raw(first.0, last.0, payload)
}

#[test]
fn overlapping_chunks_are_spread_over_lanes_and_decoded() {
    let (a, b) = (every(0, 1000, 30, 1.0), every(100, 1000, 30, 2.0));
    let mut chunks: Vec<_> = a.chunks(10).chain(b.chunks(10)).map(chunk_of).collect();
    chunks.sort();
    let spread = lanes(chunks.clone());
    assert_eq!(spread.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3]);
    let decode = |lane| ChunkLane::new(lane, Aggregate::Raw, TimeRange::ALL);
    let sources = spread.into_iter().map(decode).collect();
    let stream = Deduped::new(
        sources,
        TimeRange::ALL,
        Algorithm::Penalty,
        ValueKind::Gauge,
    );
    assert_eq!(run(stream), a);
    // Chunks one after the other are one lane.
    assert_eq!(lanes(a.chunks(7).map(chunk_of).collect()).len(), 1);
    assert!(lanes(vec![]).is_empty());
}

#[test]
fn a_corrupt_chunk_is_an_error_that_says_where() {
    let mut chunk = chunk_of(&every(10, 10, 20, 1.5));
    let payload = chunk.raw.as_mut().expect("raw");
    payload.data = payload.data.slice(..5);
    let lane = ChunkLane::new(vec![chunk], Aggregate::Raw, TimeRange::ALL);
    let mut stream = Deduped::new(
        vec![lane],
        TimeRange::ALL,
        Algorithm::Penalty,
        ValueKind::Gauge,
    );
    let error = stream.next_batch(&mut Columns::new()).expect_err("corrupt");
    assert_eq!(error.kind(), crate::error::ErrorKind::Corrupt);
    assert!(error.to_string().contains("10..=200"), "{error}");
}

#[test]
fn a_histogram_chunk_is_not_taken_for_floats() {
    let mut chunk = chunk_of(&every(10, 10, 20, 1.5));
    chunk.raw.as_mut().expect("raw").encoding = Encoding::Histogram;
    let mut lane = ChunkLane::new(vec![chunk], Aggregate::Raw, TimeRange::ALL);
    let error = lane.next_batch(&mut Columns::new()).expect_err("no floats");
    assert_eq!(error.kind(), crate::error::ErrorKind::Unimplemented);
}

/// The algorithm as the contract words it, over whole vectors.
fn naive(a: &Samples, b: &Samples, counter: bool) -> Samples {
    let (mut out, mut i, mut j) = (Samples::new(), 0, 0);
    let (mut pen_a, mut pen_b, mut use_a) = (0, 0, true);
    let (mut lift_a, mut lift_b) = (0.0, 0.0);
    let mut last: Option<(i64, f64)> = None;
    loop {
        // Before the first sample, "the last value" is that of the first replica.
        let before = last.map(|l| l.1).or_else(|| a.first().map(|s| s.1));
        if let Some((last_t, _)) = last {
            while i < a.len() && a[i].0 <= last_t + pen_a {
                i += 1;
            }
            while j < b.len() && b[j].0 <= last_t + pen_b {
                j += 1;
            }
        }
        let used_a = use_a;
        let previously_alive = last.is_some() || !a.is_empty();
        match (a.get(i), b.get(j)) {
            (None, None) => return out,
            (None, Some(_)) => (use_a, pen_b) = (false, 0),
            (Some(_), None) => (use_a, pen_a) = (true, 0),
            (Some(x), Some(y)) => {
                use_a = x.0 <= y.0;
                let t = x.0.min(y.0);
                let pen = last.map_or(5000, |(last_t, _)| 2 * (t - last_t));
                (pen_a, pen_b) = if use_a { (0, pen) } else { (pen, 0) };
            }
        }
        if counter && use_a != used_a && previously_alive {
            let before = before.expect("a value");
            if i < a.len() && before > a[i].1 + lift_a {
                lift_a += before - (a[i].1 + lift_a);
            }
            if j < b.len() && before > b[j].1 + lift_b {
                lift_b += before - (b[j].1 + lift_b);
            }
        }
        let sample = if use_a {
            (a[i].0, a[i].1 + lift_a)
        } else {
            (b[j].0, b[j].1 + lift_b)
        };
        last = Some(sample);
        out.push(sample);
    }
}

/// A replica: scrapes with jitter, misses, and a counter's values with resets.
fn replica() -> impl Strategy<Value = Samples> {
    proptest::collection::vec((1i64..20_000, 0u32..50, any::<bool>()), 0..60).prop_map(|steps| {
        let (mut t, mut value, mut out) = (0, 0.0, Samples::new());
        for (step, add, kept) in steps {
            t += step;
            value = if add == 0 {
                0.0
            } else {
                value + f64::from(add)
            };
            if kept {
                out.push((t, value));
            }
        }
        out
    })
}

proptest! {
    #[test]
    fn penalty_is_the_naive_fold(lanes in proptest::collection::vec(replica(), 2..5), batch in 1usize..9) {
        let expected = lanes[1..].iter().fold(lanes[0].clone(), |a, b| naive(&a, b, false));
        let range = TimeRange::ALL;
        prop_assert_eq!(
            dedup_in(&lanes, range, Algorithm::Penalty, ValueKind::Gauge, batch),
            expected
        );
    }

    #[test]
    fn counters_of_a_pair_are_lifted_like_the_naive_ones(a in replica(), b in replica(), batch in 1usize..9) {
        let expected = naive(&a, &b, true);
        let range = TimeRange::ALL;
        prop_assert_eq!(
            dedup_in(&[a, b], range, Algorithm::Penalty, ValueKind::Counter, batch),
            expected
        );
    }

    #[test]
    fn chain_is_the_union_of_times(lanes in proptest::collection::vec(replica(), 2..5), batch in 1usize..9) {
        let times: std::collections::BTreeSet<_> = lanes.iter().flatten().map(|s| s.0).collect();
        let seen = dedup_in(&lanes, TimeRange::ALL, Algorithm::Chain, ValueKind::Gauge, batch);
        prop_assert_eq!(seen.iter().map(|s| s.0).collect::<Vec<_>>(), times.into_iter().collect::<Vec<_>>());
        for sample in seen {
            prop_assert!(lanes.iter().any(|lane| lane.contains(&sample)), "{sample:?} was invented");
        }
    }

    #[test]
    fn lanes_keep_every_chunk_and_never_overlap(spans in proptest::collection::vec((0i64..50, 0i64..10), 0..30)) {
        let mut chunks: Vec<_> = spans.iter().map(|(start, length)| Chunk {
            min_time: *start, max_time: start + length, ..Chunk::default()
        }).collect();
        chunks.sort();
        let spread = lanes(chunks.clone());
        for lane in &spread {
            prop_assert!(lane.is_sorted_by(|a, b| a.max_time < b.min_time));
        }
        // As few as the most chunks that share one time.
        let deepest = (0..60).map(|t| chunks.iter().filter(|c| c.min_time <= t && t <= c.max_time).count());
        prop_assert_eq!(spread.len(), deepest.max().unwrap_or(0));
        let mut back: Vec<_> = spread.into_iter().flatten().collect();
        back.sort();
        prop_assert_eq!(back, chunks);
    }
}
