use objstore::ObjectStoreBucket;
use objstore::fault::{FaultPlan, FaultyBucket};
use objstore::metered::Metered;
use runtime::metrics::Metrics;

use super::*;

fn id(n: u64) -> BlockId {
    BlockId::from_parts(1_700_000_000_000 + n, u128::from(n))
}

async fn put(bucket: &dyn Bucket, name: &str, content: impl Into<Vec<u8>>) {
    bucket
        .upload(name, content.into().into())
        .await
        .expect("uploads");
}

async fn put_block(bucket: &dyn Bucket, block: BlockId) {
    put(bucket, &format!("{block}/chunks/000001"), vec![1; 10]).await;
    put(bucket, &format!("{block}/chunks/000002"), vec![2; 20]).await;
    put(bucket, &format!("{block}/index"), vec![3; 30]).await;
    put(
        bucket,
        &format!("{block}/meta.json"),
        BlockMeta::new(block, 0, 100).encode(),
    )
    .await;
}

fn fetcher(bucket: Arc<dyn Bucket>, cache: Option<&Path>) -> Fetcher {
    let metrics = FetcherMetrics::register(&Metrics::empty());
    Fetcher::new(bucket, cache.map(Path::to_owned), 4, metrics)
}

#[tokio::test]
async fn blocks_partials_and_garbage_are_told_apart() {
    let bucket = Arc::new(ObjectStoreBucket::in_memory("b"));
    put_block(&bucket, id(1)).await;
    put(&bucket, &format!("{}/index", id(2)), "x").await;
    put(&bucket, &format!("{}/meta.json", id(3)), "{").await;
    put(
        &bucket,
        &format!("{}/meta.json", id(4)),
        BlockMeta::new(id(5), 0, 1).encode(),
    )
    .await;
    put(&bucket, "debug/metas/x.json", "x").await;
    put(&bucket, "not-a-block/meta.json", "x").await;
    put(&bucket, "top", "x").await;
    let view = fetcher(bucket, None).fetch().await.expect("fetches");
    assert_eq!(view.blocks.keys().copied().collect::<Vec<_>>(), [id(1)]);
    let files = &view.blocks[&id(1)].files;
    assert_eq!(
        (files.index_bytes, &files.segment_bytes[..]),
        (Some(30), &[10, 20][..])
    );
    assert_eq!(view.partial.keys().copied().collect::<Vec<_>>(), [id(2)]);
    assert_eq!(
        view.corrupt.keys().copied().collect::<Vec<_>>(),
        [id(3), id(4)]
    );
    assert!(view.corrupt[&id(4)].contains(&format!("it describes block {}", id(5))));
}

#[tokio::test]
async fn metas_are_read_once_and_kept_over_restarts() {
    let dir = tempfile::tempdir().expect("tempdir");
    let metrics = Metrics::empty();
    let bucket = Arc::new(Metered::new(ObjectStoreBucket::in_memory("b"), &metrics));
    put_block(&*bucket, id(1)).await;
    put_block(&*bucket, id(2)).await;
    let gets = |expected: u32| {
        let text = metrics.encode().expect("encodes");
        let line = format!(
            "thanos_objstore_bucket_operations_total{{bucket=\"b\",operation=\"get\"}} {expected}\n"
        );
        assert!(text.contains(&line), "{line} not in\n{text}");
    };
    let cache = dir.path().join("metas");
    let mut first = fetcher(Arc::clone(&bucket) as Arc<dyn Bucket>, Some(&cache));
    for _ in 0..3 {
        assert_eq!(first.fetch().await.expect("fetches").blocks.len(), 2);
    }
    gets(2);
    let mut second = fetcher(Arc::clone(&bucket) as Arc<dyn Bucket>, Some(&cache));
    assert_eq!(second.fetch().await.expect("fetches").blocks.len(), 2);
    gets(2);
    std::fs::write(cache.join(id(1).to_string()).join("meta.json"), "torn").expect("writes");
    let mut third = fetcher(Arc::clone(&bucket) as Arc<dyn Bucket>, Some(&cache));
    assert_eq!(third.fetch().await.expect("fetches").blocks.len(), 2);
    gets(3);
    crate::transfer::delete(&*bucket, id(1))
        .await
        .expect("deletes");
    assert_eq!(third.fetch().await.expect("fetches").blocks.len(), 1);
    assert!(!cache.join(id(1).to_string()).try_exists().expect("answers"));
}

#[tokio::test]
async fn listing_that_breaks_is_an_error_and_not_an_emptier_view() {
    let inner = ObjectStoreBucket::in_memory("b");
    for n in 0..5 {
        put_block(&inner, id(n)).await;
    }
    for seed in 0..20 {
        let plan = FaultPlan {
            seed,
            broken_listing_ratio: 0.5,
            ..FaultPlan::default()
        };
        let mut fetcher = fetcher(Arc::new(FaultyBucket::new(inner.clone(), plan)), None);
        match fetcher.fetch().await {
            Ok(view) => assert_eq!(view.blocks.len(), 5),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable),
        }
    }
}

#[tokio::test]
async fn deletion_marks_come_with_the_block() {
    let bucket = Arc::new(ObjectStoreBucket::in_memory("b"));
    put_block(&bucket, id(1)).await;
    put_block(&bucket, id(2)).await;
    let mark = DeletionMark {
        id: id(1),
        version: 1,
        details: String::new(),
        deletion_time: 77,
    };
    markers::write(&*bucket, &mark).await.expect("writes");
    put(&bucket, &format!("{}/deletion-mark.json", id(2)), "{").await;
    let view = fetcher(bucket, None).fetch().await.expect("fetches");
    assert_eq!(view.blocks[&id(1)].deletion_time, Some(77));
    assert_eq!(view.blocks[&id(2)].deletion_time, None);
}
