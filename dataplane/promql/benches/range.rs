//! What a series-step costs: range queries over samples in memory, by wall and CPU time.
//!
//! `cargo bench -p promql --bench range [filter]`; series, hours and the step are constants below.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::time::Instant;

use model::Labels;
use promql::ParseOptions;
use promql::context::QueryContext;
use promql::engine::{Engine, EngineOptions};
use promql::memory::MemoryStorage;
use promql::value::Value;

const SERIES: usize = 500;
const INTERVAL_MS: i64 = 15_000;
const HOURS: i64 = 30;
const ROUNDS: usize = 5;

fn storage() -> MemoryStorage {
    let mut storage = MemoryStorage::new();
    let samples = HOURS * 3_600_000 / INTERVAL_MS;
    let mut state = 1u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1u32 << 31)
    };
    for series in 0..SERIES {
        let of = |name: &str| {
            Labels::from_pairs([
                ("__name__", name.to_owned()),
                ("instance", format!("i{series}")),
                ("job", format!("job{}", series % 10)),
                ("pod", format!("pod{}", series % 200)),
            ])
        };
        let (counter, gauge) = (of("c_total"), of("g"));
        let (mut count, mut level) = (0.0, 50.0);
        let (mut counts, mut levels) = (Vec::new(), Vec::new());
        for i in 0..samples {
            let ts = i * INTERVAL_MS + (random() * 3.0) as i64;
            count = if random() < 0.0002 {
                0.0
            } else {
                count + (random() * 100.0).floor()
            };
            level += random() - 0.5;
            counts.push((ts, count));
            levels.push((ts, (level * 1000.0).round() / 1000.0));
        }
        storage.extend(&counter, counts);
        storage.extend(&gauge, levels);
    }
    storage
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|f| f.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / 100.0
}

fn main() {
    let filter = std::env::args()
        .skip(1)
        .find(|arg| !arg.starts_with('-'))
        .unwrap_or_default();
    let storage = storage();
    let hour = 3_600_000;
    let end = HOURS * hour - 1;
    let queries: &[(&str, i64, i64)] = &[
        ("g", 6, 60_000),
        ("sum(g)", 6, 60_000),
        ("sum by (pod) (g)", 6, 60_000),
        ("avg without (instance) (g)", 6, 60_000),
        ("rate(c_total[1m])", 6, 60_000),
        ("sum by (job) (rate(c_total[5m]))", 6, 60_000),
        ("sum by (job) (rate(c_total[5m]))", 1, 15_000),
        ("sum(rate(c_total[1d]))", 6, 60_000),
        ("increase(c_total[1h])", 6, 60_000),
        ("max_over_time(g[1h])", 6, 60_000),
        ("avg_over_time(g[6h])", 6, 60_000),
        ("sum_over_time(g[6h])", 6, 60_000),
        ("avg_over_time(c_total[6h])", 6, 60_000),
        ("stddev_over_time(g[1h])", 6, 60_000),
        ("quantile_over_time(0.9, g[30m])", 6, 60_000),
        ("predict_linear(g[3h], 86400)", 6, 60_000),
        ("sum_over_time(rate(c_total[1m])[10m:1m])", 6, 60_000),
        ("topk(5, g)", 6, 60_000),
        ("quantile(0.9, g)", 6, 60_000),
        ("g / c_total", 6, 60_000),
        ("clamp(1 - g, 0, 1)", 6, 60_000),
        ("sum(g) / (sum(g) + sum(c_total))", 6, 60_000),
        ("sum(g)", 24, 300_000),
        ("count by (job) (g)", 0, 0),
        ("sum by (job) (rate(c_total[5m]))", 0, 0),
    ];
    println!(
        "{:<44} {:>6} {:>9} {:>9} {:>9}",
        "query", "steps", "wall ms", "cpu ms", "ns/step"
    );
    for threads in [1, 2] {
        let engine = Engine::new(EngineOptions {
            threads,
            ..EngineOptions::default()
        })
        .expect("threads start");
        println!("threads: {threads}");
        for &(query, hours, step) in queries {
            if !query.contains(&filter) {
                continue;
            }
            let expr = promql::parse(query, &ParseOptions::default()).expect("the query parses");
            let steps = if step == 0 {
                1
            } else {
                hours * hour / step + 1
            };
            let run = || {
                let cx = QueryContext::new();
                let result = if step == 0 {
                    engine.instant(&storage, &expr, end, &cx)
                } else {
                    engine.range(&storage, &expr, end - hours * hour, end, step, &cx)
                };
                match result.expect("the query runs").value {
                    Value::Matrix(series) => series.len(),
                    Value::Vector(samples) => samples.len(),
                    _ => 0,
                }
            };
            assert!(run() > 0, "{query} has an answer");
            let (cpu, wall) = (cpu_seconds(), Instant::now());
            for _ in 0..ROUNDS {
                run();
            }
            let wall = wall.elapsed().as_secs_f64() / ROUNDS as f64;
            let cpu = (cpu_seconds() - cpu) / ROUNDS as f64;
            let per_step = wall * 1e9 / (SERIES as f64 * steps as f64);
            println!(
                "{query:<44} {steps:>6} {:>9.2} {:>9.2} {per_step:>9.1}",
                wall * 1e3,
                cpu * 1e3
            );
        }
    }
}
