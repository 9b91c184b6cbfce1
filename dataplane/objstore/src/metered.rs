//! A bucket that counts, under the names that dashboards use.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use runtime::metrics::Metrics;

use crate::bucket::{Attributes, Bucket, Content, EntryStream, Listing};
use crate::conditional::{Condition, Version};
use crate::error::{BucketError, Operation};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfBucket {
    bucket: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOperation {
    bucket: String,
    operation: &'static str,
}

const DURATION_SECONDS: [f64; 16] = [
    0.001, 0.01, 0.1, 0.3, 0.6, 1.0, 3.0, 6.0, 9.0, 20.0, 30.0, 60.0, 90.0, 120.0, 240.0, 360.0,
];

/// From 32 KiB to 1 GiB.
const TRANSFERRED_BUCKETS: u16 = 16;
const FIRST_TRANSFERRED_BYTES: f64 = 32_768.0;

#[derive(Debug, Clone)]
struct OperationMetrics {
    started: Counter,
    failed: Counter,
    seconds: Histogram,
    fetched_bytes: Counter,
    transferred_bytes: Histogram,
}

impl OperationMetrics {
    fn fetched(&self, bytes: &Bytes) {
        self.fetched_bytes.inc_by(bytes.len() as u64);
        self.transferred_bytes.observe(bytes.len() as f64);
    }
}

/// Counts operations, failures, durations and bytes of the bucket within.
#[derive(Debug)]
pub struct Metered<B> {
    inner: B,
    operations: [OperationMetrics; Operation::ALL.len()],
    last_upload: Gauge<f64, std::sync::atomic::AtomicU64>,
}

impl<B: Bucket> Metered<B> {
    /// Registers the metrics and creates the bucket. All series exist from the start, so that a rate over
    /// the first failure is seen.
    pub fn new(inner: B, metrics: &Metrics) -> Self {
        let started = Family::<OfOperation, Counter>::default();
        let failed = Family::<OfOperation, Counter>::default();
        let seconds: Family<OfOperation, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(DURATION_SECONDS));
        let fetched = Family::<OfOperation, Counter>::default();
        let transferred: Family<OfOperation, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| {
                let bounds = exponential_buckets(FIRST_TRANSFERRED_BYTES, 2.0, TRANSFERRED_BUCKETS);
                Histogram::new(bounds)
            });
        let last = Family::<OfBucket, Gauge<f64, std::sync::atomic::AtomicU64>>::default();
        metrics.register(|registry| {
            registry.register(
                "thanos_objstore_bucket_operations",
                "Total number of all attempted operations against a bucket",
                started.clone(),
            );
            registry.register(
                "thanos_objstore_bucket_operation_failures",
                "Total number of operations against a bucket that failed, but were not expected to \
                 fail in certain way from caller perspective",
                failed.clone(),
            );
            registry.register(
                "thanos_objstore_bucket_operation_duration_seconds",
                "Duration of successful operations against the bucket per operation",
                seconds.clone(),
            );
            registry.register(
                "thanos_objstore_bucket_operation_fetched_bytes",
                "Total number of bytes fetched from bucket, per operation",
                fetched.clone(),
            );
            registry.register(
                "thanos_objstore_bucket_operation_transferred_bytes",
                "Number of bytes transferred from/to bucket per operation",
                transferred.clone(),
            );
            registry.register(
                "thanos_objstore_bucket_last_successful_upload_time",
                "Second timestamp of the last successful upload to the bucket",
                last.clone(),
            );
        });
        let bucket = inner.name().to_owned();
        let operations = Operation::ALL.map(|operation| {
            let labels = OfOperation {
                bucket: bucket.clone(),
                operation: operation.as_str(),
            };
            OperationMetrics {
                started: started.get_or_create_owned(&labels),
                failed: failed.get_or_create_owned(&labels),
                seconds: seconds.get_or_create_owned(&labels),
                fetched_bytes: fetched.get_or_create_owned(&labels),
                transferred_bytes: transferred.get_or_create_owned(&labels),
            }
        });
        let last_upload = last.get_or_create_owned(&OfBucket { bucket });
        Self {
            inner,
            operations,
            last_upload,
        }
    }

    fn of(&self, operation: Operation) -> &OperationMetrics {
        &self.operations[operation as usize]
    }

    fn uploaded(&self, bytes: u64) {
        self.of(Operation::Upload)
            .transferred_bytes
            .observe(bytes as f64);
        if let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) {
            self.last_upload.set(now.as_secs_f64());
        }
    }

    async fn count<T>(
        &self,
        operation: Operation,
        future: impl Future<Output = Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
        let metrics = self.of(operation);
        metrics.started.inc();
        let begun = Instant::now();
        let outcome = future.await;
        match &outcome {
            Ok(_) => metrics.seconds.observe(begun.elapsed().as_secs_f64()),
            // That there is no such object, or another one, is an answer.
            Err(error) if error.is_not_found() || error.is_conflict() => {}
            Err(_) => {
                metrics.failed.inc();
            }
        }
        outcome
    }
}

/// Returns the content, and where its size will be found once it has been read.
async fn counted(content: Content) -> (Content, Arc<AtomicU64>) {
    let size = match &content {
        Content::Bytes(bytes) => bytes.len() as u64,
        // A file that is not there fails the upload, not the count.
        Content::File(path) => tokio::fs::metadata(path).await.map_or(0, |meta| meta.len()),
        Content::Stream(_) => 0,
    };
    let sent = Arc::new(AtomicU64::new(size));
    let counter = Arc::clone(&sent);
    let content = match content {
        Content::Stream(stream) => Content::Stream(
            stream
                .inspect_ok(move |piece| {
                    counter.fetch_add(piece.len() as u64, Ordering::Relaxed);
                })
                .boxed(),
        ),
        other => other,
    };
    (content, sent)
}

#[async_trait]
impl<B: Bucket> Bucket for Metered<B> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn iter(&self, folder: &str, listing: Listing) -> EntryStream {
        let metrics = self.of(Operation::Iter).clone();
        metrics.started.inc();
        let begun = Instant::now();
        let entries = self
            .inner
            .iter(folder, listing)
            .map(Some)
            .chain(stream::iter([None]));
        entries
            .scan((metrics, false), move |(metrics, failed), entry| {
                match &entry {
                    Some(Err(_)) => {
                        *failed = true;
                        metrics.failed.inc();
                    }
                    None if !*failed => metrics.seconds.observe(begun.elapsed().as_secs_f64()),
                    _ => {}
                }
                std::future::ready(entry)
            })
            .boxed()
    }

    async fn get(&self, name: &str) -> Result<Bytes, BucketError> {
        let bytes = self.count(Operation::Get, self.inner.get(name)).await?;
        self.of(Operation::Get).fetched(&bytes);
        Ok(bytes)
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        let read = self.inner.get_range(name, range);
        let bytes = self.count(Operation::GetRange, read).await?;
        self.of(Operation::GetRange).fetched(&bytes);
        Ok(bytes)
    }

    async fn exists(&self, name: &str) -> Result<bool, BucketError> {
        self.count(Operation::Exists, self.inner.exists(name)).await
    }

    async fn attributes(&self, name: &str) -> Result<Attributes, BucketError> {
        self.count(Operation::Attributes, self.inner.attributes(name))
            .await
    }

    async fn upload(&self, name: &str, content: Content) -> Result<(), BucketError> {
        let (content, sent) = counted(content).await;
        self.count(Operation::Upload, self.inner.upload(name, content))
            .await?;
        self.uploaded(sent.load(Ordering::Relaxed));
        Ok(())
    }

    async fn get_versioned(&self, name: &str) -> Result<(Bytes, Version), BucketError> {
        let read = self.inner.get_versioned(name);
        let (bytes, version) = self.count(Operation::Get, read).await?;
        self.of(Operation::Get).fetched(&bytes);
        Ok((bytes, version))
    }

    async fn put_if(
        &self,
        name: &str,
        content: Bytes,
        condition: Condition,
    ) -> Result<Version, BucketError> {
        let bytes = content.len() as u64;
        let put = self.inner.put_if(name, content, condition);
        let version = self.count(Operation::Upload, put).await?;
        self.uploaded(bytes);
        Ok(version)
    }

    async fn delete(&self, name: &str) -> Result<(), BucketError> {
        self.count(Operation::Delete, self.inner.delete(name)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::ObjectStoreBucket;

    #[tokio::test]
    async fn operations_and_bytes_are_counted_and_absence_is_no_failure() {
        let metrics = Metrics::empty();
        let bucket = Metered::new(ObjectStoreBucket::in_memory("b"), &metrics);
        bucket
            .upload("a", vec![0; 10].into())
            .await
            .expect("uploads");
        assert_eq!(bucket.get_range("a", 2..6).await.expect("reads").len(), 4);
        assert!(
            bucket
                .get("absent")
                .await
                .expect_err("absent")
                .is_not_found()
        );
        assert!(bucket.get("a//b").await.is_err());
        assert_eq!(bucket.iter("", Listing::Folder).count().await, 1);
        let text = metrics.encode().expect("encodes");
        for line in [
            "thanos_objstore_bucket_operations_total{bucket=\"b\",operation=\"upload\"} 1",
            "thanos_objstore_bucket_operations_total{bucket=\"b\",operation=\"get\"} 2",
            "thanos_objstore_bucket_operation_failures_total{bucket=\"b\",operation=\"get\"} 1",
            "thanos_objstore_bucket_operation_failures_total{bucket=\"b\",operation=\"delete\"} 0",
            "thanos_objstore_bucket_operation_fetched_bytes_total{bucket=\"b\",operation=\"get_range\"} 4",
            "thanos_objstore_bucket_operation_duration_seconds_count{bucket=\"b\",operation=\"iter\"} 1",
            "thanos_objstore_bucket_operation_transferred_bytes_sum{bucket=\"b\",operation=\"upload\"} 10",
            "thanos_objstore_bucket_operation_transferred_bytes_count{bucket=\"b\",operation=\"get_range\"} 1",
        ] {
            assert!(text.contains(line), "{line}\nnot in\n{text}");
        }
        let stamp = "thanos_objstore_bucket_last_successful_upload_time{bucket=\"b\"} 1";
        assert!(text.contains(stamp), "{text}");
    }
}
