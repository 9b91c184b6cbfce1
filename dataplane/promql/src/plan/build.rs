//! From the syntax tree to the plan.

use std::sync::Arc;

use model::{Labels, METRIC_NAME, MatchOp, TimeRange};

use crate::ast::{
    AggregateExpr, AggregateOp, At, BinaryExpr, Call, Expr, RangeModifier, Subquery, ValueType,
    VectorSelector,
};
use crate::engine::{ElementFunc, EngineError, EngineFeatures, WindowFunc};
use crate::functions::FunctionId;
use crate::queryable::SelectHints;

use super::duration::{QuerySpan, resolve};
use super::{
    Plan, RangeSource, ScalarNode, ScalarOp, Selector, SortOrder, SubqueryNode, Take, Unique,
    VectorKind, VectorNode,
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
                if selector.range_modifier == Some(RangeModifier::Anchored) {
                    return Err(EngineError::execution(
                        "anchored modifier can only be used with range selectors",
                    ));
                }
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
                VectorKind::Aggregate {
                    op,
                    input,
                    param,
                    grouping,
                    without,
                    pos: aggregate.pos,
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
        let inner = place.inside(None);
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

    fn call(&self, call: &Call, place: &Place) -> Result<Built, EngineError> {
        let id = call.func.id;
        if let Some(value) = self.query_constant(id) {
            return Ok(Built::new(
                Node::Scalar(ScalarNode::Number(value)),
                true,
                false,
            ));
        }
        if matches!(
            id,
            FunctionId::Info | FunctionId::Xrate | FunctionId::Xincrease | FunctionId::Xdelta
        ) {
            return Err(EngineError::execution(format!(
                "function {} is not supported by this engine yet",
                call.func.name
            )));
        }
        let inner = place.inside(Some(call.func.name));
        if id == FunctionId::Timestamp
            && let Some(arg) = call.args.first().map(Expr::without_parens)
            && let Expr::VectorSelector(selector) = arg
        {
            let node = self.select(selector, arg, &inner, Take::Timestamp)?;
            let invariant = selector.at.is_some();
            return Ok(Built::new(Node::Vector(node), invariant, invariant));
        }
        let args = call
            .args
            .iter()
            .map(|arg| self.build(arg, &inner))
            .collect::<Result<Vec<_>, EngineError>>()?;
        let invariant = !depends_on_time(id) && args.iter().all(|arg| arg.invariant);
        let args: Vec<Node> = args
            .into_iter()
            .map(|arg| if invariant { arg.node } else { arg.wrapped() })
            .collect();
        let node = self.function(call, args)?;
        Ok(Built::new(node, invariant, invariant))
    }

    fn query_constant(&self, id: FunctionId) -> Option<f64> {
        let QueryTimes {
            start,
            end,
            step_ms,
            ..
        } = *self.times;
        match id {
            FunctionId::Start => Some(start as f64 / 1000.0),
            FunctionId::End => Some(end as f64 / 1000.0),
            FunctionId::Range => Some(crate::engine::seconds(end - start)),
            FunctionId::Step if start == end => Some(0.0),
            FunctionId::Step => Some(crate::engine::seconds(step_ms)),
            _ => None,
        }
    }

    fn function(&self, call: &Call, args: Vec<Node>) -> Result<Node, EngineError> {
        let id = call.func.id;
        let arg_pos = |index: usize| {
            call.args
                .get(index)
                .map_or(call.pos, |arg| arg.without_parens().pos())
        };
        let mut args = args.into_iter();
        let mut next = || {
            args.next()
                .ok_or_else(|| internal("an argument is missing"))
        };
        if let Some(func) = window_func(id) {
            let range_index = call
                .args
                .iter()
                .position(|arg| arg.value_type() == ValueType::Matrix)
                .unwrap_or(0);
            let mut source = None;
            let mut params = Vec::new();
            for arg in args {
                match arg {
                    Node::Range(range) => source = Some(range),
                    Node::Scalar(param) => params.push(param),
                    _ => return Err(internal("argument of a range vector function")),
                }
            }
            let source = source.ok_or_else(|| internal("a range vector is missing"))?;
            return self.window(call, func, source, params, range_index);
        }
        if let Some(func) = ElementFunc::of(id) {
            let Ok(input) = next() else {
                return Ok(Node::Vector(VectorNode::new(
                    VectorKind::OfTime(func),
                    Unique::ALWAYS,
                )));
            };
            let input = Self::vector(input)?;
            let params = args.map(Self::scalar).collect::<Result<Vec<_>, _>>()?;
            let unique = input.unique;
            let kind = VectorKind::Element {
                func,
                params,
                input: Box::new(input),
            };
            return Ok(Node::Vector(self.renamed(kind, unique)));
        }
        let merged = |kind| {
            let node = VectorNode::new(kind, Unique::NEVER);
            Node::Vector(VectorNode::new(
                VectorKind::Merge(Box::new(node)),
                Unique::BY_NAME,
            ))
        };
        Ok(match id {
            FunctionId::Time => Node::Scalar(ScalarNode::Time),
            FunctionId::Pi => Node::Scalar(ScalarNode::Number(std::f64::consts::PI)),
            FunctionId::MaxOf | FunctionId::MinOf => {
                let op = if id == FunctionId::MaxOf {
                    ScalarOp::MaxOf
                } else {
                    ScalarOp::MinOf
                };
                let lhs = Box::new(Self::scalar(next()?)?);
                let rhs = Box::new(Self::scalar(next()?)?);
                Node::Scalar(ScalarNode::Binary { op, lhs, rhs })
            }
            FunctionId::Scalar => {
                Node::Scalar(ScalarNode::OfVector(Box::new(Self::vector(next()?)?)))
            }
            FunctionId::Vector => Node::Vector(VectorNode::new(
                VectorKind::OfScalar(Self::scalar(next()?)?),
                Unique::ALWAYS,
            )),
            FunctionId::Absent => {
                let labels = labels_of_absent(call.args.first());
                let input = Box::new(Self::vector(next()?)?);
                Node::Vector(VectorNode::new(
                    VectorKind::Absent { input, labels },
                    Unique::ALWAYS,
                ))
            }
            FunctionId::Sort | FunctionId::SortDesc => {
                let order = SortOrder::Value {
                    descending: id == FunctionId::SortDesc,
                };
                self.sort(call, Self::vector(next()?)?, order)
            }
            FunctionId::SortByLabel | FunctionId::SortByLabelDesc => {
                let names = call
                    .args
                    .iter()
                    .skip(1)
                    .map(|arg| string(arg).map(str::to_owned));
                let order = SortOrder::Labels {
                    names: names.collect::<Result<_, _>>()?,
                    descending: id == FunctionId::SortByLabelDesc,
                };
                self.sort(call, Self::vector(next()?)?, order)
            }
            FunctionId::LabelReplace => {
                let input = Box::new(Self::vector(next()?)?);
                let [dst, replacement, src, pattern] = strings::<4>(call, 1)?;
                let regex = regex::RegexBuilder::new(&format!("^(?s:{pattern})$"))
                    .build()
                    .map_err(|_| {
                        EngineError::execution(format!(
                            "invalid regular expression in label_replace(): {pattern}"
                        ))
                    })?;
                if !is_label_name(&dst) {
                    return Err(EngineError::execution(format!(
                        "invalid destination label name in label_replace(): {dst}"
                    )));
                }
                merged(VectorKind::LabelReplace {
                    input,
                    dst,
                    replacement,
                    src,
                    regex,
                })
            }
            FunctionId::LabelJoin => {
                let input = Box::new(Self::vector(next()?)?);
                let [dst, separator] = strings::<2>(call, 1)?;
                let mut src = Vec::new();
                for arg in call.args.iter().skip(3) {
                    let name = string(arg)?;
                    if !is_label_name(name) {
                        return Err(EngineError::execution(format!(
                            "invalid source label name in label_join(): {name}"
                        )));
                    }
                    src.push(name.to_owned());
                }
                if !is_label_name(&dst) {
                    return Err(EngineError::execution(format!(
                        "invalid destination label name in label_join(): {dst}"
                    )));
                }
                merged(VectorKind::LabelJoin {
                    input,
                    dst,
                    separator,
                    src,
                })
            }
            FunctionId::HistogramQuantile => {
                let quantile = Self::scalar(next()?)?;
                let input = Self::vector(next()?)?;
                self.histogram_quantile(input, vec![(quantile, arg_pos(0))], None, arg_pos(1))
            }
            FunctionId::HistogramQuantiles => {
                let input = Self::vector(next()?)?;
                let Node::String(label) = next()? else {
                    return Err(internal("histogram_quantiles without a label"));
                };
                let quantiles = args
                    .enumerate()
                    .map(|(i, node)| Ok((Self::scalar(node)?, arg_pos(i + 2))))
                    .collect::<Result<Vec<_>, EngineError>>()?;
                self.histogram_quantile(input, quantiles, Some(label), arg_pos(0))
            }
            FunctionId::HistogramFraction => {
                let lower = Self::scalar(next()?)?;
                let upper = Self::scalar(next()?)?;
                let input = Box::new(Self::vector(next()?)?);
                let kind = VectorKind::HistogramFraction {
                    input,
                    lower,
                    upper,
                    pos: arg_pos(2),
                };
                Node::Vector(self.renamed(kind, Unique::NEVER))
            }
            _ => {
                return Err(EngineError::execution(format!(
                    "function {} is not supported by this engine yet",
                    call.func.name
                )));
            }
        })
    }

    fn histogram_quantile(
        &self,
        input: VectorNode,
        quantiles: Vec<(ScalarNode, crate::ast::PosRange)>,
        label: Option<String>,
        pos: crate::ast::PosRange,
    ) -> Node {
        let kind = VectorKind::HistogramQuantile {
            input: Box::new(input),
            quantiles,
            label,
            pos,
        };
        Node::Vector(self.renamed(kind, Unique::NEVER))
    }

    fn sort(&self, call: &Call, input: VectorNode, order: SortOrder) -> Node {
        let unique = input.unique;
        let kind = VectorKind::Sort {
            input: Box::new(input),
            order,
            pos: call.pos,
        };
        Node::Vector(VectorNode::new(kind, unique))
    }

    fn window(
        &self,
        call: &Call,
        func: WindowFunc,
        source: RangeSource,
        params: Vec<ScalarNode>,
        range_index: usize,
    ) -> Result<Node, EngineError> {
        let modifier = match &source {
            RangeSource::Selector(selector) => selector.modifier,
            RangeSource::Subquery(_) => None,
        };
        check_modifier(modifier, call)?;
        let input_unique = match (&source, call.args.get(range_index)) {
            (RangeSource::Subquery(subquery), _) => subquery.input.unique,
            (_, Some(Expr::MatrixSelector(matrix))) => unique_of(&matrix.selector),
            (_, Some(Expr::Paren(paren))) => match paren.expr.without_parens() {
                Expr::MatrixSelector(matrix) => unique_of(&matrix.selector),
                _ => Unique::NEVER,
            },
            _ => Unique::NEVER,
        };
        let pos = call
            .args
            .first()
            .map_or(call.pos, |arg| arg.without_parens().pos());
        let absent = (call.func.id == FunctionId::AbsentOverTime)
            .then(|| labels_of_absent(call.args.first()));
        let kind = VectorKind::Window {
            source,
            func,
            params,
            pos,
        };
        let keeps_name = matches!(func, WindowFunc::LastOverTime | WindowFunc::FirstOverTime);
        let node = if let Some(labels) = absent {
            let input = Box::new(VectorNode::new(kind, Unique::NEVER));
            VectorNode::new(VectorKind::Absent { input, labels }, Unique::ALWAYS)
        } else if keeps_name || self.times.features.delayed_name_removal {
            VectorNode::new(kind, input_unique)
        } else if input_unique.without_name {
            VectorNode::new(kind, Unique::ALWAYS)
        } else {
            let node = VectorNode::new(kind, Unique::NEVER);
            VectorNode::new(VectorKind::RequireUnique(Box::new(node)), Unique::ALWAYS)
        };
        Ok(Node::Vector(node))
    }
}

fn check_modifier(modifier: Option<RangeModifier>, call: &Call) -> Result<(), EngineError> {
    let (name, safe): (_, &[&str]) = match modifier {
        None => return Ok(()),
        Some(RangeModifier::Anchored) => (
            "anchored",
            &["changes", "delta", "increase", "rate", "resets"],
        ),
        Some(RangeModifier::Smoothed) => ("smoothed", &["delta", "increase", "rate"]),
    };
    if safe.contains(&call.func.name) {
        return Ok(());
    }
    Err(EngineError::execution(format!(
        "{name} modifier can only be used with: {} - not with {}",
        safe.join(", "),
        call.func.name
    )))
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

/// Returns whether a function's result depends on the step even if its arguments do not.
fn depends_on_time(id: FunctionId) -> bool {
    matches!(
        id,
        FunctionId::DaysInMonth
            | FunctionId::DayOfMonth
            | FunctionId::DayOfWeek
            | FunctionId::DayOfYear
            | FunctionId::Hour
            | FunctionId::Minute
            | FunctionId::Month
            | FunctionId::Year
            | FunctionId::PredictLinear
            | FunctionId::Time
            | FunctionId::Timestamp
    )
}

fn string(expr: &Expr) -> Result<&str, EngineError> {
    match expr.without_parens() {
        Expr::StringLiteral(literal) => Ok(&literal.value),
        _ => Err(internal("a string literal is missing")),
    }
}

fn strings<const N: usize>(call: &Call, from: usize) -> Result<[String; N], EngineError> {
    let texts = call
        .args
        .iter()
        .skip(from)
        .take(N)
        .map(|arg| string(arg).map(str::to_owned))
        .collect::<Result<Vec<_>, _>>()?;
    texts
        .try_into()
        .map_err(|_| internal("a string literal is missing"))
}

/// Label names are any text but the empty one.
fn is_label_name(name: &str) -> bool {
    !name.is_empty()
}

/// The labels that the selector in `absent` pins to one value.
fn labels_of_absent(arg: Option<&Expr>) -> Labels {
    let matchers = match arg.map(Expr::without_parens) {
        Some(Expr::VectorSelector(selector)) => &selector.matchers,
        Some(Expr::MatrixSelector(matrix)) => &matrix.selector.matchers,
        _ => return Labels::empty(),
    };
    let mut labels: Vec<(&str, &str)> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in matchers {
        if matcher.name == METRIC_NAME {
            continue;
        }
        if matcher.op == MatchOp::Equal && !seen.contains(&matcher.name.as_str()) {
            labels.push((&matcher.name, &matcher.value));
            seen.push(&matcher.name);
        } else {
            labels.retain(|(name, _)| *name != matcher.name);
        }
    }
    Labels::from_pairs(labels)
}

fn window_func(id: FunctionId) -> Option<WindowFunc> {
    Some(match id {
        FunctionId::Rate => WindowFunc::Rate,
        FunctionId::Increase => WindowFunc::Increase,
        FunctionId::Delta => WindowFunc::Delta,
        FunctionId::Irate => WindowFunc::Irate,
        FunctionId::Idelta => WindowFunc::Idelta,
        FunctionId::Changes => WindowFunc::Changes,
        FunctionId::Resets => WindowFunc::Resets,
        FunctionId::Deriv => WindowFunc::Deriv,
        FunctionId::PredictLinear => WindowFunc::PredictLinear,
        FunctionId::DoubleExponentialSmoothing => WindowFunc::DoubleExponentialSmoothing,
        FunctionId::AvgOverTime => WindowFunc::AvgOverTime,
        FunctionId::CountOverTime => WindowFunc::CountOverTime,
        FunctionId::FirstOverTime => WindowFunc::FirstOverTime,
        FunctionId::LastOverTime => WindowFunc::LastOverTime,
        FunctionId::MadOverTime => WindowFunc::MadOverTime,
        FunctionId::MaxOverTime => WindowFunc::MaxOverTime,
        FunctionId::MinOverTime => WindowFunc::MinOverTime,
        FunctionId::PresentOverTime | FunctionId::AbsentOverTime => WindowFunc::PresentOverTime,
        FunctionId::QuantileOverTime => WindowFunc::QuantileOverTime,
        FunctionId::StddevOverTime => WindowFunc::StddevOverTime,
        FunctionId::StdvarOverTime => WindowFunc::StdvarOverTime,
        FunctionId::SumOverTime => WindowFunc::SumOverTime,
        FunctionId::TsOfFirstOverTime => WindowFunc::TsOfFirstOverTime,
        FunctionId::TsOfLastOverTime => WindowFunc::TsOfLastOverTime,
        FunctionId::TsOfMaxOverTime => WindowFunc::TsOfMaxOverTime,
        FunctionId::TsOfMinOverTime => WindowFunc::TsOfMinOverTime,
        _ => return None,
    })
}
