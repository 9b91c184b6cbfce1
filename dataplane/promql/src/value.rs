//! What a query answers.

use std::sync::Arc;

use model::Labels;

use model::histogram::FloatHistogram;

/// A query's answer.
#[derive(Debug, Clone)]
pub struct QueryResult {
    pub value: Value,
    /// At most ten texts, and one that counts the rest.
    pub warnings: Vec<String>,
    /// At most ten texts, and one that counts the rest.
    pub infos: Vec<String>,
    pub stats: QueryStats,
}

/// The value of an expression.
#[derive(Debug, Clone)]
pub enum Value {
    Scalar(ScalarValue),
    String(StringValue),
    /// An instant query's vector, in the order of evaluation, which `sort` and `topk` determine.
    Vector(Vec<VectorSample>),
    /// Series sorted by labels.
    Matrix(Vec<SeriesResult>),
}

/// A number at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScalarValue {
    /// Milliseconds since the Unix epoch.
    pub ts: i64,
    pub value: f64,
}

/// A text at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringValue {
    /// Milliseconds since the Unix epoch.
    pub ts: i64,
    pub value: String,
}

/// One element of an instant vector.
#[derive(Debug, Clone)]
pub struct VectorSample {
    pub labels: Labels,
    /// Milliseconds since the Unix epoch: the time of evaluation.
    pub ts: i64,
    pub value: SampleValue,
}

/// The value of a sample.
#[derive(Debug, Clone)]
pub enum SampleValue {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

/// One series of a matrix.
#[derive(Debug, Clone)]
pub struct SeriesResult {
    pub labels: Labels,
    /// `(milliseconds, value)`, ascending.
    pub floats: Vec<(i64, f64)>,
    /// `(milliseconds, value)`, ascending.
    pub histograms: Vec<(i64, Arc<FloatHistogram>)>,
}

/// What a query cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueryStats {
    /// Series read from the storage.
    pub series: u64,
    /// Samples read from the storage.
    pub samples: u64,
    /// Most bytes held at once, as far as they are accounted for.
    pub peak_memory_bytes: u64,
}
