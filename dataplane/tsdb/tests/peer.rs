//! Blocks that Prometheus wrote are read alike by both, and blocks written here are read alike by
//! Prometheus. `HINDSIGHT_GOPEER` names the `gopeer` binary (`e2e/modules/build.sh gopeer` builds it).
#![expect(clippy::print_stderr, reason = "a skipped test says so")]
#![expect(
    clippy::panic,
    reason = "a difference is told by its line, not by both dumps"
)]

#[path = "../../chunk/testdata/dump.rs"]
mod dump;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use model::TimeRange;
use model::ulid::BlockId;
use tsdb::block::{BlockReader, BlockWriter, EncodedChunk, INDEX_FILE_NAME};
use tsdb::meta::{self, BlockMeta, Thanos, source};
use tsdb::tombstones::Tombstones;

const DATASETS: [&str; 4] = ["diff", "dash", "ha", "nh"];

/// Of each data set so many blocks are looked at.
const BLOCKS_PER_DATASET: usize = 3;

fn gopeer() -> Option<PathBuf> {
    let binary = std::env::var_os("HINDSIGHT_GOPEER").map(PathBuf::from);
    if binary.is_none() {
        let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(
            !ci,
            "HINDSIGHT_GOPEER is not set; build it with e2e/modules/build.sh gopeer"
        );
        eprintln!("SKIP: set HINDSIGHT_GOPEER to the gopeer binary");
    }
    binary
}

fn run(binary: &Path, args: &[&str]) -> String {
    let output = Command::new(binary)
        .args(args)
        .output()
        .expect("gopeer starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "gopeer {args:?}: {errors}");
    String::from_utf8(output.stdout).expect("gopeer prints text")
}

fn cut_blocks(binary: &Path, dataset: &str, out: &Path) -> Vec<PathBuf> {
    let out = out.to_str().expect("the path is text");
    let folders = run(
        binary,
        &["blocks", "--out", out, "--dataset", dataset, "--size", "S"],
    );
    folders
        .lines()
        .take(BLOCKS_PER_DATASET)
        .map(PathBuf::from)
        .collect()
}

fn open(folder: &Path) -> BlockReader {
    let read = |name: &str| std::fs::read(folder.join(name)).expect("the file is there");
    let meta = BlockMeta::decode(&read(meta::FILE_NAME)).expect("the meta is sound");
    let n_segments = std::fs::read_dir(folder.join("chunks"))
        .expect("there are chunks")
        .count();
    let segments = (0..u32::try_from(n_segments).expect("few segments"))
        .map(|segment| Bytes::from(read(&tsdb::segment::segment_name(segment))))
        .collect();
    let tombstones = Tombstones::decode(&read("tombstones")).expect("the tombstones are sound");
    BlockReader::new(
        meta,
        Bytes::from(read(INDEX_FILE_NAME)),
        segments,
        tombstones,
    )
    .expect("the block is sound")
}

fn dump(block: &BlockReader) -> String {
    let mut out = format!("block {}\n", block.meta.ulid);
    for series in block
        .select(&[], TimeRange::ALL)
        .expect("the block is sound")
    {
        out.push_str("series");
        for label in &series.labels {
            let (name, value) = (label.name, label.value);
            write!(out, " {}:{name}={}:{value}", name.len(), value.len()).expect("it is written");
        }
        out.push('\n');
        for (range, chunk) in series.chunks {
            let encoding = chunk.encoding as u8;
            writeln!(out, "chunk {encoding} {} {}", range.start, range.end).expect("it is written");
            dump::dump_samples(chunk.encoding, chunk.data, &mut out).expect("the chunk is sound");
        }
    }
    out
}

/// Writes a block with the series of another, each chunk as it is.
fn rewrite(block: &BlockReader, ulid: BlockId, thanos: Option<Thanos>) -> Vec<(String, Vec<u8>)> {
    let mut writer = BlockWriter::new();
    for series in block
        .select(&[], TimeRange::ALL)
        .expect("the block is sound")
    {
        let chunks = series.chunks.iter().map(|(range, chunk)| EncodedChunk {
            min_time: range.start,
            max_time: range.end,
            encoding: chunk.encoding,
            data: chunk.data.to_vec(),
        });
        writer.add(series.labels.clone(), chunks.collect());
    }
    writer
        .finish(ulid, thanos)
        .expect("the block is sound")
        .files
}

fn assert_same(ours: &str, theirs: &str, dataset: &str) {
    let different = ours
        .lines()
        .zip(theirs.lines())
        .enumerate()
        .find(|(_, (a, b))| a != b);
    if let Some((line, (ours, theirs))) = different {
        panic!("{dataset}: line {line}\n  ours:   {ours}\n  theirs: {theirs}");
    }
    assert_eq!(ours.len(), theirs.len(), "{dataset}: one dump goes on");
}

#[test]
fn blocks_that_prometheus_wrote_are_read_as_prometheus_reads_them() {
    let Some(gopeer) = gopeer() else { return };
    for dataset in DATASETS {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for path in cut_blocks(&gopeer, dataset, folder.path()) {
            let block = open(&path);
            assert_eq!(block.verify(), Ok(()), "{dataset}");
            let theirs = run(&gopeer, &["dump", path.to_str().expect("the path is text")]);
            assert!(
                theirs.lines().count() > 1_000,
                "{dataset}: the block is not empty"
            );
            assert_same(&dump(&block), &theirs, dataset);
        }
    }
}

#[test]
fn the_same_series_make_the_files_that_prometheus_makes() {
    let Some(gopeer) = gopeer() else { return };
    for dataset in DATASETS {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for path in cut_blocks(&gopeer, dataset, folder.path()) {
            let block = open(&path);
            for (name, bytes) in rewrite(&block, block.meta.ulid, None) {
                if name == meta::FILE_NAME {
                    let ours = BlockMeta::decode(&bytes).expect("what is written is sound");
                    assert_eq!(ours.stats, block.meta.stats, "{dataset}");
                    continue;
                }
                let theirs = std::fs::read(path.join(&name)).expect("the file is there");
                assert!(
                    bytes == theirs,
                    "{dataset}: {name} of {} differs",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn blocks_written_here_are_read_by_prometheus() {
    let Some(gopeer) = gopeer() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    for path in cut_blocks(&gopeer, "diff", folder.path()) {
        let block = open(&path);
        let ulid = BlockId::from_parts(block.meta.ulid.timestamp_ms(), 1);
        let thanos = Thanos::new(
            &model::Labels::from_pairs([("cluster", "eu")]),
            source::SIDECAR,
        );
        let written = folder.path().join("written").join(ulid.to_string());
        std::fs::create_dir_all(written.join("chunks")).expect("the folder is made");
        for (name, bytes) in rewrite(&block, ulid, Some(thanos)) {
            std::fs::write(written.join(name), bytes).expect("the file is written");
        }
        std::fs::write(written.join("tombstones"), Tombstones::new().encode()).expect("written");
        let theirs = run(
            &gopeer,
            &["dump", written.to_str().expect("the path is text")],
        );
        assert_same(&dump(&open(&written)), &theirs, "diff");
        std::fs::remove_dir_all(&written).expect("the folder is removed");
    }
}
