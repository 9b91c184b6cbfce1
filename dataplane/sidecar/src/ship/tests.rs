use objstore::ObjectStoreBucket;
use objstore::fault::{FaultPlan, FaultyBucket};
use runtime::clock::ManualClock;

use super::*;

fn config(folder: &Path) -> ShipConfig {
    ShipConfig {
        folder: folder.to_owned(),
        upload_compacted: false,
        concurrency: 1,
        hash_files: true,
        state_file: state::FILE_NAME.to_owned(),
        ignore_unequal_block_size: false,
        allow_out_of_order: false,
        skip_corrupted: false,
    }
}

fn shipper(folder: &Path, bucket: Arc<dyn Bucket>) -> Shipper {
    let identity = watch::Sender::new(Identity::default()).subscribe();
    let clock = Arc::new(ManualClock::new(1_000));
    Shipper::new(
        config(folder),
        bucket,
        identity,
        SidecarMetrics::default(),
        clock,
    )
}

fn write_block(folder: &Path, id: BlockId, min_time: i64, level: u32) {
    let block = folder.join(id.to_string());
    std::fs::create_dir_all(block.join("chunks")).unwrap();
    std::fs::write(block.join("chunks/000001"), format!("chunks of {id}")).unwrap();
    std::fs::write(block.join("index"), format!("index of {id}")).unwrap();
    let mut meta = BlockMeta::new(id, min_time, min_time + 10);
    meta.stats.num_samples = 5;
    meta.compaction.level = level;
    std::fs::write(block.join("meta.json"), meta.encode()).unwrap();
}

fn id(n: u64) -> BlockId {
    BlockId::from_parts(n, 0)
}

fn labels() -> Labels {
    Labels::from_pairs([("cluster", "eu"), ("prometheus_replica", "p-0")])
}

#[tokio::test]
async fn a_block_goes_up_once_with_its_labels_and_files() {
    let dir = tempfile::tempdir().unwrap();
    write_block(dir.path(), id(1), 0, 1);
    write_block(dir.path(), id(2), 10, 2);
    let bucket: Arc<dyn Bucket> = Arc::new(ObjectStoreBucket::in_memory("b"));
    let shipper = shipper(dir.path(), Arc::clone(&bucket));
    assert_eq!(shipper.sync(&labels()).await.unwrap(), 1);
    assert_eq!(shipper.sync(&labels()).await.unwrap(), 0);

    let meta = bucket.get(&format!("{}/meta.json", id(1))).await.unwrap();
    let thanos = BlockMeta::decode(&meta).unwrap().thanos.unwrap();
    assert_eq!(thanos.external_labels(), labels());
    assert_eq!(thanos.source, "sidecar");
    let names: Vec<&str> = thanos.files.iter().map(|f| f.rel_path.as_str()).collect();
    assert_eq!(names, ["chunks/000001", "index", "meta.json"]);
    assert_eq!(thanos.files[1].hash.as_ref().unwrap().value.len(), 64);
    // Prometheus compacted the other one itself.
    assert!(
        !bucket
            .exists(&format!("{}/meta.json", id(2)))
            .await
            .unwrap()
    );
    // Prometheus' own meta.json is as it was.
    let own = std::fs::read(dir.path().join(id(1).to_string()).join("meta.json")).unwrap();
    assert_eq!(BlockMeta::decode(&own).unwrap().thanos, None);
}

#[tokio::test]
async fn what_is_in_the_bucket_is_not_sent_again_when_the_memory_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    write_block(dir.path(), id(1), 0, 1);
    let bucket: Arc<dyn Bucket> = Arc::new(ObjectStoreBucket::in_memory("b"));
    shipper(dir.path(), Arc::clone(&bucket))
        .sync(&labels())
        .await
        .unwrap();
    std::fs::remove_file(dir.path().join(state::FILE_NAME)).unwrap();
    assert_eq!(
        shipper(dir.path(), bucket).sync(&labels()).await.unwrap(),
        0
    );
}

#[tokio::test]
async fn an_outage_ends_with_every_block_up_and_none_half() {
    let dir = tempfile::tempdir().unwrap();
    for n in 1..4 {
        write_block(dir.path(), id(n), n as i64 * 10, 1);
    }
    let faulty = Arc::new(FaultyBucket::new(
        ObjectStoreBucket::in_memory("b"),
        FaultPlan::default(),
    ));
    let shipper = shipper(dir.path(), Arc::clone(&faulty) as _);
    faulty.set_down(true);
    assert!(shipper.sync(&labels()).await.is_err());
    faulty.set_down(false);
    assert_eq!(shipper.sync(&labels()).await.unwrap(), 3);
    let state = ShipperState::read(&dir.path().join(state::FILE_NAME))
        .await
        .unwrap();
    assert_eq!(state.uploaded, [id(1), id(2), id(3)]);
}

#[tokio::test]
async fn an_unreadable_block_is_named_and_the_others_go_up() {
    let dir = tempfile::tempdir().unwrap();
    write_block(dir.path(), id(1), 0, 1);
    write_block(dir.path(), id(2), 10, 1);
    std::fs::write(dir.path().join(id(1).to_string()).join("meta.json"), "{").unwrap();
    let bucket: Arc<dyn Bucket> = Arc::new(ObjectStoreBucket::in_memory("b"));
    let err = shipper(dir.path(), Arc::clone(&bucket))
        .sync(&labels())
        .await
        .unwrap_err();
    assert!(err.to_string().contains(&id(1).to_string()), "{err}");
    assert!(
        bucket
            .exists(&format!("{}/meta.json", id(2)))
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_prometheus_that_compacts_on_its_own_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let shipper = shipper(dir.path(), Arc::new(ObjectStoreBucket::in_memory("b")));
    let flags = |min, max, file: &str| Flags {
        min_block_duration: min,
        max_block_duration: max,
        delay_compact_file: file.to_owned(),
    };
    assert!(shipper.check(&flags(7_200_000, 7_200_000, "")).is_ok());
    assert!(
        shipper
            .check(&flags(7_200_000, 100_000_000, "/p/thanos.shipper.json"))
            .is_ok()
    );
    let err = shipper
        .check(&flags(7_200_000, 100_000_000, ""))
        .unwrap_err()
        .to_string();
    assert!(
        err.contains("--storage.tsdb.delay-compact-file.path"),
        "{err}"
    );
}
