//! What downsampled chunks say against what the samples say.

use chunk::{Aggregate, AggregateChunk, Columns, HistogramColumns};
use model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Span};
use proptest::prelude::*;
use tsdb::block::EncodedChunk;

use super::counter::Running;
use super::histogram::HistogramSample;
use super::window::window_end;
use super::*;

const FIVE: i64 = 300_000;
const HOUR: i64 = 3_600_000;

/// The samples of one aggregate over all chunks.
fn aggregate(chunks: &[EncodedChunk], which: Aggregate) -> Vec<(i64, f64)> {
    let mut all = Vec::new();
    for chunk in chunks {
        let decoded = AggregateChunk::decode(&chunk.data).expect("it is sound");
        if let Some(chunk) = decoded.get(which) {
            let mut columns = Columns::new();
            chunk::decode_floats(chunk.encoding, chunk.data, &mut columns).expect("it is sound");
            all.extend(columns.iter());
        }
    }
    all
}

/// The counter of all chunks as a reader runs it.
fn counter(chunks: &[EncodedChunk]) -> Vec<(i64, f64)> {
    let mut running = Running::default();
    aggregate(chunks, Aggregate::Counter)
        .into_iter()
        .filter_map(|(t, value)| running.next(t, value).map(|total| (t, total)))
        .collect()
}

/// Samples a quarter of a minute apart with gaps; counters that reset now and then.
fn series() -> impl Strategy<Value = Vec<(i64, f64)>> {
    let step =
        prop_oneof![8 => Just(15_000i64), 1 => 15_000i64..700_000, 1 => 7_000_000i64..9_000_000];
    let growth = prop_oneof![12 => (0u32..50).prop_map(Some), 1 => Just(None)];
    prop::collection::vec((step, growth), 1..4000).prop_map(|steps| {
        let (mut t, mut value) = (0, 0.0);
        let sample = |(step, growth): (i64, Option<u32>)| {
            t += step;
            value = growth.map_or(1.0, |growth| value + f64::from(growth));
            (t, value)
        };
        steps.into_iter().map(sample).collect()
    })
}

/// What a window's samples add up to: count, sum, min, max, by the window they are in.
fn by_hand(samples: &[(i64, f64)], length: i64) -> Vec<(i64, [f64; 4])> {
    samples
        .chunk_by(|a, b| window_end(a.0, length) == window_end(b.0, length))
        .map(|window| {
            let values = || window.iter().map(|(_, value)| *value);
            let figures = [
                window.len() as f64,
                values().sum(),
                values().fold(f64::INFINITY, f64::min),
                values().fold(f64::NEG_INFINITY, f64::max),
            ];
            (window_end(window[0].0, length), figures)
        })
        .collect()
}

fn check(samples: &[(i64, f64)], chunks: &[EncodedChunk], length: i64) {
    let expected = by_hand(samples, length);
    let figures = [
        Aggregate::Count,
        Aggregate::Sum,
        Aggregate::Min,
        Aggregate::Max,
    ];
    for (i, which) in figures.into_iter().enumerate() {
        let mut found = aggregate(chunks, which);
        // A window that a chunk ends in may come in two parts.
        if which == Aggregate::Count {
            assert_eq!(
                found.iter().map(|(_, count)| count).sum::<f64>(),
                samples.len() as f64
            );
        }
        let last_of_chunk = |t: i64| chunks.iter().any(|chunk| chunk.max_time == t);
        found.retain(|(t, _)| !last_of_chunk(*t));
        for (t, value) in found {
            assert_eq!(window_end(t, length), t, "a window within a chunk is whole");
            let of_window = expected.iter().find(|(end, _)| *end == t);
            let (_, figures) = of_window.expect("there is such a window");
            let tail_of_split = chunks
                .iter()
                .any(|chunk| chunk.max_time < t && window_end(chunk.max_time, length) == t);
            if !tail_of_split {
                assert_eq!(value, figures[i], "{which:?} at {t}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn figures_of_whole_windows_are_those_of_the_samples(samples in series()) {
        let chunks = float::downsample_raw(&samples, FIVE);
        check(&samples, &chunks, FIVE);
        let times: Vec<_> = chunks.iter().map(|chunk| (chunk.min_time, chunk.max_time)).collect();
        prop_assert!(times.windows(2).all(|pair| pair[0].1 < pair[1].0));
        // Chunks of raw samples end with their windows, so that no window is in two.
        let windows = by_hand(&samples, FIVE);
        prop_assert_eq!(aggregate(&chunks, Aggregate::Count).len(), windows.len());

        let hours = downsample_aggregates(&chunks, FIVE, HOUR).expect("they are sound");
        check(&samples, &hours, HOUR);
        let count: f64 = aggregate(&hours, Aggregate::Count).iter().map(|(_, n)| n).sum();
        prop_assert_eq!(count, samples.len() as f64);
    }

    /// Wherever a reader looks, the counter has grown by what the raw counter grew by, resets included:
    /// within windows, at their borders, at those of chunks, at both resolutions.
    #[test]
    fn counters_grow_as_the_raw_ones_do(samples in series()) {
        let mut running = Running::default();
        let raw: Vec<(i64, f64)> = samples
            .iter()
            .filter_map(|(t, value)| running.next(*t, *value).map(|total| (*t, total)))
            .collect();
        let at = |t: i64| {
            let before = raw.partition_point(|(other, _)| *other <= t);
            raw[before - 1].1
        };
        let five = float::downsample_raw(&samples, FIVE);
        let hours = downsample_aggregates(&five, FIVE, HOUR).expect("they are sound");
        for chunks in [&five, &hours] {
            let found = counter(chunks);
            let (first, last) = (found.first().expect("some"), found.last().expect("some"));
            prop_assert_eq!(first.1, raw[0].1);
            prop_assert_eq!(last.1, raw[raw.len() - 1].1);
            for (t, value) in found {
                prop_assert_eq!(value, at(t), "at {}", t);
            }
        }
    }

    #[test]
    fn stale_markers_and_nans_do_not_count(samples in series(), every in 2usize..9) {
        let mut holed = samples.clone();
        for (i, sample) in holed.iter_mut().enumerate() {
            if i % every == 0 {
                sample.1 = f64::NAN;
            }
        }
        let numbers: Vec<_> = holed.iter().copied().filter(|(_, value)| !value.is_nan()).collect();
        let chunks = float::downsample_raw(&holed, FIVE);
        let count: f64 = aggregate(&chunks, Aggregate::Count).iter().map(|(_, n)| n).sum();
        prop_assert_eq!(count, numbers.len() as f64);
        let sum: f64 = aggregate(&chunks, Aggregate::Sum).iter().map(|(_, sum)| sum).sum();
        prop_assert_eq!(sum, numbers.iter().map(|(_, value)| value).sum::<f64>());
    }
}

/// The layout that Thanos' readers rely on, by hand: the first raw value leads the counter, the last one
/// follows it at the same time.
#[test]
fn a_chunk_is_laid_out_as_thanos_has_it() {
    let samples = [
        (0, 5.0),
        (120_000, 9.0),
        (299_999, 2.0),
        (300_000, 4.0),
        (420_000, 4.5),
    ];
    let chunks = float::downsample_raw(&samples, FIVE);
    let [chunk] = chunks.as_slice() else {
        unreachable!("so few samples are one chunk: {chunks:?}")
    };
    assert_eq!((chunk.min_time, chunk.max_time), (299_999, 420_000));
    let of = |which| aggregate(&chunks, which);
    assert_eq!(of(Aggregate::Count), [(299_999, 3.0), (420_000, 2.0)]);
    assert_eq!(of(Aggregate::Sum), [(299_999, 16.0), (420_000, 8.5)]);
    assert_eq!(of(Aggregate::Min), [(299_999, 2.0), (420_000, 4.0)]);
    assert_eq!(of(Aggregate::Max), [(299_999, 9.0), (420_000, 4.5)]);
    let expected = [(0, 5.0), (299_999, 11.0), (420_000, 13.5), (420_000, 4.5)];
    assert_eq!(of(Aggregate::Counter), expected);
}

fn histogram(schema: i32, buckets: &[f64], hint: CounterResetHint) -> FloatHistogram {
    FloatHistogram {
        counter_reset_hint: hint,
        schema,
        count: buckets.iter().sum(),
        sum: buckets.iter().sum::<f64>() * 2.0,
        positive_spans: vec![Span {
            offset: 0,
            length: u32::try_from(buckets.len()).expect("few"),
        }],
        positive_buckets: buckets.to_vec(),
        custom_values: if schema == CUSTOM_BUCKETS_SCHEMA {
            (1..buckets.len()).map(|bound| bound as f64).collect()
        } else {
            Vec::new()
        },
        ..FloatHistogram::default()
    }
}

fn histograms_of(chunks: &[EncodedChunk], which: Aggregate) -> Vec<(i64, f64, f64, Vec<f64>)> {
    let mut all = Vec::new();
    for chunk in chunks {
        let decoded = AggregateChunk::decode(&chunk.data).expect("it is sound");
        let chunk = decoded.get(which).expect("it is there");
        let mut columns = HistogramColumns::new();
        chunk::decode_histograms(chunk.encoding, chunk.data, &mut columns).expect("it is sound");
        for i in 0..columns.len() {
            let histogram = columns.float_histogram(i).expect("it is there");
            all.push((
                columns.timestamp(i).expect("it is there"),
                histogram.count,
                histogram.sum,
                histogram.positive_buckets,
            ));
        }
    }
    all
}

fn check_histograms(schema: i32) {
    let sample = |t, buckets: &[f64]| {
        HistogramSample::new(t, histogram(schema, buckets, CounterResetHint::Unknown))
    };
    let samples = [
        sample(0, &[1.0, 2.0, 0.0]),
        sample(60_000, &[2.0, 2.0, 1.0]),
        // A reset.
        sample(400_000, &[1.0, 0.0, 0.0]),
        sample(460_000, &[3.0, 1.0, 1.0]),
    ];
    let five = histogram::downsample_raw(&samples, FIVE);
    assert_eq!(five.len(), 1);
    assert_eq!(
        aggregate(&five, Aggregate::Count),
        [(299_999, 2.0), (460_000, 2.0)]
    );
    let sums = [
        (299_999, 8.0, 16.0, vec![3.0, 4.0, 1.0]),
        (460_000, 6.0, 12.0, vec![4.0, 1.0, 1.0]),
    ];
    assert_eq!(histograms_of(&five, Aggregate::Sum), sums);
    let counters = [
        (299_999, 5.0, 10.0, vec![2.0, 2.0, 1.0]),
        (460_000, 10.0, 20.0, vec![5.0, 3.0, 2.0]),
    ];
    assert_eq!(histograms_of(&five, Aggregate::Counter), counters);

    let hours = downsample_aggregates(&five, FIVE, HOUR).expect("they are sound");
    assert_eq!(aggregate(&hours, Aggregate::Count), [(460_000, 4.0)]);
    let sums = [(460_000, 14.0, 28.0, vec![7.0, 5.0, 2.0])];
    assert_eq!(histograms_of(&hours, Aggregate::Sum), sums);
    let counters = [(460_000, 10.0, 20.0, vec![5.0, 3.0, 2.0])];
    assert_eq!(histograms_of(&hours, Aggregate::Counter), counters);
}

#[test]
fn exponential_histograms_are_downsampled() {
    check_histograms(2);
}

#[test]
fn histograms_of_custom_buckets_are_downsampled() {
    check_histograms(CUSTOM_BUCKETS_SCHEMA);
}

#[test]
fn kinds_of_histograms_do_not_share_a_chunk() {
    let sample = |t, schema| {
        let buckets = histogram(schema, &[1.0, 2.0], CounterResetHint::Unknown);
        HistogramSample::new(t, buckets)
    };
    let samples = [
        sample(0, 1),
        sample(400_000, 0),
        sample(800_000, CUSTOM_BUCKETS_SCHEMA),
        sample(1_200_000, CUSTOM_BUCKETS_SCHEMA),
    ];
    let five = histogram::downsample_raw(&samples, FIVE);
    assert_eq!(five.len(), 2);
    let hours = downsample_aggregates(&five, FIVE, HOUR).expect("they are sound");
    assert_eq!(hours.len(), 2);
}

/// A sum of gauges may fall from window to window, and so may the gauges.
#[test]
fn gauges_may_fall() {
    let sample = |t, buckets: &[f64]| {
        HistogramSample::new(t, histogram(0, buckets, CounterResetHint::Gauge))
    };
    let samples = [sample(0, &[9.0, 9.0]), sample(400_000, &[1.0, 0.0])];
    let five = histogram::downsample_raw(&samples, FIVE);
    let sums: Vec<f64> = histograms_of(&five, Aggregate::Sum)
        .iter()
        .map(|(_, count, _, _)| *count)
        .collect();
    assert_eq!(sums, [18.0, 1.0]);
}
