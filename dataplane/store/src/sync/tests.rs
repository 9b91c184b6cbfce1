use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use block::layout;
use bytes::Bytes;
use model::Matcher;
use objstore::{
    Attributes, BucketError, Condition, Content, EntryStream, Listing, ObjectStoreBucket, Version,
};
use runtime::clock::ManualClock;
use storeapi::testsuite::collect;
use storeapi::{PartialResponse, SeriesRequest, SeriesStore, async_trait};
use tokio::sync::Semaphore;
use tsdb::block::cut_float_chunks;

use super::*;
use crate::ReadConfig;
use crate::bucket_store::tests::{decoded, everything, id, labels, request, rig, upload};
use crate::component::open;

/// A bucket that reads ranges of one object only when it is told to go on.
#[derive(Debug)]
struct Held {
    inner: Arc<ObjectStoreBucket>,
    held: String,
    go: Semaphore,
}

#[async_trait]
impl Bucket for Held {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn iter(&self, folder: &str, listing: Listing) -> EntryStream {
        self.inner.iter(folder, listing)
    }

    async fn get(&self, name: &str) -> Result<Bytes, BucketError> {
        self.inner.get(name).await
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        if name == self.held {
            // Goes on for good once it may.
            self.go.acquire().await.expect("is not closed").forget();
            self.go.add_permits(1);
        }
        self.inner.get_range(name, range).await
    }

    async fn exists(&self, name: &str) -> Result<bool, BucketError> {
        self.inner.exists(name).await
    }

    async fn attributes(&self, name: &str) -> Result<Attributes, BucketError> {
        self.inner.attributes(name).await
    }

    async fn upload(&self, name: &str, content: Content) -> Result<(), BucketError> {
        self.inner.upload(name, content).await
    }

    async fn get_versioned(&self, name: &str) -> Result<(Bytes, Version), BucketError> {
        self.inner.get_versioned(name).await
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

#[tokio::test]
async fn new_blocks_are_found_and_gone_ones_forgotten() {
    let bucket = Arc::new(ObjectStoreBucket::in_memory("b"));
    let mut rig = rig(
        Arc::clone(&bucket) as Arc<dyn Bucket>,
        ReadConfig::default(),
    )
    .await;
    assert_eq!(rig.store.info().range, None);
    let empty = collect(&*rig.store, request(TimeRange::ALL))
        .await
        .expect("answers");
    assert!(empty.series.is_empty());
    let external = labels(&[("cluster", "a")]);
    let block = |t| vec![(labels(&[("__name__", "up")]), cut_float_chunks(&[(t, 1.0)]))];
    upload(&*bucket, id(1), &external, block(1000)).await;
    upload(&*bucket, id(2), &external, block(2000)).await;
    rig.syncer.round().await.expect("syncs");
    assert_eq!(rig.store.info().range, Some(TimeRange::new(1000, 2000)));
    let header = |n| {
        rig.dir
            .path()
            .join("data")
            .join(id(n).to_string())
            .join("index-header")
    };
    let exists = |path: &Path| path.try_exists().expect("answers");
    assert!(exists(&header(1)) && exists(&header(2)));
    block::transfer::delete(&*bucket, id(1))
        .await
        .expect("deletes");
    rig.syncer.round().await.expect("syncs");
    assert_eq!(rig.store.info().range, Some(TimeRange::new(2000, 2000)));
    assert!(!exists(&header(1)) && exists(&header(2)));
    let text = rig.kit.metrics.encode().expect("encodes");
    for line in [
        "thanos_bucket_store_blocks_loaded 1",
        "thanos_bucket_store_block_loads_total 2",
        "thanos_bucket_store_block_drops_total 1",
        "thanos_blocks_meta_synced{state=\"loaded\"} 1",
    ] {
        assert!(text.contains(line), "{line} not in\n{text}");
    }
}

#[tokio::test]
async fn block_that_cannot_be_loaded_is_named_in_answers_of_its_time() {
    let bucket = Arc::new(ObjectStoreBucket::in_memory("b"));
    let external = labels(&[("cluster", "a")]);
    let block = |t| vec![(labels(&[("__name__", "up")]), cut_float_chunks(&[(t, 1.0)]))];
    upload(&*bucket, id(1), &external, block(1000)).await;
    upload(&*bucket, id(2), &external, block(2000)).await;
    let index = layout::object(id(1), "index");
    let whole = bucket.get(&index).await.expect("reads");
    bucket
        .upload(&index, whole.slice(..whole.len() / 2).into())
        .await
        .expect("uploads");
    let mut rig = rig(
        Arc::clone(&bucket) as Arc<dyn Bucket>,
        ReadConfig::default(),
    )
    .await;
    let ask = |start, end| collect(&*rig.store, request(TimeRange::new(start, end)));
    let both = ask(0, 5000).await.expect("answers");
    assert_eq!(both.series.len(), 1);
    assert!(
        both.warnings.concat().contains(&id(1).to_string()),
        "{:?}",
        both.warnings
    );
    assert_eq!(
        ask(1500, 5000).await.expect("answers").warnings,
        Vec::<String>::new()
    );
    let us = SeriesRequest::new(
        TimeRange::new(0, 5000),
        vec![everything(), Matcher::equal("cluster", "us")],
    );
    assert_eq!(
        collect(&*rig.store, us).await.expect("answers").warnings,
        Vec::<String>::new()
    );
    bucket.upload(&index, whole.into()).await.expect("uploads");
    rig.syncer.round().await.expect("syncs");
    let both = collect(&*rig.store, request(TimeRange::new(0, 5000)))
        .await
        .expect("answers");
    assert_eq!(decoded(&both)[0].1, [(1000, 1.0), (2000, 1.0)]);
}

#[tokio::test]
async fn block_whose_meta_cannot_be_used_is_named_in_every_answer_and_fails_none() {
    let bucket = Arc::new(ObjectStoreBucket::in_memory("b"));
    let external = labels(&[("cluster", "a")]);
    let block = |t| vec![(labels(&[("__name__", "up")]), cut_float_chunks(&[(t, 1.0)]))];
    upload(&*bucket, id(1), &external, block(1000)).await;
    upload(&*bucket, id(2), &external, block(2000)).await;
    let meta = layout::object(id(1), layout::META);
    let whole = bucket.get(&meta).await.expect("reads");
    let torn = whole.slice(..whole.len() / 2);
    bucket.upload(&meta, torn.into()).await.expect("uploads");
    let mut rig = rig(
        Arc::clone(&bucket) as Arc<dyn Bucket>,
        ReadConfig::default(),
    )
    .await;
    assert_eq!(rig.store.info().range, Some(TimeRange::new(2000, 2000)));
    let mut asked = request(TimeRange::new(1500, 5000));
    for partial_response in [PartialResponse::Warn, PartialResponse::Abort] {
        asked.partial_response = partial_response;
        let answer = collect(&*rig.store, asked.clone()).await.expect("answers");
        assert_eq!(decoded(&answer)[0].1, [(2000, 1.0)]);
        let warnings = answer.warnings.concat();
        assert!(warnings.contains(&id(1).to_string()), "{warnings}");
    }
    bucket.upload(&meta, whole.into()).await.expect("uploads");
    rig.syncer.round().await.expect("syncs");
    let answer = collect(&*rig.store, asked).await.expect("answers");
    assert_eq!(answer.warnings, Vec::<String>::new());
}

#[tokio::test]
async fn first_blocks_are_served_while_others_are_still_loading() {
    let inner = Arc::new(ObjectStoreBucket::in_memory("b"));
    let external = labels(&[("cluster", "a")]);
    let block = |t| vec![(labels(&[("__name__", "up")]), cut_float_chunks(&[(t, 1.0)]))];
    upload(&*inner, id(1), &external, block(1000)).await;
    upload(&*inner, id(2), &external, block(2000)).await;
    let bucket = Arc::new(Held {
        inner,
        held: layout::object(id(2), layout::INDEX),
        go: Semaphore::new(0),
    });
    let dir = tempfile::tempdir().expect("tempdir");
    let kit = Kit::for_tests(Arc::new(ManualClock::new(1_800_000_000_000)));
    let sync = SyncConfig {
        data_dir: dir.path().join("data"),
        ..SyncConfig::default()
    };
    let shared = Arc::clone(&bucket) as Arc<dyn Bucket>;
    let (store, mut syncer) = open(shared, ReadConfig::default(), sync, &kit).expect("opens");
    let mut probe = kit.probe.subscribe();
    let ask = async || {
        collect(&*store, request(TimeRange::ALL))
            .await
            .expect("answers")
    };
    let loading = async {
        let ready = probe.wait_for(|state| state.ready.is_ok());
        ready.await.expect("lives");
        let answer = ask().await;
        assert_eq!(decoded(&answer)[0].1, [(1000, 1.0)]);
        let warnings = answer.warnings.concat();
        assert!(
            warnings.contains(&id(2).to_string()) && warnings.contains("not loaded yet"),
            "{warnings}"
        );
        bucket.go.add_permits(1);
    };
    let both = async { tokio::join!(syncer.round(), loading) };
    let (round, ()) = tokio::time::timeout(Duration::from_secs(60), both)
        .await
        .expect("in time");
    round.expect("syncs");
    let answer = ask().await;
    assert_eq!(decoded(&answer)[0].1, [(1000, 1.0), (2000, 1.0)]);
    assert_eq!(answer.warnings, Vec::<String>::new());
}
