//! What the scripts cannot say: limits, cancellation, threads, sharing, and the order of additions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use model::Labels;

use super::*;
use crate::ParseOptions;
use crate::context::MemoryAccount;
use crate::memory::MemoryStorage;
use crate::queryable::{QueryableError, SelectRequest, SeriesSet};

const MINUTE: i64 = 60_000;

fn storage(series: usize, samples: i64) -> MemoryStorage {
    let mut storage = MemoryStorage::new();
    let mut state = 1u64;
    for i in 0..series {
        let labels = Labels::from_pairs([
            ("__name__", "m".to_owned()),
            ("i", format!("{i:05}")),
            ("g", format!("{}", i % 7)),
        ]);
        storage.extend(
            &labels,
            (0..samples).map(|t| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (t * 15_000, (state >> 40) as f64 / 1000.0)
            }),
        );
    }
    storage
}

fn engine(threads: usize) -> Engine {
    Engine::new(EngineOptions {
        threads,
        ..EngineOptions::default()
    })
    .unwrap()
}

fn run(
    engine: &Engine,
    storage: &dyn Queryable,
    query: &str,
    cx: &QueryContext,
) -> Result<QueryResult, EngineError> {
    let expr = crate::parse(query, &ParseOptions::default()).unwrap();
    engine.range(storage, &expr, 0, 60 * MINUTE, MINUTE, cx)
}

fn matrix(result: QueryResult) -> Vec<(String, Vec<(i64, u64)>)> {
    let Value::Matrix(series) = result.value else {
        panic!("not a matrix")
    };
    series
        .into_iter()
        .map(|series| {
            let floats = series
                .floats
                .iter()
                .map(|&(ts, value)| (ts, value.to_bits()))
                .collect();
            (series.labels.to_string(), floats)
        })
        .collect()
}

#[test]
fn threads_change_no_bit() {
    let storage = storage(900, 241);
    let (one, three) = (engine(1), engine(3));
    for query in [
        "m",
        "sum(m)",
        "avg by (g) (rate(m[5m]))",
        "stddev by (g) (m)",
        "topk(3, m)",
        "m / on (i) m",
        "sum(sum_over_time(rate(m[1m])[10m:1m]))",
        "quantile(0.9, m) + sum(m)",
    ] {
        let cx = QueryContext::new();
        let expected = matrix(run(&one, &storage, query, &cx).unwrap());
        assert!(!expected.is_empty(), "{query}");
        assert_eq!(
            matrix(run(&three, &storage, query, &cx).unwrap()),
            expected,
            "{query}"
        );
    }
}

#[test]
fn a_sum_adds_in_label_order_with_compensation() {
    let storage = storage(500, 8);
    let cx = QueryContext::new();
    let series = matrix(run(&engine(2), &storage, "m", &cx).unwrap());
    let (mut sum, mut c) = (f64::from_bits(series[0].1[1].1), 0.0);
    for (_, values) in &series[1..] {
        (sum, c) = kahan::add(f64::from_bits(values[1].1), sum, c);
    }
    let total = matrix(run(&engine(2), &storage, "sum(m)", &cx).unwrap());
    assert_eq!(total[0].1[1].1, (sum + c).to_bits());
}

#[test]
fn an_exceeded_memory_limit_names_the_selector() {
    let storage = storage(2_000, 241);
    let memory = Arc::new(MemoryAccount::with_limit(1 << 20));
    let cx = QueryContext::builder().memory(Arc::clone(&memory)).build();
    let error = run(&engine(2), &storage, r#"m{g!="9"} + 1"#, &cx).unwrap_err();
    assert_eq!(error.kind(), EngineErrorKind::Execution);
    assert!(error.to_string().contains(r#"m{g!="9"}"#), "{error}");
    assert_eq!(memory.used(), 0, "everything is given back");
}

#[test]
fn an_aggregation_holds_its_groups_and_not_its_input() {
    let storage = storage(5_000, 241);
    let cx = QueryContext::new();
    run(&engine(1), &storage, "sum by (g) (rate(m[5m]))", &cx).unwrap();
    // The input's columns alone would be 5,000 · 61 · 8 bytes and as much again for the samples.
    assert!(cx.memory().peak() < 1 << 20, "{} bytes", cx.memory().peak());
}

#[test]
fn too_many_samples_are_refused() {
    let storage = storage(100, 241);
    let cx = QueryContext::builder().max_samples(1_000).build();
    let error = run(&engine(1), &storage, "m", &cx).unwrap_err();
    assert!(matches!(error, EngineError::TooManySamples), "{error}");
    assert!(run(&engine(1), &storage, "sum(m)", &cx).is_ok());
}

#[test]
fn a_canceled_or_late_query_stops() {
    let storage = storage(100, 241);
    let flag = Arc::new(AtomicBool::new(true));
    let cx = QueryContext::builder().cancel_flag(flag).build();
    let error = run(&engine(2), &storage, "sum(m)", &cx).unwrap_err();
    assert_eq!(error.kind().error_type(), "canceled");
    let cx = QueryContext::builder().deadline(Instant::now()).build();
    let error = run(&engine(2), &storage, "sum(m)", &cx).unwrap_err();
    assert_eq!(error.kind().error_type(), "timeout");
}

#[test]
fn absurd_numbers_of_steps_are_refused() {
    let storage = storage(1, 10);
    let cx = QueryContext::new();
    for query in ["count_over_time(m[100y:1ms])", "m"] {
        let expr = crate::parse(query, &ParseOptions::default()).unwrap();
        let engine = engine(1);
        let error = if query == "m" {
            engine
                .range(&storage, &expr, 0, i64::MAX, 1, &cx)
                .unwrap_err()
        } else {
            engine.instant(&storage, &expr, 0, &cx).unwrap_err()
        };
        assert!(error.to_string().contains("steps"), "{error}");
    }
}

/// Counts selections.
struct Counting<'a>(&'a MemoryStorage, AtomicUsize);

impl Queryable for Counting<'_> {
    fn select(
        &self,
        request: &SelectRequest<'_>,
        cx: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, QueryableError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.select(request, cx)
    }
}

#[test]
fn equal_parts_are_read_once() {
    let storage = storage(20, 241);
    for (query, selections) in [
        ("sum(m) / (sum(m) + 1)", 1),
        ("m / (m + m)", 1),
        ("rate(m[5m]) / rate(m[1m])", 2),
        ("m - m offset 1m", 2),
        ("max_over_time(m[5m:1m]) - 2 * max_over_time(m[5m:1m])", 1),
    ] {
        let counting = Counting(&storage, AtomicUsize::new(0));
        let result = run(&engine(1), &counting, query, &QueryContext::new()).unwrap();
        assert!(!matrix(result).is_empty());
        assert_eq!(counting.1.load(Ordering::Relaxed), selections, "{query}");
    }
}

#[test]
fn a_failing_storage_fails_the_query() {
    struct Failing;
    impl Queryable for Failing {
        fn select(
            &self,
            _: &SelectRequest<'_>,
            _: &QueryContext,
        ) -> Result<Box<dyn SeriesSet>, QueryableError> {
            Err(QueryableError::Storage("store is gone".to_owned()))
        }
    }
    let error = run(&engine(1), &Failing, "m", &QueryContext::new()).unwrap_err();
    assert_eq!(error.to_string(), "expanding series: store is gone");
}

#[test]
fn a_range_query_of_a_range_vector_is_bad_data() {
    let expr = crate::parse("m[5m]", &ParseOptions::default()).unwrap();
    let cx = QueryContext::new();
    let error = engine(1)
        .range(&storage(1, 1), &expr, 0, 1, 1, &cx)
        .unwrap_err();
    assert_eq!(error.kind().error_type(), "bad_data");
    assert_eq!(
        error.to_string(),
        "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector"
    );
}

#[test]
fn the_deepest_queries_that_parse_are_evaluated() {
    let storage = storage(3, 241);
    let engine = engine(1);
    let mut parsed = 0;
    for depth in [50, 120, 250, 500] {
        for query in [
            format!("{}m", "-".repeat(depth)),
            format!("m{}", " + m".repeat(depth)),
            format!("{}m{}", "abs(".repeat(depth), ")".repeat(depth)),
            format!("{}m{}", "(".repeat(depth), ")".repeat(depth)),
            format!("m{}", " or m".repeat(depth)),
            format!("1{}", " + 1".repeat(depth)),
        ] {
            let Ok(expr) = crate::parse(&query, &ParseOptions::default()) else {
                continue;
            };
            parsed += 1;
            let cx = QueryContext::new();
            engine
                .range(&storage, &expr, 0, 10 * MINUTE, MINUTE, &cx)
                .unwrap();
        }
    }
    assert!(parsed > 10, "{parsed} queries parsed");
}
