//! Measuring a row and printing the table that README.md carries.

use std::io::Write as _;
use std::time::Instant;

use anyhow::Result;

use crate::queries::{Group, Query};
use crate::sides::{Data, Side};

/// CPU seconds a run has to last for the kernel's ticks to be fine enough.
const RUN_SECONDS: f64 = 0.3;
const MAX_REPEATS: usize = 200;

/// Prometheus' figure over ours, each the median over the pairs.
pub(crate) struct Row {
    query: Query,
    cpu: f64,
    wall: f64,
    memory: f64,
    /// The smallest and the largest CPU ratio of a pair.
    spread: (f64, f64),
}

struct Run {
    cpu: f64,
    wall: f64,
}

fn run(side: &Side, query: &Query, repeats: usize) -> Result<Run> {
    let (cpu, started) = (side.cpu()?, Instant::now());
    for _ in 0..repeats {
        side.ask(query)?;
    }
    Ok(Run {
        cpu: side.cpu()? - cpu,
        wall: started.elapsed().as_secs_f64(),
    })
}

/// Repeats a query until a run is long enough to be measured.
fn repeats(side: &Side, query: &Query) -> Result<usize> {
    let mut repeats = 1;
    loop {
        let took = run(side, query, repeats)?;
        if took.cpu >= RUN_SECONDS || repeats >= MAX_REPEATS {
            return Ok(repeats);
        }
        let factor = (RUN_SECONDS * 1.2 / took.cpu.max(0.01)).ceil() as usize;
        repeats = (repeats * factor.clamp(2, 20)).min(MAX_REPEATS);
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Row {
    pub(crate) fn measure(theirs: &Side, ours: &Side, query: &Query, pairs: usize) -> Result<Self> {
        // Each side repeats as often as its own clock ticks need.
        let (n, m) = (repeats(theirs, query)?, repeats(ours, query)?);
        theirs.reset_peak()?;
        ours.reset_peak()?;
        let (mut cpu, mut wall) = (Vec::new(), Vec::new());
        for pair in 0..pairs {
            let (a, b) = if pair % 2 == 0 {
                let a = run(theirs, query, n)?;
                (a, run(ours, query, m)?)
            } else {
                let b = run(ours, query, m)?;
                (run(theirs, query, n)?, b)
            };
            let per = |value: f64, times: usize| value / times as f64;
            cpu.push(per(a.cpu, n) / per(b.cpu, m).max(1e-6));
            wall.push(per(a.wall, n) / per(b.wall, m).max(1e-6));
        }
        let memory = theirs.peak()? / ours.peak()?;
        let spread = cpu
            .iter()
            .fold((f64::MAX, 0.0_f64), |(lo, hi), v| (lo.min(*v), hi.max(*v)));
        Ok(Self {
            query: query.clone(),
            cpu: median(cpu),
            wall: median(wall),
            memory,
            spread,
        })
    }
}

/// Prints a line for whoever waits.
pub(crate) fn say(line: &str) {
    drop(writeln!(std::io::stderr(), "bench: {line}"));
}

pub(crate) fn line(row: &Row) {
    say(&format!(
        "{:>6.1}x CPU ({:.1} to {:.1})  {:>6.1}x wall  {:>5.1}x memory  {}",
        row.cpu, row.spread.0, row.spread.1, row.wall, row.memory, row.query.expr
    ));
}

/// Prints what the figures were measured on.
pub(crate) fn machine(data: &Data) {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model
        .lines()
        .find_map(|l| l.strip_prefix("model name\t: "))
        .unwrap_or("unknown");
    print(&format!(
        "{cpus} x {model}; data set dash, size {}, {} h\n",
        data.size, data.hours
    ));
}

/// Prints the table, one row a query and the geometric means.
pub(crate) fn table(side: &str, rows: &[Row]) {
    print(&format!("\n### Prometheus' cost over that of `{side}`\n"));
    print("| query | CPU | wall | peak memory |\n|---|---|---|---|");
    for (group, name) in [
        (Group::Instant, "instant"),
        (Group::Range, "range, 6 h, 1 m steps"),
        (Group::LongWindow, "windows of 6 h and more"),
    ] {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.query.group == group).collect();
        if rows.is_empty() {
            continue;
        }
        for row in &rows {
            let expr = row.query.expr.replace('|', "\\|");
            print(&format!(
                "| `{expr}` | {:.1}x | {:.1}x | {:.1}x |",
                row.cpu, row.wall, row.memory
            ));
        }
        let mean = |of: fn(&Row) -> f64| {
            (rows.iter().map(|row| of(row).ln()).sum::<f64>() / rows.len() as f64).exp()
        };
        print(&format!(
            "| **{name}: geometric mean** | **{:.1}x** | **{:.1}x** | **{:.1}x** |",
            mean(|row| row.cpu),
            mean(|row| row.wall),
            mean(|row| row.memory)
        ));
    }
}

/// Prints a line of the result to standard output.
pub(crate) fn print(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}
