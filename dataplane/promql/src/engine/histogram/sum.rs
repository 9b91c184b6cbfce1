//! Compensated sums and means of histograms.

use model::histogram::FloatHistogram;

use crate::engine::kahan;

use super::arithmetic::merge_hints;
use super::layout::{Other, Side, add as add_side, others, reduce};
use super::{Incompatible, Outcome, check_kind, custom, div, has_custom_buckets, mul, zero};

/// What rounding has lost of each number of a histogram.
#[derive(Debug, Clone)]
pub(super) struct Compensation {
    pub zero_count: f64,
    pub count: f64,
    pub sum: f64,
    pub positive: Vec<f64>,
    pub negative: Vec<f64>,
}

impl Compensation {
    fn each(&mut self, f: impl Fn(f64) -> f64) {
        self.zero_count = f(self.zero_count);
        self.count = f(self.count);
        self.sum = f(self.sum);
        for value in self.positive.iter_mut().chain(&mut self.negative) {
            *value = f(*value);
        }
    }
}

/// A running sum.
#[derive(Debug, Clone)]
pub(crate) struct Sum {
    value: FloatHistogram,
    compensation: Option<Compensation>,
}

impl Sum {
    pub(crate) fn new(first: &FloatHistogram) -> Self {
        Self {
            value: first.clone(),
            compensation: None,
        }
    }

    /// Adds a histogram.
    ///
    /// # Errors
    /// One has custom buckets and the other has not; nothing is changed then.
    pub(crate) fn add(&mut self, other: &FloatHistogram) -> Result<Outcome, Incompatible> {
        let h = &mut self.value;
        check_kind(h, other)?;
        let mut outcome = Outcome {
            collision: merge_hints(h, other),
            reconciled: false,
        };
        let c = self.compensation.get_or_insert_with(|| Compensation {
            zero_count: 0.0,
            count: 0.0,
            sum: 0.0,
            positive: vec![0.0; h.positive_buckets.len()],
            negative: vec![0.0; h.negative_buckets.len()],
        });
        if !has_custom_buckets(h) {
            let (count, lost) = zero::reconcile(h, Some(c), other);
            (h.zero_count, c.zero_count) = kahan::add(count, h.zero_count, c.zero_count);
            (h.zero_count, c.zero_count) = kahan::add(lost, h.zero_count, c.zero_count);
        }
        (h.count, c.count) = kahan::add(other.count, h.count, c.count);
        (h.sum, c.sum) = kahan::add(other.sum, h.sum, c.sum);
        if has_custom_buckets(h) && h.custom_values != other.custom_values {
            outcome.reconciled = true;
            let common = custom::common_bounds(&h.custom_values, &other.custom_values);
            let mut side = Side {
                spans: &mut h.positive_spans,
                buckets: &mut h.positive_buckets,
                compensation: Some(&mut c.positive),
            };
            let [theirs, _] = others(other);
            let bounds = (h.custom_values.as_slice(), other.custom_values.as_slice());
            custom::add(&mut side, theirs, bounds, &common, 1.0);
            h.custom_values = common;
            return Ok(outcome);
        }
        let from = h.schema;
        let to = from.min(other.schema);
        let threshold = h.zero_threshold;
        let ours = [
            Side {
                spans: &mut h.positive_spans,
                buckets: &mut h.positive_buckets,
                compensation: Some(&mut c.positive),
            },
            Side {
                spans: &mut h.negative_spans,
                buckets: &mut h.negative_buckets,
                compensation: Some(&mut c.negative),
            },
        ];
        for (mut side, theirs) in ours.into_iter().zip(others(other)) {
            if to < from {
                reduce(&mut side, from, to);
            }
            if to < other.schema {
                let (mut spans, mut buckets) = (theirs.spans.to_vec(), theirs.buckets.to_vec());
                let mut compensation = vec![0.0; buckets.len()];
                let mut coarse = Side {
                    spans: &mut spans,
                    buckets: &mut buckets,
                    compensation: Some(&mut compensation),
                };
                reduce(&mut coarse, other.schema, to);
                let coarse = Other {
                    spans: &spans,
                    buckets: &buckets,
                    compensation: Some(&compensation),
                };
                add_side(&mut side, coarse, to, threshold, 1.0);
            } else {
                add_side(&mut side, theirs, to, threshold, 1.0);
            }
        }
        h.schema = to;
        Ok(outcome)
    }

    /// Returns the sum with what rounding had lost.
    pub(crate) fn finish(self) -> FloatHistogram {
        let Self {
            mut value,
            compensation,
        } = self;
        let Some(c) = compensation else {
            return value;
        };
        value.zero_count += c.zero_count;
        value.count += c.count;
        value.sum += c.sum;
        let (schema, threshold) = (value.schema, value.zero_threshold);
        for (spans, buckets, lost) in [
            (
                &mut value.positive_spans,
                &mut value.positive_buckets,
                &c.positive,
            ),
            (
                &mut value.negative_spans,
                &mut value.negative_buckets,
                &c.negative,
            ),
        ] {
            let layout = spans.clone();
            let lost = Other {
                spans: &layout,
                buckets: lost,
                compensation: None,
            };
            let mut side = Side {
                spans,
                buckets,
                compensation: None,
            };
            add_side(&mut side, lost, schema, threshold, 1.0);
        }
        value
    }

    fn mul(&mut self, factor: f64) {
        mul(&mut self.value, factor);
        if let Some(c) = &mut self.compensation {
            c.each(|value| value * factor);
        }
    }

    fn div(&mut self, divisor: f64) {
        div(&mut self.value, divisor);
        if let Some(c) = &mut self.compensation {
            c.each(|value| value / divisor);
        }
    }
}

/// A running mean: a sum that is divided at the end or, once a number of it overflows, an incremental
/// mean.
#[derive(Debug, Clone)]
pub(crate) struct Mean {
    sum: Sum,
    count: f64,
    incremental: bool,
}

impl Mean {
    pub(crate) fn new(first: &FloatHistogram) -> Self {
        Self {
            sum: Sum::new(first),
            count: 1.0,
            incremental: false,
        }
    }

    /// Adds a histogram.
    ///
    /// # Errors
    /// One has custom buckets and the others have not.
    pub(crate) fn push(&mut self, other: &FloatHistogram) -> Result<Outcome, Incompatible> {
        self.count += 1.0;
        let mut first = Outcome::default();
        if !self.incremental {
            let mut sum = self.sum.clone();
            first = sum.add(other)?;
            if !overflows(&sum.value) {
                self.sum = sum;
                return Ok(first);
            }
            self.incremental = true;
            self.sum.div(self.count - 1.0);
        }
        self.sum.mul((self.count - 1.0) / self.count);
        let mut part = other.clone();
        div(&mut part, self.count);
        let outcome = self.sum.add(&part)?;
        Ok(Outcome {
            collision: outcome.collision || first.collision,
            reconciled: outcome.reconciled || first.reconciled,
        })
    }

    pub(crate) fn finish(mut self) -> FloatHistogram {
        if !self.incremental {
            self.sum.div(self.count);
        }
        self.sum.finish()
    }
}

/// Whether any number of a histogram is infinite.
fn overflows(h: &FloatHistogram) -> bool {
    [h.zero_count, h.count, h.sum]
        .iter()
        .chain(&h.positive_buckets)
        .chain(&h.negative_buckets)
        .chain(&h.custom_values)
        .any(|value| value.is_infinite())
}
