//! The state a process shows to whoever asks whether it lives and whether it may be given work.

use std::sync::Arc;

use tokio::sync::watch;

/// What the probes answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeState {
    /// `Ok` while the process works; otherwise why it does not.
    pub healthy: Result<(), Arc<str>>,
    /// `Ok` while the process takes requests; otherwise what it waits for.
    pub ready: Result<(), Arc<str>>,
}

/// One watched [`ProbeState`], shared by the HTTP probes and gRPC health.
#[derive(Debug, Clone)]
pub struct Probe(Arc<watch::Sender<ProbeState>>);

impl Default for Probe {
    fn default() -> Self {
        Self::new()
    }
}

impl Probe {
    /// Creates a probe that is healthy and not yet ready.
    pub fn new() -> Self {
        let state = ProbeState {
            healthy: Ok(()),
            ready: Err("starting".into()),
        };
        Self(Arc::new(watch::Sender::new(state)))
    }

    /// Says that requests may come.
    pub fn ready(&self) {
        self.0.send_if_modified(|state| {
            let changed = state.ready.is_err();
            state.ready = Ok(());
            changed
        });
    }

    /// Says that requests should not come, and why.
    pub fn not_ready(&self, reason: &str) {
        self.0.send_if_modified(|state| {
            let next = Err(Arc::from(reason));
            let changed = state.ready != next;
            state.ready = next;
            changed
        });
    }

    /// Says that the process works (again).
    pub fn healthy(&self) {
        self.0.send_if_modified(|state| {
            let changed = state.healthy.is_err();
            state.healthy = Ok(());
            changed
        });
    }

    /// Says that the process is broken beyond its own repair, and why.
    pub fn not_healthy(&self, reason: &str) {
        self.0.send_if_modified(|state| {
            let next = Err(Arc::from(reason));
            let changed = state.healthy != next;
            state.healthy = next;
            changed
        });
    }

    /// Returns the state of this moment.
    pub fn state(&self) -> ProbeState {
        self.0.borrow().clone()
    }

    /// Returns true when requests may come.
    pub fn is_ready(&self) -> bool {
        self.0.borrow().ready.is_ok()
    }

    /// Returns a receiver that sees every later change.
    pub fn subscribe(&self) -> watch::Receiver<ProbeState> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_healthy_and_not_ready() {
        let probe = Probe::new();
        assert!(probe.state().healthy.is_ok());
        assert!(!probe.is_ready());
    }

    #[test]
    fn wakes_subscribers_only_on_change() {
        let probe = Probe::new();
        let mut seen = probe.subscribe();
        probe.ready();
        assert!(seen.has_changed().expect("sender lives"));
        seen.mark_unchanged();
        probe.ready();
        assert!(!seen.has_changed().expect("sender lives"));
        probe.not_ready("draining");
        assert!(seen.has_changed().expect("sender lives"));
    }
}
