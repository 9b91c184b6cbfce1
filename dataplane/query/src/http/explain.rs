//! `/api/v1/query_explain` and `/api/v1/query_range_explain`, and the tree of `analyze=true`: the
//! operators of a query, and what its selectors read.

use std::time::Duration;

use axum::response::Response;
use http::HeaderMap;
use promql::Expr;
use promql::ast::VectorSelector;
use serde::Serialize;

use super::error::ApiError;
use super::form::Form;
use super::{State, answer, json, query};
use crate::select::{SelectorCoverage, selector_text};
use crate::service::{Outcome, QueryError};

/// An operator and what it takes its input from.
#[derive(Debug, Serialize)]
pub(super) struct Node {
    name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    children: Vec<Self>,
}

/// An operator and what it cost.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Analysis {
    name: String,
    /// Of the whole query at the root, of the slowest store at a selector; elsewhere not measured:
    /// operators work interleaved, series by series.
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_time: Option<String>,
    total_samples: u64,
    peak_samples: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fanout: Vec<Fanout>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    children: Vec<Self>,
}

/// What one store sent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Fanout {
    endpoint_addr: String,
    duration: String,
    bytes_processed: u64,
    num_responses: u64,
    series: u64,
    chunks: u64,
    samples: u64,
}

pub(super) async fn instant(
    api: State,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, ApiError> {
    let request = query::instant_query(&api, &headers, &form)?;
    explain(&api, &request.query.text)
}

pub(super) async fn range(
    api: State,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, ApiError> {
    let request = query::range_query(&api, &headers, &form)?;
    explain(&api, &request.query.text)
}

fn explain(api: &super::Api, text: &str) -> Result<Response, ApiError> {
    let expr = api.service.parse(text).map_err(QueryError::from)?;
    Ok(answer(json::body(&Node::of(&expr), &[], &[]), false))
}

impl Node {
    fn of(expr: &Expr) -> Self {
        let expr = expr.without_parens();
        Self {
            name: name(expr),
            children: expr.children().into_iter().map(Self::of).collect(),
        }
    }
}

impl Analysis {
    /// Returns the tree of an expression that has been evaluated.
    pub(super) fn of(expr: &Expr, outcome: &Outcome) -> Self {
        let mut root = Self::node(expr, &outcome.coverage);
        root.execution_time = Some(duration(outcome.evaluated));
        root.total_samples = outcome.result.stats.samples;
        root.peak_samples = outcome.result.stats.samples;
        root
    }

    fn node(expr: &Expr, coverage: &[SelectorCoverage]) -> Self {
        let expr = expr.without_parens();
        let children = expr.children().into_iter();
        let children: Vec<_> = children.map(|child| Self::node(child, coverage)).collect();
        let fanout = match expr {
            Expr::VectorSelector(selector) => Fanout::of(selector, coverage),
            Expr::MatrixSelector(matrix) => Fanout::of(&matrix.selector, coverage),
            _ => Vec::new(),
        };
        let samples = fanout.iter().map(|of| of.1.samples).sum::<u64>()
            + children
                .iter()
                .map(|child| child.total_samples)
                .sum::<u64>();
        Self {
            name: name(expr),
            execution_time: fanout.iter().map(|of| of.0).max().map(duration),
            total_samples: samples,
            peak_samples: samples,
            fanout: fanout.into_iter().map(|of| of.1).collect(),
            children,
        }
    }
}

impl Fanout {
    fn of(selector: &VectorSelector, coverage: &[SelectorCoverage]) -> Vec<(Duration, Self)> {
        let text = selector_text(&selector.matchers);
        // Equal selectors of one time are read once; one of several times is shown with all of them.
        let selections = coverage.iter().filter(|of| *of.selector == *text);
        let stores = selections.flat_map(|of| &of.stores.stores);
        let of_store = |store: &storeapi::StoreCoverage| {
            let fanout = Self {
                endpoint_addr: store.address.to_string(),
                duration: duration(store.duration),
                bytes_processed: store.bytes,
                num_responses: store.series,
                series: store.series,
                chunks: store.chunks,
                samples: store.samples,
            };
            (store.duration, fanout)
        };
        stores.map(of_store).collect()
    }
}

fn duration(duration: Duration) -> String {
    format!("{duration:?}")
}

fn name(expr: &Expr) -> String {
    match expr {
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => format!("[literal] {expr}"),
        Expr::VectorSelector(_) => format!("[vectorSelector] {expr}"),
        Expr::MatrixSelector(_) => format!("[matrixSelector] {expr}"),
        Expr::Subquery(node) => {
            let inner = node.expr.to_string();
            let text = expr.to_string();
            format!("[subquery] {}", text.strip_prefix(&inner).unwrap_or(&text))
        }
        Expr::Call(node) => format!("[function] {}", node.func.name),
        Expr::Aggregate(node) => {
            let how = if node.without { "without" } else { "by" };
            format!(
                "[aggregate] {} {how} ({})",
                node.op,
                node.grouping.join(", ")
            )
        }
        Expr::Binary(node) => format!("[binary] {}", node.op),
        Expr::Unary(node) => format!("[unary] {}", if node.negative { "-" } else { "+" }),
        Expr::Paren(_) => "[paren]".to_owned(),
    }
}
