//! The penalty algorithm: a pair of replicas at a time, folded from left to right.
//!
//! Both sides are moved past the last sample given out, the side that was not taken additionally by
//! its penalty: twice the last step between samples. So a replica with slightly later timestamps never
//! mixes in, and one that is needed takes over after two missed scrapes.

use chunk::Columns;
use std::cmp::Ordering;

use super::lane::Clipped;
use super::{SampleBatches, ValueKind};

/// The penalty while no step is known, in milliseconds.
const INITIAL_PENALTY_MS: i64 = 5000;

/// A cursor over one lane, or over a pair of cursors.
pub(super) enum Node<S> {
    Empty,
    Lane(Box<Lane<S>>),
    Pair(Box<Pair<S>>),
}

pub(super) struct Lane<S> {
    source: Clipped<S>,
    columns: Columns,
    /// Index of the current sample.
    at: usize,
    kind: ValueKind,
    /// What is added to every value from now on.
    lift: f64,
}

pub(super) struct Pair<S> {
    a: Node<S>,
    b: Node<S>,
    /// Whether each side stands on a sample; nothing before the first call of `next`.
    alive: Option<(bool, bool)>,
    use_a: bool,
    last_t: Option<i64>,
    penalty_a: i64,
    penalty_b: i64,
}

impl<S: SampleBatches> Node<S> {
    /// Returns the fold of `lanes`; none gives a cursor without samples.
    pub(super) fn fold(lanes: Vec<Clipped<S>>, kind: ValueKind) -> Self {
        let mut lanes = lanes.into_iter().map(|source| {
            let lane = Lane {
                source,
                columns: Columns::new(),
                at: 0,
                kind,
                lift: 0.0,
            };
            Self::Lane(Box::new(lane))
        });
        let first = lanes.next().unwrap_or(Self::Empty);
        lanes.fold(first, |a, b| Self::Pair(Box::new(Pair::new(a, b))))
    }

    /// Moves to the next sample; `false` at the end.
    pub(super) fn next(&mut self) -> Result<bool, S::Error> {
        match self {
            Self::Empty => Ok(false),
            Self::Lane(lane) => lane.next(),
            Self::Pair(pair) => pair.next(),
        }
    }

    /// Moves to the first sample from the current one on that is not before `t`.
    fn seek(&mut self, t: i64) -> Result<bool, S::Error> {
        match self {
            Self::Empty => Ok(false),
            Self::Lane(lane) => lane.seek(t),
            Self::Pair(pair) => {
                // Step by step, not to miss the gaps that make the pair switch.
                while pair.t() < t {
                    if !pair.next()? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    /// Returns the current time; only on a sample.
    #[inline]
    pub(super) fn t(&self) -> i64 {
        match self {
            Self::Empty => i64::MAX,
            Self::Lane(lane) => lane.t(),
            Self::Pair(pair) => pair.t(),
        }
    }

    /// Returns the current value; only on a sample.
    #[inline]
    pub(super) fn value(&self) -> f64 {
        match self {
            Self::Empty => f64::NAN,
            Self::Lane(lane) => lane.value(),
            Self::Pair(pair) if pair.use_a => pair.a.value(),
            Self::Pair(pair) => pair.b.value(),
        }
    }

    /// Lifts a counter that stands below the last value given out.
    fn lift_to(&mut self, last: f64) {
        match self {
            Self::Empty => {}
            Self::Lane(lane) => {
                let value = lane.value();
                if lane.kind == ValueKind::Counter && last > value {
                    lane.lift += last - value;
                }
            }
            Self::Pair(pair) => pair.lift_to(last),
        }
    }
}

impl<S: SampleBatches> Lane<S> {
    fn next(&mut self) -> Result<bool, S::Error> {
        self.at += 1;
        if self.at < self.columns.len() {
            return Ok(true);
        }
        self.at = 0;
        self.source.next_batch(&mut self.columns)
    }

    fn seek(&mut self, t: i64) -> Result<bool, S::Error> {
        loop {
            let ts = self.columns.timestamps();
            let rest = ts.get(self.at..).unwrap_or_default();
            // Nearly always the current sample or one of the next few.
            match rest.iter().take(NEAR).position(|at| *at >= t) {
                Some(steps) => {
                    self.at += steps;
                    return Ok(true);
                }
                None => self.at += NEAR.min(rest.len()),
            }
            let rest = ts.get(self.at..).unwrap_or_default();
            self.at += rest.partition_point(|at| *at < t);
            if self.at < ts.len() {
                return Ok(true);
            }
            self.at = 0;
            if !self.source.next_batch(&mut self.columns)? {
                return Ok(false);
            }
        }
    }

    #[inline]
    fn t(&self) -> i64 {
        self.columns
            .timestamps()
            .get(self.at)
            .copied()
            .unwrap_or(i64::MAX)
    }

    #[inline]
    fn value(&self) -> f64 {
        let value = self
            .columns
            .values()
            .get(self.at)
            .copied()
            .unwrap_or(f64::NAN);
        // An addition would turn the stale marker into an ordinary NaN.
        if self.lift == 0.0 || value.is_nan() {
            value
        } else {
            value + self.lift
        }
    }
}

/// Samples that a seek looks at one by one before it searches.
const NEAR: usize = 8;

impl<S: SampleBatches> Pair<S> {
    fn new(a: Node<S>, b: Node<S>) -> Self {
        Self {
            a,
            b,
            alive: None,
            use_a: true,
            last_t: None,
            penalty_a: 0,
            penalty_b: 0,
        }
    }

    fn next(&mut self) -> Result<bool, S::Error> {
        let (mut a, mut b) = match self.alive {
            Some(alive) => alive,
            None => (self.a.next()?, self.b.next()?),
        };
        let used_a = self.use_a;
        let last_value = match (used_a, a, b) {
            (true, true, _) => Some(self.a.value()),
            (false, _, true) => Some(self.b.value()),
            _ => None,
        };
        if let Some(last_t) = self.last_t {
            let after = last_t.saturating_add(1);
            a = a && self.a.seek(after.saturating_add(self.penalty_a))?;
            b = b && self.b.seek(after.saturating_add(self.penalty_b))?;
        }
        self.alive = Some((a, b));
        match (a, b) {
            (false, false) => return Ok(false),
            (false, true) => {
                self.use_a = false;
                self.penalty_b = 0;
            }
            (true, false) => {
                self.use_a = true;
                self.penalty_a = 0;
            }
            (true, true) => {
                let (ta, tb) = (self.a.t(), self.b.t());
                self.use_a = ta.cmp(&tb) != Ordering::Greater;
                let t = ta.min(tb);
                let penalty = self.last_t.map_or(INITIAL_PENALTY_MS, |last_t| {
                    t.saturating_sub(last_t).saturating_mul(2)
                });
                (self.penalty_a, self.penalty_b) = if self.use_a {
                    (0, penalty)
                } else {
                    (penalty, 0)
                };
            }
        }
        self.last_t = Some(self.t());
        if let Some(last_value) = last_value
            && self.use_a != used_a
        {
            self.lift_to(last_value);
        }
        Ok(true)
    }

    fn lift_to(&mut self, last: f64) {
        let (a, b) = self.alive.unwrap_or_default();
        if a {
            self.a.lift_to(last);
        }
        if b {
            self.b.lift_to(last);
        }
    }

    #[inline]
    fn t(&self) -> i64 {
        if self.use_a { self.a.t() } else { self.b.t() }
    }
}
