//! `info`: which info series it reads, and as of when.

use model::{METRIC_NAME, MatchOp, Matcher, TimeRange};

use crate::ast::{Call, Expr, ValueType};
use crate::engine::EngineError;
use crate::functions::FunctionId;
use crate::plan::duration::resolve;
use crate::plan::{InfoSource, Unique, VectorKind, VectorNode};

use super::{Builder, Built, Node, Place, internal};

/// The metric whose labels are added where the query names none.
const TARGET_INFO: &str = "target_info";

/// The time a selector refers to: the step's, or a fixed one, shifted.
#[derive(Debug, Clone, Copy)]
struct Reference {
    at: Option<i64>,
    offset_ms: i64,
}

impl Reference {
    fn is_same_as(self, other: Self) -> bool {
        match (self.at, other.at) {
            (None, None) => self.offset_ms == other.offset_ms,
            (Some(a), Some(b)) => {
                a.saturating_sub(self.offset_ms) == b.saturating_sub(other.offset_ms)
            }
            _ => false,
        }
    }
}

/// What the selectors of an expression refer to.
#[derive(Default)]
struct References {
    first: Option<Reference>,
    differ: bool,
    /// Whether a part has no selector and so refers to the step itself.
    free: bool,
}

impl Builder<'_> {
    pub(super) fn info(&self, call: &Call, place: &Place) -> Result<Built, EngineError> {
        let [input, rest @ ..] = call.args.as_slice() else {
            return Err(internal("info without a vector"));
        };
        let mut references = References::default();
        self.find_references(input, &[], &mut references)?;
        let shared = references
            .first
            .filter(|_| !references.differ && !references.free);
        let reference = shared.unwrap_or(Reference {
            at: None,
            offset_ms: 0,
        });
        let data: Vec<Matcher> = match rest.first().map(Expr::without_parens) {
            None => vec![Matcher::equal(METRIC_NAME, TARGET_INFO)],
            Some(Expr::VectorSelector(selector)) => selector.matchers.clone(),
            Some(_) => return Err(internal("info without a label selector")),
        };
        let (names, data): (Vec<_>, Vec<_>) = data
            .into_iter()
            .partition(|matcher| matcher.name == METRIC_NAME);
        let (start, end) = (
            reference.at.unwrap_or(place.start),
            reference.at.unwrap_or(place.end),
        );
        let source = InfoSource {
            names: effective_names(names)?,
            data,
            at: reference.at,
            offset_ms: reference.offset_ms,
            time: TimeRange::new(
                start
                    .saturating_sub(self.times.lookback_ms - 1)
                    .saturating_sub(reference.offset_ms),
                end.saturating_sub(reference.offset_ms),
            ),
            step_ms: place.step_ms,
        };
        let built = self.build(input, &place.inside(Some(call.func.name)))?;
        // Without a shared reference, info series are read as of the step.
        let invariant = built.invariant && shared.is_some();
        let input = if invariant {
            built.node
        } else {
            built.wrapped()
        };
        let kind = VectorKind::Info {
            input: Box::new(Self::vector(input)?),
            source,
        };
        let node = VectorNode::new(kind, Unique::NEVER);
        let merged = VectorNode::new(VectorKind::Merge(Box::new(node)), Unique::BY_NAME);
        Ok(Built::new(Node::Vector(merged), invariant, invariant))
    }

    /// Notes what the selectors in `expr` refer to, inside `subqueries`, the outermost first; returns
    /// whether there is one.
    fn find_references<'e>(
        &self,
        expr: &'e Expr,
        subqueries: &[&'e crate::ast::Subquery],
        found: &mut References,
    ) -> Result<bool, EngineError> {
        if !matches!(expr.value_type(), ValueType::Vector | ValueType::Matrix) {
            return Ok(false);
        }
        let mut inside = subqueries.to_vec();
        let children: Vec<&Expr> = match expr {
            Expr::VectorSelector(selector) => {
                self.note_reference(selector, subqueries, found)?;
                return Ok(true);
            }
            Expr::MatrixSelector(matrix) => {
                self.note_reference(&matrix.selector, subqueries, found)?;
                return Ok(true);
            }
            Expr::Subquery(subquery) => {
                inside.push(subquery);
                vec![&subquery.expr]
            }
            // The label selector of an inner `info` selects no samples.
            Expr::Call(call) if call.func.id == FunctionId::Info => {
                call.args.iter().take(1).collect()
            }
            Expr::Call(call) => call.args.iter().collect(),
            Expr::Aggregate(aggregate) => {
                let param = aggregate.param.iter();
                param.chain(std::iter::once(&aggregate.expr)).collect()
            }
            Expr::Binary(binary) => vec![&binary.lhs, &binary.rhs],
            Expr::Unary(unary) => vec![&unary.expr],
            Expr::Paren(paren) => vec![&paren.expr],
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Vec::new(),
        };
        let mut any = false;
        for child in children {
            any |= self.find_references(child, &inside, found)?;
        }
        found.free |= !any;
        Ok(any)
    }

    /// Offsets of subqueries around a selector add up until one of them is fixed to a time.
    fn note_reference(
        &self,
        selector: &crate::ast::VectorSelector,
        subqueries: &[&crate::ast::Subquery],
        found: &mut References,
    ) -> Result<(), EngineError> {
        let offset = |offset: &Option<_>| match offset {
            Some(offset) => resolve(offset, self.span, true),
            None => Ok(0),
        };
        let mut reference = Reference {
            at: self.at(selector.at),
            offset_ms: offset(&selector.offset)?,
        };
        for subquery in subqueries.iter().rev() {
            if reference.at.is_some() {
                break;
            }
            reference.offset_ms = reference
                .offset_ms
                .saturating_add(offset(&subquery.offset)?);
            reference.at = self.at(subquery.at);
        }
        match found.first {
            None => found.first = Some(reference),
            Some(first) => found.differ |= !first.is_same_as(reference),
        }
        Ok(())
    }
}

/// The matchers of the metrics whose labels are added: names that are only excluded are excluded from
/// all that end in `_info`.
fn effective_names(names: Vec<Matcher>) -> Result<Vec<Matcher>, EngineError> {
    if names.is_empty() {
        return Ok(vec![Matcher::equal(METRIC_NAME, TARGET_INFO)]);
    }
    let is_positive = |matcher: &Matcher| matches!(matcher.op, MatchOp::Equal | MatchOp::Regex);
    if names.iter().any(is_positive) {
        return Ok(names);
    }
    let any = Matcher::new(MatchOp::Regex, METRIC_NAME, ".+_info")
        .map_err(|error| EngineError::Internal(error.to_string()))?;
    Ok(std::iter::once(any).chain(names).collect())
}
