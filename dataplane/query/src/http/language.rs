//! `/api/v1/parse_query`, `/api/v1/format_query` and `/api/v1/features`: the language, without data.

use std::collections::BTreeMap;

use axum::response::Response;
use promql::ParseOptions;
use promql::ast::{AggregateOp, BinaryOp};
use promql::functions::{FUNCTIONS, Stability};

use super::error::ApiError;
use super::form::Form;
use super::{State, answer, json, tree};
use crate::service::QueryError;

pub(super) async fn parse_query(api: State, form: Form) -> Result<Response, ApiError> {
    let expr = api
        .service
        .parse(form.get("query"))
        .map_err(QueryError::from)?;
    Ok(answer(json::body(&tree::of(&expr), &[], &[]), false))
}

pub(super) async fn format_query(api: State, form: Form) -> Result<Response, ApiError> {
    let expr = api
        .service
        .parse(form.get("query"))
        .map_err(QueryError::from)?;
    Ok(answer(
        json::body(&promql::prettify(&expr), &[], &[]),
        false,
    ))
}

pub(super) async fn features(api: State) -> Response {
    answer(json::plain_body(&known(&api.service.parse_options)), false)
}

type Switches = BTreeMap<&'static str, bool>;

const AGGREGATIONS: [AggregateOp; 14] = [
    AggregateOp::Avg,
    AggregateOp::Bottomk,
    AggregateOp::Count,
    AggregateOp::CountValues,
    AggregateOp::Group,
    AggregateOp::Limitk,
    AggregateOp::LimitRatio,
    AggregateOp::Max,
    AggregateOp::Min,
    AggregateOp::Quantile,
    AggregateOp::Stddev,
    AggregateOp::Stdvar,
    AggregateOp::Sum,
    AggregateOp::Topk,
];

const OPERATORS: [BinaryOp; 18] = [
    BinaryOp::Add,
    BinaryOp::Sub,
    BinaryOp::Mul,
    BinaryOp::Div,
    BinaryOp::Mod,
    BinaryOp::Pow,
    BinaryOp::Atan2,
    BinaryOp::Eq,
    BinaryOp::NotEq,
    BinaryOp::Less,
    BinaryOp::LessEq,
    BinaryOp::Greater,
    BinaryOp::GreaterEq,
    BinaryOp::TrimUpper,
    BinaryOp::TrimLower,
    BinaryOp::And,
    BinaryOp::Or,
    BinaryOp::Unless,
];

/// Returns what is there, by category, with whether it is switched on.
fn known(options: &ParseOptions) -> BTreeMap<&'static str, Switches> {
    let on = |names: &[&'static str]| names.iter().map(|name| (*name, true)).collect::<Switches>();
    let mut language = on(&[
        "at_modifier",
        "bool",
        "by",
        "group_left",
        "group_right",
        "ignoring",
        "negative_offset",
        "offset",
        "on",
        "per_query_lookback_delta",
        "subqueries",
        "without",
    ]);
    language.extend([
        ("anchored", options.extended_range_selectors),
        ("smoothed", options.extended_range_selectors),
        ("fill", options.fill_modifiers),
        ("fill_left", options.fill_modifiers),
        ("fill_right", options.fill_modifiers),
        ("duration_expr", options.duration_expressions),
        ("delayed_name_removal", false),
        ("per_step_stats", false),
        ("type_and_unit_labels", false),
    ]);
    let mut operators: Switches = OPERATORS.iter().map(|op| (op.as_str(), true)).collect();
    operators.extend(AGGREGATIONS.iter().map(|op| {
        let is_on = !op.is_experimental() || options.experimental_functions;
        (op.as_str(), is_on)
    }));
    // Matchers of selectors; Prometheus counts them among the operators.
    operators.extend([("=~", true), ("!~", true), ("@", true)]);
    let functions = FUNCTIONS.iter().filter_map(|function| {
        let is_on = match function.stability {
            Stability::Stable => true,
            Stability::Experimental => options.experimental_functions,
            // Not Prometheus': named only where they can be called.
            Stability::Extended if options.extended_functions => true,
            Stability::Extended => return None,
        };
        Some((function.name, is_on))
    });
    let api = on(&[
        "label_values_match",
        "openapi_3.1",
        "query_stats",
        "query_warnings",
        "remote_read",
        "time_range_labels",
        "time_range_series",
    ]);
    BTreeMap::from([
        ("api", api),
        ("promql", language),
        ("promql_functions", functions.collect()),
        ("promql_operators", operators),
    ])
}
