//! Type checking of a parsed expression.
//!
//! Children are checked before their parent's demands on them, so that the first error is the one
//! Prometheus finds first.

use model::{METRIC_NAME, Matcher};

use super::ParseError;
use crate::ast::{
    AggregateExpr, AggregateOp, BinaryExpr, Call, Expr, FillValues, PosRange, ValueType,
    VectorMatchCardinality, VectorSelector,
};
use crate::functions::{FunctionId, Variadic};
use crate::lexer::quoting::quote;

/// Checks types and what the grammar cannot say, and completes what depends on types: the matching
/// of binary expressions, and the freedom of `info()`'s second argument.
pub(super) fn check(expr: &mut Expr, query: &str) -> Result<(), ParseError> {
    Checker { query }.expr(expr).map(|_| ())
}

struct Checker<'a> {
    query: &'a str,
}

impl Checker<'_> {
    fn fail<T>(&self, pos: PosRange, message: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError::new(self.query, pos, message.into()))
    }

    // `expr`, `expect`, `aggregate` and `call` recurse; what needs much stack is done elsewhere.

    fn expr(&self, expr: &mut Expr) -> Result<ValueType, ParseError> {
        match expr {
            Expr::NumberLiteral(_) => Ok(ValueType::Scalar),
            Expr::StringLiteral(_) => Ok(ValueType::String),
            Expr::VectorSelector(node) => self.selector(node, ValueType::Vector),
            Expr::MatrixSelector(node) => self.selector(&node.selector, ValueType::Matrix),
            Expr::Subquery(node) => {
                let inner = self.expr(&mut node.expr)?;
                self.subquery(node.pos, inner)
            }
            Expr::Call(node) => self.call(node),
            Expr::Aggregate(node) => self.aggregate(node),
            Expr::Binary(node) => {
                let lhs = self.expr(&mut node.lhs)?;
                let rhs = self.expr(&mut node.rhs)?;
                self.binary(node, lhs, rhs)
            }
            Expr::Unary(node) => {
                let inner = self.expr(&mut node.expr)?;
                self.unary(node.pos, inner)
            }
            Expr::Paren(node) => self.expr(&mut node.expr),
        }
    }

    fn subquery(&self, pos: PosRange, inner: ValueType) -> Result<ValueType, ParseError> {
        if inner == ValueType::Vector {
            return Ok(ValueType::Matrix);
        }
        let inner = inner.as_str();
        self.fail(
            pos,
            format!("subquery is only allowed on instant vector, got {inner} instead"),
        )
    }

    fn unary(&self, pos: PosRange, inner: ValueType) -> Result<ValueType, ParseError> {
        if matches!(inner, ValueType::Scalar | ValueType::Vector) {
            return Ok(inner);
        }
        let message = format!(
            "unary expression only allowed on expressions of type scalar or instant vector, got {}",
            quote(inner.documented())
        );
        self.fail(pos, message)
    }

    fn expect(&self, expr: &mut Expr, wanted: ValueType, context: &str) -> Result<(), ParseError> {
        let got = self.expr(expr)?;
        if got == wanted {
            Ok(())
        } else {
            self.mismatch(expr.pos(), wanted, context, got)
        }
    }

    fn mismatch(
        &self,
        pos: PosRange,
        wanted: ValueType,
        context: &str,
        got: ValueType,
    ) -> Result<(), ParseError> {
        let (wanted, got) = (wanted.documented(), got.documented());
        self.fail(
            pos,
            format!("expected type {wanted} in {context}, got {got}"),
        )
    }

    /// Checks a selector, which is of the given type where it is fine.
    fn selector(
        &self,
        selector: &VectorSelector,
        value_type: ValueType,
    ) -> Result<ValueType, ParseError> {
        let pos = selector.pos;
        if !selector.name.is_empty() {
            let inside = selector
                .matchers
                .split_last()
                .map_or(&[][..], |(_, inside)| inside);
            let again = inside.iter().find(|matcher| matcher.name == METRIC_NAME);
            return match again {
                None => Ok(value_type),
                Some(again) => {
                    let (first, second) = (quote(&selector.name), quote(&again.value));
                    let message = format!("metric name must not be set twice: {first} or {second}");
                    self.fail(pos, message)
                }
            };
        }
        // A typo must not select every series there is.
        if !selector.allows_empty_matchers && selector.matchers.iter().all(Matcher::matches_empty) {
            return self.fail(
                pos,
                "vector selector must contain at least one non-empty matcher",
            );
        }
        Ok(value_type)
    }

    fn aggregate(&self, node: &mut AggregateExpr) -> Result<ValueType, ParseError> {
        self.expect(&mut node.expr, ValueType::Vector, "aggregation expression")?;
        let wanted = match node.op {
            AggregateOp::CountValues => ValueType::String,
            _ => ValueType::Scalar,
        };
        if let Some(param) = &mut node.param {
            self.expect(param, wanted, "aggregation parameter")?;
        }
        Ok(ValueType::Vector)
    }

    fn call(&self, node: &mut Call) -> Result<ValueType, ParseError> {
        let context = self.arguments(node)?;
        for (arg, wanted) in node.args.iter_mut().zip(node.func.arg_types_repeated()) {
            self.expect(arg, wanted, &context)?;
        }
        Ok(node.func.return_type)
    }

    /// Checks all about the arguments but their types; returns how messages name the call.
    fn arguments(&self, node: &mut Call) -> Result<String, ParseError> {
        let func = node.func;
        let n_args = node.args.len();
        let name = quote(func.name);
        let (min, max) = (func.min_args(), func.max_args());
        let wanted = match func.variadic {
            Variadic::Exact if n_args != min => Some(min.to_string()),
            Variadic::Exact => None,
            _ if n_args < min => Some(format!("at least {min}")),
            _ => max
                .filter(|max| n_args > *max)
                .map(|max| format!("at most {max}")),
        };
        if let Some(wanted) = wanted {
            let message = format!("expected {wanted} argument(s) in call to {name}, got {n_args}");
            return self.fail(node.pos, message);
        }
        let context = format!("call to function {name}");
        if func.id == FunctionId::Info
            && let Some(labels) = node.args.get_mut(1)
        {
            self.info_labels(labels, node.pos, &context)?;
        }
        Ok(context)
    }

    fn info_labels(
        &self,
        labels: &mut Expr,
        call: PosRange,
        context: &str,
    ) -> Result<(), ParseError> {
        let got = labels.value_type();
        if got != ValueType::Vector {
            return self.mismatch(call, ValueType::Vector, context, got);
        }
        match labels {
            Expr::VectorSelector(selector) if selector.name.is_empty() => {
                selector.allows_empty_matchers = true;
                Ok(())
            }
            Expr::VectorSelector(selector) => self.fail(
                selector.pos,
                "expected label selectors only, got vector selector instead",
            ),
            other => self.fail(other.pos(), "expected label selectors only"),
        }
    }

    fn binary(
        &self,
        node: &mut BinaryExpr,
        lhs: ValueType,
        rhs: ValueType,
    ) -> Result<ValueType, ParseError> {
        let op = node.op;
        if node.return_bool && !op.is_comparison() {
            let message = "bool modifier can only be used on comparison operators";
            return self.fail(self.op_pos(node), message);
        }
        let both_scalars = lhs == ValueType::Scalar && rhs == ValueType::Scalar;
        if op.is_comparison() && !node.return_bool && both_scalars {
            let message = "comparisons between scalars must use BOOL modifier";
            return self.fail(self.op_pos(node), message);
        }
        if let Some(matching) = &mut node.matching {
            if op.is_set() && matching.card == VectorMatchCardinality::OneToOne {
                matching.card = VectorMatchCardinality::ManyToMany;
            }
            let twice = matching
                .labels
                .iter()
                .find(|label| matching.include.contains(label));
            if matching.on
                && let Some(label) = twice
            {
                let message = format!(
                    "label {} must not occur in ON and GROUP clause at once",
                    quote(label)
                );
                return self.fail(self.op_pos(node), message);
            }
        }
        for (side, value_type) in [(&node.lhs, lhs), (&node.rhs, rhs)] {
            if !matches!(value_type, ValueType::Scalar | ValueType::Vector) {
                let message = "binary expression must contain only scalar and instant vector types";
                return self.fail(side.pos(), message);
            }
        }
        let filled = node
            .matching
            .as_ref()
            .is_some_and(|matching| matching.fill != FillValues::default());
        if lhs != ValueType::Vector || rhs != ValueType::Vector {
            if node
                .matching
                .as_ref()
                .is_some_and(|matching| !matching.labels.is_empty())
            {
                let message = "vector matching only allowed between instant vectors";
                return self.fail(node.pos, message);
            }
            if filled {
                let message = "filling in missing series only allowed between instant vectors";
                return self.fail(node.pos, message);
            }
            node.matching = None;
            if op.is_set() {
                let op = quote(op.as_str());
                let message = format!("set operator {op} not allowed in binary scalar expression");
                return self.fail(node.pos, message);
            }
        } else if op.is_set() {
            let card = node.matching.as_ref().map(|matching| matching.card);
            if card != Some(VectorMatchCardinality::ManyToMany) {
                let message = format!("no grouping allowed for {} operation", quote(op.as_str()));
                return self.fail(node.pos, message);
            }
            if filled {
                let message = "filling in missing series not allowed for set operators";
                return self.fail(node.pos, message);
            }
        }
        Ok(if both_scalars {
            ValueType::Scalar
        } else {
            ValueType::Vector
        })
    }

    /// Returns the operator with its modifiers: what stands between the operands.
    fn op_pos(&self, node: &BinaryExpr) -> PosRange {
        let (start, end) = (node.lhs.pos().end, node.rhs.pos().start);
        let between = self.query.get(start..end).unwrap_or("");
        let spaces = between.len() - between.trim_start_matches([' ', '\t', '\n', '\r']).len();
        PosRange::new(start + spaces, start + between.trim_end().len().max(spaces))
    }
}
