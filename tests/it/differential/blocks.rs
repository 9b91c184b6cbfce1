//! The data set as blocks: one copy for Prometheus, one for a bucket.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use anyhow::{Context as _, Result};
use model::ulid::BlockId;
use model::{Labels, LabelsBuilder};
use tsdb::block::{BlockWriter, WrittenBlock, cut_float_chunks};
use tsdb::meta::{Thanos, source};

use super::dataset::{self, BLOCK_MS, END_MS, START_MS, Series};

/// The label that a bucket's blocks have as external label and Prometheus' blocks in their series.
const CLUSTER: (&str, &str) = ("cluster", "diff");
/// The label that deduplication takes off again.
pub(crate) const REPLICA: (&str, &str) = ("replica", "a");

/// Where the external labels of a copy are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// In every series, as one server has it.
    Prometheus,
    /// In the blocks' meta, as a sidecar uploads it, with a replica label.
    Bucket,
}

static SERIES: LazyLock<Vec<Series>> = LazyLock::new(dataset::series);

/// Makes the data set's blocks; always the same.
pub(crate) fn blocks(layout: Layout) -> Result<Vec<WrittenBlock>> {
    let mut blocks = Vec::new();
    let mut start = START_MS;
    while start < END_MS {
        let end = start + BLOCK_MS;
        let mut writer = BlockWriter::new();
        for series in SERIES.iter() {
            let from = series.samples.partition_point(|(t, _)| *t < start);
            let to = series.samples.partition_point(|(t, _)| *t < end);
            if from < to {
                let labels = match layout {
                    Layout::Prometheus => with_cluster(&series.labels),
                    Layout::Bucket => series.labels.clone(),
                };
                writer.add(labels, cut_float_chunks(&series.samples[from..to]));
            }
        }
        let external = Labels::from_pairs([CLUSTER, REPLICA]);
        let thanos = (layout == Layout::Bucket).then(|| Thanos::new(&external, source::SIDECAR));
        let id = BlockId::from_parts(end.unsigned_abs(), u128::from(start.unsigned_abs()));
        blocks.push(writer.finish(id, thanos).context("make a block")?);
        start = end;
    }
    Ok(blocks)
}

/// Writes the data set's blocks as folders of `dir`.
pub(crate) fn write(dir: &Path, layout: Layout) -> Result<()> {
    for block in blocks(layout)? {
        let folder = dir.join(block.meta.ulid.to_string());
        fs::create_dir_all(folder.join("chunks"))?;
        for (name, content) in &block.files {
            let path = folder.join(name);
            fs::write(&path, content).with_context(|| format!("write {}", path.display()))?;
        }
    }
    Ok(())
}

fn with_cluster(labels: &Labels) -> Labels {
    let mut pairs: Vec<(&str, &str)> = labels.iter().map(|l| (l.name, l.value)).collect();
    pairs.push(CLUSTER);
    pairs.sort_unstable();
    let mut builder = LabelsBuilder::default();
    for (name, value) in pairs {
        builder.push(name, value);
    }
    builder.finish()
}
