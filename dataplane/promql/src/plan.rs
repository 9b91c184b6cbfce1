//! The logical plan of a query: what an expression means once the query's times are known.
//!
//! Durations are numbers, `@` is a time, functions are sorted by how they are evaluated, and what is
//! the same at every step is wrapped so that it is evaluated once. In reading order: the nodes,
//! [`build`] (from the syntax tree), [`duration`] (duration expressions), [`share`] (finds equal
//! parts).

pub(crate) mod build;
mod duration;
pub(crate) mod share;

use std::sync::Arc;

use model::{Labels, Matcher, TimeRange};

use crate::ast::{AggregateOp, BinaryOp, PosRange, RangeModifier, VectorMatching};
use crate::engine::{ElementFunc, WindowFunc};
use crate::queryable::SelectHints;

/// A whole query.
#[derive(Debug)]
pub(crate) enum Plan {
    Scalar(ScalarNode),
    Vector(VectorNode),
    /// A range vector, only in instant queries.
    Matrix(RangeSource),
    String(String),
}

/// A number per step.
#[derive(Debug, Clone)]
pub(crate) enum ScalarNode {
    Number(f64),
    /// The step's time in seconds.
    Time,
    /// The only element of a vector, or NaN.
    OfVector(Box<VectorNode>),
    Binary {
        op: ScalarOp,
        lhs: Box<ScalarNode>,
        rhs: Box<ScalarNode>,
    },
    Neg(Box<ScalarNode>),
    /// The same at every step.
    Invariant(Box<ScalarNode>),
}

/// An operation on two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ScalarOp {
    Binary(BinaryOp),
    MaxOf,
    MinOf,
}

/// What is known of a vector's label sets without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unique {
    /// No two series are equal.
    pub full: bool,
    /// No two series are equal even without the metric's name.
    pub without_name: bool,
}

impl Unique {
    pub(crate) const ALWAYS: Self = Self {
        full: true,
        without_name: true,
    };
    pub(crate) const BY_NAME: Self = Self {
        full: true,
        without_name: false,
    };
    pub(crate) const NEVER: Self = Self {
        full: false,
        without_name: false,
    };
}

/// An instant vector per step.
#[derive(Debug, Clone)]
pub(crate) struct VectorNode {
    pub kind: VectorKind,
    pub unique: Unique,
    /// The number under which the answer is kept, where the same node occurs more than once.
    pub shared: Option<usize>,
}

#[derive(Debug, Clone)]
pub(crate) enum VectorKind {
    /// The latest sample of each series.
    Select {
        selector: Arc<Selector>,
        take: Take,
    },
    /// A function over the window of each series.
    Window {
        source: RangeSource,
        func: WindowFunc,
        params: Vec<ScalarNode>,
        pos: PosRange,
    },
    /// The same at every step.
    Invariant(Box<VectorNode>),
    /// `vector(scalar)`.
    OfScalar(ScalarNode),
    /// A date function without argument.
    OfTime(ElementFunc),
    /// A function of each float on its own.
    Element {
        func: ElementFunc,
        params: Vec<ScalarNode>,
        input: Box<VectorNode>,
    },
    Neg(Box<VectorNode>),
    VectorScalar {
        op: BinaryOp,
        vector: Box<VectorNode>,
        scalar: ScalarNode,
        /// Whether the scalar stands on the left.
        swapped: bool,
        return_bool: bool,
        pos: PosRange,
    },
    Binary {
        op: BinaryOp,
        lhs: Box<VectorNode>,
        rhs: Box<VectorNode>,
        matching: VectorMatching,
        return_bool: bool,
        pos: PosRange,
    },
    Aggregate {
        op: AggregateOp,
        input: Box<VectorNode>,
        param: Option<ScalarNode>,
        /// Sorted, without repetitions.
        grouping: Vec<String>,
        without: bool,
        pos: PosRange,
        param_pos: PosRange,
    },
    CountValues {
        input: Box<VectorNode>,
        label: String,
        grouping: Vec<String>,
        without: bool,
    },
    /// 1 at the steps at which the input has no sample.
    Absent {
        input: Box<VectorNode>,
        labels: Labels,
    },
    LabelReplace {
        input: Box<VectorNode>,
        dst: String,
        replacement: String,
        src: String,
        regex: regex::Regex,
    },
    LabelJoin {
        input: Box<VectorNode>,
        dst: String,
        separator: String,
        src: Vec<String>,
    },
    Sort {
        input: Box<VectorNode>,
        order: SortOrder,
        pos: PosRange,
    },
    HistogramQuantile {
        input: Box<VectorNode>,
        quantiles: Vec<(ScalarNode, PosRange)>,
        /// The label that tells several quantiles apart.
        label: Option<String>,
        pos: PosRange,
    },
    HistogramFraction {
        input: Box<VectorNode>,
        lower: ScalarNode,
        upper: ScalarNode,
        pos: PosRange,
    },
    /// `info`.
    Info {
        input: Box<VectorNode>,
        source: InfoSource,
    },
    /// Series of the input that became equal are merged; it is an error if they overlap.
    Merge(Box<VectorNode>),
    /// It is an error if series of the input are equal.
    RequireUnique(Box<VectorNode>),
}

/// The info series that `info` reads.
#[derive(Debug, Clone)]
pub(crate) struct InfoSource {
    /// Matchers of their names.
    pub names: Vec<Matcher>,
    /// Matchers of the labels that are added; none means all.
    pub data: Vec<Matcher>,
    pub at: Option<i64>,
    pub offset_ms: i64,
    /// The times that can matter.
    pub time: TimeRange,
    pub step_ms: i64,
}

/// What of the latest sample is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Take {
    Value,
    /// Its time in seconds.
    Timestamp,
}

/// How a vector is ordered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum SortOrder {
    Value {
        descending: bool,
    },
    Labels {
        names: Vec<String>,
        descending: bool,
    },
}

/// Where the samples of a range vector come from.
#[derive(Debug, Clone)]
pub(crate) enum RangeSource {
    Selector(Arc<Selector>),
    Subquery(Box<SubqueryNode>),
}

#[derive(Debug, Clone)]
pub(crate) struct SubqueryNode {
    /// A vector, or a scalar as a vector without labels.
    pub input: VectorNode,
    pub range_ms: i64,
    pub step_ms: i64,
    pub offset_ms: i64,
    pub at: Option<i64>,
}

/// What is read from the storage.
#[derive(Debug)]
pub(crate) struct Selector {
    pub matchers: Vec<Matcher>,
    /// 0 for an instant selector.
    pub range_ms: i64,
    pub offset_ms: i64,
    pub at: Option<i64>,
    pub modifier: Option<RangeModifier>,
    /// The times that can matter.
    pub time: TimeRange,
    pub hints: SelectHints,
    /// The selector as written, for messages.
    pub text: String,
    pub pos: PosRange,
    /// Whether only counts and sums of native histograms matter.
    pub stats_only: bool,
}

impl VectorNode {
    pub(crate) fn new(kind: VectorKind, unique: Unique) -> Self {
        Self {
            kind,
            unique,
            shared: None,
        }
    }
}
