//! The data set as blocks: one copy for Prometheus, one for a bucket.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use anyhow::{Context as _, Result};
use chunk::Encoding;
use chunk::histogram::{CounterResetHeader, FloatHistogramAppender, HistogramAppender};
use model::ulid::BlockId;
use model::{Labels, LabelsBuilder};
use tsdb::block::{BlockWriter, EncodedChunk, SAMPLES_PER_CHUNK, WrittenBlock, cut_float_chunks};
use tsdb::meta::{Thanos, source};

use super::dataset::{self, BLOCK_MS, END_MS, Native, START_MS, Series};

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
            let chunks = chunks(series, start, end);
            if !chunks.is_empty() {
                let labels = match layout {
                    Layout::Prometheus => with_cluster(&series.labels),
                    Layout::Bucket => series.labels.clone(),
                };
                writer.add(labels, chunks);
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

/// The chunks of a series within a block, each of one kind of sample and begun anew where the kind or
/// a histogram's layout changes.
fn chunks(series: &Series, start: i64, end: i64) -> Vec<EncodedChunk> {
    let within = |t: i64| start <= t && t < end;
    let floats: Vec<(i64, f64)> = series
        .samples
        .iter()
        .filter(|(t, _)| within(*t))
        .copied()
        .collect();
    let histograms = series.histograms.iter().filter(|(t, _)| within(*t));
    let mut chunks = Vec::new();
    let mut written = 0;
    let mut run: Option<Run> = None;
    for (t, histogram) in histograms {
        let before = written + floats[written..].partition_point(|(other, _)| other < t);
        if before > written {
            chunks.extend(run.take().map(Run::finish));
            chunks.extend(cut_float_chunks(&floats[written..before]));
            written = before;
        }
        let appended = run.as_mut().is_some_and(|run| run.append(*t, histogram));
        if !appended {
            chunks.extend(run.take().map(Run::finish));
            run = Some(Run::begin(*t, histogram));
        }
    }
    chunks.extend(run.map(Run::finish));
    chunks.extend(cut_float_chunks(&floats[written..]));
    chunks
}

/// A chunk of histograms that is being written.
struct Run {
    min_time: i64,
    max_time: i64,
    appender: Appender,
}

enum Appender {
    Whole(HistogramAppender),
    Float(FloatHistogramAppender),
}

impl Run {
    fn begin(t: i64, first: &Native) -> Self {
        let header = CounterResetHeader::Unknown;
        let mut run = Self {
            min_time: t,
            max_time: t,
            appender: match first {
                Native::Whole(_) => Appender::Whole(HistogramAppender::new(header)),
                Native::Float(_) => Appender::Float(FloatHistogramAppender::new(header)),
            },
        };
        let appended = run.append(t, first);
        assert!(appended, "an empty chunk takes any histogram");
        run
    }

    fn append(&mut self, t: i64, histogram: &Native) -> bool {
        let appended = match (&mut self.appender, histogram) {
            (Appender::Whole(appender), Native::Whole(h)) => {
                usize::from(appender.len()) < SAMPLES_PER_CHUNK && appender.append(t, h).is_ok()
            }
            (Appender::Float(appender), Native::Float(h)) => {
                usize::from(appender.len()) < SAMPLES_PER_CHUNK && appender.append(t, h).is_ok()
            }
            _ => false,
        };
        if appended {
            self.max_time = t;
        }
        appended
    }

    fn finish(self) -> EncodedChunk {
        let (encoding, data) = match self.appender {
            Appender::Whole(appender) => (Encoding::Histogram, appender.finish()),
            Appender::Float(appender) => (Encoding::FloatHistogram, appender.finish()),
        };
        EncodedChunk {
            min_time: self.min_time,
            max_time: self.max_time,
            encoding,
            data,
        }
    }
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
