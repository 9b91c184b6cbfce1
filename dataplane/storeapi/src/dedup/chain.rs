//! The chain algorithm: every distinct timestamp of any replica, in order.
//!
//! Where replicas share a timestamp the sample of the one that was *not* read last is taken, as in
//! Prometheus' chained merge, so that both give the same values.

use chunk::Columns;

use super::SampleBatches;
use super::lane::Clipped;

pub(super) struct Chain<S> {
    lanes: Vec<Cursor<S>>,
    /// Lanes that wait, as a binary heap by their current time.
    heap: Vec<usize>,
    current: Option<usize>,
    last_t: Option<i64>,
    started: bool,
}

struct Cursor<S> {
    source: Clipped<S>,
    columns: Columns,
    at: usize,
}

impl<S: SampleBatches> Cursor<S> {
    fn next(&mut self) -> Result<bool, S::Error> {
        self.at += 1;
        if self.at < self.columns.len() {
            return Ok(true);
        }
        self.at = 0;
        self.source.next_batch(&mut self.columns)
    }
}

impl<S: SampleBatches> Chain<S> {
    pub(super) fn new(lanes: Vec<Clipped<S>>) -> Self {
        let cursor = |source| Cursor {
            source,
            columns: Columns::new(),
            at: 0,
        };
        let lanes: Vec<_> = lanes.into_iter().map(cursor).collect();
        let current = (!lanes.is_empty()).then_some(0);
        Self {
            lanes,
            heap: Vec::new(),
            current,
            last_t: None,
            started: false,
        }
    }

    /// Returns the next sample.
    pub(super) fn next(&mut self) -> Result<Option<(i64, f64)>, S::Error> {
        if !self.started {
            self.started = true;
            for index in 1..self.lanes.len() {
                if self.advance(index)? {
                    self.push(index);
                }
            }
        }
        let Some(mut current) = self.current else {
            return Ok(None);
        };
        loop {
            if self.advance(current)? {
                let t = self.t(current);
                if Some(t) == self.last_t {
                    continue;
                }
                if self.heap.first().is_none_or(|next| t < self.t(*next)) {
                    break;
                }
                self.push(current);
            }
            let Some(next) = self.pop() else {
                self.current = None;
                return Ok(None);
            };
            current = next;
            if Some(self.t(current)) != self.last_t {
                break;
            }
        }
        self.current = Some(current);
        self.last_t = Some(self.t(current));
        Ok(self.sample(current))
    }

    fn advance(&mut self, index: usize) -> Result<bool, S::Error> {
        self.lanes.get_mut(index).map_or(Ok(false), Cursor::next)
    }

    fn sample(&self, index: usize) -> Option<(i64, f64)> {
        let lane = self.lanes.get(index)?;
        let t = lane.columns.timestamps().get(lane.at)?;
        Some((*t, *lane.columns.values().get(lane.at)?))
    }

    fn t(&self, index: usize) -> i64 {
        self.sample(index).map_or(i64::MAX, |(t, _)| t)
    }

    fn before(&self, i: usize, j: usize) -> bool {
        let at = |slot: usize| self.heap.get(slot).map_or(i64::MAX, |lane| self.t(*lane));
        at(i) < at(j)
    }

    fn push(&mut self, lane: usize) {
        self.heap.push(lane);
        let mut slot = self.heap.len() - 1;
        while slot > 0 {
            let parent = (slot - 1) / 2;
            if !self.before(slot, parent) {
                break;
            }
            self.heap.swap(slot, parent);
            slot = parent;
        }
    }

    fn pop(&mut self) -> Option<usize> {
        let last = self.heap.len().checked_sub(1)?;
        self.heap.swap(0, last);
        let lane = self.heap.pop()?;
        let mut slot = 0;
        loop {
            let left = 2 * slot + 1;
            if left >= self.heap.len() {
                break;
            }
            let right = left + 1;
            let smaller = if right < self.heap.len() && self.before(right, left) {
                right
            } else {
                left
            };
            if !self.before(smaller, slot) {
                break;
            }
            self.heap.swap(slot, smaller);
            slot = smaller;
        }
        Some(lane)
    }
}
