//! What travels with a query: cancellation, deadline, memory account, limits and annotations.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::annotations::{Annotation, Annotations};

/// The context of one query; cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct QueryContext {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    text: String,
    lookback_delta_ms: Option<i64>,
    max_samples: Option<usize>,
    deadline: Option<Instant>,
    canceled: Arc<AtomicBool>,
    memory: Arc<MemoryAccount>,
    annotations: Mutex<Annotations>,
}

/// Says why a query has to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    Canceled,
    Timeout,
}

impl QueryContext {
    /// Returns a context without limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a builder of a context with limits.
    #[must_use]
    pub fn builder() -> QueryContextBuilder {
        QueryContextBuilder::default()
    }

    /// Returns the query's text; it turns positions into lines and columns.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// Returns how far an instant selector looks back, where the query says so.
    #[must_use]
    pub fn lookback_delta_ms(&self) -> Option<i64> {
        self.inner.lookback_delta_ms
    }

    /// Returns how many samples may be held at once, where the query says so.
    #[must_use]
    pub fn max_samples(&self) -> Option<usize> {
        self.inner.max_samples
    }

    /// Returns whether and why the work should stop. Cheap enough for once per chunk.
    ///
    /// # Errors
    /// The reason to stop.
    pub fn check(&self) -> Result<(), Interrupt> {
        if self.inner.canceled.load(Ordering::Relaxed) {
            return Err(Interrupt::Canceled);
        }
        match self.inner.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Interrupt::Timeout),
            _ => Ok(()),
        }
    }

    /// Returns the account of the memory that the query holds.
    #[must_use]
    pub fn memory(&self) -> &Arc<MemoryAccount> {
        &self.inner.memory
    }

    /// Adds a warning or info to the answer; equal ones are merged.
    pub fn annotate(&self, annotation: Annotation) {
        self.inner
            .annotations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(annotation);
    }

    /// Returns all annotations so far as warnings and infos, sorted.
    #[must_use]
    pub fn annotations(&self) -> (Vec<String>, Vec<String>) {
        let annotations = self
            .inner
            .annotations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        annotations.texts(&self.inner.text)
    }
}

/// Builds a [`QueryContext`].
#[derive(Debug, Default)]
pub struct QueryContextBuilder {
    inner: Inner,
}

impl QueryContextBuilder {
    /// Sets the query's text, which positions in annotations refer to.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.inner.text = text.into();
        self
    }

    /// Sets how far an instant selector looks back, instead of the engine's default.
    #[must_use]
    pub fn lookback_delta_ms(mut self, ms: i64) -> Self {
        self.inner.lookback_delta_ms = Some(ms);
        self
    }

    /// Sets how many samples may be held at once, instead of the engine's default.
    #[must_use]
    pub fn max_samples(mut self, samples: usize) -> Self {
        self.inner.max_samples = Some(samples);
        self
    }

    /// Sets the time at which the query is given up.
    #[must_use]
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.inner.deadline = Some(deadline);
        self
    }

    /// Sets the flag that cancels the query once it is true.
    #[must_use]
    pub fn cancel_flag(mut self, canceled: Arc<AtomicBool>) -> Self {
        self.inner.canceled = canceled;
        self
    }

    /// Sets the account that the query's memory is charged to.
    #[must_use]
    pub fn memory(mut self, memory: Arc<MemoryAccount>) -> Self {
        self.inner.memory = memory;
        self
    }

    /// Returns the context.
    #[must_use]
    pub fn build(self) -> QueryContext {
        QueryContext {
            inner: Arc::new(self.inner),
        }
    }
}

/// Counts the bytes that a query, and optionally all queries of the process, hold.
#[derive(Debug)]
pub struct MemoryAccount {
    used: AtomicUsize,
    peak: AtomicUsize,
    limit: usize,
    parent: Option<Arc<MemoryAccount>>,
}

impl Default for MemoryAccount {
    fn default() -> Self {
        Self::with_limit(usize::MAX)
    }
}

impl MemoryAccount {
    /// Returns an empty account that refuses to hold more than `limit` bytes.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            limit,
            parent: None,
        }
    }

    /// Returns an empty account whose bytes also count against `parent`.
    #[must_use]
    pub fn within(parent: Arc<Self>, limit: usize) -> Self {
        Self {
            parent: Some(parent),
            ..Self::with_limit(limit)
        }
    }

    /// Adds bytes that `what` is about to hold.
    ///
    /// # Errors
    /// The limit would be exceeded; nothing is charged then.
    pub fn charge(&self, bytes: usize, what: &dyn fmt::Display) -> Result<(), MemoryExceeded> {
        let used = self
            .used
            .fetch_add(bytes, Ordering::Relaxed)
            .saturating_add(bytes);
        let charged = if used > self.limit {
            Err(MemoryExceeded {
                limit: self.limit,
                what: what.to_string(),
            })
        } else {
            self.parent
                .as_ref()
                .map_or(Ok(()), |parent| parent.charge(bytes, what))
        };
        match charged {
            Ok(()) => {
                self.peak.fetch_max(used, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                self.used.fetch_sub(bytes, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// Gives back bytes charged before.
    pub fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(parent) = &self.parent {
            parent.release(bytes);
        }
    }

    /// Returns the bytes held now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Returns the most bytes ever held at once.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }
}

/// A query would hold more memory than it may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "query needs more than its memory limit of {limit} bytes for {what}: select fewer series or a \
     shorter range, or raise the limit"
)]
pub struct MemoryExceeded {
    pub limit: usize,
    /// What the memory was for: the selector or operation, as text.
    pub what: String,
}

/// Bytes charged to an account, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    account: Arc<MemoryAccount>,
    bytes: usize,
}

impl Reservation {
    /// Returns a reservation of nothing.
    #[must_use]
    pub fn new(account: &Arc<MemoryAccount>) -> Self {
        Self {
            account: Arc::clone(account),
            bytes: 0,
        }
    }

    /// Changes the reservation to `bytes`.
    ///
    /// # Errors
    /// The limit would be exceeded; the reservation stays as it was.
    pub fn resize(&mut self, bytes: usize, what: &dyn fmt::Display) -> Result<(), MemoryExceeded> {
        if bytes > self.bytes {
            self.account.charge(bytes - self.bytes, what)?;
        } else {
            self.account.release(self.bytes - bytes);
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Adds `bytes` to the reservation.
    ///
    /// # Errors
    /// The limit would be exceeded; the reservation stays as it was.
    pub fn grow(&mut self, bytes: usize, what: &dyn fmt::Display) -> Result<(), MemoryExceeded> {
        self.resize(self.bytes.saturating_add(bytes), what)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.account.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_refuses_what_exceeds_it_and_its_parent() {
        let process = Arc::new(MemoryAccount::with_limit(100));
        let query = Arc::new(MemoryAccount::within(Arc::clone(&process), 80));
        query.charge(70, &"a").unwrap();
        let error = query.charge(20, &"up{job=\"x\"}").unwrap_err();
        assert!(error.to_string().contains("up{job=\"x\"}"), "{error}");
        assert_eq!((query.used(), process.used()), (70, 70));
        let other = MemoryAccount::within(Arc::clone(&process), 80);
        other.charge(40, &"b").unwrap_err();
        assert_eq!((other.used(), process.used()), (0, 70));
        query.release(70);
        assert_eq!((query.used(), query.peak(), process.used()), (0, 70, 0));
    }

    #[test]
    fn a_reservation_is_given_back() {
        let account = Arc::new(MemoryAccount::with_limit(10));
        let mut reservation = Reservation::new(&account);
        reservation.grow(8, &"x").unwrap();
        reservation.grow(8, &"x").unwrap_err();
        assert_eq!(account.used(), 8);
        drop(reservation);
        assert_eq!(account.used(), 0);
    }

    #[test]
    fn a_canceled_query_says_so() {
        let flag = Arc::new(AtomicBool::new(false));
        let cx = QueryContext::builder()
            .cancel_flag(Arc::clone(&flag))
            .build();
        assert_eq!(cx.check(), Ok(()));
        flag.store(true, Ordering::Relaxed);
        assert_eq!(cx.check(), Err(Interrupt::Canceled));
    }
}
