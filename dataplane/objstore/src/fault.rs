//! A bucket that misbehaves on purpose, the same way for the same seed.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::bucket::{Attributes, Bucket, Content, EntryStream, Listing};
use crate::conditional::{Condition, Version};
use crate::error::{BucketError, ErrorKind, Operation};

/// What goes wrong how often. Ratios are from 0 to 1.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    /// Decides all chances.
    pub seed: u64,
    /// Operations that fail before they do anything.
    pub error_ratio: f64,
    /// Reads that answer fewer bytes than asked, without an error.
    pub short_body_ratio: f64,
    /// Uploads that happen and then answer an error.
    pub applied_but_failed_ratio: f64,
    /// Listings that break after some entries.
    pub broken_listing_ratio: f64,
    /// What every operation waits, drawn from this range.
    pub latency: Option<Range<Duration>>,
}

/// A bucket with faults. [`FaultyBucket::set_down`] makes everything fail.
#[derive(Debug)]
pub struct FaultyBucket<B> {
    inner: B,
    plan: FaultPlan,
    rng: Arc<Mutex<StdRng>>,
    down: AtomicBool,
    injected: AtomicU64,
}

impl<B: Bucket> FaultyBucket<B> {
    /// Creates a bucket that misbehaves as `plan` says.
    pub fn new(inner: B, plan: FaultPlan) -> Self {
        let rng = Arc::new(Mutex::new(StdRng::seed_from_u64(plan.seed)));
        Self {
            inner,
            plan,
            rng,
            down: AtomicBool::new(false),
            injected: AtomicU64::new(0),
        }
    }

    /// Makes every operation fail from now on, or ends that.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Returns how many faults were injected so far.
    pub fn injected(&self) -> u64 {
        self.injected.load(Ordering::SeqCst)
    }

    /// Returns the bucket within.
    pub fn inner(&self) -> &B {
        &self.inner
    }

    fn chance(&self, ratio: f64) -> bool {
        let hit = ratio > 0.0
            && self
                .rng
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .random_bool(ratio.min(1.0));
        if hit {
            self.injected.fetch_add(1, Ordering::SeqCst);
        }
        hit
    }

    fn error(&self, operation: Operation, name: &str) -> BucketError {
        let kind = ErrorKind::Unavailable;
        BucketError::new(operation, self.inner.name(), name, kind, "injected fault")
    }

    async fn before(&self, operation: Operation, name: &str) -> Result<(), BucketError> {
        if let Some(latency) = &self.plan.latency
            && !latency.is_empty()
        {
            let wait = self
                .rng
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .random_range(latency.clone());
            tokio::time::sleep(wait).await;
        }
        if self.down.load(Ordering::SeqCst) || self.chance(self.plan.error_ratio) {
            return Err(self.error(operation, name));
        }
        Ok(())
    }

    fn maybe_short(&self, bytes: Bytes) -> Bytes {
        if !bytes.is_empty() && self.chance(self.plan.short_body_ratio) {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            return bytes.slice(..rng.random_range(0..bytes.len()));
        }
        bytes
    }
}

#[async_trait]
impl<B: Bucket> Bucket for FaultyBucket<B> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn iter(&self, folder: &str, listing: Listing) -> EntryStream {
        let error = self.error(Operation::Iter, folder);
        if self.down.load(Ordering::SeqCst) || self.chance(self.plan.error_ratio) {
            return stream::iter([Err(error)]).boxed();
        }
        let entries = self.inner.iter(folder, listing);
        if self.chance(self.plan.broken_listing_ratio) {
            let keep = self
                .rng
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .random_range(0..3usize);
            return entries.take(keep).chain(stream::iter([Err(error)])).boxed();
        }
        entries
    }

    async fn get(&self, name: &str) -> Result<Bytes, BucketError> {
        self.before(Operation::Get, name).await?;
        Ok(self.maybe_short(self.inner.get(name).await?))
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        self.before(Operation::GetRange, name).await?;
        Ok(self.maybe_short(self.inner.get_range(name, range).await?))
    }

    async fn exists(&self, name: &str) -> Result<bool, BucketError> {
        self.before(Operation::Exists, name).await?;
        self.inner.exists(name).await
    }

    async fn attributes(&self, name: &str) -> Result<Attributes, BucketError> {
        self.before(Operation::Attributes, name).await?;
        self.inner.attributes(name).await
    }

    async fn upload(&self, name: &str, content: Content) -> Result<(), BucketError> {
        self.before(Operation::Upload, name).await?;
        self.inner.upload(name, content).await?;
        if self.chance(self.plan.applied_but_failed_ratio) {
            return Err(self.error(Operation::Upload, name));
        }
        Ok(())
    }

    async fn get_versioned(&self, name: &str) -> Result<(Bytes, Version), BucketError> {
        self.before(Operation::Get, name).await?;
        let (bytes, version) = self.inner.get_versioned(name).await?;
        Ok((self.maybe_short(bytes), version))
    }

    async fn put_if(
        &self,
        name: &str,
        content: Bytes,
        condition: Condition,
    ) -> Result<Version, BucketError> {
        self.before(Operation::Upload, name).await?;
        let version = self.inner.put_if(name, content, condition).await?;
        if self.chance(self.plan.applied_but_failed_ratio) {
            return Err(self.error(Operation::Upload, name));
        }
        Ok(version)
    }

    async fn delete(&self, name: &str) -> Result<(), BucketError> {
        self.before(Operation::Delete, name).await?;
        self.inner.delete(name).await
    }
}
