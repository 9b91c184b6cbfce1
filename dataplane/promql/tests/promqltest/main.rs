//! Runs Prometheus' PromQL test scripts against the engine, each instant query also with `@` at other
//! times and as the middle step of a range query, as Prometheus' own runner does.

#![expect(
    clippy::print_stdout,
    reason = "a test that reports what it has run, and what it could not"
)]

mod script;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::Labels;
use model::histogram::FloatHistogram;
use promql::ast::{At, Expr};
use promql::context::QueryContext;
use promql::engine::{Engine, EngineFeatures, EngineOptions};
use promql::memory::MemoryStorage;
use promql::value::{QueryResult, SampleValue, SeriesResult, Value};
use promql::{FunctionId, ParseOptions};

use script::failure::{Error, Result, bail};
use script::{Command, Eval, Point, Text};

/// What cannot pass yet: `file:line reason`. It may only shrink.
const SKIP_LIST: &str = include_str!("../../testdata/skip-list.txt");

/// What differs by intent where names are dropped at once: the scripts expect them dropped at the end.
const NAMES_LIST: &str = include_str!("../../testdata/names-list.txt");

const EPSILON: f64 = 0.000_001;

fn options() -> ParseOptions {
    ParseOptions {
        experimental_functions: true,
        duration_expressions: true,
        extended_range_selectors: true,
        fill_modifiers: true,
        extended_functions: false,
    }
}

fn engine(threads: usize, delayed_name_removal: bool) -> Engine {
    Engine::new(EngineOptions {
        max_samples: 10_000,
        threads,
        features: EngineFeatures {
            delayed_name_removal,
        },
        ..EngineOptions::default()
    })
    .expect("threads start")
}

#[test]
fn the_scripts_of_prometheus_pass() {
    run_scripts(&engine(2, true), SKIP_LIST);
}

#[test]
fn the_scripts_pass_where_names_are_dropped_at_once() {
    run_scripts(&engine(1, false), &format!("{SKIP_LIST}{NAMES_LIST}"));
}

/// The scripts of the Prometheus module that the tests' opponent is built from; nothing where there is
/// no Go to ask, which only a developer's machine may lack.
fn scripts() -> Option<PathBuf> {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/gopeer");
    let go = |args: &[&str]| {
        std::process::Command::new("go")
            .args(args)
            .current_dir(&module)
            .env("GOWORK", "off")
            .output()
    };
    let name = "github.com/prometheus/prometheus";
    let place = || go(&["list", "-m", "-f", "{{.Dir}}", name]);
    let mut found = match place() {
        Ok(found) => found,
        Err(error) => {
            assert!(
                std::env::var_os("CI").is_none(),
                "go cannot be started: {error}"
            );
            println!("SKIP: go is not installed, so Prometheus' test scripts cannot be found");
            return None;
        }
    };
    if found.stdout.trim_ascii().is_empty() {
        let fetched = go(&["mod", "download", name]).expect("go starts");
        assert!(
            fetched.status.success(),
            "go mod download: {}",
            String::from_utf8_lossy(&fetched.stderr)
        );
        found = place().expect("go starts");
    }
    let folder = String::from_utf8(found.stdout).expect("a path");
    Some(Path::new(folder.trim()).join("promql/promqltest/testdata"))
}

fn run_scripts(engine: &Engine, skip_list: &str) {
    let Some(folder) = scripts() else { return };
    let skipped: BTreeMap<&str, &str> = skip_list
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(' ').unwrap_or((line, "")))
        .collect();
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the scripts are there")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "test")
        })
        .collect();
    files.sort();
    assert!(files.len() >= 20, "only {} scripts", files.len());
    let (mut passed, mut problems) = (0, Vec::new());
    for path in &files {
        let name = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or("");
        let text = std::fs::read_to_string(path).expect("the script can be read");
        let commands = script::parse(&text).expect("the script parses");
        let mut storage = MemoryStorage::new();
        let mut passed_here = 0;
        for command in commands {
            match command {
                Command::Clear => storage.clear(),
                Command::Load {
                    step_ms,
                    with_nhcb,
                    series,
                } => {
                    load(&mut storage, step_ms, &series);
                    if with_nhcb {
                        load(
                            &mut storage,
                            step_ms,
                            &script::native::from_classic(&series),
                        );
                    }
                }
                Command::Eval(eval) => {
                    let place = format!("{name}:{}", eval.line);
                    let skip = skipped.contains_key(place.as_str());
                    match (run(engine, &storage, &eval), skip) {
                        (Ok(()), false) => passed_here += 1,
                        (Ok(()), true) => {
                            problems.push(format!("{place} passes: take it off the list"))
                        }
                        (Err(_), true) => {}
                        (Err(error), false) => {
                            problems.push(format!("{place} {}\n    {error}", eval.query))
                        }
                    }
                }
            }
        }
        println!("{name}: {passed_here} evaluations pass");
        passed += passed_here;
    }
    assert!(
        problems.is_empty(),
        "{passed} passed, {} problems:\n{}",
        problems.len(),
        problems.join("\n")
    );
    assert!(passed > 1_000, "only {passed} evaluations were run");
    println!("{passed} evaluations pass, {} are skipped", skipped.len());
}

fn load(storage: &mut MemoryStorage, step_ms: i64, series: &[(Labels, Vec<Point>)]) {
    for (labels, points) in series {
        for (i, point) in points.iter().enumerate() {
            let ts = i as i64 * step_ms;
            match point {
                Point::Omitted => {}
                Point::Float(value) => storage.push(labels, ts, *value),
                Point::Histogram(histogram) => {
                    storage.push_histogram(labels, ts, histogram.value.clone());
                }
            }
        }
    }
}

fn run(engine: &Engine, storage: &MemoryStorage, eval: &Eval) -> Result<()> {
    let (start, end, step) = eval.times;
    if step > 0 {
        let answer = query(engine, storage, &eval.query, eval.times);
        let Some(answer) = check_failure(eval, answer)? else {
            return Ok(());
        };
        check_annotations(eval, &answer)?;
        return compare_matrix(eval, &answer.value, (start, end, step));
    }
    for (text, at) in std::iter::once((eval.query.clone(), start)).chain(at_variants(eval)) {
        instant(engine, storage, eval, &text, at)
            .map_err(|error| Error(format!("{text} at {at}: {error}")))?;
    }
    Ok(())
}

fn query(
    engine: &Engine,
    storage: &MemoryStorage,
    text: &str,
    (start, end, step): (i64, i64, i64),
) -> std::result::Result<QueryResult, String> {
    let cx = QueryContext::builder().text(text).build();
    let expr = promql::parse(text, &options()).map_err(|error| error.to_string())?;
    let answer = if step == 0 {
        engine.instant(storage, &expr, start, &cx)
    } else {
        engine.range(storage, &expr, start, end, step, &cx)
    };
    answer.map_err(|error| error.to_string())
}

/// Returns the answer where one is expected.
fn check_failure(
    eval: &Eval,
    answer: std::result::Result<QueryResult, String>,
) -> Result<Option<QueryResult>> {
    match (answer, &eval.fail) {
        (Ok(answer), None) => Ok(Some(answer)),
        (Ok(_), Some(_)) => bail("expected an error".to_owned()),
        (Err(error), None) => bail(format!("failed: {error}")),
        (Err(error), Some(text)) if text.matches(&error) => Ok(None),
        (Err(error), Some(text)) => bail(format!("expected error {text:?}, got {error}")),
    }
}

fn instant(
    engine: &Engine,
    storage: &MemoryStorage,
    eval: &Eval,
    text: &str,
    at: i64,
) -> Result<()> {
    let Some(answer) = check_failure(eval, query(engine, storage, text, (at, at, 0)))? else {
        return Ok(());
    };
    check_annotations(eval, &answer)?;
    if let Some(times) = eval.matrix {
        return compare_matrix(eval, &answer.value, times);
    }
    match &answer.value {
        Value::String(string) => {
            if eval.string.as_ref() != Some(&string.value) {
                return bail(format!(
                    "expected {:?}, got {:?}",
                    eval.string, string.value
                ));
            }
            return Ok(());
        }
        Value::Scalar(scalar) => {
            let Some(expected) = eval.scalar else {
                return bail("got a scalar".to_owned());
            };
            if !almost_equal(expected, scalar.value) {
                return bail(format!("expected {expected}, got {}", scalar.value));
            }
        }
        Value::Vector(samples) => {
            let got: Vec<_> = samples
                .iter()
                .map(|s| (s.labels.clone(), s.value.clone()))
                .collect();
            compare_vector(eval, &got, eval.ordered)?;
        }
        Value::Matrix(_) => return bail("got a matrix".to_owned()),
    }
    if ["start()", "end()", "range()", "step()"]
        .iter()
        .any(|func| text.contains(func))
    {
        return Ok(());
    }
    let wide = query(engine, storage, text, (at - 60_000, at + 60_000, 60_000))
        .map_err(|error| Error(format!("in range mode: {error}")))?;
    if eval.ordered {
        return Ok(());
    }
    let Value::Matrix(series) = wide.value else {
        return bail("expected a matrix".to_owned());
    };
    check_sorted(&series)?;
    let middle: Vec<(Labels, SampleValue)> = series
        .iter()
        .filter_map(|series| Some((series.labels.clone(), value_at(series, at)?)))
        .collect();
    if let Some(expected) = eval.scalar {
        return match middle.first() {
            Some((_, SampleValue::Float(got))) if almost_equal(expected, *got) => Ok(()),
            got => bail(format!("range mode: expected {expected}, got {got:?}")),
        };
    }
    compare_vector(eval, &middle, false).map_err(|error| Error(format!("range mode: {error}")))
}

fn value_at(series: &SeriesResult, at: i64) -> Option<SampleValue> {
    let float = series.floats.iter().find(|(ts, _)| *ts == at);
    let histogram = series.histograms.iter().find(|(ts, _)| *ts == at);
    float
        .map(|(_, value)| SampleValue::Float(*value))
        .or_else(|| {
            histogram.map(|(_, value)| SampleValue::Histogram(std::sync::Arc::clone(value)))
        })
}

/// The query with every selector fixed to the time of evaluation, evaluated at other times.
fn at_variants(eval: &Eval) -> Vec<(String, i64)> {
    let (at, _, _) = eval.times;
    let Ok(mut expr) = promql::parse(&eval.query, &options()) else {
        return Vec::new();
    };
    let mut depends_on_time = false;
    expr.walk(&mut |node| {
        if let Expr::Call(call) = node {
            depends_on_time |= matches!(
                call.func.id,
                FunctionId::DaysInMonth
                    | FunctionId::DayOfMonth
                    | FunctionId::DayOfWeek
                    | FunctionId::DayOfYear
                    | FunctionId::End
                    | FunctionId::Hour
                    | FunctionId::Minute
                    | FunctionId::Month
                    | FunctionId::Year
                    | FunctionId::PredictLinear
                    | FunctionId::Range
                    | FunctionId::Start
                    | FunctionId::Step
                    | FunctionId::Time
                    | FunctionId::Timestamp
            );
        }
    });
    if depends_on_time {
        return Vec::new();
    }
    fix_times(&mut expr, at);
    let text = expr.to_string();
    let times = if at == 0 {
        vec![-1_000, 0, 1_000]
    } else {
        vec![-10 * at, 0, at / 5, at, 10 * at]
    };
    times.into_iter().map(|at| (text.clone(), at)).collect()
}

/// Sets `@` wherever there is none; a subquery's own time covers what is inside.
fn fix_times(expr: &mut Expr, at: i64) {
    let at_time = Some(At::Timestamp(at));
    match expr {
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => {}
        Expr::VectorSelector(selector) => selector.at = selector.at.or(at_time),
        Expr::MatrixSelector(matrix) => matrix.selector.at = matrix.selector.at.or(at_time),
        Expr::Subquery(subquery) => subquery.at = subquery.at.or(at_time),
        Expr::Call(call) => call.args.iter_mut().for_each(|arg| fix_times(arg, at)),
        Expr::Aggregate(aggregate) => {
            fix_times(&mut aggregate.expr, at);
            if let Some(param) = &mut aggregate.param {
                fix_times(param, at);
            }
        }
        Expr::Binary(binary) => {
            fix_times(&mut binary.lhs, at);
            fix_times(&mut binary.rhs, at);
        }
        Expr::Unary(unary) => fix_times(&mut unary.expr, at),
        Expr::Paren(paren) => fix_times(&mut paren.expr, at),
    }
}

fn check_annotations(eval: &Eval, answer: &QueryResult) -> Result<()> {
    for (kind, expected, got, none) in [
        ("warning", &eval.warn, &answer.warnings, eval.no_warn),
        ("info", &eval.info, &answer.infos, eval.no_info),
    ] {
        if none && !got.is_empty() {
            return bail(format!("unexpected {kind}: {got:?}"));
        }
        if expected.is_empty() {
            continue;
        }
        let missing = expected
            .iter()
            .find(|text| !got.iter().any(|got| text.matches(got)));
        let extra = got
            .iter()
            .find(|got| !expected.iter().any(|text| text.matches(got)));
        if missing.is_some() || extra.is_some() || got.is_empty() {
            return bail(format!("expected {kind} {expected:?}, got {got:?}"));
        }
    }
    Ok(())
}

fn compare_vector(eval: &Eval, got: &[(Labels, SampleValue)], ordered: bool) -> Result<()> {
    if let Some(expected) = eval.scalar {
        return bail(format!("expected the scalar {expected}, got a vector"));
    }
    for (position, (labels, value)) in got.iter().enumerate() {
        let found = eval
            .series
            .iter()
            .position(|(expected, _)| expected == labels);
        let Some(at) = found else {
            return bail(format!("unexpected {labels} {value:?}"));
        };
        if ordered && at != position {
            return bail(format!("{labels} expected at {at}, is at {position}"));
        }
        let expected = eval.series[at].1.first();
        if !expected.is_some_and(|expected| same(expected, value)) {
            return bail(format!("{labels}: expected {expected:?}, got {value:?}"));
        }
    }
    match eval
        .series
        .iter()
        .find(|(labels, _)| !got.iter().any(|(other, _)| other == labels))
    {
        Some((labels, points)) => bail(format!("missing {labels} {points:?}")),
        None => Ok(()),
    }
}

fn compare_matrix(eval: &Eval, value: &Value, (start, end, step): (i64, i64, i64)) -> Result<()> {
    let Value::Matrix(series) = value else {
        return bail(format!("got {value:?}"));
    };
    check_sorted(series)?;
    for got in series {
        let found = eval.series.iter().find(|(labels, _)| *labels == got.labels);
        let Some((labels, points)) = found else {
            return bail(format!("unexpected {got:?}"));
        };
        let mut expected = points
            .iter()
            .enumerate()
            .filter(|(_, point)| !matches!(point, Point::Omitted));
        let count = expected.clone().count();
        if count != got.floats.len() + got.histograms.len() {
            return bail(format!("{labels}: expected {count} points, got {got:?}"));
        }
        let wrong = expected.find(|(i, point)| {
            let at = start + *i as i64 * step;
            at > end || !value_at(got, at).is_some_and(|value| same(point, &value))
        });
        if let Some((i, point)) = wrong {
            return bail(format!(
                "{labels}: expected {point:?} as point {i}, got {got:?}"
            ));
        }
    }
    match eval
        .series
        .iter()
        .find(|(labels, _)| !series.iter().any(|s| s.labels == *labels))
    {
        Some((labels, _)) => bail(format!("missing {labels}")),
        None => Ok(()),
    }
}

fn check_sorted(series: &[SeriesResult]) -> Result<()> {
    if series.is_sorted_by(|a, b| a.labels <= b.labels) {
        Ok(())
    } else {
        bail("series are not sorted by labels".to_owned())
    }
}

fn same(expected: &Point, got: &SampleValue) -> bool {
    match (expected, got) {
        (Point::Float(expected), SampleValue::Float(got)) => almost_equal(*expected, *got),
        (Point::Histogram(expected), SampleValue::Histogram(got)) => {
            same_histogram(&expected.value, got)
                && (!expected.hint_matters
                    || expected.value.counter_reset_hint == got.counter_reset_hint)
        }
        _ => false,
    }
}

fn same_histogram(a: &FloatHistogram, b: &FloatHistogram) -> bool {
    let (a, b) = (script::native::compacted(a), script::native::compacted(b));
    let same = |a: &[f64], b: &[f64]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| almost_equal(*a, *b))
    };
    a.schema == b.schema
        && same(
            &[a.count, a.sum, a.zero_count],
            &[b.count, b.sum, b.zero_count],
        )
        && a.zero_threshold == b.zero_threshold
        && a.custom_values == b.custom_values
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && same(&a.positive_buckets, &b.positive_buckets)
        && same(&a.negative_buckets, &b.negative_buckets)
}

fn almost_equal(a: f64, b: f64) -> bool {
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    let sum = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < EPSILON
}

#[test]
fn a_wrong_expectation_fails() {
    let commands = script::parse(
        "load 1m\n  x 1 2\n\neval instant at 1m x\n  x 2\n\neval instant at 1m x\n  x 3\n\n\
         eval instant at 1m x\n\neval instant at 1m x +\n  expect fail\n",
    )
    .expect("the script parses");
    let mut storage = MemoryStorage::new();
    let engine = engine(1, true);
    let mut outcomes = Vec::new();
    for command in &commands {
        match command {
            Command::Load {
                step_ms, series, ..
            } => load(&mut storage, *step_ms, series),
            Command::Eval(eval) => outcomes.push(run(&engine, &storage, eval).is_ok()),
            Command::Clear => storage.clear(),
        }
    }
    assert_eq!(outcomes, [true, false, false, true]);
    assert!(Text::Any.matches("anything"));
}
