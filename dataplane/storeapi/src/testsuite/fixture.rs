//! The data that the suite expects to find.

use bytes::Bytes;
use chunk::{Encoding, XorAppender};
use model::{Labels, TimeRange};

use crate::series::{Chunk, Payload};

/// Samples a chunk, as Prometheus cuts them.
const SAMPLES_A_CHUNK: usize = 120;

const MINUTE_MS: i64 = 60_000;

/// What a store under test holds.
#[derive(Debug, Clone)]
pub struct Fixture {
    pub external_labels: Labels,
    /// In label order, without external labels.
    pub series: Vec<(Labels, Vec<(i64, f64)>)>,
}

impl Fixture {
    /// Returns the data set that [`check`](super::check) knows: four hours from time zero, a sample a
    /// minute.
    ///
    /// - Without `instance` the series of `requests` come in another order, and two of them are one.
    /// - A series of `shadowed` has a label that the external labels override.
    /// - `early` and `late` have the first and the last hour only.
    #[must_use]
    pub fn standard() -> Self {
        let minutes = |from: i64, to: i64, factor: f64| -> Vec<(i64, f64)> {
            (from..to)
                .map(|m| (m * MINUTE_MS, m as f64 * factor))
                .collect()
        };
        let mut series = vec![
            (
                labels(&[("__name__", "early"), ("job", "x")]),
                minutes(0, 60, 1.0),
            ),
            (
                labels(&[("__name__", "late"), ("job", "x")]),
                minutes(180, 240, 1.0),
            ),
            (
                labels(&[("__name__", "requests"), ("instance", "a"), ("job", "2")]),
                minutes(0, 240, 2.0),
            ),
            (
                labels(&[("__name__", "requests"), ("instance", "b"), ("job", "1")]),
                minutes(0, 240, 0.5),
            ),
            (
                labels(&[("__name__", "requests"), ("instance", "c"), ("job", "1")]),
                minutes(0, 240, 0.25),
            ),
            (
                labels(&[("__name__", "shadowed"), ("job", "x"), ("region", "inner")]),
                minutes(0, 240, -1.0),
            ),
            (
                labels(&[("__name__", "up"), ("job", "ü\"\\")]),
                minutes(0, 240, 0.0),
            ),
        ];
        series.sort_by(|a, b| a.0.cmp(&b.0));
        Self {
            external_labels: labels(&[("cluster", "eu"), ("region", "outer"), ("replica", "r0")]),
            series,
        }
    }

    /// Returns the time of all samples.
    #[must_use]
    pub fn range(&self) -> TimeRange {
        let times = || {
            self.series
                .iter()
                .flat_map(|(_, samples)| samples.iter().map(|(t, _)| *t))
        };
        TimeRange::new(times().min().unwrap_or(0), times().max().unwrap_or(0))
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

/// Returns `samples` as XOR chunks.
#[must_use]
pub fn xor_chunks(samples: &[(i64, f64)]) -> Vec<Chunk> {
    let encode = |samples: &[(i64, f64)]| {
        let mut appender = XorAppender::new();
        for (t, value) in samples {
            assert!(
                appender.append(*t, *value),
                "a chunk holds {SAMPLES_A_CHUNK} samples"
            );
        }
        let (first, last) = (samples.first()?, samples.last()?);
        let payload = Payload {
            encoding: Encoding::Xor,
            data: Bytes::from(appender.finish()),
        };
        Some(Chunk::raw(first.0, last.0, payload))
    };
    samples.chunks(SAMPLES_A_CHUNK).filter_map(encode).collect()
}
