//! Sums and differences of native histograms.
//!
//! Buckets are held by index, so that layouts may differ: a finer histogram is brought to the coarser
//! schema, a narrower zero bucket to the wider, custom bounds to those that both have.

use std::collections::BTreeMap;

use model::histogram::{
    CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Span, bucket_indices,
};

/// Counts by bucket index.
type Counts = BTreeMap<i32, f64>;

/// A histogram with its buckets by index.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Buckets {
    schema: i32,
    zero_threshold: f64,
    zero_count: f64,
    count: f64,
    sum: f64,
    positive: Counts,
    negative: Counts,
    custom_values: Vec<f64>,
}

impl Buckets {
    pub(crate) fn new(histogram: &FloatHistogram) -> Self {
        let counts = |spans: &[Span], buckets: &[f64]| {
            bucket_indices(spans)
                .zip(buckets.iter().copied())
                .collect::<Counts>()
        };
        Self {
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            zero_count: histogram.zero_count,
            count: histogram.count,
            sum: histogram.sum,
            positive: counts(&histogram.positive_spans, &histogram.positive_buckets),
            negative: counts(&histogram.negative_spans, &histogram.negative_buckets),
            custom_values: histogram.custom_values.clone(),
        }
    }

    fn is_custom(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    /// Whether both are of exponential or both of custom buckets.
    pub(crate) fn is_compatible(&self, other: &Self) -> bool {
        self.is_custom() == other.is_custom()
    }

    /// Adds `other`, which is compatible.
    pub(crate) fn add(&mut self, other: &Self) {
        self.combine(other, |a, b| a + b);
    }

    /// Takes `other`, which is compatible, away.
    pub(crate) fn subtract(&mut self, other: &Self) {
        self.combine(other, |a, b| a - b);
    }

    fn combine(&mut self, other: &Self, combine: impl Fn(f64, f64) -> f64) {
        let mut other = other.clone();
        self.align(&mut other);
        other.align(self);
        self.count = combine(self.count, other.count);
        self.sum = combine(self.sum, other.sum);
        self.zero_count = combine(self.zero_count, other.zero_count);
        for (own, others) in [
            (&mut self.positive, &other.positive),
            (&mut self.negative, &other.negative),
        ] {
            for (index, count) in others {
                let slot = own.entry(*index).or_insert(0.0);
                *slot = combine(*slot, *count);
            }
        }
    }

    /// Brings this one to what it and `other` have in common; the other is brought to it likewise.
    fn align(&mut self, other: &mut Self) {
        if self.is_custom() {
            self.join_to(&other.custom_values);
            return;
        }
        self.coarsen_to(other.schema);
        while self.zero_threshold < other.zero_threshold {
            let wider = self.widened(other.zero_threshold);
            self.widen_zero(wider);
            // A bucket across the threshold makes it wider still, for both.
            other.zero_threshold = other.zero_threshold.max(wider);
        }
    }

    /// Brings exponential buckets to a coarser schema; a finer one changes nothing.
    pub(crate) fn coarsen_to(&mut self, schema: i32) {
        if self.is_custom() || schema >= self.schema {
            return;
        }
        let steps = self.schema.abs_diff(schema).min(31);
        // Bucket i ends at 2^(i·2^-s): halving the resolution joins 2i-1 and 2i into i.
        let coarser = |counts: &Counts| {
            let mut joined = Counts::new();
            for (index, count) in counts {
                let to = (i64::from(*index) - 1).div_euclid(1 << steps) + 1;
                let to = i32::try_from(to).unwrap_or(*index);
                *joined.entry(to).or_insert(0.0) += count;
            }
            joined
        };
        self.positive = coarser(&self.positive);
        self.negative = coarser(&self.negative);
        self.schema = schema;
    }

    /// Brings custom buckets to the bounds that are also among `bounds`.
    fn join_to(&mut self, bounds: &[f64]) {
        if self.custom_values == bounds {
            return;
        }
        let common: Vec<f64> = self
            .custom_values
            .iter()
            .copied()
            .filter(|bound| bounds.contains(bound))
            .collect();
        let mut joined = Counts::new();
        for (index, count) in &self.positive {
            let bound = usize::try_from(*index)
                .ok()
                .and_then(|index| self.custom_values.get(index));
            // Behind the last bound there is one more bucket.
            let to = bound.map_or(common.len(), |bound| {
                common.partition_point(|common| common < bound)
            });
            *joined
                .entry(i32::try_from(to).unwrap_or(i32::MAX))
                .or_insert(0.0) += count;
        }
        self.positive = joined;
        self.custom_values = common;
    }

    /// The end of bucket `index` in direction of its sign.
    fn bound(&self, index: i32) -> f64 {
        (f64::from(index) * f64::from(-self.schema).exp2()).exp2()
    }

    /// The least threshold from `threshold` on that no filled bucket lies across.
    fn widened(&self, threshold: f64) -> f64 {
        let across = self
            .positive
            .iter()
            .chain(&self.negative)
            .filter(|(index, count)| {
                **count != 0.0
                    && self.bound(**index - 1) < threshold
                    && threshold < self.bound(**index)
            });
        across
            .map(|(index, _)| self.bound(*index))
            .fold(threshold, f64::max)
    }

    fn widen_zero(&mut self, threshold: f64) {
        let schema = self.schema;
        let bound = |index: i32| (f64::from(index) * f64::from(-schema).exp2()).exp2();
        for counts in [&mut self.positive, &mut self.negative] {
            counts.retain(|index, count| {
                let inside = bound(*index) <= threshold;
                if inside {
                    self.zero_count += *count;
                }
                !(inside || bound(*index - 1) < threshold && *count == 0.0)
            });
        }
        self.zero_threshold = threshold;
    }

    /// Whether a counter that read `previous` cannot read this without a reset between.
    pub(crate) fn is_reset_after(&self, previous: &Self) -> bool {
        if self.count < previous.count || !self.is_compatible(previous) {
            return true;
        }
        if self.is_custom() {
            if self.custom_values != previous.custom_values {
                return true;
            }
        } else if self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
            // A new process has finer buckets; a running one only makes them coarser.
            return true;
        }
        let mut previous = previous.clone();
        let mut own = self.clone();
        previous.align(&mut own);
        own.align(&mut previous);
        let fell = |own: &Counts, previous: &Counts| {
            previous
                .iter()
                .any(|(index, count)| own.get(index).copied().unwrap_or_default() < *count)
        };
        own.zero_count < previous.zero_count
            || fell(&own.positive, &previous.positive)
            || fell(&own.negative, &previous.negative)
    }
}

/// Gives histograms one layout: the coarsest schema, the widest zero bucket, every bucket of any.
pub(crate) fn with_one_layout(
    histograms: &[Buckets],
    hint: CounterResetHint,
) -> Vec<FloatHistogram> {
    let mut widest: Option<Buckets> = None;
    for histogram in histograms {
        match &mut widest {
            None => widest = Some(histogram.clone()),
            Some(widest) => widest.add(histogram),
        }
    }
    let Some(widest) = widest else {
        return Vec::new();
    };
    let layout = |counts: &Counts| spans(counts.keys().copied());
    let (positive_spans, negative_spans) = (layout(&widest.positive), layout(&widest.negative));
    histograms
        .iter()
        .map(|histogram| {
            let (mut own, mut widest) = (histogram.clone(), widest.clone());
            own.align(&mut widest);
            let buckets = |counts: &Counts, layout: &Counts| {
                layout
                    .keys()
                    .map(|index| counts.get(index).copied().unwrap_or_default())
                    .collect()
            };
            FloatHistogram {
                counter_reset_hint: hint,
                schema: own.schema,
                zero_threshold: own.zero_threshold,
                zero_count: own.zero_count,
                count: own.count,
                sum: own.sum,
                positive_buckets: buckets(&own.positive, &widest.positive),
                negative_buckets: buckets(&own.negative, &widest.negative),
                positive_spans: positive_spans.clone(),
                negative_spans: negative_spans.clone(),
                custom_values: own.custom_values,
            }
        })
        .collect()
}

/// The spans of ascending bucket indices.
fn spans(indices: impl Iterator<Item = i32>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut next = 0i32;
    for index in indices {
        match spans.last_mut() {
            Some(last) if index == next => last.length += 1,
            _ => spans.push(Span {
                offset: index.wrapping_sub(next),
                length: 1,
            }),
        }
        next = index.wrapping_add(1);
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(schema: i32, positive: &[(i32, f64)], zero: f64) -> Buckets {
        let positive: Counts = positive.iter().copied().collect();
        Buckets {
            schema,
            zero_threshold: 0.001,
            zero_count: zero,
            count: zero + positive.values().sum::<f64>(),
            sum: 1.0,
            positive,
            negative: Counts::new(),
            custom_values: Vec::new(),
        }
    }

    #[test]
    fn finer_buckets_join_pairwise() {
        let mut fine = histogram(1, &[(-1, 1.0), (0, 2.0), (1, 3.0), (2, 4.0), (3, 5.0)], 0.0);
        fine.coarsen_to(0);
        let expected: Counts = [(0, 3.0), (1, 7.0), (2, 5.0)].into();
        assert_eq!(fine.positive, expected);
        let mut sum = histogram(0, &[(1, 1.0)], 0.0);
        sum.add(&histogram(1, &[(1, 3.0), (2, 4.0)], 0.0));
        assert_eq!((sum.schema, sum.positive), (0, [(1, 8.0)].into()));
    }

    #[test]
    fn zero_buckets_meet_at_the_wider_threshold() {
        let mut narrow = histogram(0, &[(-1, 2.0), (0, 1.0), (3, 5.0)], 1.0);
        let mut wide = histogram(0, &[(3, 5.0)], 4.0);
        // 0.75 lies within the bucket from 0.5 to 1, which is filled.
        wide.zero_threshold = 0.75;
        narrow.add(&wide);
        assert_eq!(narrow.zero_threshold, 1.0);
        assert_eq!(narrow.zero_count, 8.0);
        assert_eq!(narrow.positive, [(3, 10.0)].into());
    }

    #[test]
    fn custom_bounds_meet_at_those_in_common() {
        let custom = |bounds: &[f64], positive: &[(i32, f64)]| Buckets {
            custom_values: bounds.to_vec(),
            ..histogram(CUSTOM_BUCKETS_SCHEMA, positive, 0.0)
        };
        let mut a = custom(&[1.0, 2.0, 5.0], &[(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0)]);
        a.add(&custom(
            &[1.0, 5.0, 10.0],
            &[(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)],
        ));
        assert_eq!(a.custom_values, [1.0, 5.0]);
        assert_eq!(a.positive, [(0, 2.0), (1, 6.0), (2, 6.0)].into());
    }

    #[test]
    fn a_fallen_bucket_or_a_finer_schema_is_a_reset() {
        let before = histogram(1, &[(1, 3.0), (2, 4.0)], 1.0);
        let grown = histogram(1, &[(1, 3.0), (2, 5.0)], 1.0);
        assert!(!grown.is_reset_after(&before));
        assert!(before.is_reset_after(&grown), "fewer in all");
        let fell = histogram(1, &[(1, 2.0), (2, 9.0)], 1.0);
        assert!(fell.is_reset_after(&before));
        assert!(histogram(2, &[(1, 90.0)], 9.0).is_reset_after(&before));
        let coarser = histogram(0, &[(1, 7.0)], 1.0);
        assert!(!coarser.is_reset_after(&before));
    }

    #[test]
    fn one_layout_holds_all() {
        let histograms = [
            histogram(1, &[(-3, 1.0), (2, 4.0)], 0.0),
            histogram(0, &[(1, 2.0), (9, 1.0)], 1.0),
        ];
        let laid_out = with_one_layout(&histograms, CounterResetHint::Gauge);
        assert_eq!(laid_out[0].positive_spans, laid_out[1].positive_spans);
        for (own, out) in histograms.iter().zip(&laid_out) {
            let mut own = own.clone();
            own.coarsen_to(0);
            own.positive.retain(|_, count| *count != 0.0);
            let mut back = Buckets::new(out);
            back.positive.retain(|_, count| *count != 0.0);
            assert_eq!(back, own);
        }
    }
}
