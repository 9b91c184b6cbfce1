//! Native histograms: counts in buckets whose bounds follow from a schema.
//!
//! Buckets are held sparsely: spans say which indices are filled, and the buckets follow one another
//! over all spans. With an exponential schema `s` bucket `i` ends at `2^(i·2^-s)`; with
//! [`CUSTOM_BUCKETS_SCHEMA`] it ends at the `i`th custom value.

/// The finest exponential schema that is worked with.
pub const EXPONENTIAL_SCHEMA_MAX: i32 = 8;
/// The coarsest exponential schema that is worked with.
pub const EXPONENTIAL_SCHEMA_MIN: i32 = -4;
/// The finest exponential schema that may be stored; it is reduced when read.
pub const EXPONENTIAL_SCHEMA_MAX_RESERVED: i32 = 52;
/// The coarsest exponential schema that may be stored.
pub const EXPONENTIAL_SCHEMA_MIN_RESERVED: i32 = -9;
/// The schema of buckets with bounds of their own.
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// Returns whether histograms of that schema may be stored.
#[must_use]
pub fn is_known_schema(schema: i32) -> bool {
    schema == CUSTOM_BUCKETS_SCHEMA
        || (EXPONENTIAL_SCHEMA_MIN_RESERVED..=EXPONENTIAL_SCHEMA_MAX_RESERVED).contains(&schema)
}

/// Consecutive buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// Indices between the last span's end and this one's beginning; of the first span its index.
    pub offset: i32,
    /// How many buckets there are.
    pub length: u32,
}

/// Returns how many buckets `spans` have together.
#[must_use]
pub fn count_buckets(spans: &[Span]) -> u64 {
    spans.iter().map(|span| u64::from(span.length)).sum()
}

/// Returns the index of each bucket of `spans`, in order.
pub fn bucket_indices(spans: &[Span]) -> impl Iterator<Item = i32> + '_ {
    let mut next = 0i32;
    spans.iter().flat_map(move |span| {
        let start = next.wrapping_add(span.offset);
        next = start.wrapping_add(span.length.cast_signed());
        (0..span.length).map(move |i| start.wrapping_add(i.cast_signed()))
    })
}

/// What is known of a counter reset before a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CounterResetHint {
    /// It takes a comparison with the previous histogram.
    #[default]
    Unknown,
    Reset,
    NotReset,
    /// The histogram is a gauge, which does not reset.
    Gauge,
}

/// A histogram as it is scraped and stored: whole numbers.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    pub counter_reset_hint: CounterResetHint,
    pub schema: i32,
    /// The zero bucket reaches this far to both sides.
    pub zero_threshold: f64,
    pub zero_count: u64,
    pub count: u64,
    /// The stale marker makes the whole histogram one.
    pub sum: f64,
    pub positive_spans: Vec<Span>,
    pub negative_spans: Vec<Span>,
    /// Each bucket's difference to the one before it.
    pub positive_buckets: Vec<i64>,
    pub negative_buckets: Vec<i64>,
    /// Upper bounds, ascending, for [`CUSTOM_BUCKETS_SCHEMA`] only; the last bucket has none.
    pub custom_values: Vec<f64>,
}

/// A histogram as it is calculated with.
#[derive(Debug, Clone, Default)]
pub struct FloatHistogram {
    pub counter_reset_hint: CounterResetHint,
    pub schema: i32,
    pub zero_threshold: f64,
    pub zero_count: f64,
    pub count: f64,
    pub sum: f64,
    pub positive_spans: Vec<Span>,
    pub negative_spans: Vec<Span>,
    /// Each bucket's count.
    pub positive_buckets: Vec<f64>,
    pub negative_buckets: Vec<f64>,
    pub custom_values: Vec<f64>,
}

/// What is wrong with a histogram.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHistogram {
    #[error(
        "schema {0} is not known: it is {EXPONENTIAL_SCHEMA_MIN} to {EXPONENTIAL_SCHEMA_MAX}, or {CUSTOM_BUCKETS_SCHEMA} for custom buckets"
    )]
    UnknownSchema(i32),
    #[error("{side} spans have {spans} buckets, {buckets} are given")]
    SpanMismatch {
        side: &'static str,
        spans: u64,
        buckets: u64,
    },
    #[error("a {side} span behind the first has a negative offset")]
    NegativeOffset { side: &'static str },
    #[error("a {side} bucket has a negative count")]
    NegativeCount { side: &'static str },
    #[error("the histogram's count is not what its buckets add up to")]
    CountMismatch,
    #[error("custom bounds are not finite and ascending")]
    UnorderedBounds,
    #[error("custom bounds are too few for the buckets")]
    TooFewBounds,
    #[error("a histogram with custom buckets has no zero bucket and no negative buckets")]
    CustomBucketsOnly,
    #[error("a histogram with an exponential schema has no custom bounds")]
    ExponentialWithBounds,
}

impl Histogram {
    /// Whether it only marks that the series ended.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        crate::is_stale_nan(self.sum)
    }

    /// Returns the same histogram with counts instead of differences.
    #[must_use]
    pub fn to_float(&self) -> FloatHistogram {
        let counts = |deltas: &[i64]| {
            let mut count = 0i64;
            deltas
                .iter()
                .map(|delta| {
                    count = count.wrapping_add(*delta);
                    count as f64
                })
                .collect()
        };
        FloatHistogram {
            counter_reset_hint: self.counter_reset_hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count as f64,
            count: self.count as f64,
            sum: self.sum,
            positive_spans: self.positive_spans.clone(),
            negative_spans: self.negative_spans.clone(),
            positive_buckets: counts(&self.positive_buckets),
            negative_buckets: counts(&self.negative_buckets),
            custom_values: self.custom_values.clone(),
        }
    }

    /// Checks that spans, buckets and count fit together, as Prometheus does on ingestion.
    ///
    /// # Errors
    /// They do not.
    pub fn validate(&self) -> Result<(), InvalidHistogram> {
        check_layout(&Layout {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_is_empty: self.zero_count == 0,
            positive: (&self.positive_spans, self.positive_buckets.len()),
            negative: (&self.negative_spans, self.negative_buckets.len()),
            custom_values: &self.custom_values,
        })?;
        let mut total = u128::from(self.zero_count);
        for (side, deltas) in [
            ("positive", &self.positive_buckets),
            ("negative", &self.negative_buckets),
        ] {
            let mut count = 0i128;
            for delta in deltas {
                count += i128::from(*delta);
                total +=
                    u128::try_from(count).map_err(|_| InvalidHistogram::NegativeCount { side })?;
            }
        }
        // Observations of NaN are in no bucket.
        let fits = if self.sum.is_nan() {
            total <= u128::from(self.count)
        } else {
            total == u128::from(self.count)
        };
        if fits {
            Ok(())
        } else {
            Err(InvalidHistogram::CountMismatch)
        }
    }
}

impl FloatHistogram {
    /// Whether it only marks that the series ended.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        crate::is_stale_nan(self.sum)
    }

    /// Checks that spans and buckets fit together and no count is negative.
    ///
    /// # Errors
    /// They do not.
    pub fn validate(&self) -> Result<(), InvalidHistogram> {
        check_layout(&Layout {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_is_empty: self.zero_count == 0.0,
            positive: (&self.positive_spans, self.positive_buckets.len()),
            negative: (&self.negative_spans, self.negative_buckets.len()),
            custom_values: &self.custom_values,
        })?;
        for (side, counts) in [
            ("positive", &self.positive_buckets),
            ("negative", &self.negative_buckets),
        ] {
            if counts.iter().any(|count| *count < 0.0) {
                return Err(InvalidHistogram::NegativeCount { side });
            }
        }
        Ok(())
    }
}

struct Layout<'a> {
    schema: i32,
    zero_threshold: f64,
    zero_is_empty: bool,
    positive: (&'a [Span], usize),
    negative: (&'a [Span], usize),
    custom_values: &'a [f64],
}

fn check_layout(layout: &Layout<'_>) -> Result<(), InvalidHistogram> {
    for (side, (spans, buckets)) in [("positive", layout.positive), ("negative", layout.negative)] {
        if spans.iter().skip(1).any(|span| span.offset < 0) {
            return Err(InvalidHistogram::NegativeOffset { side });
        }
        let (spans, buckets) = (count_buckets(spans), buckets as u64);
        if spans != buckets {
            return Err(InvalidHistogram::SpanMismatch {
                side,
                spans,
                buckets,
            });
        }
    }
    if layout.schema == CUSTOM_BUCKETS_SCHEMA {
        let bounds = layout.custom_values;
        if bounds.iter().any(|bound| !bound.is_finite()) || !bounds.is_sorted_by(|a, b| a < b) {
            return Err(InvalidHistogram::UnorderedBounds);
        }
        let mut end = 0i64;
        for span in layout.positive.0 {
            if span.offset < 0 {
                return Err(InvalidHistogram::NegativeOffset { side: "positive" });
            }
            end += i64::from(span.offset) + i64::from(span.length);
        }
        if end > bounds.len() as i64 + 1 {
            return Err(InvalidHistogram::TooFewBounds);
        }
        let zero_is_unused = layout.zero_is_empty && layout.zero_threshold == 0.0;
        if !zero_is_unused || !layout.negative.0.is_empty() {
            return Err(InvalidHistogram::CustomBucketsOnly);
        }
        return Ok(());
    }
    if !(EXPONENTIAL_SCHEMA_MIN..=EXPONENTIAL_SCHEMA_MAX).contains(&layout.schema) {
        return Err(InvalidHistogram::UnknownSchema(layout.schema));
    }
    if layout.custom_values.is_empty() {
        Ok(())
    } else {
        Err(InvalidHistogram::ExponentialWithBounds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Histogram {
        Histogram {
            schema: 1,
            zero_threshold: 0.001,
            zero_count: 2,
            count: 21,
            sum: 18.4,
            positive_spans: vec![
                Span {
                    offset: 0,
                    length: 2,
                },
                Span {
                    offset: 1,
                    length: 2,
                },
            ],
            positive_buckets: vec![1, 2, -2, 3],
            negative_spans: vec![Span {
                offset: -3,
                length: 2,
            }],
            negative_buckets: vec![4, 2],
            ..Histogram::default()
        }
    }

    #[test]
    fn differences_become_counts() {
        let float = sound().to_float();
        assert_eq!(float.positive_buckets, [1.0, 3.0, 1.0, 4.0]);
        assert_eq!(float.negative_buckets, [4.0, 6.0]);
        assert_eq!(
            bucket_indices(&float.positive_spans).collect::<Vec<_>>(),
            [0, 1, 3, 4]
        );
        assert_eq!(
            bucket_indices(&float.negative_spans).collect::<Vec<_>>(),
            [-3, -2]
        );
        assert_eq!(float.validate(), Ok(()));
    }

    #[test]
    fn one_change_makes_a_histogram_invalid() {
        type Change = fn(&mut Histogram);
        assert_eq!(sound().validate(), Ok(()));
        let changes: [(Change, InvalidHistogram); 7] = [
            (|h| h.count = 20, InvalidHistogram::CountMismatch),
            (|h| h.schema = 9, InvalidHistogram::UnknownSchema(9)),
            (
                |h| h.positive_buckets[1] = -2,
                InvalidHistogram::NegativeCount { side: "positive" },
            ),
            (
                |h| h.negative_buckets.push(0),
                InvalidHistogram::SpanMismatch {
                    side: "negative",
                    spans: 2,
                    buckets: 3,
                },
            ),
            (
                |h| h.positive_spans[1].offset = -1,
                InvalidHistogram::NegativeOffset { side: "positive" },
            ),
            (
                |h| h.custom_values.push(1.0),
                InvalidHistogram::ExponentialWithBounds,
            ),
            (
                |h| h.schema = CUSTOM_BUCKETS_SCHEMA,
                InvalidHistogram::TooFewBounds,
            ),
        ];
        for (change, expected) in changes {
            let mut histogram = sound();
            change(&mut histogram);
            assert_eq!(histogram.validate(), Err(expected));
        }
    }

    #[test]
    fn custom_buckets_need_ascending_bounds() {
        let mut histogram = Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: 5,
            sum: 3.0,
            positive_spans: vec![Span {
                offset: 1,
                length: 2,
            }],
            positive_buckets: vec![2, 1],
            custom_values: vec![0.5, 1.0],
            ..Histogram::default()
        };
        assert_eq!(histogram.validate(), Ok(()));
        histogram.custom_values[1] = 0.5;
        assert_eq!(histogram.validate(), Err(InvalidHistogram::UnorderedBounds));
        histogram.custom_values = vec![0.5];
        assert_eq!(histogram.validate(), Err(InvalidHistogram::TooFewBounds));
    }

    #[test]
    fn an_observed_nan_is_in_no_bucket() {
        let mut histogram = sound();
        histogram.sum = f64::NAN;
        histogram.count += 1;
        assert_eq!(histogram.validate(), Ok(()));
        assert!(!histogram.is_stale());
        histogram.sum = crate::stale_nan();
        assert!(histogram.is_stale());
    }
}
