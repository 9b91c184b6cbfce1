//! The list of queries, over the last hours of the data.

use crate::sides::{Data, START_MS};

/// When a query is evaluated, milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Times {
    Instant { at: i64 },
    Range { start: i64, end: i64, step: i64 },
}

/// What a row belongs to; each group has its own floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Instant,
    Range,
    /// Windows of six hours and more.
    LongWindow,
}

/// One row.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) expr: String,
    pub(crate) times: Times,
    pub(crate) group: Group,
}

const INSTANT: &[&str] = &[
    "up",
    "sum(m)",
    r#"count by (job) ({__name__=~"app_.*"})"#,
    "topk(10, sum by (pod) (rate(c[5m])))",
    "histogram_quantile(0.99, sum by (le) (rate(h_bucket[5m])))",
];

const RANGE: &[&str] = &[
    r#"m{pod="p1"}"#,
    "m",
    "sum(m)",
    "sum by (pod) (m)",
    "avg without (instance) (m)",
    "rate(c[1m])",
    "sum by (job) (rate(c[5m]))",
    "increase(c[1h])",
    "max_over_time(g[1h])",
    "quantile_over_time(0.9, g[30m])",
    "sum_over_time(rate(c[1m])[10m:1m])",
    "histogram_quantile(0.9, sum by (le, job) (rate(h_bucket[5m])))",
    "topk(5, m)",
    "quantile(0.9, m)",
    r#"count_values("v", enum)"#,
    "a / b",
    "a * on (pod) group_left (version) info",
    "a > 10 and on (pod) b",
    r#"label_replace(m, "x", "$1", "pod", "p(.*)")"#,
    "predict_linear(g[3h], 86400)",
    "clamp(1 - g, 0, 1)",
    "sum(a) / (sum(a) + sum(b))",
];

const LONG_WINDOW: &[&str] = &[
    "sum(rate(c[12h]))",
    "increase(c[6h])",
    "avg_over_time(g[6h])",
    "max_over_time(g[6h])",
    "sum_over_time(m[12h])",
];

/// Returns the list for a data set.
pub(crate) fn list(data: &Data) -> Vec<Query> {
    const HOUR: i64 = 3_600_000;
    let end = START_MS + data.hours * HOUR - 60_000;
    let query = |expr: &str, times, group| Query {
        expr: expr.to_owned(),
        times,
        group,
    };
    let mut all = Vec::new();
    for expr in INSTANT {
        all.push(query(expr, Times::Instant { at: end }, Group::Instant));
    }
    for expr in RANGE {
        let times = Times::Range {
            start: end - 6 * HOUR,
            end,
            step: 60_000,
        };
        all.push(query(expr, times, Group::Range));
    }
    for expr in LONG_WINDOW {
        let times = Times::Range {
            start: end - 6 * HOUR,
            end,
            step: 60_000,
        };
        all.push(query(expr, times, Group::LongWindow));
    }
    all
}
