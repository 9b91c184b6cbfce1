//! Generated queries: a sample in every test run, the full count as a campaign.
//!
//! A campaign is the same test with `HINDSIGHT_CAMPAIGN=<expressions>` set, and optionally
//! `HINDSIGHT_SEED`, `HINDSIGHT_HOURS` and `HINDSIGHT_RESULTS`, the file that keeps the counts. A
//! campaign that was stopped goes on where that file ends.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value as Json, json};

use super::answer::Query;
use super::compare::{Class, Difference};
use super::generate::{Generated, generate};
use super::run::{self, Counts, Side, Verdict};
use super::{Opponent, say};

/// Expressions of an ordinary test run.
const SAMPLE: u64 = 150;
const SEED: u64 = 1;
/// Differences that are shrunk and printed; all are counted.
const MAX_SHOWN: usize = 40;
/// Expressions between two writes of the results.
const BATCH: u64 = 50;

/// What is to be generated.
pub(crate) struct Campaign {
    seed: u64,
    count: u64,
    deadline: Option<Instant>,
    results: Option<PathBuf>,
}

/// What came of it so far.
#[derive(Default)]
struct Results {
    /// The first expression that was not asked yet.
    next: u64,
    seconds: f64,
    sides: BTreeMap<String, Counts>,
    /// Shrunk queries with their difference.
    cases: Vec<Json>,
}

impl Campaign {
    /// Reads the environment.
    pub(crate) fn from_env() -> Result<Self> {
        let number = |name: &str| -> Result<Option<f64>> {
            let Ok(text) = std::env::var(name) else {
                return Ok(None);
            };
            if text.is_empty() {
                return Ok(None);
            }
            Ok(Some(text.parse().with_context(|| {
                format!("{name}={text:?} is no number")
            })?))
        };
        let hours = number("HINDSIGHT_HOURS")?;
        Ok(Self {
            seed: number("HINDSIGHT_SEED")?.map_or(SEED, |seed| seed as u64),
            count: number("HINDSIGHT_CAMPAIGN")?.map_or(SAMPLE, |count| count as u64),
            deadline: hours.map(|hours| Instant::now() + Duration::from_secs_f64(hours * 3600.0)),
            results: std::env::var_os("HINDSIGHT_RESULTS").map(PathBuf::from),
        })
    }

    /// Asks all of it and returns the differences shown, shrunk.
    pub(crate) fn run(&self, prometheus: &dyn Opponent, sides: &[Side<'_>]) -> Result<Vec<String>> {
        let started = Instant::now();
        let mut results = self.resume(sides)?;
        let before = results.seconds;
        let mut stopped = false;
        while results.next < self.count && !stopped {
            let end = self.count.min(results.next + BATCH);
            let queries: Vec<Generated> = (results.next..end)
                .flat_map(|index| generate(self.seed, index))
                .collect();
            run::for_each(
                &queries,
                |query| run::ask(prometheus, sides, &query.query()),
                |i, verdicts| {
                    for (side, verdict) in sides.iter().zip(&verdicts) {
                        results
                            .sides
                            .entry(side.name.to_owned())
                            .or_default()
                            .add(verdict);
                        if let Verdict::Different(difference) = verdict
                            && difference.class != Class::Place
                            && results.cases.len() < MAX_SHOWN
                        {
                            let case = shrunk(prometheus, side, &queries[i], difference)?;
                            results.cases.push(case);
                        }
                    }
                    Ok(())
                },
            )?;
            results.next = end;
            results.seconds = before + started.elapsed().as_secs_f64();
            self.write(&results)?;
            stopped = self
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline);
            if self.results.is_some() {
                say(&format!(
                    "{end} of {} expressions: {}",
                    self.count,
                    results.line()
                ));
            }
        }
        Ok(results.cases.iter().map(Json::to_string).collect())
    }

    fn resume(&self, sides: &[Side<'_>]) -> Result<Results> {
        let Some(path) = &self.results else {
            return Ok(Results::default());
        };
        if !path.try_exists()? {
            return Ok(Results::default());
        }
        let json: Json = serde_json::from_slice(&fs::read(path)?)
            .with_context(|| format!("read {}", path.display()))?;
        let same_sides = sides
            .iter()
            .all(|side| json["sides"][side.name].is_object());
        let same = json["seed"] == self.seed && same_sides;
        Ok(if same {
            Results::from_json(&json)
        } else {
            Results::default()
        })
    }

    fn write(&self, results: &Results) -> Result<()> {
        let Some(path) = &self.results else {
            return Ok(());
        };
        let mut json = results.to_json();
        json["campaign"] = "differential".into();
        json["seed"] = self.seed.into();
        json["count"] = self.count.into();
        write_whole(path, &serde_json::to_vec_pretty(&json)?)
    }
}

/// Puts the content in place at once, so that a killed campaign leaves a file that can be read.
fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&new, content)?;
    fs::rename(&new, path).with_context(|| format!("write {}", path.display()))
}

/// Finds the smallest query that differs in the same way at that side.
fn shrunk(
    prometheus: &dyn Opponent,
    side: &Side<'_>,
    query: &Generated,
    difference: &Difference,
) -> Result<Json> {
    let verdict = |query: &Query| {
        let side = Side {
            name: side.name,
            opponent: side.opponent,
        };
        run::ask(prometheus, &[side], query)
            .ok()
            .and_then(|verdicts| verdicts.into_iter().next())
    };
    let small = super::shrink::shrink(query, |candidate| {
        matches!(
            verdict(&candidate.query()),
            Some(Verdict::Different(found)) if found.class == difference.class
        )
    });
    let shown = match verdict(&small.query()) {
        Some(Verdict::Different(found)) => found,
        _ => difference.clone(),
    };
    Ok(json!({
        "side": side.name,
        "class": difference.class.name(),
        "query": small.query().to_string(),
        "difference": shown.detail,
        "generated": query.query().to_string(),
    }))
}

impl Results {
    fn line(&self) -> String {
        let sides = self
            .sides
            .iter()
            .map(|(side, counts)| format!("{side} {}", summary(counts)));
        sides.collect::<Vec<_>>().join("; ")
    }

    fn to_json(&self) -> Json {
        let sides = self.sides.iter().map(|(side, counts)| {
            let different: BTreeMap<&str, u64> = counts
                .different
                .iter()
                .map(|(class, n)| (class.name(), *n))
                .collect();
            let counts = json!({
                "equal": counts.equal,
                "both_refuse": counts.both_refuse,
                "both_empty": counts.both_empty,
                "unstable_in_prometheus": counts.unstable,
                "missing_functions": counts.missing,
                "different": different,
            });
            (side.clone(), counts)
        });
        json!({
            "next": self.next,
            "seconds": self.seconds,
            "sides": sides.collect::<serde_json::Map<_, _>>(),
            "cases": self.cases,
        })
    }

    fn from_json(json: &Json) -> Self {
        let number = |json: &Json| json.as_u64().unwrap_or_default();
        let sides = json["sides"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(side, json)| {
                let class = |class: Class| (class, number(&json["different"][class.name()]));
                let counts = Counts {
                    equal: number(&json["equal"]),
                    both_refuse: number(&json["both_refuse"]),
                    both_empty: number(&json["both_empty"]),
                    unstable: number(&json["unstable_in_prometheus"]),
                    missing: number(&json["missing_functions"]),
                    different: Class::ALL
                        .into_iter()
                        .map(class)
                        .filter(|(_, n)| *n > 0)
                        .collect(),
                };
                (side.clone(), counts)
            });
        Self {
            next: number(&json["next"]),
            seconds: json["seconds"].as_f64().unwrap_or_default(),
            sides: sides.collect(),
            cases: json["cases"].as_array().cloned().unwrap_or_default(),
        }
    }
}

/// One line of counts.
pub(crate) fn summary(counts: &Counts) -> String {
    let different: u64 = counts.different.values().sum();
    let classes: Vec<String> = counts
        .different
        .iter()
        .map(|(class, n)| format!("{} {n}", class.name()))
        .collect();
    format!(
        "{} equal, {} refused by both, {} empty at both, {} unstable in prometheus, {} of \
         missing functions, {different} different ({})",
        counts.equal,
        counts.both_refuse,
        counts.both_empty,
        counts.unstable,
        counts.missing,
        classes.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_again_as_they_were_written() {
        let mut results = Results {
            next: 7,
            seconds: 1.5,
            ..Results::default()
        };
        let mut counts = Counts {
            equal: 3,
            unstable: 1,
            ..Counts::default()
        };
        counts.different.insert(Class::Order, 2);
        results.sides.insert("engine".to_owned(), counts);
        results.cases.push(json!({"query": "up"}));
        let json = results.to_json();
        assert_eq!(Results::from_json(&json).to_json(), json);
    }
}
