//! One compactor at a time: a lease in the bucket.
//!
//! The lease is an object that is only written where nobody else wrote meanwhile. Its holder renews it
//! and, before each write that others must not see from two, looks at a deadline on its own monotonic
//! clock that ends before anyone may take over. Whether another's lease ran out is judged by watching
//! it stand still for its whole length, never by comparing clocks.
//!
//! Thanos' compactor does not know the lease; see [`crate::foreign`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use objstore::{Bucket, Condition, ErrorKind, Version};
use runtime::clock::Clock;
use serde::{Deserialize, Serialize};

use crate::error::CompactError;

/// How long a lease is good for after it was written.
pub const DURATION: Duration = Duration::from_secs(60);

/// How often it is written again.
pub const RENEW_INTERVAL: Duration = Duration::from_secs(15);

/// The holder stops so long before the lease ends: as long as a write may be under way.
const MARGIN: Duration = Duration::from_secs(20);

/// What the object holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    /// Who holds it; empty when it was given back.
    holder: String,
    renewed_ms: i64,
    duration_ms: u64,
    /// Tells each writing from all others.
    nonce: u64,
}

/// Whether this process may write. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Guard(Arc<Mutex<GuardState>>);

#[derive(Debug, Clone, Copy, Default)]
enum GuardState {
    #[default]
    NotHeld,
    Until(Instant),
    /// The store has no conditional writes, so that nobody can be kept out.
    Unguarded,
}

impl Guard {
    /// A guard that lets everything pass, for tools whose user answers for it.
    pub fn unguarded() -> Self {
        let guard = Self::default();
        guard.set(GuardState::Unguarded);
        guard
    }

    /// Answers whether the lease is held now and for the length of a write.
    ///
    /// # Errors
    /// It is not.
    pub fn check(&self) -> Result<(), CompactError> {
        if self.is_held() {
            Ok(())
        } else {
            Err(CompactError::LeaseLost)
        }
    }

    /// Whether [`Guard::check`] passes.
    pub fn is_held(&self) -> bool {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            GuardState::NotHeld => false,
            GuardState::Until(deadline) => Instant::now() < deadline,
            GuardState::Unguarded => true,
        }
    }

    /// Carries out a write that nobody else may make at the same time: it begins while the lease is
    /// held and is given up before another may take it.
    ///
    /// # Errors
    /// The lease is not held, or ran out; the write may then have happened or not. Else what it answers.
    pub async fn during<T, E: Into<CompactError>>(
        &self,
        write: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CompactError> {
        self.check()?;
        tokio::pin!(write);
        loop {
            let state = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let end = match state {
                GuardState::Until(deadline) => deadline + MARGIN / 2,
                GuardState::NotHeld => return Err(CompactError::LeaseLost),
                GuardState::Unguarded => return write.await.map_err(Into::into),
            };
            if end <= Instant::now() {
                return Err(CompactError::LeaseLost);
            }
            // Looked at anew when that time has come: it was renewed by then, or not.
            let until = tokio::time::Instant::from_std(end);
            if let Ok(written) = tokio::time::timeout_at(until, &mut write).await {
                return written.map_err(Into::into);
            }
        }
    }

    fn set(&self, state: GuardState) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// What an attempt to hold the lease came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    Held,
    /// Another holds it, or did until lately.
    HeldBy(String),
    /// The store cannot keep anyone out.
    Unsupported,
}

/// Takes, renews and gives back the lease.
#[derive(Debug)]
pub struct Lease {
    bucket: Arc<dyn Bucket>,
    object: String,
    identity: String,
    duration: Duration,
    clock: Arc<dyn Clock>,
    guard: Guard,
    held: Option<Version>,
    /// Another's lease and since when it has stood like this.
    seen: Option<(Bytes, Instant)>,
}

impl Lease {
    /// A lease on a shard of the bucket. `identity` is the same after a restart, so that a process
    /// need not wait for its own lease, and no other process has it.
    pub fn new(
        bucket: Arc<dyn Bucket>,
        shard: &str,
        identity: String,
        duration: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            bucket,
            object: format!("hindsight/compact/{shard}.lease"),
            identity,
            duration,
            clock,
            guard: Guard::default(),
            held: None,
            seen: None,
        }
    }

    pub fn guard(&self) -> Guard {
        self.guard.clone()
    }

    /// Takes or renews the lease if it is to be had.
    ///
    /// # Errors
    /// The bucket fails; what was held is held until its end.
    pub async fn attempt(&mut self) -> Result<Attempt, CompactError> {
        let condition = match self.held.take() {
            Some(version) => Condition::Unchanged(version),
            None => match self.bucket.get_versioned(&self.object).await {
                Ok((bytes, version)) => match self.may_take(bytes) {
                    Ok(()) => Condition::Unchanged(version),
                    Err(holder) => return Ok(Attempt::HeldBy(holder)),
                },
                Err(error) if error.is_not_found() => Condition::Absent,
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    self.guard.set(GuardState::Unguarded);
                    return Ok(Attempt::Unsupported);
                }
                Err(error) => return Err(error.into()),
            },
        };
        // What is good for so long is counted from before it was sent.
        let begun = Instant::now();
        match self.write(&self.identity, condition.clone()).await {
            Ok(version) => {
                self.held = Some(version);
                self.seen = None;
                let usable = self.duration.saturating_sub(MARGIN.min(self.duration / 3));
                self.guard.set(GuardState::Until(begun + usable));
                Ok(Attempt::Held)
            }
            Err(error) if error.is_conflict() => {
                self.guard.set(GuardState::NotHeld);
                Ok(Attempt::HeldBy("another compactor".to_owned()))
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                self.guard.set(GuardState::Unguarded);
                Ok(Attempt::Unsupported)
            }
            // It may have been written. The next attempt reads the object and finds this process's
            // own name in it, or not.
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a lease that stands in the bucket may be replaced, else who holds it.
    fn may_take(&mut self, bytes: Bytes) -> Result<(), String> {
        let holder = match serde_json::from_slice::<Content>(&bytes) {
            Ok(content) if content.holder.is_empty() || content.holder == self.identity => {
                return Ok(());
            }
            Ok(content) => content.holder,
            Err(_) => "an unreadable lease".to_owned(),
        };
        match &self.seen {
            Some((seen, since)) if *seen == bytes => {
                if since.elapsed() >= self.duration {
                    return Ok(());
                }
            }
            _ => self.seen = Some((bytes, Instant::now())),
        }
        Err(holder)
    }

    async fn write(
        &self,
        holder: &str,
        condition: Condition,
    ) -> Result<Version, objstore::BucketError> {
        let content = Content {
            holder: holder.to_owned(),
            renewed_ms: self.clock.now_ms(),
            duration_ms: u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX),
            nonce: rand::random(),
        };
        // Numbers and a text: it serialises.
        let bytes = serde_json::to_vec(&content).unwrap_or_default();
        self.bucket
            .put_if(&self.object, bytes.into(), condition)
            .await
    }

    /// Gives the lease back, so that the next one need not wait.
    pub async fn release(&mut self) {
        self.guard.set(GuardState::NotHeld);
        if let Some(version) = self.held.take()
            && let Err(error) = self.write("", Condition::Unchanged(version)).await
        {
            tracing::warn!(
                error = runtime::telemetry::chain(&error),
                "cannot give the compaction lease back; the next compactor waits for its end"
            );
        }
    }

    /// How far this machine's clock is from the bucket's, in milliseconds; positive when it is ahead.
    ///
    /// # Errors
    /// The bucket fails.
    pub async fn clock_skew_ms(&self) -> Result<i64, CompactError> {
        let attributes = self.bucket.attributes(&self.object).await?;
        let (bytes, _) = self.bucket.get_versioned(&self.object).await?;
        let written = serde_json::from_slice::<Content>(&bytes).map(|content| content.renewed_ms);
        Ok(written.map_or(0, |written| written - attributes.last_modified_ms))
    }
}

#[cfg(test)]
mod tests {
    use objstore::ObjectStoreBucket;
    use runtime::clock::SystemClock;

    use super::*;

    fn lease(bucket: &Arc<dyn Bucket>, identity: &str, duration: Duration) -> Lease {
        let clock = Arc::new(SystemClock);
        Lease::new(
            Arc::clone(bucket),
            "0",
            identity.to_owned(),
            duration,
            clock,
        )
    }

    fn memory() -> Arc<dyn Bucket> {
        Arc::new(ObjectStoreBucket::in_memory("b"))
    }

    #[tokio::test]
    async fn only_one_holds_it_and_gives_it_back() {
        let bucket = memory();
        let mut first = lease(&bucket, "first", DURATION);
        let mut second = lease(&bucket, "second", DURATION);
        assert!(!first.guard().is_held());
        assert_eq!(first.attempt().await.expect("answers"), Attempt::Held);
        assert!(first.guard().check().is_ok());
        let held_by_first = Attempt::HeldBy("first".to_owned());
        assert_eq!(second.attempt().await.expect("answers"), held_by_first);
        assert_eq!(first.attempt().await.expect("renews"), Attempt::Held);
        assert!(second.guard().check().is_err());
        first.release().await;
        assert!(!first.guard().is_held());
        assert_eq!(second.attempt().await.expect("answers"), Attempt::Held);
        assert!(second.clock_skew_ms().await.expect("answers").abs() < 60_000);
    }

    #[tokio::test]
    async fn a_restarted_process_takes_its_own_lease_at_once() {
        let bucket = memory();
        let mut before = lease(&bucket, "pod-0/1", DURATION);
        assert_eq!(before.attempt().await.expect("answers"), Attempt::Held);
        let mut after = lease(&bucket, "pod-0/1", DURATION);
        assert_eq!(after.attempt().await.expect("answers"), Attempt::Held);
        let lost = before.attempt().await.expect("answers");
        assert!(matches!(lost, Attempt::HeldBy(_)), "{lost:?}");
        assert!(!before.guard().is_held());
    }

    #[tokio::test]
    async fn a_lease_that_stands_still_is_taken_over_and_its_holder_stops_before() {
        let bucket = memory();
        let mut dead = lease(&bucket, "dead", Duration::ZERO);
        assert_eq!(dead.attempt().await.expect("answers"), Attempt::Held);
        assert!(!dead.guard().is_held(), "its time is over at once");
        let mut next = lease(&bucket, "next", Duration::ZERO);
        let first_look = next.attempt().await.expect("answers");
        assert_eq!(first_look, Attempt::HeldBy("dead".to_owned()));
        assert_eq!(next.attempt().await.expect("answers"), Attempt::Held);
        let lost = dead.attempt().await.expect("answers");
        assert!(matches!(lost, Attempt::HeldBy(_)), "{lost:?}");
    }

    #[tokio::test]
    async fn an_unreadable_lease_is_waited_for_like_any_other() {
        let bucket = memory();
        let object = "hindsight/compact/0.lease";
        bucket
            .upload(object, b"{".to_vec().into())
            .await
            .expect("uploads");
        let mut next = lease(&bucket, "next", DURATION);
        let attempt = next.attempt().await.expect("answers");
        assert_eq!(attempt, Attempt::HeldBy("an unreadable lease".to_owned()));
    }
}
