//! Arithmetic on native histograms, bit for bit as Prometheus calculates.
//!
//! In reading order: `bounds` (where buckets begin and end), `buckets` (walks over them), `layout`
//! (spans: adding, merging, compacting), `custom` (buckets with bounds of their own), `zero` (zero
//! buckets of different width), `arithmetic` (addition, subtraction, scaling), `sum` (compensated
//! sums and means), `reset` (counter resets), `trim`, `statistics` (quantiles, fractions, variance),
//! `text`.
//!
//! Nothing here trusts a histogram: spans that do not fit the buckets give a wrong answer, never a
//! panic.

mod arithmetic;
mod bounds;
mod buckets;
mod custom;
mod layout;
mod reset;
mod statistics;
mod sum;
mod text;
mod trim;
mod zero;

use model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram};

pub(crate) use arithmetic::{add, div, equal, mul, sub};
pub use buckets::{HistogramBucket, histogram_buckets};
pub(crate) use layout::{compact, to_schema};
pub(crate) use reset::is_reset;
pub(crate) use statistics::{NanNote, fraction, quantile, variance};
pub(crate) use sum::{Mean, Sum};
pub(crate) use text::text;
pub(crate) use trim::trim;

/// Histograms with exponential and with custom buckets have nothing in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Incompatible;

/// What an addition or subtraction had to gloss over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Outcome {
    /// One histogram follows a counter reset, the other certainly not.
    pub collision: bool,
    /// The custom bounds differed; those in common are left.
    pub reconciled: bool,
}

/// Which hints have been seen among histograms that are added up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HintsSeen {
    reset: bool,
    not_reset: bool,
}

impl HintsSeen {
    pub(crate) fn note(&mut self, histogram: &FloatHistogram) {
        match histogram.counter_reset_hint {
            CounterResetHint::Reset => self.reset = true,
            CounterResetHint::NotReset => self.not_reset = true,
            CounterResetHint::Unknown | CounterResetHint::Gauge => {}
        }
    }

    pub(crate) fn collide(self) -> bool {
        self.reset && self.not_reset
    }
}

pub(crate) fn has_custom_buckets(histogram: &FloatHistogram) -> bool {
    histogram.schema == CUSTOM_BUCKETS_SCHEMA
}

fn check_kind(a: &FloatHistogram, b: &FloatHistogram) -> Result<(), Incompatible> {
    if has_custom_buckets(a) == has_custom_buckets(b) {
        Ok(())
    } else {
        Err(Incompatible)
    }
}
