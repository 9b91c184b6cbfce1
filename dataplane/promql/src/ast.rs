//! The syntax tree of a PromQL expression.
//!
//! Every node is one [`Expr`] variant around a box, so that an `Expr` is small to move; children are
//! plain `Expr`s. Positions are byte offsets into the query. Durations and timestamps are
//! milliseconds in `i64`. A tree that came out of the parser is well typed: no consumer needs to
//! check types again.

use model::Matcher;

use crate::functions::Function;

mod op;

pub use op::{AggregateOp, BinaryOp, VectorMatchCardinality};

/// The half-open byte range `start..end` of a node in the query's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PosRange {
    pub start: usize,
    pub end: usize,
}

impl PosRange {
    #[must_use]
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }
}

/// The type of an expression's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    Scalar,
    Vector,
    Matrix,
    String,
}

impl ValueType {
    /// Returns the name the HTTP API uses for a result of this type.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
            Self::String => "string",
        }
    }

    /// Returns the name that messages to users have for the type, e.g. `instant vector`.
    #[must_use]
    pub const fn documented(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
            Self::String => "string",
        }
    }
}

/// An expression. The tree is at most [`crate::parser::MAX_DEPTH`] nodes deep, so recursion over it
/// is safe. `Display` prints the canonical form, equal to Prometheus'.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// `1.5`, `0x1f`, `Inf`, or a duration as a number of seconds, e.g. `5m`.
    NumberLiteral(NumberLiteral),
    /// `"text"`.
    StringLiteral(StringLiteral),
    /// `metric{label="value"} offset 5m @ 12`.
    VectorSelector(Box<VectorSelector>),
    /// `metric[5m]`.
    MatrixSelector(Box<MatrixSelector>),
    /// `expr[1h:1m]`.
    Subquery(Box<Subquery>),
    /// `rate(...)`.
    Call(Box<Call>),
    /// `sum by (job) (...)`.
    Aggregate(Box<AggregateExpr>),
    /// `a + on (job) b`.
    Binary(Box<BinaryExpr>),
    /// `-expr` or `+expr`; the sign of a number belongs to its literal instead.
    Unary(Box<UnaryExpr>),
    /// `(expr)`.
    Paren(Box<ParenExpr>),
}

impl Expr {
    /// Returns the type of the expression's value.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::NumberLiteral(_) => ValueType::Scalar,
            Self::StringLiteral(_) => ValueType::String,
            Self::VectorSelector(_) | Self::Aggregate(_) => ValueType::Vector,
            Self::MatrixSelector(_) | Self::Subquery(_) => ValueType::Matrix,
            Self::Call(call) => call.func.return_type,
            Self::Binary(binary) => {
                let both = (binary.lhs.value_type(), binary.rhs.value_type());
                if both == (ValueType::Scalar, ValueType::Scalar) {
                    ValueType::Scalar
                } else {
                    ValueType::Vector
                }
            }
            Self::Unary(unary) => unary.expr.value_type(),
            Self::Paren(paren) => paren.expr.value_type(),
        }
    }

    /// Returns where the expression stands in the query.
    #[must_use]
    pub fn pos(&self) -> PosRange {
        match self {
            Self::NumberLiteral(node) => node.pos,
            Self::StringLiteral(node) => node.pos,
            Self::VectorSelector(node) => node.pos,
            Self::MatrixSelector(node) => node.pos,
            Self::Subquery(node) => node.pos,
            Self::Call(node) => node.pos,
            Self::Aggregate(node) => node.pos,
            Self::Binary(node) => node.pos,
            Self::Unary(node) => node.pos,
            Self::Paren(node) => node.pos,
        }
    }

    /// Returns the expression inside any number of parentheses.
    #[must_use]
    pub fn without_parens(&self) -> &Self {
        let mut expr = self;
        while let Self::Paren(paren) = expr {
            expr = &paren.expr;
        }
        expr
    }

    /// Returns the direct children that are expressions, in the order Prometheus visits them (an
    /// aggregation's parameter after its expression). A matrix selector's inner selector is part of
    /// the node, not a child.
    #[must_use]
    pub fn children(&self) -> Vec<&Self> {
        match self {
            Self::NumberLiteral(_)
            | Self::StringLiteral(_)
            | Self::VectorSelector(_)
            | Self::MatrixSelector(_) => Vec::new(),
            Self::Subquery(node) => vec![&node.expr],
            Self::Call(node) => node.args.iter().collect(),
            Self::Aggregate(node) => std::iter::once(&node.expr).chain(&node.param).collect(),
            Self::Binary(node) => vec![&node.lhs, &node.rhs],
            Self::Unary(node) => vec![&node.expr],
            Self::Paren(node) => vec![&node.expr],
        }
    }

    /// Calls `visit` for this node and then for all below it, depth first.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }

    /// Calls `visit` for every vector selector of the tree, those inside matrix selectors included,
    /// so that they can be changed.
    pub fn walk_selectors_mut(&mut self, visit: &mut impl FnMut(&mut VectorSelector)) {
        match self {
            Self::NumberLiteral(_) | Self::StringLiteral(_) => {}
            Self::VectorSelector(node) => visit(node),
            Self::MatrixSelector(node) => visit(&mut node.selector),
            Self::Subquery(node) => node.expr.walk_selectors_mut(visit),
            Self::Call(node) => {
                for arg in &mut node.args {
                    arg.walk_selectors_mut(visit);
                }
            }
            Self::Aggregate(node) => {
                node.expr.walk_selectors_mut(visit);
                if let Some(param) = &mut node.param {
                    param.walk_selectors_mut(visit);
                }
            }
            Self::Binary(node) => {
                node.lhs.walk_selectors_mut(visit);
                node.rhs.walk_selectors_mut(visit);
            }
            Self::Unary(node) => node.expr.walk_selectors_mut(visit),
            Self::Paren(node) => node.expr.walk_selectors_mut(visit),
        }
    }

    /// Returns all vector selectors, those inside matrix selectors included, in the order of
    /// [`Expr::walk`].
    #[must_use]
    pub fn selectors(&self) -> Vec<&VectorSelector> {
        let mut selectors = Vec::new();
        self.walk(&mut |expr| match expr {
            Self::VectorSelector(selector) => selectors.push(selector.as_ref()),
            Self::MatrixSelector(matrix) => selectors.push(&matrix.selector),
            _ => {}
        });
        selectors
    }
}

/// A number.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberLiteral {
    /// The value; seconds where it was written as a duration.
    pub value: f64,
    /// Whether it was written as a duration and is printed as one.
    pub is_duration: bool,
    pub pos: PosRange,
}

/// A string, unquoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringLiteral {
    pub value: String,
    pub pos: PosRange,
}

/// A selection of series at an instant.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSelector {
    /// The metric name where it stands outside the braces, else empty.
    pub name: String,
    /// All matchers in the order written; the one for `name` comes last.
    pub matchers: Vec<Matcher>,
    /// The offset; nothing where there is none or it is zero.
    pub offset: Option<DurationSpec>,
    /// The `@` modifier.
    pub at: Option<At>,
    /// `anchored` or `smoothed`.
    pub range_modifier: Option<RangeModifier>,
    /// Whether no matcher needs to reject the empty value: true only for the second argument of
    /// `info()`, which selects labels rather than series.
    pub allows_empty_matchers: bool,
    pub pos: PosRange,
}

/// A selection of series over a range of time. Offset and `@` are those of `selector`.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixSelector {
    pub selector: VectorSelector,
    /// The length of the window; a literal is positive (or under a millisecond, then 0).
    pub range: DurationSpec,
    pub pos: PosRange,
}

/// An expression evaluated at many steps: `expr[range:step]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Subquery {
    pub expr: Expr,
    pub range: DurationSpec,
    /// The step; where there is none the engine's default interval applies.
    pub step: Option<DurationSpec>,
    /// The offset; nothing where there is none or it is zero.
    pub offset: Option<DurationSpec>,
    pub at: Option<At>,
    pub pos: PosRange,
}

/// A call of a function. The arguments have the types and number the function's signature asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub func: &'static Function,
    pub args: Vec<Expr>,
    pub pos: PosRange,
}

/// An aggregation over a vector.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateExpr {
    pub op: AggregateOp,
    pub expr: Expr,
    /// The parameter, present if and only if `op.has_param()`: a string for `count_values`, else a
    /// scalar.
    pub param: Option<Expr>,
    /// The labels of `by` or `without`, in the order written, possibly with repetitions.
    pub grouping: Vec<String>,
    /// Whether `grouping` names the labels to drop rather than those to keep.
    pub without: bool,
    pub pos: PosRange,
}

/// An operation on two expressions.
#[derive(Debug, Clone, PartialEq)]
pub struct BinaryExpr {
    pub op: BinaryOp,
    pub lhs: Expr,
    pub rhs: Expr,
    /// How series of the two sides find each other; present if and only if both are vectors.
    pub matching: Option<VectorMatching>,
    /// Whether a comparison answers 0 or 1 instead of filtering.
    pub return_bool: bool,
    pub pos: PosRange,
}

/// A sign before an expression that is a scalar or a vector.
#[derive(Debug, Clone, PartialEq)]
pub struct UnaryExpr {
    /// Whether the sign is a minus.
    pub negative: bool,
    pub expr: Expr,
    pub pos: PosRange,
}

/// An expression in parentheses.
#[derive(Debug, Clone, PartialEq)]
pub struct ParenExpr {
    pub expr: Expr,
    pub pos: PosRange,
}

/// The `@` modifier of a selector or subquery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum At {
    /// `@ 1609746000.5`, here in milliseconds since the Unix epoch.
    Timestamp(i64),
    /// `@ start()`: the first step of the query.
    Start,
    /// `@ end()`: the last step of the query.
    End,
}

/// How a selector treats the edges of its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RangeModifier {
    Anchored,
    Smoothed,
}

/// A range, step or offset.
#[derive(Debug, Clone, PartialEq)]
pub enum DurationSpec {
    /// Milliseconds, negative only for offsets.
    Literal(i64),
    /// An expression to be computed once the query's step and range are known.
    Expr(Box<DurationExpr>),
}

impl DurationSpec {
    /// Returns the milliseconds where they are known without evaluation.
    #[must_use]
    pub const fn literal_ms(&self) -> Option<i64> {
        match self {
            Self::Literal(ms) => Some(*ms),
            Self::Expr(_) => None,
        }
    }
}

/// An arithmetic expression over durations; values are seconds.
#[derive(Debug, Clone, PartialEq)]
pub enum DurationExpr {
    Literal(NumberLiteral),
    /// `step()`: the step of the query.
    Step(PosRange),
    /// `range()`: the length of the query.
    Range(PosRange),
    /// `-expr`.
    Neg {
        expr: Box<DurationExpr>,
        pos: PosRange,
    },
    /// `(expr)`.
    Paren {
        expr: Box<DurationExpr>,
        pos: PosRange,
    },
    /// `min_of(lhs, rhs)`.
    MinOf {
        lhs: Box<DurationExpr>,
        rhs: Box<DurationExpr>,
        pos: PosRange,
    },
    /// `max_of(lhs, rhs)`.
    MaxOf {
        lhs: Box<DurationExpr>,
        rhs: Box<DurationExpr>,
        pos: PosRange,
    },
    /// `lhs op rhs` with one of `+ - * / % ^`.
    Binary {
        op: BinaryOp,
        lhs: Box<DurationExpr>,
        rhs: Box<DurationExpr>,
    },
}

impl DurationExpr {
    /// Returns where the expression stands in the query.
    #[must_use]
    pub fn pos(&self) -> PosRange {
        match self {
            Self::Literal(literal) => literal.pos,
            Self::Step(pos)
            | Self::Range(pos)
            | Self::Neg { pos, .. }
            | Self::Paren { pos, .. }
            | Self::MinOf { pos, .. }
            | Self::MaxOf { pos, .. } => *pos,
            Self::Binary { lhs, rhs, .. } => PosRange::new(lhs.pos().start, rhs.pos().end),
        }
    }
}

/// How the series of two vectors find each other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VectorMatching {
    pub card: VectorMatchCardinality,
    /// The labels of `on` or `ignoring`, in the order written.
    pub labels: Vec<String>,
    /// Whether `labels` are those that must be equal (`on`) rather than those to leave out.
    pub on: bool,
    /// The labels of `group_left` or `group_right`, taken from the "one" side.
    pub include: Vec<String>,
    pub fill: FillValues,
}

/// The values that stand in for a series that one side lacks.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FillValues {
    pub lhs: Option<f64>,
    pub rhs: Option<f64>,
}
