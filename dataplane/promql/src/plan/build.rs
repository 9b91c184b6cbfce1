//! From the syntax tree to the plan.

mod call;
mod info;

use std::sync::Arc;

use model::{METRIC_NAME, MatchOp, TimeRange};

use crate::ast::{
    AggregateExpr, AggregateOp, At, BinaryExpr, BinaryOp, Expr, RangeModifier, Subquery,
    VectorSelector,
};
use crate::engine::{EXTENDED_LOOKBACK_MS, EngineError, EngineFeatures};
use crate::queryable::SelectHints;

use super::duration::{QuerySpan, resolve};
use super::{
    Plan, RangeSource, ScalarNode, ScalarOp, Selector, SubqueryNode, Take, Unique, VectorKind,
    VectorNode,
};

/// What the meaning of an expression depends on beside its text.
pub(crate) struct QueryTimes {
    pub start: i64,
    pub end: i64,
    /// 0 for an instant query.
    pub step_ms: i64,
    pub lookback_ms: i64,
    pub subquery_step_ms: i64,
    pub features: EngineFeatures,
}

/// Returns the plan of an expression.
///
/// # Errors
/// Durations without a sensible value, names that cannot be labels, and what this engine does not
/// know.
pub(crate) fn plan(expr: &Expr, times: &QueryTimes) -> Result<Plan, EngineError> {
    let builder = Builder {
        times,
        span: QuerySpan {
            step_ms: times.step_ms,
            range_ms: times.end - times.start,
        },
    };
    let place = Place {
        start: times.start,
        end: times.end,
        step_ms: times.step_ms,
        func: None,
        grouping: None,
        wants_stats: false,
        needs_buckets: false,
    };
    let built = builder.build(expr, &place)?;
    Ok(match built.wrapped() {
        Node::Scalar(node) => Plan::Scalar(node),
        Node::Vector(node) => Plan::Vector(node),
        Node::Range(source) => Plan::Matrix(source),
        Node::String(text) => Plan::String(text),
    })
}

enum Node {
    Scalar(ScalarNode),
    Vector(VectorNode),
    Range(RangeSource),
    String(String),
}

/// A node and whether it is the same at every step.
struct Built {
    node: Node,
    invariant: bool,
    /// Whether evaluating it once is worth a wrapper.
    wrap: bool,
}

impl Built {
    fn new(node: Node, invariant: bool, wrap: bool) -> Self {
        Self {
            node,
            invariant,
            wrap,
        }
    }

    /// Returns the node, evaluated once if that is possible.
    fn wrapped(self) -> Node {
        if !self.wrap {
            return self.node;
        }
        match self.node {
            Node::Scalar(node) => Node::Scalar(ScalarNode::Invariant(Box::new(node))),
            Node::Vector(node) => {
                let unique = node.unique;
                Node::Vector(VectorNode::new(
                    VectorKind::Invariant(Box::new(node)),
                    unique,
                ))
            }
            other => other,
        }
    }
}

/// Where in the query an expression stands, as far as selectors care.
#[derive(Clone)]
struct Place {
    /// The first and last time of evaluation, subqueries included.
    start: i64,
    end: i64,
    step_ms: i64,
    func: Option<String>,
    /// The grouping of the aggregation directly around, and whether it is `by`.
    grouping: Option<(Vec<String>, bool)>,
    /// Whether something around wants only counts and sums of native histograms.
    wants_stats: bool,
    /// Whether something around needs their buckets.
    needs_buckets: bool,
}

impl Place {
    fn inside(&self, func: Option<&str>) -> Self {
        Self {
            func: func.map(str::to_owned),
            grouping: None,
            ..self.clone()
        }
    }
}

struct Builder<'a> {
    times: &'a QueryTimes,
    span: QuerySpan,
}

fn internal(what: &str) -> EngineError {
    EngineError::Internal(format!("ill-typed expression: {what}"))
}

impl Builder<'_> {
    fn build(&self, expr: &Expr, place: &Place) -> Result<Built, EngineError> {
        match expr {
            Expr::NumberLiteral(literal) => Ok(Built::new(
                Node::Scalar(ScalarNode::Number(literal.value)),
                true,
                false,
            )),
            Expr::StringLiteral(literal) => {
                Ok(Built::new(Node::String(literal.value.clone()), true, false))
            }
            Expr::Paren(paren) => self.build(&paren.expr, place),
            Expr::VectorSelector(selector) => {
                let node = self.select(selector, expr, place, Take::Value)?;
                let invariant = selector.at.is_some();
                Ok(Built::new(Node::Vector(node), invariant, invariant))
            }
            Expr::MatrixSelector(matrix) => {
                let range = resolve(&matrix.range, self.span, false)?;
                let selector = self.selector(&matrix.selector, expr, place, range)?;
                let source = RangeSource::Selector(Arc::new(selector));
                Ok(Built::new(
                    Node::Range(source),
                    matrix.selector.at.is_some(),
                    false,
                ))
            }
            Expr::Subquery(subquery) => self.subquery(subquery, place),
            Expr::Unary(unary) => {
                let mut built = self.build(&unary.expr, place)?;
                if unary.negative {
                    built.node = match built.node {
                        Node::Scalar(ScalarNode::Number(value)) => {
                            Node::Scalar(ScalarNode::Number(-value))
                        }
                        Node::Scalar(node) => Node::Scalar(ScalarNode::Neg(Box::new(node))),
                        Node::Vector(node) => {
                            let unique = node.unique;
                            let negative = VectorKind::Neg(Box::new(node));
                            Node::Vector(self.renamed(negative, unique))
                        }
                        _ => return Err(internal("sign before a range vector or string")),
                    };
                }
                Ok(built)
            }
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, place),
            Expr::Binary(binary) => self.binary(binary, place),
            Expr::Call(call) => self.call(call, place),
        }
    }

    fn at(&self, at: Option<At>) -> Option<i64> {
        at.map(|at| match at {
            At::Timestamp(ms) => ms,
            At::Start => self.times.start,
            At::End => self.times.end,
        })
    }

    fn selector(
        &self,
        selector: &VectorSelector,
        expr: &Expr,
        place: &Place,
        range_ms: i64,
    ) -> Result<Selector, EngineError> {
        let offset_ms = match &selector.offset {
            Some(offset) => resolve(offset, self.span, true)?,
            None => 0,
        };
        let at = self.at(selector.at);
        let lookback = self.times.lookback_ms;
        let (before, after) = match (range_ms > 0, selector.range_modifier) {
            (false, None | Some(RangeModifier::Anchored)) => (lookback, 0),
            (false, Some(RangeModifier::Smoothed)) => (lookback, lookback),
            (true, None)
                if matches!(
                    place.func.as_deref(),
                    Some("xrate" | "xincrease" | "xdelta")
                ) =>
            {
                (range_ms + EXTENDED_LOOKBACK_MS, 0)
            }
            (true, None) => (range_ms, 0),
            (true, Some(RangeModifier::Anchored)) => (range_ms + lookback, 0),
            (true, Some(RangeModifier::Smoothed)) => (range_ms + lookback, lookback),
        };
        let (start, end) = (at.unwrap_or(place.start), at.unwrap_or(place.end));
        // Windows are open on the left; smoothing looks at both edges.
        let open = i64::from(selector.range_modifier != Some(RangeModifier::Smoothed));
        let time = TimeRange::new(
            start
                .saturating_sub(before - open)
                .saturating_sub(offset_ms),
            end.saturating_add(after).saturating_sub(offset_ms),
        );
        let (grouping, by) = place.grouping.clone().unwrap_or_default();
        Ok(Selector {
            matchers: selector.matchers.clone(),
            range_ms,
            offset_ms,
            at,
            modifier: selector.range_modifier,
            time,
            hints: SelectHints {
                step_ms: place.step_ms,
                range_ms,
                func: place.func.clone(),
                grouping,
                by,
                limit: 0,
            },
            text: expr.to_string(),
            pos: expr.pos(),
            stats_only: place.wants_stats && !place.needs_buckets,
        })
    }

    fn select(
        &self,
        selector: &VectorSelector,
        expr: &Expr,
        place: &Place,
        take: Take,
    ) -> Result<VectorNode, EngineError> {
        let unique = unique_of(selector);
        let selector = Arc::new(self.selector(selector, expr, place, 0)?);
        let kind = VectorKind::Select { selector, take };
        Ok(match take {
            Take::Value => VectorNode::new(kind, unique),
            Take::Timestamp => self.renamed(kind, unique),
        })
    }

    fn subquery(&self, subquery: &Subquery, place: &Place) -> Result<Built, EngineError> {
        let range_ms = resolve(&subquery.range, self.span, false)?;
        let offset_ms = match &subquery.offset {
            Some(offset) => resolve(offset, self.span, true)?,
            None => 0,
        };
        let step_ms = match &subquery.step {
            Some(step) => resolve(step, self.span, false)?,
            None => 0,
        };
        let step_ms = if step_ms == 0 {
            self.times.subquery_step_ms
        } else {
            step_ms
        };
        let at = self.at(subquery.at);
        let (start, end) = (at.unwrap_or(place.start), at.unwrap_or(place.end));
        let inner = Place {
            start: start.saturating_sub(offset_ms).saturating_sub(range_ms),
            end: end.saturating_sub(offset_ms),
            step_ms,
            // Steps may leave out samples, so that resets have to be found in buckets.
            needs_buckets: true,
            ..place.clone()
        };
        let input = match self.build_wrapped_if_invariant(&subquery.expr, &inner)? {
            Node::Vector(node) => node,
            Node::Scalar(node) => VectorNode::new(VectorKind::OfScalar(node), Unique::ALWAYS),
            _ => return Err(internal("subquery of a range vector or string")),
        };
        let source = RangeSource::Subquery(Box::new(SubqueryNode {
            input,
            range_ms,
            step_ms,
            offset_ms,
            at,
        }));
        Ok(Built::new(Node::Range(source), at.is_some(), false))
    }

    /// As `build`, and evaluated once where it is the same at every step.
    fn build_wrapped_if_invariant(&self, expr: &Expr, place: &Place) -> Result<Node, EngineError> {
        let built = self.build(expr, place)?;
        Ok(Built {
            wrap: built.invariant,
            ..built
        }
        .wrapped())
    }

    /// A node that drops the metric's name.
    fn renamed(&self, kind: VectorKind, input: Unique) -> VectorNode {
        if self.times.features.delayed_name_removal {
            return VectorNode::new(kind, input);
        }
        if input.without_name {
            return VectorNode::new(kind, Unique::ALWAYS);
        }
        let node = VectorNode::new(kind, Unique::NEVER);
        VectorNode::new(VectorKind::Merge(Box::new(node)), Unique::ALWAYS)
    }

    fn vector(built: Node) -> Result<VectorNode, EngineError> {
        match built {
            Node::Vector(node) => Ok(node),
            _ => Err(internal("an instant vector is missing")),
        }
    }

    fn scalar(built: Node) -> Result<ScalarNode, EngineError> {
        match built {
            Node::Scalar(node) => Ok(node),
            _ => Err(internal("a scalar is missing")),
        }
    }

    fn aggregate(&self, aggregate: &AggregateExpr, place: &Place) -> Result<Built, EngineError> {
        let op = aggregate.op;
        let mut inner = place.inside(Some(op.as_str()));
        inner.grouping = Some((aggregate.grouping.clone(), !aggregate.without));
        let built = self.build(&aggregate.expr, &inner)?;
        let (invariant, wrap) = (built.invariant, built.wrap);
        let input_unique = match &built.node {
            Node::Vector(node) => node.unique,
            _ => Unique::NEVER,
        };
        let input = Box::new(Self::vector(built.node)?);
        let mut grouping = aggregate.grouping.clone();
        grouping.sort();
        grouping.dedup();
        let without = aggregate.without;
        let keeps_name = !without && grouping.iter().any(|name| name == METRIC_NAME);
        let mut unique = if keeps_name {
            Unique::BY_NAME
        } else {
            Unique::ALWAYS
        };
        let kind = match op {
            AggregateOp::CountValues => {
                let label = match &aggregate.param {
                    Some(param) => string(param)?.to_owned(),
                    None => return Err(internal("count_values without a label")),
                };
                if !is_label_name(&label) {
                    return Err(EngineError::execution(format!(
                        "invalid label name {}",
                        model::labels::quote(&label)
                    )));
                }
                if label == METRIC_NAME {
                    unique = Unique::BY_NAME;
                }
                VectorKind::CountValues {
                    input,
                    label,
                    grouping,
                    without,
                }
            }
            _ => {
                if matches!(
                    op,
                    AggregateOp::Topk
                        | AggregateOp::Bottomk
                        | AggregateOp::Limitk
                        | AggregateOp::LimitRatio
                ) {
                    unique = input_unique;
                }
                let (param, param_pos) = match &aggregate.param {
                    None => (None, aggregate.pos),
                    Some(expr) => {
                        let param = self.build(expr, &place.inside(None))?.wrapped();
                        (Some(Self::scalar(param)?), expr.without_parens().pos())
                    }
                };
                // What is left out is said of the argument, by those that choose of the whole.
                let pos = if matches!(op, AggregateOp::Topk | AggregateOp::Bottomk) {
                    aggregate.pos
                } else {
                    aggregate.expr.without_parens().pos()
                };
                VectorKind::Aggregate {
                    op,
                    input,
                    param,
                    grouping,
                    without,
                    pos,
                    param_pos,
                }
            }
        };
        Ok(Built::new(
            Node::Vector(VectorNode::new(kind, unique)),
            invariant,
            wrap,
        ))
    }

    fn binary(&self, binary: &BinaryExpr, place: &Place) -> Result<Built, EngineError> {
        let mut inner = place.inside(None);
        inner.needs_buckets |= matches!(binary.op, BinaryOp::TrimLower | BinaryOp::TrimUpper);
        let lhs = self.build(&binary.lhs, &inner)?;
        let rhs = self.build(&binary.rhs, &inner)?;
        let invariant = lhs.invariant && rhs.invariant;
        let (lhs, rhs) = if invariant {
            (lhs.node, rhs.node)
        } else {
            (lhs.wrapped(), rhs.wrapped())
        };
        let (op, pos, return_bool) = (binary.op, binary.pos, binary.return_bool);
        let node = match (lhs, rhs) {
            (Node::Scalar(lhs), Node::Scalar(rhs)) => Node::Scalar(ScalarNode::Binary {
                op: ScalarOp::Binary(op),
                lhs: Box::new(lhs),
                rhs: Box::new(rhs),
            }),
            (Node::Vector(vector), Node::Scalar(scalar)) => {
                self.vector_scalar(binary, vector, scalar, false)
            }
            (Node::Scalar(scalar), Node::Vector(vector)) => {
                self.vector_scalar(binary, vector, scalar, true)
            }
            (Node::Vector(lhs), Node::Vector(rhs)) => {
                let Some(matching) = binary.matching.clone() else {
                    return Err(internal("vectors without matching"));
                };
                let left_unique = lhs.unique;
                let kind = VectorKind::Binary {
                    op,
                    lhs: Box::new(lhs),
                    rhs: Box::new(rhs),
                    matching,
                    return_bool,
                    pos,
                };
                Node::Vector(match op {
                    crate::ast::BinaryOp::And | crate::ast::BinaryOp::Unless => {
                        VectorNode::new(kind, left_unique)
                    }
                    _ => {
                        // Which labels come out depends on the data.
                        let node = VectorNode::new(kind, Unique::NEVER);
                        let drops_name = !self.times.features.delayed_name_removal
                            && (changes_meaning(op) || return_bool);
                        let unique = if drops_name {
                            Unique::ALWAYS
                        } else {
                            Unique::BY_NAME
                        };
                        VectorNode::new(VectorKind::Merge(Box::new(node)), unique)
                    }
                })
            }
            _ => return Err(internal("operator between range vectors or strings")),
        };
        Ok(Built::new(node, invariant, invariant))
    }

    fn vector_scalar(
        &self,
        binary: &BinaryExpr,
        vector: VectorNode,
        scalar: ScalarNode,
        swapped: bool,
    ) -> Node {
        let unique = vector.unique;
        let kind = VectorKind::VectorScalar {
            op: binary.op,
            vector: Box::new(vector),
            scalar,
            swapped,
            return_bool: binary.return_bool,
            pos: binary.pos,
        };
        Node::Vector(if changes_meaning(binary.op) || binary.return_bool {
            self.renamed(kind, unique)
        } else {
            VectorNode::new(kind, unique)
        })
    }
}

/// A selector that fixes the metric's name yields series that differ without it.
fn unique_of(selector: &VectorSelector) -> Unique {
    let fixed = selector
        .matchers
        .iter()
        .any(|matcher| matcher.op == MatchOp::Equal && matcher.name == METRIC_NAME);
    if fixed {
        Unique::ALWAYS
    } else {
        Unique::BY_NAME
    }
}

/// Returns whether an operator makes another metric of its operands.
pub(crate) fn changes_meaning(op: crate::ast::BinaryOp) -> bool {
    !op.is_comparison()
        && !op.is_set()
        && !matches!(
            op,
            crate::ast::BinaryOp::TrimLower | crate::ast::BinaryOp::TrimUpper
        )
}
fn string(expr: &Expr) -> Result<&str, EngineError> {
    match expr.without_parens() {
        Expr::StringLiteral(literal) => Ok(&literal.value),
        _ => Err(internal("a string literal is missing")),
    }
}

/// Label names are any text but the empty one.
fn is_label_name(name: &str) -> bool {
    !name.is_empty()
}
