//! The value of a native histogram sample.

/// One native histogram sample with float counts, in Prometheus' layout: buckets are absolute counts
/// behind spans of consecutive indexes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FloatHistogram {
    /// Resolution: -4 to 8, or -53 for custom bounds.
    pub schema: i32,
    pub zero_threshold: f64,
    pub zero_count: f64,
    pub count: f64,
    /// The stale marker where the series ended.
    pub sum: f64,
    pub positive_spans: Vec<Span>,
    pub negative_spans: Vec<Span>,
    pub positive_buckets: Vec<f64>,
    pub negative_buckets: Vec<f64>,
    /// The upper bounds where the schema is -53.
    pub custom_values: Vec<f64>,
    pub counter_reset: CounterReset,
}

/// A run of consecutive buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Distance from the end of the previous span; for the first span, the index it starts at.
    pub offset: i32,
    pub length: u32,
}

/// What is known of a reset before a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CounterReset {
    #[default]
    Unknown,
    Reset,
    NotReset,
    Gauge,
}

impl FloatHistogram {
    /// Returns whether the sample marks that the series ended.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        model::is_stale_nan(self.sum)
    }

    /// Returns the bytes held, for memory accounts.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>()
            + size_of::<Span>() * (self.positive_spans.len() + self.negative_spans.len())
            + size_of::<f64>()
                * (self.positive_buckets.len()
                    + self.negative_buckets.len()
                    + self.custom_values.len())
    }
}
