//! A bucket that asks again before it has been answered, for the few reads that take long.

use std::future::Future;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use objconfig::HedgingConfig;
use prometheus_client::metrics::counter::Counter;
use runtime::metrics::Metrics;

use crate::bucket::{Attributes, Bucket, Content, EntryStream, Listing};
use crate::conditional::{Condition, Version};
use crate::error::BucketError;

/// Latencies that the quantile is taken of; older ones are forgotten.
const WINDOW: usize = 256;

/// Latencies before which nothing is known and no read is asked twice.
const WARM_UP: usize = 32;

/// Reads that take longer than a quantile of those before are asked once more, the first answer counting.
#[derive(Debug)]
pub struct Hedged<B> {
    inner: B,
    config: HedgingConfig,
    latencies: Mutex<Latencies>,
    hedges: Counter,
}

#[derive(Debug, Default)]
struct Latencies {
    ring: Vec<Duration>,
    next: usize,
    /// Kept until the ring has turned by a share of itself.
    quantile: Option<Duration>,
    stale: usize,
}

impl Latencies {
    fn observe(&mut self, latency: Duration) {
        if self.ring.len() < WINDOW {
            self.ring.push(latency);
        } else if let Some(oldest) = self.ring.get_mut(self.next) {
            *oldest = latency;
            self.next = (self.next + 1) % WINDOW;
        }
        self.stale += 1;
    }

    fn quantile(&mut self, quantile: f64) -> Option<Duration> {
        if self.ring.len() < WARM_UP {
            return None;
        }
        if self.quantile.is_none() || self.stale >= WARM_UP {
            let mut sorted = self.ring.clone();
            let rank = ((sorted.len() - 1) as f64 * quantile) as usize;
            let (_, found, _) = sorted.select_nth_unstable(rank);
            self.quantile = Some(*found);
            self.stale = 0;
        }
        self.quantile
    }
}

impl<B: Bucket> Hedged<B> {
    /// Creates a bucket that asks again as `config` says.
    pub fn new(inner: B, config: HedgingConfig, metrics: &Metrics) -> Self {
        let hedges = Counter::default();
        metrics.register(|registry| {
            registry.register(
                "hindsight_objstore_hedged_requests",
                "Total number of reads that were asked again before they were answered",
                hedges.clone(),
            );
        });
        Self {
            inner,
            config,
            latencies: Mutex::default(),
            hedges,
        }
    }

    fn wait(&self) -> Option<Duration> {
        let mut latencies = self
            .latencies
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        latencies.quantile(self.config.quantile)
    }

    fn observe(&self, latency: Duration) {
        let mut latencies = self
            .latencies
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        latencies.observe(latency);
    }

    async fn hedge<T, F>(&self, read: impl Fn() -> F) -> Result<T, BucketError>
    where
        F: Future<Output = Result<T, BucketError>>,
    {
        let timed = || {
            let (begun, read) = (Instant::now(), read());
            async move { (read.await, begun.elapsed()) }
        };
        let wait = self.wait();
        let mut running = FuturesUnordered::new();
        running.push(timed());
        let mut asked = 1;
        loop {
            let next = async {
                match wait {
                    Some(wait) if asked < self.config.up_to => tokio::time::sleep(wait).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                Some((answer, latency)) = running.next() => match answer {
                    Err(error) if error.is_retryable() && !running.is_empty() => {}
                    answer => {
                        self.observe(latency);
                        return answer;
                    }
                },
                () = next => {
                    self.hedges.inc();
                    asked += 1;
                    running.push(timed());
                }
            }
        }
    }
}

#[async_trait]
impl<B: Bucket> Bucket for Hedged<B> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn iter(&self, folder: &str, listing: Listing) -> EntryStream {
        self.inner.iter(folder, listing)
    }

    async fn get(&self, name: &str) -> Result<Bytes, BucketError> {
        self.hedge(|| self.inner.get(name)).await
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        self.hedge(|| self.inner.get_range(name, range.clone()))
            .await
    }

    async fn exists(&self, name: &str) -> Result<bool, BucketError> {
        self.hedge(|| self.inner.exists(name)).await
    }

    async fn attributes(&self, name: &str) -> Result<Attributes, BucketError> {
        self.hedge(|| self.inner.attributes(name)).await
    }

    async fn upload(&self, name: &str, content: Content) -> Result<(), BucketError> {
        self.inner.upload(name, content).await
    }

    async fn get_versioned(&self, name: &str) -> Result<(Bytes, Version), BucketError> {
        self.hedge(|| self.inner.get_versioned(name)).await
    }

    async fn put_if(
        &self,
        name: &str,
        content: Bytes,
        condition: Condition,
    ) -> Result<Version, BucketError> {
        self.inner.put_if(name, content, condition).await
    }

    async fn delete(&self, name: &str) -> Result<(), BucketError> {
        self.inner.delete(name).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::backend::ObjectStoreBucket;
    use crate::fault::{FaultPlan, FaultyBucket};

    const CONFIG: HedgingConfig = HedgingConfig {
        up_to: 3,
        quantile: 0.9,
    };

    #[tokio::test]
    async fn hedged_bucket_conforms() {
        let bucket = ObjectStoreBucket::in_memory("b");
        crate::testsuite::run(&Hedged::new(bucket, CONFIG, &Metrics::empty())).await;
    }

    #[tokio::test(start_paused = true)]
    async fn reads_that_take_long_are_asked_again() {
        let slow = FaultPlan {
            seed: 3,
            latency: Some(Duration::ZERO..Duration::from_secs(10)),
            ..FaultPlan::default()
        };
        let bucket = Arc::new(FaultyBucket::new(ObjectStoreBucket::in_memory("b"), slow));
        bucket
            .upload("a", b"x".to_vec().into())
            .await
            .expect("uploads");
        let hedged = Hedged::new(bucket, CONFIG, &Metrics::empty());
        // What the clock of the test says of a read is not what the machine's says.
        for _ in 0..WARM_UP {
            hedged.observe(Duration::from_millis(100));
        }
        let begun = tokio::time::Instant::now();
        for _ in 0..20 {
            assert_eq!(hedged.get("a").await.expect("reads"), "x");
        }
        let (hedges, took) = (hedged.hedges.get(), begun.elapsed());
        assert!((20..=40).contains(&hedges), "{hedges} asked again");
        // The least of three draws from ten seconds is a quarter of them, not half.
        assert!(took < Duration::from_secs(75), "{took:?}");
    }

    #[tokio::test]
    async fn nothing_is_asked_again_before_latencies_are_known() {
        let bucket = ObjectStoreBucket::in_memory("b");
        let hedged = Hedged::new(bucket, CONFIG, &Metrics::empty());
        for _ in 0..WARM_UP {
            assert!(!hedged.exists("a").await.expect("answers"));
        }
        assert_eq!(hedged.hedges.get(), 0);
    }
}
