use objstore::ObjectStoreBucket;
use objstore::fault::{FaultPlan, FaultyBucket};

use super::*;

fn id() -> BlockId {
    BlockId::from_parts(1_700_000_000_000, 1)
}

fn local_block(folder: &Path) {
    std::fs::create_dir_all(folder.join("chunks")).expect("creates");
    std::fs::write(folder.join("chunks/000001"), vec![1; 100]).expect("writes");
    std::fs::write(folder.join("chunks/000002"), vec![2; 200]).expect("writes");
    std::fs::write(folder.join("index"), vec![3; 300]).expect("writes");
    std::fs::write(
        folder.join("meta.json"),
        BlockMeta::new(id(), 0, 100).encode(),
    )
    .expect("writes");
}

#[tokio::test]
async fn block_comes_back_as_it_went() {
    let dir = tempfile::tempdir().expect("tempdir");
    local_block(dir.path());
    let bucket = ObjectStoreBucket::in_memory("b");
    upload(&bucket, id(), dir.path(), 2).await.expect("uploads");
    let copy = tempfile::tempdir().expect("tempdir");
    let meta = download(&bucket, id(), copy.path())
        .await
        .expect("downloads");
    assert_eq!(meta.ulid, id());
    for file in ["chunks/000001", "chunks/000002", "index", "meta.json"] {
        let (before, after) = (dir.path().join(file), copy.path().join(file));
        assert_eq!(
            std::fs::read(before).expect("reads"),
            std::fs::read(after).expect("reads"),
            "{file}"
        );
    }
}

#[tokio::test]
async fn meta_is_never_seen_before_the_rest_and_a_broken_upload_resumes() {
    let dir = tempfile::tempdir().expect("tempdir");
    local_block(dir.path());
    for seed in 0..30 {
        let plan = FaultPlan {
            seed,
            error_ratio: 0.3,
            applied_but_failed_ratio: 0.2,
            ..FaultPlan::default()
        };
        let faulty = FaultyBucket::new(ObjectStoreBucket::in_memory("b"), plan);
        let mut tries = 0;
        while upload(&faulty, id(), dir.path(), 2).await.is_err() {
            tries += 1;
            assert!(tries < 1000, "does not get through");
            let inner = faulty.inner();
            let visible = inner.exists(&layout::object(id(), layout::META)).await;
            if visible.expect("answers") {
                for file in ["chunks/000001", "chunks/000002", "index"] {
                    assert!(
                        inner
                            .exists(&layout::object(id(), file))
                            .await
                            .expect("answers")
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn deletion_takes_the_meta_first_and_the_mark_last() {
    let dir = tempfile::tempdir().expect("tempdir");
    local_block(dir.path());
    let mark = layout::object(id(), DeletionMark::FILE_NAME);
    for seed in 0..30 {
        let plan = FaultPlan {
            seed,
            error_ratio: 0.3,
            ..FaultPlan::default()
        };
        let faulty = FaultyBucket::new(ObjectStoreBucket::in_memory("b"), plan);
        let inner = faulty.inner();
        upload(inner, id(), dir.path(), 2).await.expect("uploads");
        inner
            .upload(&mark, b"{}".to_vec().into())
            .await
            .expect("uploads");
        let mut tries = 0;
        while delete(&faulty, id()).await.is_err() {
            tries += 1;
            assert!(tries < 1000, "does not get through");
            let left: Vec<_> = inner
                .iter("", Listing::Recursive)
                .try_collect()
                .await
                .expect("lists");
            let names: Vec<&str> = left.iter().map(|entry| entry.name.as_str()).collect();
            let whole = names.len() == 5;
            assert!(whole || !names.contains(&layout::object(id(), layout::META).as_str()));
            assert!(
                names.is_empty() || names.contains(&mark.as_str()),
                "{names:?}"
            );
        }
        let left: Vec<_> = inner
            .iter("", Listing::Recursive)
            .try_collect()
            .await
            .expect("lists");
        assert!(left.is_empty(), "{left:?}");
        delete(inner, id()).await.expect("gone already");
    }
}

#[tokio::test]
async fn incomplete_block_is_not_uploaded() {
    for missing in ["chunks/000001", "index", "meta.json"] {
        let dir = tempfile::tempdir().expect("tempdir");
        local_block(dir.path());
        std::fs::remove_file(dir.path().join(missing)).expect("removes");
        let bucket = ObjectStoreBucket::in_memory("b");
        let error = upload(&bucket, id(), dir.path(), 1)
            .await
            .expect_err(missing);
        assert!(
            matches!(error, BlockError::Incomplete { .. }),
            "{missing}: {error}"
        );
        let visible = bucket.exists(&layout::object(id(), layout::META)).await;
        assert!(!visible.expect("answers"));
    }
}
