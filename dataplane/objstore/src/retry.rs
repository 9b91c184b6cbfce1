//! A bucket that tries again.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::bucket::{Attributes, Bucket, Content, Entry, EntryStream, Listing};
use crate::conditional::{Condition, Version};
use crate::error::BucketError;

/// How often and how patiently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all, the first included.
    pub attempts: u32,
    /// The longest wait before the second try; doubles with each further one.
    pub first_backoff: Duration,
    /// The longest wait at all.
    pub max_backoff: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 3,
            first_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(5),
        }
    }
}

impl RetryPolicy {
    fn allows(&self, error: &BucketError, retries: u32) -> bool {
        error.is_retryable() && retries + 1 < self.attempts
    }

    async fn rest(&self, error: &BucketError, retries: u32) {
        let chain = runtime::telemetry::chain(error);
        tracing::debug!(
            error = chain,
            retries,
            "bucket operation failed, trying again"
        );
        tokio::time::sleep(self.backoff(retries)).await;
    }

    /// Returns a wait drawn from zero to the bound, so that many clients do not come back together.
    fn backoff(&self, retry: u32) -> Duration {
        let doubled = self
            .first_backoff
            .saturating_mul(1u32.checked_shl(retry).unwrap_or(u32::MAX));
        doubled.min(self.max_backoff).mul_f64(rand::random::<f64>())
    }
}

/// Tries an operation again when it failed for a reason that may pass. An upload is tried again where its
/// content can be read again; a deletion that finds nothing on a second try has succeeded on the first.
#[derive(Debug)]
pub struct Retrying<B> {
    inner: Arc<B>,
    policy: RetryPolicy,
}

impl<B: Bucket> Retrying<B> {
    /// Creates a bucket that tries again as `policy` says.
    pub fn new(inner: B, policy: RetryPolicy) -> Self {
        Self {
            inner: Arc::new(inner),
            policy,
        }
    }

    async fn retry<T, F>(&self, operation: impl Fn(u32) -> F) -> Result<T, BucketError>
    where
        F: Future<Output = Result<T, BucketError>>,
    {
        retry(self.policy, operation).await
    }
}

async fn retry<T, F>(policy: RetryPolicy, attempt: impl Fn(u32) -> F) -> Result<T, BucketError>
where
    F: Future<Output = Result<T, BucketError>>,
{
    let mut retries = 0;
    loop {
        match attempt(retries).await {
            Err(error) if policy.allows(&error, retries) => {
                policy.rest(&error, retries).await;
                retries += 1;
            }
            done => return done,
        }
    }
}

#[async_trait]
impl<B: Bucket> Bucket for Retrying<B> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn iter(&self, folder: &str, listing: Listing) -> EntryStream {
        // A listing is only as good as its end, so it is read to the end before any of it is given away.
        let (inner, policy, folder) = (Arc::clone(&self.inner), self.policy, folder.to_owned());
        stream::once(async move {
            let entries: Vec<Entry> =
                retry(policy, |_| inner.iter(&folder, listing).try_collect()).await?;
            Ok(stream::iter(entries.into_iter().map(Ok)))
        })
        .try_flatten()
        .boxed()
    }

    async fn get(&self, name: &str) -> Result<Bytes, BucketError> {
        self.retry(|_| self.inner.get(name)).await
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        self.retry(|_| self.inner.get_range(name, range.clone()))
            .await
    }

    async fn exists(&self, name: &str) -> Result<bool, BucketError> {
        self.retry(|_| self.inner.exists(name)).await
    }

    async fn attributes(&self, name: &str) -> Result<Attributes, BucketError> {
        self.retry(|_| self.inner.attributes(name)).await
    }

    async fn upload(&self, name: &str, content: Content) -> Result<(), BucketError> {
        let mut content = content;
        let mut retries = 0;
        loop {
            let again = content.again();
            let outcome = self.inner.upload(name, content).await;
            match (outcome, again) {
                (Err(error), Some(again)) if self.policy.allows(&error, retries) => {
                    self.policy.rest(&error, retries).await;
                    content = again;
                    retries += 1;
                }
                (outcome, _) => return outcome,
            }
        }
    }

    async fn get_versioned(&self, name: &str) -> Result<(Bytes, Version), BucketError> {
        self.retry(|_| self.inner.get_versioned(name)).await
    }

    async fn put_if(
        &self,
        name: &str,
        content: Bytes,
        condition: Condition,
    ) -> Result<Version, BucketError> {
        let put = self.retry(|_| self.inner.put_if(name, content.clone(), condition.clone()));
        match put.await {
            // Perhaps the conflict is with our own write, whose answer was lost here or in the client.
            Err(error) if error.is_conflict() => match self.get_versioned(name).await {
                Ok((found, version)) if found == content => Ok(version),
                Err(unknown) if !unknown.is_not_found() => Err(unknown),
                _ => Err(error),
            },
            done => done,
        }
    }

    async fn delete(&self, name: &str) -> Result<(), BucketError> {
        self.retry(|retries| async move {
            match self.inner.delete(name).await {
                Err(error) if error.is_not_found() && retries > 0 => Ok(()),
                done => done,
            }
        })
        .await
    }
}
