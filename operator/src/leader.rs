//! Leader election by a Lease, with fencing.
//!
//! A holder renews every two seconds. Its right to write ends ten seconds after the start of the
//! last renewal that succeeded, by its own monotonic clock; another process takes the lease only
//! after it has seen it unchanged for fifteen seconds, by its own. So two processes never write at
//! once, however slow a request or wrong a wall clock is: a write that begins in time also ends, or
//! is given up, in time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::Instant;

/// How long a lease holds that nobody renews.
pub const LEASE_DURATION: Duration = Duration::from_secs(15);
/// How long a holder may write after the start of its last successful renewal.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Time between two attempts to take or renew the lease.
const RETRY_PERIOD: Duration = Duration::from_secs(2);
/// A write that could not end this long before the deadline is not begun.
const WRITE_MARGIN: Duration = Duration::from_secs(1);

/// The right to write.
#[derive(Debug, Default)]
pub struct Fence {
    deadline: Mutex<Option<Instant>>,
}

/// Why a write did not happen, or nobody knows whether it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FencedError {
    #[error("this process does not lead")]
    NotLeading,
    #[error("the write did not end while this process led")]
    TimedOut,
}

impl Fence {
    /// Runs `write` if there is time for it, and gives it up before the right ends.
    ///
    /// # Errors
    /// Where this process does not lead, or no longer did at the end.
    pub async fn guard<T>(&self, write: impl Future<Output = T>) -> Result<T, FencedError> {
        let deadline = self.deadline().ok_or(FencedError::NotLeading)?;
        let end = deadline
            .checked_sub(WRITE_MARGIN)
            .ok_or(FencedError::NotLeading)?;
        if end <= Instant::now() {
            return Err(FencedError::NotLeading);
        }
        tokio::time::timeout_at(end, write)
            .await
            .map_err(|_| FencedError::TimedOut)
    }

    /// Whether this process leads now.
    pub fn is_open(&self) -> bool {
        self.deadline()
            .is_some_and(|deadline| deadline > Instant::now())
    }

    fn deadline(&self) -> Option<Instant> {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, deadline: Option<Instant>) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }
}

/// One candidate.
pub struct Election {
    leases: Api<Lease>,
    name: String,
    identity: String,
    fence: Arc<Fence>,
}

/// A lease as it was seen, and since when it has not changed.
struct Observed {
    resource_version: Option<String>,
    since: Instant,
}

impl Election {
    /// A candidate called `identity`, which must be unique among candidates and in time.
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            fence: Arc::new(Fence::default()),
        }
    }

    /// The right that this candidate gains and loses.
    pub fn fence(&self) -> Arc<Fence> {
        Arc::clone(&self.fence)
    }

    /// Waits until the lease is this candidate's. Calls `on_answer` whenever the API server answers.
    pub async fn acquire(&self, on_answer: impl Fn()) -> Lease {
        let mut observed: Option<Observed> = None;
        loop {
            let started = Instant::now();
            match tokio::time::timeout(RETRY_PERIOD, self.try_acquire(&mut observed)).await {
                Ok(Ok(Some(lease))) => {
                    on_answer();
                    self.fence.set(Some(started + RENEW_DEADLINE));
                    tracing::info!(lease = self.name, identity = self.identity, "leading");
                    return lease;
                }
                Ok(Ok(None)) => on_answer(),
                Ok(Err(error)) => {
                    tracing::warn!(lease = self.name, error = %error, "cannot take the lease");
                }
                Err(_) => tracing::warn!(lease = self.name, "no answer while taking the lease"),
            }
            tokio::time::sleep_until(started + RETRY_PERIOD).await;
        }
    }

    async fn try_acquire(&self, observed: &mut Option<Observed>) -> kube::Result<Option<Lease>> {
        let Some(lease) = self.leases.get_opt(&self.name).await? else {
            let lease = self.lease(None);
            return not_conflict(self.leases.create(&PostParams::default(), &lease).await);
        };
        let now = Instant::now();
        let version = lease.metadata.resource_version.clone();
        let is_unchanged = observed
            .as_ref()
            .is_some_and(|seen| seen.resource_version == version);
        if !is_unchanged {
            *observed = Some(Observed {
                resource_version: version,
                since: now,
            });
        }
        let since = observed.as_ref().map_or(now, |seen| seen.since);
        let is_free = holder(&lease).is_empty();
        if !is_free && now.duration_since(since) < duration(&lease) {
            return Ok(None);
        }
        let taken = self.lease(Some(&lease));
        not_conflict(
            self.leases
                .replace(&self.name, &PostParams::default(), &taken)
                .await,
        )
    }

    /// Renews the lease until it is lost. The fence is closed when this returns.
    pub async fn hold(&self, mut lease: Lease) {
        loop {
            tokio::time::sleep(RETRY_PERIOD).await;
            let Some(deadline) = self.fence.deadline() else {
                return;
            };
            let started = Instant::now();
            if started >= deadline {
                break;
            }
            let attempt = tokio::time::timeout_at(deadline, self.renew(&lease)).await;
            match attempt {
                Ok(Ok(Some(renewed))) => {
                    lease = renewed;
                    self.fence.set(Some(started + RENEW_DEADLINE));
                }
                Ok(Ok(None)) => {
                    tracing::error!(lease = self.name, "another process has the lease");
                    break;
                }
                Ok(Err(error)) => {
                    tracing::warn!(lease = self.name, error = %error, "cannot renew the lease");
                }
                Err(_) => break,
            }
        }
        self.fence.set(None);
    }

    /// The renewed lease; none where another has it.
    async fn renew(&self, lease: &Lease) -> kube::Result<Option<Lease>> {
        let renewed = self.lease(Some(lease));
        match self
            .leases
            .replace(&self.name, &PostParams::default(), &renewed)
            .await
        {
            Ok(lease) => Ok(Some(lease)),
            Err(kube::Error::Api(status)) if status.is_conflict() => {
                // An earlier renewal of ours may have arrived without its answer reaching us.
                let current = self.leases.get(&self.name).await?;
                if holder(&current) != self.identity {
                    return Ok(None);
                }
                let renewed = self.lease(Some(&current));
                not_conflict(
                    self.leases
                        .replace(&self.name, &PostParams::default(), &renewed)
                        .await,
                )
            }
            Err(error) => Err(error),
        }
    }

    /// Gives the lease back, so that another need not wait. No write may follow.
    pub async fn release(&self) {
        let held = self.fence.is_open();
        self.fence.set(None);
        if !held {
            return;
        }
        let released = tokio::time::timeout(RETRY_PERIOD, async {
            let mut lease = self.leases.get(&self.name).await?;
            if holder(&lease) == self.identity {
                if let Some(spec) = &mut lease.spec {
                    spec.holder_identity = Some(String::new());
                }
                self.leases
                    .replace(&self.name, &PostParams::default(), &lease)
                    .await?;
            }
            Ok::<_, kube::Error>(())
        })
        .await;
        if !matches!(released, Ok(Ok(()))) {
            tracing::warn!(
                lease = self.name,
                "could not give the lease back; it will expire"
            );
        }
    }

    /// The lease as this candidate would hold it, after `previous`.
    fn lease(&self, previous: Option<&Lease>) -> Lease {
        let now = MicroTime(Timestamp::now());
        let spec = previous.and_then(|lease| lease.spec.as_ref());
        let is_ours = previous.is_some_and(|lease| holder(lease) == self.identity);
        let transitions = spec.and_then(|spec| spec.lease_transitions).unwrap_or(0);
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                resource_version: previous
                    .and_then(|lease| lease.metadata.resource_version.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                acquire_time: if is_ours {
                    spec.and_then(|spec| spec.acquire_time.clone())
                } else {
                    Some(now.clone())
                },
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
                lease_transitions: Some(if is_ours || previous.is_none() {
                    transitions
                } else {
                    transitions.saturating_add(1)
                }),
                renew_time: Some(now),
                ..LeaseSpec::default()
            }),
        }
    }
}

fn holder(lease: &Lease) -> &str {
    lease
        .spec
        .as_ref()
        .and_then(|spec| spec.holder_identity.as_deref())
        .unwrap_or_default()
}

fn duration(lease: &Lease) -> Duration {
    let seconds = lease
        .spec
        .as_ref()
        .and_then(|spec| spec.lease_duration_seconds);
    seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map_or(LEASE_DURATION, Duration::from_secs)
}

fn not_conflict(result: kube::Result<Lease>) -> kube::Result<Option<Lease>> {
    match result {
        Ok(lease) => Ok(Some(lease)),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_fence_runs_nothing() {
        let fence = Fence::default();
        let result = fence.guard(async { panic!("must not run") }).await;
        assert_eq!(result, Err::<(), _>(FencedError::NotLeading));
    }

    #[tokio::test]
    async fn a_write_is_given_up_before_the_right_ends() {
        let fence = Fence::default();
        let deadline = Instant::now() + WRITE_MARGIN + Duration::from_millis(50);
        fence.set(Some(deadline));
        let result = fence.guard(std::future::pending::<()>()).await;
        assert_eq!(result, Err(FencedError::TimedOut));
        assert!(Instant::now() < deadline);
    }

    #[tokio::test]
    async fn a_write_that_has_no_time_left_is_not_begun() {
        let fence = Fence::default();
        fence.set(Some(Instant::now() + WRITE_MARGIN));
        let result = fence.guard(async { panic!("must not run") }).await;
        assert_eq!(result, Err::<(), _>(FencedError::NotLeading));
    }

    #[tokio::test]
    async fn a_quick_write_passes() {
        let fence = Fence::default();
        fence.set(Some(Instant::now() + RENEW_DEADLINE));
        assert_eq!(fence.guard(async { 7 }).await, Ok(7));
    }

    // What makes the clocks' independence safe: the holder stops before any other may begin.
    const _: () = assert!(RENEW_DEADLINE.as_secs() < LEASE_DURATION.as_secs());
}
