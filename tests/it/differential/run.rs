//! Many queries to both sides, and what came of it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};

use super::Opponent;
use super::answer::{Answer, Outcome, Query};
use super::compare::{Class, Difference, Exactness, compare};
use super::in_process::PARSE_OPTIONS;

/// Queries under way at once; more would only wait for the two cores that tests have.
const THREADS: usize = 2;
/// How often Prometheus is asked again where it may not agree with itself.
const REPEATS: usize = 12;

/// A side that has to answer as Prometheus does.
pub(crate) struct Side<'a> {
    pub(crate) name: &'static str,
    pub(crate) opponent: &'a dyn Opponent,
}

/// What became of one query at one side.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    Equal,
    /// Equal, and both refused.
    BothRefuse,
    /// Equal, and both have nothing.
    BothEmpty,
    /// Prometheus answers the same query differently from time to time, because a range query
    /// hands series on in the order of a Go map. Ours is one of its answers, or as close as the sum
    /// of the same numbers in another order is.
    Unstable,
    /// Different by calling this one of [`MISSING`].
    Missing(&'static str),
    Different(Difference),
}

/// Functions that our engine refuses so far. A test fails where one of them is answered, so that
/// the list can only shrink.
pub(crate) const MISSING: &[&str] = &[];

/// Returns which of [`MISSING`] the expression calls.
fn missing_function(expr: &str) -> Option<&'static str> {
    let mut missing = None;
    if let Ok(expr) = promql::parse(expr, &PARSE_OPTIONS) {
        expr.walk(&mut |node| {
            if let promql::Expr::Call(call) = node {
                let called = MISSING.iter().find(|name| **name == call.func.name);
                if let Some(name) = called {
                    missing = Some(*name);
                }
            }
        });
    }
    missing
}

/// Returns how exactly an answer has to be given; a query that does not parse has none.
pub(crate) fn exactness(expr: &str) -> Exactness {
    promql::parse(expr, &PARSE_OPTIONS).map_or(Exactness::Bits, |expr| Exactness::of(&expr))
}

/// Asks Prometheus once and each side once.
///
/// # Errors
/// Someone gave no answer at all.
pub(crate) fn ask(
    prometheus: &dyn Opponent,
    sides: &[Side<'_>],
    query: &Query,
) -> Result<Vec<Verdict>> {
    let theirs = prometheus
        .ask(query)
        .with_context(|| format!("ask prometheus: {query}"))?;
    let exactness = exactness(&query.expr);
    let verdicts = sides.iter().map(|side| {
        let ours = side
            .opponent
            .ask(query)
            .with_context(|| format!("ask {}: {query}", side.name))?;
        let Err(difference) = compare(&theirs, &ours, exactness) else {
            return Ok(match &theirs.outcome {
                Outcome::Error { .. } => Verdict::BothRefuse,
                outcome if outcome.is_empty() => Verdict::BothEmpty,
                _ => Verdict::Equal,
            });
        };
        if difference.class == Class::ErrorOnOneSide
            && let Some(function) = missing_function(&query.expr)
        {
            return Ok(Verdict::Missing(function));
        }
        if is_unstable(prometheus, query, &theirs, &ours, exactness)? {
            return Ok(Verdict::Unstable);
        }
        Ok(Verdict::Different(difference))
    });
    verdicts.collect()
}

/// Whether Prometheus gives several answers and ours is as good as any of them: the same as one, or
/// different from one in no other way than they are from each other.
fn is_unstable(
    prometheus: &dyn Opponent,
    query: &Query,
    theirs: &Answer,
    ours: &Answer,
    exactness: Exactness,
) -> Result<bool> {
    // Values that only were added in another order are this close.
    let close = exactness.max(Exactness::AfterFunction);
    let remaining = compare(theirs, ours, close)
        .err()
        .map(|difference| difference.class);
    let mut varies = false;
    for _ in 0..REPEATS {
        let again = prometheus.ask(query)?;
        if compare(&again, ours, exactness).is_ok() {
            return Ok(true);
        }
        let between = compare(theirs, &again, Exactness::Bits)
            .err()
            .map(|found| found.class);
        varies |= match remaining {
            None => between.is_some(),
            // Widened zero buckets of histograms depend on the order by more than rounding.
            Some(Class::Value) => compare(theirs, &again, close)
                .err()
                .is_some_and(|found| found.class == Class::Value),
            Some(_) => between == remaining,
        };
    }
    Ok(varies)
}

/// Counts of one side.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) equal: u64,
    pub(crate) both_refuse: u64,
    pub(crate) both_empty: u64,
    pub(crate) unstable: u64,
    pub(crate) missing: u64,
    pub(crate) different: BTreeMap<Class, u64>,
}

impl Counts {
    pub(crate) fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Equal => self.equal += 1,
            Verdict::BothRefuse => self.both_refuse += 1,
            Verdict::BothEmpty => self.both_empty += 1,
            Verdict::Unstable => self.unstable += 1,
            Verdict::Missing(_) => self.missing += 1,
            Verdict::Different(difference) => {
                *self.different.entry(difference.class).or_default() += 1;
            }
        }
    }
}

/// Runs `work` for each of `items` on several threads and gives each result to `done`, in any order,
/// until one fails.
///
/// # Errors
/// The first failure.
pub(crate) fn for_each<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
    done: impl FnMut(usize, R) -> Result<()> + Send,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new((done, Ok(())));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(i) else { return };
                    let result = work(item);
                    let mut done = done.lock().expect("no worker panicked");
                    let (callback, failure) = &mut *done;
                    match result.and_then(|result| callback(i, result)) {
                        Ok(()) => {}
                        Err(error) => {
                            next.store(items.len(), Ordering::Relaxed);
                            *failure = Err(error);
                        }
                    }
                }
            });
        }
    });
    done.into_inner().expect("no worker panicked").1
}
