//! The syntax tree of a query as JSON, in the shape that Prometheus gives to tree views.

use std::collections::BTreeMap;

use model::Matcher;
use promql::Expr;
use promql::ast::{
    At, DurationExpr, DurationSpec, MatrixSelector, RangeModifier, VectorMatching, VectorSelector,
};
use promql::functions::{Function, Variadic};
use promql::number::format_f;
use serde::Serialize;

/// A value whose objects have sorted keys, as Go writes maps.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Tree {
    Null,
    Switch(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Self>),
    Object(BTreeMap<&'static str, Self>),
}

impl From<&str> for Tree {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Tree {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Tree {
    fn from(switch: bool) -> Self {
        Self::Switch(switch)
    }
}

impl From<i64> for Tree {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl<T: Into<Self>> From<Option<T>> for Tree {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

fn object<const N: usize>(kind: &str, fields: [(&'static str, Tree); N]) -> Tree {
    let mut map = BTreeMap::from(fields);
    map.insert("type", kind.into());
    Tree::Object(map)
}

fn texts(list: &[String]) -> Tree {
    Tree::List(list.iter().map(|text| text.as_str().into()).collect())
}

/// Returns the tree of an expression.
pub(super) fn of(expr: &Expr) -> Tree {
    match expr {
        Expr::NumberLiteral(node) => {
            object("numberLiteral", [("val", format_f(node.value).into())])
        }
        Expr::StringLiteral(node) => object("stringLiteral", [("val", node.value.as_str().into())]),
        Expr::VectorSelector(node) => {
            let mut fields = BTreeMap::new();
            selector(node, &mut fields);
            fields.insert("type", "vectorSelector".into());
            Tree::Object(fields)
        }
        Expr::MatrixSelector(node) => matrix(node),
        Expr::Subquery(node) => object(
            "subquery",
            [
                ("expr", of(&node.expr)),
                ("range", milliseconds(Some(&node.range))),
                ("rangeExpr", expression(Some(&node.range))),
                ("offset", milliseconds(node.offset.as_ref())),
                ("offsetExpr", expression(node.offset.as_ref())),
                ("step", milliseconds(node.step.as_ref())),
                ("stepExpr", expression(node.step.as_ref())),
                ("timestamp", timestamp(node.at)),
                ("startOrEnd", start_or_end(node.at)),
            ],
        ),
        Expr::Call(node) => object(
            "call",
            [
                ("func", function(node.func)),
                ("args", Tree::List(node.args.iter().map(of).collect())),
            ],
        ),
        Expr::Aggregate(node) => object(
            "aggregation",
            [
                ("op", node.op.as_str().into()),
                ("expr", of(&node.expr)),
                ("param", node.param.as_ref().map(of).into()),
                ("grouping", texts(&node.grouping)),
                ("without", node.without.into()),
            ],
        ),
        Expr::Binary(node) => object(
            "binaryExpr",
            [
                ("op", node.op.as_str().into()),
                ("lhs", of(&node.lhs)),
                ("rhs", of(&node.rhs)),
                ("matching", node.matching.as_ref().map(matching).into()),
                ("bool", node.return_bool.into()),
            ],
        ),
        Expr::Unary(node) => object(
            "unaryExpr",
            [("op", sign(node.negative).into()), ("expr", of(&node.expr))],
        ),
        Expr::Paren(node) => object("parenExpr", [("expr", of(&node.expr))]),
    }
}

fn sign(negative: bool) -> &'static str {
    if negative { "-" } else { "+" }
}

fn selector(node: &VectorSelector, fields: &mut BTreeMap<&'static str, Tree>) {
    let is = |modifier| Tree::from(node.range_modifier == Some(modifier));
    fields.extend([
        ("name", node.name.as_str().into()),
        ("offset", milliseconds(node.offset.as_ref())),
        ("offsetExpr", expression(node.offset.as_ref())),
        ("matchers", matchers(&node.matchers)),
        ("timestamp", timestamp(node.at)),
        ("startOrEnd", start_or_end(node.at)),
        ("anchored", is(RangeModifier::Anchored)),
        ("smoothed", is(RangeModifier::Smoothed)),
    ]);
}

fn matrix(node: &MatrixSelector) -> Tree {
    let mut fields = BTreeMap::new();
    selector(&node.selector, &mut fields);
    fields.extend([
        ("type", "matrixSelector".into()),
        ("range", milliseconds(Some(&node.range))),
        ("rangeExpr", expression(Some(&node.range))),
    ]);
    Tree::Object(fields)
}

fn matchers(matchers: &[Matcher]) -> Tree {
    let matcher = |matcher: &Matcher| {
        Tree::Object(BTreeMap::from([
            ("name", matcher.name.as_str().into()),
            ("value", matcher.value.as_str().into()),
            ("type", matcher.op.as_str().into()),
        ]))
    };
    Tree::List(matchers.iter().map(matcher).collect())
}

fn timestamp(at: Option<At>) -> Tree {
    match at {
        Some(At::Timestamp(ms)) => ms.into(),
        _ => Tree::Null,
    }
}

fn start_or_end(at: Option<At>) -> Tree {
    match at {
        Some(At::Start) => "start".into(),
        Some(At::End) => "end".into(),
        _ => Tree::Null,
    }
}

fn milliseconds(spec: Option<&DurationSpec>) -> Tree {
    spec.and_then(DurationSpec::literal_ms).unwrap_or(0).into()
}

fn expression(spec: Option<&DurationSpec>) -> Tree {
    match spec {
        Some(DurationSpec::Expr(expr)) => duration(expr, false),
        _ => Tree::Null,
    }
}

fn duration(expr: &DurationExpr, wrapped: bool) -> Tree {
    let node = |op: &str, lhs: Option<&DurationExpr>, rhs: Option<&DurationExpr>| {
        let side = |expr: Option<&DurationExpr>| expr.map(|expr| duration(expr, false)).into();
        object(
            "durationExpr",
            [
                ("op", op.into()),
                ("lhs", side(lhs)),
                ("rhs", side(rhs)),
                ("wrapped", wrapped.into()),
            ],
        )
    };
    match expr {
        DurationExpr::Literal(literal) => object(
            "numberLiteral",
            [
                ("val", format_f(literal.value).into()),
                ("duration", literal.is_duration.into()),
            ],
        ),
        DurationExpr::Step(_) => node("step", None, None),
        DurationExpr::Range(_) => node("range", None, None),
        DurationExpr::Neg { expr, .. } => node("-", None, Some(expr)),
        DurationExpr::Paren { expr, .. } => duration(expr, true),
        DurationExpr::MinOf { lhs, rhs, .. } => node("min_of", Some(lhs), Some(rhs)),
        DurationExpr::MaxOf { lhs, rhs, .. } => node("max_of", Some(lhs), Some(rhs)),
        DurationExpr::Binary { op, lhs, rhs } => node(op.as_str(), Some(lhs), Some(rhs)),
    }
}

fn function(function: &Function) -> Tree {
    let types = function.arg_types.iter().map(|kind| kind.as_str().into());
    Tree::Object(BTreeMap::from([
        ("name", function.name.into()),
        ("argTypes", Tree::List(types.collect())),
        (
            "variadic",
            match function.variadic {
                Variadic::Exact => 0,
                Variadic::UpTo(more) => i64::try_from(more).unwrap_or(i64::MAX),
                Variadic::Unlimited => -1,
            }
            .into(),
        ),
        ("returnType", function.return_type.as_str().into()),
    ]))
}

fn matching(matching: &VectorMatching) -> Tree {
    let value = |value: Option<f64>| value.map_or(Tree::Null, Tree::Float);
    Tree::Object(BTreeMap::from([
        ("card", matching.card.as_str().into()),
        ("labels", texts(&matching.labels)),
        ("on", matching.on.into()),
        ("include", texts(&matching.include)),
        (
            "fillValues",
            Tree::Object(BTreeMap::from([
                ("lhs", value(matching.fill.lhs)),
                ("rhs", value(matching.fill.rhs)),
            ])),
        ),
    ]))
}
