//! What any bucket must pass. Panics, as tests do, with what was wrong.
#![allow(
    clippy::panic,
    reason = "a test suite panics where an expectation does not hold"
)]

use std::collections::BTreeSet;
use std::io::Write;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::bucket::{Bucket, Content, Listing};
use crate::conditional::Condition;
use crate::error::ErrorKind;

/// Uploads this large go in parts everywhere: S3 takes none below 5 MiB.
const LARGE_BYTES: usize = (11 << 20) + 17;

/// Runs every check on an empty bucket and leaves it empty.
pub async fn run(bucket: &dyn Bucket) {
    absent_object_is_not_found(bucket).await;
    what_is_written_is_read(bucket).await;
    ranges_end_where_the_object_ends(bucket).await;
    object_is_replaced_whole(bucket).await;
    listing_tells_folders_from_objects(bucket).await;
    large_objects_come_back_equal(bucket).await;
    bad_names_are_refused(bucket).await;
    conditional_writes_do_not_undo_others(bucket).await;
    one_of_many_writers_wins(bucket).await;
    let left = names(bucket, "", Listing::Recursive).await;
    assert!(left.is_empty(), "the suite left {left:?}");
}

async fn put(bucket: &dyn Bucket, name: &str, content: impl Into<Content>) {
    bucket.upload(name, content.into()).await.expect("uploads");
}

async fn names(bucket: &dyn Bucket, folder: &str, listing: Listing) -> BTreeSet<String> {
    let entries = bucket.iter(folder, listing).map_ok(|entry| entry.name);
    let listed: Vec<String> = entries.try_collect().await.expect("lists");
    let distinct: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(distinct.len(), listed.len(), "listed twice: {listed:?}");
    distinct
}

async fn absent_object_is_not_found(bucket: &dyn Bucket) {
    assert!(!bucket.exists("absent/object").await.expect("answers"));
    for error in [
        bucket
            .get("absent/object")
            .await
            .map(drop)
            .expect_err("absent"),
        bucket
            .get_range("absent/object", 0..1)
            .await
            .map(drop)
            .expect_err("absent"),
        bucket
            .attributes("absent/object")
            .await
            .map(drop)
            .expect_err("absent"),
    ] {
        assert!(error.is_not_found(), "{error:?}");
    }
    assert!(names(bucket, "absent", Listing::Folder).await.is_empty());
    assert!(names(bucket, "absent", Listing::Recursive).await.is_empty());
}

async fn what_is_written_is_read(bucket: &dyn Bucket) {
    for (name, content) in [
        ("a", &b"hello"[..]),
        ("a b/c+d%20e/\u{e4}", b"x"),
        ("empty", b""),
    ] {
        put(bucket, name, content.to_vec()).await;
        assert!(bucket.exists(name).await.expect("answers"), "{name}");
        assert_eq!(bucket.get(name).await.expect("reads"), content, "{name}");
        let attributes = bucket.attributes(name).await.expect("answers");
        assert_eq!(attributes.size, content.len() as u64, "{name}");
        assert!(
            attributes.last_modified_ms > 1_500_000_000_000,
            "{attributes:?}"
        );
        assert!(
            names(bucket, "", Listing::Recursive).await.contains(name),
            "{name}"
        );
        bucket.delete(name).await.expect("deletes");
        assert!(!bucket.exists(name).await.expect("answers"), "{name}");
    }
}

async fn ranges_end_where_the_object_ends(bucket: &dyn Bucket) {
    put(bucket, "ranged", b"0123456789".to_vec()).await;
    for (range, expected) in [
        (0..10, "0123456789"),
        (0..1, "0"),
        (3..7, "3456"),
        (9..10, "9"),
        (8..100, "89"),
        (4..4, ""),
        (10..11, ""),
        (100..200, ""),
    ] {
        let bytes = bucket.get_range("ranged", range.clone()).await;
        let bytes = bytes.unwrap_or_else(|error| panic!("{range:?}: {error:?}"));
        assert_eq!(bytes, expected.as_bytes(), "{range:?}");
    }
    bucket.delete("ranged").await.expect("deletes");
}

async fn object_is_replaced_whole(bucket: &dyn Bucket) {
    put(bucket, "replaced", b"a long first content".to_vec()).await;
    let before = bucket.attributes("replaced").await.expect("answers");
    put(bucket, "replaced", b"short".to_vec()).await;
    assert_eq!(bucket.get("replaced").await.expect("reads"), "short");
    let after = bucket.attributes("replaced").await.expect("answers");
    assert_eq!(after.size, 5);
    assert!(
        before.etag != after.etag || before.etag.is_none(),
        "{after:?}"
    );
    bucket.delete("replaced").await.expect("deletes");
}

async fn listing_tells_folders_from_objects(bucket: &dyn Bucket) {
    let all = ["top", "dir/one", "dir/two", "dir/sub/three", "dirt/four"];
    for name in all {
        put(bucket, name, name.as_bytes().to_vec()).await;
    }
    let expect = |names: &[&str]| {
        names
            .iter()
            .map(|&name| name.to_owned())
            .collect::<BTreeSet<_>>()
    };
    for (folder, listing, expected) in [
        ("", Listing::Folder, expect(&["top", "dir/", "dirt/"])),
        ("", Listing::Recursive, expect(&all)),
        (
            "dir",
            Listing::Folder,
            expect(&["dir/one", "dir/two", "dir/sub/"]),
        ),
        (
            "dir/",
            Listing::Folder,
            expect(&["dir/one", "dir/two", "dir/sub/"]),
        ),
        (
            "dir",
            Listing::Recursive,
            expect(&["dir/one", "dir/two", "dir/sub/three"]),
        ),
        ("dir/sub", Listing::Folder, expect(&["dir/sub/three"])),
        ("di", Listing::Recursive, expect(&[])),
    ] {
        assert_eq!(
            names(bucket, folder, listing).await,
            expected,
            "{folder:?} {listing:?}"
        );
    }
    let entries: Vec<_> = bucket.iter("dir", Listing::Folder).collect().await;
    for entry in entries {
        let entry = entry.expect("lists");
        assert_eq!(entry.is_folder(), entry.attributes.is_none(), "{entry:?}");
    }
    for name in all {
        bucket.delete(name).await.expect("deletes");
    }
    assert!(
        names(bucket, "", Listing::Folder).await.is_empty(),
        "folders outlived their objects"
    );
}

async fn large_objects_come_back_equal(bucket: &dyn Bucket) {
    let content: Bytes = (0..LARGE_BYTES)
        .map(|i| (i % 251) as u8)
        .collect::<Vec<_>>()
        .into();
    let file = std::env::temp_dir().join(format!("objstore-suite-{}", rand::random::<u64>()));
    std::fs::File::create(&file)
        .and_then(|mut f| f.write_all(&content))
        .expect("writes");
    let pieces: Vec<_> = content
        .chunks(999_983)
        .map(|piece| Ok(content.slice_ref(piece)))
        .collect();
    for (name, uploaded) in [
        ("large/bytes", Content::Bytes(content.clone())),
        ("large/file", Content::File(file.clone())),
        (
            "large/stream",
            Content::Stream(stream::iter(pieces).boxed()),
        ),
    ] {
        put(bucket, name, uploaded).await;
        let size = bucket.attributes(name).await.expect("answers").size;
        assert_eq!(size, LARGE_BYTES as u64, "{name}");
        assert!(
            bucket.get(name).await.expect("reads") == content,
            "{name} differs"
        );
        let tail = bucket
            .get_range(name, (LARGE_BYTES - 5) as u64..u64::MAX)
            .await;
        assert_eq!(
            tail.expect("reads"),
            content.slice(LARGE_BYTES - 5..),
            "{name}"
        );
        bucket.delete(name).await.expect("deletes");
    }
    std::fs::remove_file(&file).expect("removes");
    let missing = bucket
        .upload("large/file", Content::File(file))
        .await
        .expect_err("no such file");
    assert_eq!(missing.kind(), ErrorKind::Invalid, "{missing:?}");
    let breaks: Vec<std::io::Result<Bytes>> =
        vec![Ok(content), Err(std::io::Error::other("source broke"))];
    let broken = Content::Stream(stream::iter(breaks).boxed());
    bucket
        .upload("large/broken", broken)
        .await
        .expect_err("the source broke");
    assert!(
        !bucket.exists("large/broken").await.expect("answers"),
        "half an object is visible"
    );
}

async fn bad_names_are_refused(bucket: &dyn Bucket) {
    for name in ["", "a//b", "../a", "a/../../b"] {
        let error = bucket.get(name).await.map(drop).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name:?}: {error:?}");
        let error = bucket
            .upload(name, b"x".to_vec().into())
            .await
            .expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name:?}: {error:?}");
    }
}

async fn conditional_writes_do_not_undo_others(bucket: &dyn Bucket) {
    let name = "conditional/object";
    let absent = bucket.get_versioned(name).await.map(drop);
    assert!(absent.expect_err("absent").is_not_found());
    let put = async |content: &'static str, condition: &Condition| {
        let content = Bytes::from_static(content.as_bytes());
        bucket.put_if(name, content, condition.clone()).await
    };
    let first = put("first", &Condition::Absent).await.expect("written");
    let first = Condition::Unchanged(first);
    let refused = put("other", &Condition::Absent).await;
    assert!(
        refused.as_ref().is_err_and(|error| error.is_conflict()),
        "{refused:?}"
    );
    let (found, version) = bucket.get_versioned(name).await.expect("reads");
    assert_eq!(found, "first");
    // The version read serves as well as the one written.
    let read = Condition::Unchanged(version);
    let second = put("second", &read).await.expect("written");
    let second = Condition::Unchanged(second);
    let third = put("third", &second).await.expect("written");
    let third = Condition::Unchanged(third);
    let refused = put("fourth", &read).await;
    assert!(
        refused.as_ref().is_err_and(|error| error.is_conflict()),
        "{refused:?}"
    );
    let refused = put("fourth", &first).await;
    assert!(
        refused.as_ref().is_err_and(|error| error.is_conflict()),
        "{refused:?}"
    );
    assert_eq!(bucket.get(name).await.expect("reads"), "third");
    // A writer without conditions is noticed as well.
    self::put(bucket, name, b"foreign".to_vec()).await;
    let refused = put("fourth", &third).await;
    assert!(
        refused.as_ref().is_err_and(|error| error.is_conflict()),
        "{refused:?}"
    );
    let (_, version) = bucket.get_versioned(name).await.expect("reads");
    bucket.delete(name).await.expect("deletes");
    let refused = put("fourth", &Condition::Unchanged(version)).await;
    assert!(
        refused.as_ref().is_err_and(|error| error.is_conflict()),
        "{refused:?}"
    );
    assert!(
        !bucket.exists(name).await.expect("answers"),
        "a removed object came back"
    );
}

async fn one_of_many_writers_wins(bucket: &dyn Bucket) {
    const WRITERS: usize = 8;
    let name = "conditional/counter";
    put(bucket, name, b"0".to_vec()).await;
    // Each adds one until it was let; a lost update would show in the sum.
    let add = async |writer: usize| loop {
        let (found, version) = bucket.get_versioned(name).await.expect("reads");
        let text = String::from_utf8_lossy(&found).into_owned();
        let count: usize = text
            .split(' ')
            .next()
            .and_then(|n| n.parse().ok())
            .expect(&text);
        let next = format!("{} by {writer}", count + 1);
        match bucket
            .put_if(name, next.into(), Condition::Unchanged(version))
            .await
        {
            Ok(_) => return,
            Err(error) => assert!(error.is_conflict(), "{error:?}"),
        }
    };
    futures::future::join_all((0..WRITERS).map(add)).await;
    let found = bucket.get(name).await.expect("reads");
    assert!(
        found.starts_with(format!("{WRITERS} ").as_bytes()),
        "{found:?}"
    );
    bucket.delete(name).await.expect("deletes");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::backend::ObjectStoreBucket;
    use crate::fault::{FaultPlan, FaultyBucket};
    use crate::prefix::Prefixed;
    use crate::retry::{RetryPolicy, Retrying};

    #[tokio::test]
    async fn memory_conforms() {
        run(&ObjectStoreBucket::in_memory("b")).await;
    }

    #[tokio::test]
    async fn folder_conforms() {
        let dir = tempfile::tempdir().expect("tempdir");
        run(&ObjectStoreBucket::folder(&dir.path().join("new/bucket")).expect("opens")).await;
    }

    #[tokio::test]
    async fn prefix_conforms_and_stays_below_it() {
        let whole = std::sync::Arc::new(ObjectStoreBucket::in_memory("b"));
        put(&whole, "outside", b"x".to_vec()).await;
        let prefixed = Prefixed::new(std::sync::Arc::clone(&whole), "/team/a/");
        put(&prefixed, "inside", b"y".to_vec()).await;
        assert_eq!(whole.get("team/a/inside").await.expect("reads"), "y");
        prefixed.delete("inside").await.expect("deletes");
        run(&prefixed).await;
        assert!(whole.exists("outside").await.expect("answers"));
    }

    #[tokio::test]
    async fn retries_hide_errors_and_puts_that_were_applied() {
        let dir = tempfile::tempdir().expect("tempdir");
        for (seed, folder) in [(1, false), (2, false), (3, true)] {
            let plan = FaultPlan {
                seed,
                error_ratio: 0.2,
                applied_but_failed_ratio: 0.2,
                broken_listing_ratio: 0.2,
                latency: Some(Duration::ZERO..Duration::from_micros(50)),
                ..FaultPlan::default()
            };
            let bucket = if folder {
                ObjectStoreBucket::folder(dir.path()).expect("opens")
            } else {
                ObjectStoreBucket::in_memory("b")
            };
            let faulty = std::sync::Arc::new(FaultyBucket::new(bucket, plan));
            let policy = RetryPolicy {
                attempts: 20,
                first_backoff: Duration::from_micros(10),
                max_backoff: Duration::from_micros(100),
            };
            let retrying = Retrying::new(std::sync::Arc::clone(&faulty), policy);
            absent_object_is_not_found(&retrying).await;
            what_is_written_is_read(&retrying).await;
            ranges_end_where_the_object_ends(&retrying).await;
            object_is_replaced_whole(&retrying).await;
            listing_tells_folders_from_objects(&retrying).await;
            bad_names_are_refused(&retrying).await;
            conditional_writes_do_not_undo_others(&retrying).await;
            assert!(faulty.injected() > 10, "only {} faults", faulty.injected());
        }
    }

    #[tokio::test]
    async fn same_seed_gives_the_same_faults() {
        let outcomes = |seed| async move {
            let plan = FaultPlan {
                seed,
                error_ratio: 0.5,
                ..FaultPlan::default()
            };
            let bucket = FaultyBucket::new(ObjectStoreBucket::in_memory("b"), plan);
            let mut outcomes = Vec::new();
            for _ in 0..64 {
                outcomes.push(bucket.exists("a").await.is_ok());
            }
            outcomes
        };
        assert_eq!(outcomes(7).await, outcomes(7).await);
        assert_ne!(outcomes(7).await, outcomes(8).await);
    }

    #[tokio::test]
    async fn bucket_that_is_down_fails_until_it_is_up() {
        let bucket = FaultyBucket::new(ObjectStoreBucket::in_memory("b"), FaultPlan::default());
        bucket.set_down(true);
        assert!(
            bucket
                .upload("a", b"x".to_vec().into())
                .await
                .expect_err("down")
                .is_retryable()
        );
        assert!(
            bucket
                .iter("", Listing::Folder)
                .next()
                .await
                .expect("an answer")
                .is_err()
        );
        bucket.set_down(false);
        run(&bucket).await;
    }
}
