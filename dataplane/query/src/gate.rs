//! Turns at evaluating: so many at once, and none for one tenant while another waits longer.
//!
//! Each tenant has a line of its own, and a free turn goes to the tenants in rotation. So one that
//! floods the querier waits for itself, and the others as if it were not there.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// Queries of one tenant that may wait; more would only time out.
const MAX_WAITING: usize = 10_000;

/// Hands out turns.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    /// Tenants with someone in line, the one whose turn is next in front.
    lines: VecDeque<Line>,
}

#[derive(Debug)]
struct Line {
    tenant: String,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

/// The right to evaluate one query; given back when dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Nothing where it has been passed on.
    gate: Option<Gate>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.give_back();
        }
    }
}

/// Too many queries of one tenant wait already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_WAITING} queries of the tenant wait for their turn already; ask again later")]
pub(crate) struct Crowded;

impl Gate {
    /// Returns a gate that lets `turns` queries be evaluated at once.
    pub(crate) fn new(turns: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            free: turns,
            lines: VecDeque::new(),
        })))
    }

    /// Waits for a turn.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the line.
    ///
    /// # Errors
    /// The tenant's line is full.
    pub(crate) async fn turn(&self, tenant: &str) -> Result<Turn, Crowded> {
        let called = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if state.free > 0 {
                state.free -= 1;
                return Ok(self.issue());
            }
            let (call, called) = oneshot::channel();
            match state.lines.iter_mut().find(|line| line.tenant == tenant) {
                Some(line) => {
                    // Those who left do not count.
                    if line.waiting.len() >= MAX_WAITING {
                        line.waiting.retain(|call| !call.is_closed());
                    }
                    if line.waiting.len() >= MAX_WAITING {
                        return Err(Crowded);
                    }
                    line.waiting.push_back(call);
                }
                None => state.lines.push_back(Line {
                    tenant: tenant.to_owned(),
                    waiting: VecDeque::from([call]),
                }),
            }
            called
        };
        // The sender lives in the line until it is used, and the line as long as this gate.
        called.await.map_err(|_| Crowded)
    }

    fn issue(&self) -> Turn {
        Turn {
            gate: Some(self.clone()),
        }
    }

    fn give_back(&self) {
        loop {
            let call = {
                let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(mut line) = state.lines.pop_front() else {
                    state.free += 1;
                    return;
                };
                let call = line.waiting.pop_front();
                if !line.waiting.is_empty() {
                    state.lines.push_back(line);
                }
                call
            };
            let Some(call) = call else { continue };
            match call.send(self.issue()) {
                Ok(()) => return,
                // Left the line: the turn goes on to the next, and is not given back once more.
                Err(mut turn) => turn.gate = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn turns_go_round_the_tenants() {
        let gate = Gate::new(1);
        let first = gate.turn("a").await.expect("free");
        let mut greedy: Vec<_> = (0..3).map(|_| Box::pin(gate.turn("a"))).collect();
        for waiting in &mut greedy {
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        let mut modest = Box::pin(gate.turn("b"));
        assert!(modest.as_mut().now_or_never().is_none());
        drop(first);
        let next = greedy[0].as_mut().now_or_never().expect("called");
        assert!(modest.as_mut().now_or_never().is_none());
        drop(next);
        // Before the two of `a` that came earlier.
        let next = modest.as_mut().now_or_never().expect("called");
        assert!(greedy[1].as_mut().now_or_never().is_none());
        drop(next);
        assert!(greedy[1].as_mut().now_or_never().is_some());
    }

    #[tokio::test]
    async fn one_who_leaves_the_line_loses_no_turn() {
        let gate = Gate::new(1);
        let turn = gate.turn("a").await.expect("free");
        let mut gone = Box::pin(gate.turn("a"));
        assert!(gone.as_mut().now_or_never().is_none());
        drop(gone);
        let mut stays = Box::pin(gate.turn("b"));
        assert!(stays.as_mut().now_or_never().is_none());
        drop(turn);
        let turn = stays.as_mut().now_or_never().expect("called");
        drop(turn);
        assert!(gate.turn("c").now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_turn_that_nobody_takes_any_more_is_free() {
        let gate = Gate::new(1);
        let turn = gate.turn("a").await.expect("free");
        let mut called = Box::pin(gate.turn("a"));
        assert!(called.as_mut().now_or_never().is_none());
        drop(turn);
        // It has been called and leaves before it looks.
        drop(called);
        assert!(gate.turn("b").now_or_never().is_some());
    }
}
