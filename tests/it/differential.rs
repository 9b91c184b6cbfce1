//! PromQL compared with a real Prometheus over the same blocks: listed and generated expressions,
//! instant and range.
//!
//! In reading order: [`dataset`] (the samples) and [`blocks`] (as files), [`answer`] (queries and
//! what comes back), [`compare`] (when two answers are equal), [`in_process`] and [`servers`] (who
//! answers), [`generate`] and [`shrink`] (random expressions, and the smallest that still differs),
//! [`run`] (many queries to both sides), [`campaign`] (the counts and where they are kept).
//!
//! Not compared: the texts of evaluation errors, only their type.

mod answer;
mod blocks;
mod campaign;
mod compare;
mod dataset;
mod generate;
mod in_process;
mod listed;
mod random;
mod run;
mod servers;
mod shrink;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::LazyLock;

use answer::{Answer, Query};
use anyhow::Result;
use campaign::Campaign;
use compare::Class;
use in_process::InProcess;
use run::{Counts, Side, Verdict};
use servers::{Hindsight, Prometheus};

/// One who answers queries.
trait Opponent: Sync {
    /// Answers; an error is one of the test's own, a refused query is an answer.
    fn ask(&self, query: &Query) -> Result<Answer>;
}

/// Who there is to compare.
struct Sides {
    prometheus: Prometheus,
    in_process: InProcess,
    hindsight: Option<Hindsight>,
}

/// Started by the first test that needs them and ended with the test binary.
static SIDES: LazyLock<Option<Sides>> = LazyLock::new(|| start().expect("the sides start"));

fn start() -> Result<Option<Sides>> {
    let Some(prometheus) = capability("HINDSIGHT_PROMETHEUS", "the folder of a prometheus") else {
        return Ok(None);
    };
    Ok(Some(Sides {
        prometheus: Prometheus::start(&prometheus)?,
        in_process: InProcess::new()?,
        hindsight: capability("HINDSIGHT_BIN", "the binary hindsight")
            .map(|binary| Hindsight::start(&binary))
            .transpose()?,
    }))
}

impl Sides {
    fn ours(&self) -> Vec<Side<'_>> {
        let mut ours = vec![Side {
            name: "engine",
            opponent: &self.in_process,
        }];
        if let Some(hindsight) = &self.hindsight {
            ours.push(Side {
                name: "store_and_query",
                opponent: hindsight,
            });
        }
        ours
    }

    fn logs(&self) -> String {
        let hindsight = self.hindsight.as_ref().map(Hindsight::log);
        format!(
            "prometheus:\n{}\n{}",
            self.prometheus.log(),
            hindsight.unwrap_or_default()
        )
    }
}

/// Returns the path that a variable names. Without it tests are skipped, but not where `CI=true`.
fn capability(variable: &str, what: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from);
    if path.is_none() {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "{variable} has to name {what}; tests/run.sh sets it"
        );
        say(&format!(
            "SKIP: differential tests: {variable} does not name {what}"
        ));
    }
    path
}

/// Prints a line that the test harness does not capture.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody reads it where the output is closed.
    let _ = writeln!(out, "{line}");
}

/// Differences that a failed test prints.
const MAX_SHOWN: usize = 100;

#[test]
fn listed_expressions_answer_as_prometheus() {
    let Some(sides) = SIDES.as_ref() else { return };
    let ours = sides.ours();
    let queries = listed::queries();
    let mut counts = vec![Counts::default(); ours.len()];
    let mut different = Vec::new();
    let mut missing = BTreeSet::new();
    run::for_each(
        &queries,
        |query| run::ask(&sides.prometheus, &ours, query),
        |i, verdicts| {
            for ((side, counts), verdict) in ours.iter().zip(&mut counts).zip(&verdicts) {
                counts.add(verdict);
                if let Verdict::Missing(function) = verdict {
                    missing.insert(*function);
                }
                if let Verdict::Different(difference) = verdict
                    && difference.class != Class::Place
                {
                    different.push((
                        i,
                        format!("{}: {}\n    {difference}", side.name, queries[i]),
                    ));
                }
            }
            Ok(())
        },
    )
    .unwrap_or_else(|error| panic!("{error:#}\n{}", sides.logs()));
    for (side, counts) in ours.iter().zip(&counts) {
        say(&format!(
            "listed, {}: {}",
            side.name,
            campaign::summary(counts)
        ));
    }
    different.sort();
    let shown: Vec<String> = different.into_iter().map(|(_, text)| text).collect();
    assert_none("listed queries", &shown);
    let answered: Vec<_> = run::MISSING
        .iter()
        .filter(|name| !missing.contains(*name))
        .collect();
    assert!(
        answered.is_empty(),
        "answered now, take them off the list: {answered:?}"
    );
}

#[test]
fn generated_expressions_answer_as_prometheus() {
    let Some(sides) = SIDES.as_ref() else { return };
    let campaign = Campaign::from_env().unwrap();
    let different = campaign
        .run(&sides.prometheus, &sides.ours())
        .unwrap_or_else(|error| panic!("{error:#}\n{}", sides.logs()));
    assert_none("generated queries", &different);
}

fn assert_none(what: &str, different: &[String]) {
    let shown = &different[..different.len().min(MAX_SHOWN)];
    assert!(
        different.is_empty(),
        "{} {what} differ; the first {}:\n{}",
        different.len(),
        shown.len(),
        shown.join("\n")
    );
}
