//! The listed expressions: one a line, each asked at several times.

use super::answer::{Query, Times};
use super::dataset::{END_MS, START_MS};

const LIST: &str = include_str!("../../data/expressions.txt");

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// When every listed expression is asked: at an odd time, exactly on a block's edge, outside of all
/// data; close steps over a block's edge, odd steps, wide steps over everything, one step.
const TIMES: [Times; 7] = [
    Times::Instant {
        at: START_MS + 3 * HOUR_MS + 7 * MINUTE_MS + 1_234,
    },
    Times::Instant {
        at: START_MS + 4 * HOUR_MS,
    },
    Times::Instant {
        at: END_MS + 2 * HOUR_MS,
    },
    Times::Range {
        start: START_MS + 110 * MINUTE_MS,
        end: START_MS + 130 * MINUTE_MS,
        step: 15_000,
    },
    Times::Range {
        start: START_MS + 90 * MINUTE_MS + 777,
        end: START_MS + 170 * MINUTE_MS,
        step: 61_007,
    },
    Times::Range {
        start: START_MS - 20 * MINUTE_MS,
        end: END_MS + HOUR_MS,
        step: 7 * MINUTE_MS,
    },
    Times::Range {
        start: START_MS + 5 * HOUR_MS,
        end: START_MS + 5 * HOUR_MS,
        step: MINUTE_MS,
    },
];

/// Returns the expressions without comments and blank lines.
pub(crate) fn expressions() -> Vec<String> {
    let lines = LIST.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// Returns every listed query.
pub(crate) fn queries() -> Vec<Query> {
    let all = expressions().into_iter().flat_map(|expr| {
        TIMES.into_iter().map(move |times| Query {
            expr: expr.clone(),
            times,
        })
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use promql::functions::{FUNCTIONS, Stability};

    use super::*;
    use crate::differential::in_process::PARSE_OPTIONS;

    #[test]
    fn the_list_has_every_function_and_no_line_twice() {
        let expressions = expressions();
        assert!(
            expressions.len() >= 300,
            "{} expressions",
            expressions.len()
        );
        let mut seen = BTreeSet::new();
        let mut called = BTreeSet::new();
        for text in &expressions {
            assert!(seen.insert(text), "twice: {text}");
            if let Ok(expr) = promql::parse(text, &PARSE_OPTIONS) {
                expr.walk(&mut |node| match node {
                    promql::Expr::Call(call) => drop(called.insert(call.func.name)),
                    promql::Expr::Aggregate(node) => drop(called.insert(node.op.as_str())),
                    promql::Expr::Binary(node) => drop(called.insert(node.op.as_str())),
                    _ => {}
                });
            }
        }
        let functions = FUNCTIONS
            .iter()
            .filter(|f| f.stability != Stability::Extended);
        let aggregations = [
            "sum",
            "avg",
            "min",
            "max",
            "count",
            "group",
            "stddev",
            "stdvar",
            "topk",
            "bottomk",
            "quantile",
            "count_values",
            "limitk",
            "limit_ratio",
        ];
        let operators = [
            "+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", "<=", ">", ">=", "and", "or",
            "unless",
        ];
        let missing: Vec<&str> = functions
            .map(|f| f.name)
            .chain(aggregations)
            .chain(operators)
            .filter(|name| !called.contains(name))
            .collect();
        assert!(missing.is_empty(), "not listed: {missing:?}");
    }
}
