//! Blocks that Prometheus cut, compacted here and by Prometheus' own compactor, are the same to the
//! byte. `HINDSIGHT_GOPEER` names the `gopeer` binary, `HINDSIGHT_PROMETHEUS` the folder of `promtool`
//! (`e2e/modules/build.sh gopeer prometheus` builds both).
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use block::BlockId;
use block::fetcher::{Fetcher, FetcherMetrics, View};
use compact::execute::Tools;
use compact::group::GroupKey;
use compact::lease::Guard;
use compact::merge::overlap::Dedup;
use model::Labels;
use objstore::{Bucket, ObjectStoreBucket};
use runtime::clock::SystemClock;
use runtime::metrics::Metrics;
use runtime::shutdown::Shutdown;
use tsdb::meta::{BlockMeta, Resolution, Thanos, source};

/// Of each data set so many blocks are compacted.
const BLOCKS: usize = 4;

fn from_env(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name).map(PathBuf::from);
    if value.is_none() {
        let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(!ci, "{name} is not set; see e2e/modules/build.sh");
        eprintln!("SKIP: set {name}");
    }
    value
}

fn run(binary: &Path, args: &[&str]) -> String {
    let output = Command::new(binary).args(args).output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{} {args:?}: {errors}",
        binary.display()
    );
    String::from_utf8(output.stdout).expect("it prints text")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is text")
}

/// Cuts blocks into a folder and keeps the first of them.
fn cut(gopeer: &Path, dataset: &str, out: &Path) -> Vec<PathBuf> {
    let labels = "cluster=eu,replica=a";
    let args = [
        "blocks",
        "--out",
        text(out),
        "--dataset",
        dataset,
        "--size",
        "S",
        "--thanos-labels",
        labels,
    ];
    let folders = run(gopeer, &args);
    let folders: Vec<PathBuf> = folders.lines().map(PathBuf::from).collect();
    for extra in folders.iter().skip(BLOCKS) {
        std::fs::remove_dir_all(extra).expect("it can be removed");
    }
    folders.into_iter().take(BLOCKS).collect()
}

fn read_meta(folder: &Path) -> BlockMeta {
    let bytes = std::fs::read(folder.join("meta.json")).expect("the meta is there");
    BlockMeta::decode(&bytes).expect("the meta is sound")
}

fn id_of(folder: &Path) -> BlockId {
    let name = folder.file_name().expect("it has a name");
    name.to_string_lossy().parse().expect("it is a block's")
}

struct Bench {
    tools: Tools,
    folder: PathBuf,
    _staging: tempfile::TempDir,
}

impl Bench {
    fn new(folder: &Path) -> Self {
        let staging = tempfile::tempdir().expect("a temporary folder");
        let bucket = ObjectStoreBucket::folder(folder).expect("the folder is there");
        let tools = Tools {
            bucket: Arc::new(bucket),
            data_dir: staging.path().to_owned(),
            guard: Guard::unguarded(),
            clock: Arc::new(SystemClock),
            shutdown: Shutdown::new(),
            fetch_concurrency: 2,
        };
        Self {
            tools,
            folder: folder.to_owned(),
            _staging: staging,
        }
    }

    async fn view(&self) -> View {
        let bucket: Arc<dyn Bucket> = Arc::clone(&self.tools.bucket);
        let metrics = FetcherMetrics::register(&Metrics::empty());
        Fetcher::new(bucket, None, 4, metrics)
            .fetch()
            .await
            .expect("the folder is listed")
    }

    async fn compact(&self, blocks: &[BlockId], dedup: Dedup) -> PathBuf {
        let key = GroupKey {
            resolution: Resolution::RAW,
            labels: Labels::from_pairs([("cluster", "eu")]),
        };
        let view = self.view().await;
        let compacted = self
            .tools
            .compact(&key, blocks, &view, dedup)
            .await
            .expect("it compacts");
        let meta = compacted.block.expect("there are samples");
        self.folder.join(meta.ulid.to_string())
    }
}

/// The series, chunks and samples of a block as Prometheus reads them.
fn dump(gopeer: &Path, folder: &Path) -> String {
    let text = run(gopeer, &["dump", text(folder)]);
    let (_, rest) = text.split_once('\n').expect("it begins with the block");
    rest.to_owned()
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut read = |name: String| {
        let bytes = std::fs::read(folder.join(&name)).expect("it can be read");
        files.insert(name, bytes);
    };
    read("index".to_owned());
    for entry in std::fs::read_dir(folder.join("chunks")).expect("there are chunks") {
        let name = entry.expect("it is listed").file_name();
        read(format!("chunks/{}", name.to_string_lossy()));
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn adjacent_blocks_become_what_prometheus_makes_of_them() {
    let Some(gopeer) = from_env("HINDSIGHT_GOPEER") else {
        return;
    };
    for dataset in ["dash", "nh", "diff"] {
        let (ours, theirs) = (tempfile::tempdir(), tempfile::tempdir());
        let (ours, theirs) = (ours.expect("a folder"), theirs.expect("a folder"));
        let blocks = cut(&gopeer, dataset, ours.path());
        assert!(blocks.len() > 1, "{dataset}");
        let ids: Vec<BlockId> = blocks.iter().map(|folder| id_of(folder)).collect();
        let mut args = vec!["compact", "--out", text(theirs.path())];
        args.extend(blocks.iter().map(|folder| text(folder)));
        let expected = PathBuf::from(run(&gopeer, &args).trim());
        let found = Bench::new(ours.path()).compact(&ids, Dedup::OneToOne).await;

        assert_eq!(dump(&gopeer, &found), dump(&gopeer, &expected), "{dataset}");
        let (found_files, expected_files) = (files(&found), files(&expected));
        assert!(found_files.keys().eq(expected_files.keys()), "{dataset}");
        for (name, bytes) in &expected_files {
            assert!(
                found_files.get(name) == Some(bytes),
                "{dataset}: {name} differs"
            );
        }
        let (mut ours, theirs) = (read_meta(&found), read_meta(&expected));
        assert_eq!(ours.stats, theirs.stats, "{dataset}");
        assert_eq!(
            (ours.min_time, ours.max_time),
            (theirs.min_time, theirs.max_time)
        );
        ours.compaction
            .hints
            .retain(|hint| hint != compact::lineage::OWN_HINT);
        assert_eq!(ours.compaction, theirs.compaction, "{dataset}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn overlapping_replicas_hold_what_prometheus_merges() {
    let Some(gopeer) = from_env("HINDSIGHT_GOPEER") else {
        return;
    };
    let (ours, theirs) = (tempfile::tempdir(), tempfile::tempdir());
    let (ours, theirs) = (ours.expect("a folder"), theirs.expect("a folder"));
    let blocks = cut(&gopeer, "ha", ours.path());
    let ids: Vec<BlockId> = blocks.iter().map(|folder| id_of(folder)).collect();
    let mut args = vec!["compact", "--out", text(theirs.path())];
    args.extend(blocks.iter().map(|folder| text(folder)));
    let expected = PathBuf::from(run(&gopeer, &args).trim());
    let found = Bench::new(ours.path()).compact(&ids, Dedup::OneToOne).await;
    // Where chunks overlap they are cut anew and not at the same samples: compared are the samples.
    let samples = |folder: &Path| {
        let dump = dump(&gopeer, folder);
        let lines = dump.lines().filter(|line| !line.starts_with("chunk "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(samples(&found) == samples(&expected), "samples differ");
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_reads_what_was_compacted() {
    let Some(gopeer) = from_env("HINDSIGHT_GOPEER") else {
        return;
    };
    let Some(prometheus) = from_env("HINDSIGHT_PROMETHEUS") else {
        return;
    };
    let promtool = prometheus.join("promtool");
    let folder = tempfile::tempdir().expect("a folder");
    let blocks = cut(&gopeer, "dash", folder.path());
    let ids: Vec<BlockId> = blocks.iter().map(|folder| id_of(folder)).collect();
    let dump = |db: &Path| {
        // A database without its log is none to promtool.
        std::fs::create_dir_all(db.join("wal")).expect("the folder is made");
        let text = run(&promtool, &["tsdb", "dump", text(db)]);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let before = dump(folder.path());
    assert!(before.len() > 1_000, "{} lines", before.len());
    let compacted = Bench::new(folder.path())
        .compact(&ids, Dedup::OneToOne)
        .await;
    let alone = tempfile::tempdir().expect("a folder");
    let target = alone
        .path()
        .join(compacted.file_name().expect("it has a name"));
    std::fs::rename(&compacted, &target).expect("it can be moved");
    // A bucket has no such file, and promtool wants one.
    let tombstones = tsdb::tombstones::Tombstones::new().encode();
    std::fs::write(target.join("tombstones"), tombstones).expect("it can be written");
    assert!(dump(alone.path()) == before, "samples differ");
    let meta = read_meta(&target);
    let thanos: Thanos = meta.thanos.expect("it has a section");
    assert_eq!(thanos.source, source::COMPACTOR);
}
