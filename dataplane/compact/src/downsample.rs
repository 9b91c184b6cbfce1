//! Coarser blocks out of finer ones: in place of samples what they add up to in a window.
//!
//! - [`plan`]: which blocks;
//! - [`window`]: windows and how series are cut into chunks, for every kind of sample;
//! - [`float`]: count, sum, min, max and counter of floats; [`counter`]: counters over their resets;
//! - [`histogram`]: count, sum and counter of native histograms, in [`buckets`].
//!
//! One pass over a raw block makes five minutes and an hour: hours are always made of what five minutes
//! became, chunk for chunk, so that they are the same as if they were made later.

pub mod buckets;
pub mod counter;
pub mod float;
pub mod histogram;
pub mod plan;
#[cfg(test)]
mod tests;
pub mod window;

use std::sync::Arc;

use block::fetcher::View;
use chunk::{AggregateChunk, Columns, Encoding, HistogramColumns};
use tsdb::block::{EncodedChunk, TimedChunk};
use tsdb::meta::{BlockMeta, Resolution};
use tsdb::segment::{RawChunk, decode_chunk};

use crate::error::CompactError;
use crate::execute::{Tools, fill_in, run_blocking};
use crate::lineage;
use crate::merge::source::{Cursor, Source};
use crate::merge::symbols::merge_symbols;
use crate::stage::{Stage, StageWriter, StagedBlock};
use histogram::{HistogramSample, Kind};
use plan::Job;

impl Tools {
    /// Makes the blocks of a job and returns their metas.
    ///
    /// # Errors
    /// Whatever failed. Of two blocks the finer may be there then; the coarser is made of it later.
    pub async fn downsample(&self, job: &Job, view: &View) -> Result<Vec<BlockMeta>, CompactError> {
        let source = self
            .open(&[job.block], view)
            .await?
            .pop()
            .ok_or(CompactError::Canceled)?;
        let source_meta = Arc::clone(&source.meta);
        let mut stages = Vec::new();
        let mut writers = Vec::new();
        for resolution in &job.to {
            let meta = lineage::downsampled(self.new_id(), &source_meta, *resolution);
            let bucket = Arc::clone(&self.bucket);
            let (stage, writer) = Stage::begin(bucket, meta.ulid, &self.data_dir)?;
            stages.push((stage, meta));
            writers.push((*resolution, writer));
        }
        let stop = self.shutdown.clone();
        let from = job.from;
        let work = move || downsample(source, from, writers, &|| stop.has_begun());
        let staged = match run_blocking(work).await {
            Ok(staged) => staged,
            Err(mut error) => {
                for (stage, meta) in stages {
                    error = self.abandon(stage, meta.ulid, error).await;
                }
                return Err(error);
            }
        };
        let mut published = Vec::new();
        for ((stage, mut meta), staged) in stages.into_iter().zip(staged) {
            // Nothing but stale markers leaves nothing.
            if staged.stats.num_series > 0 {
                fill_in(&mut meta, &staged, self.clock.now_ms());
                published.push(stage.publish(staged, meta, &self.guard).await?);
            }
        }
        Ok(published)
    }
}

/// Writes each series of `source` to all writers, whose resolutions ascend.
fn downsample(
    source: Source,
    from: Resolution,
    mut writers: Vec<(Resolution, StageWriter)>,
    stop: &dyn Fn() -> bool,
) -> Result<Vec<StagedBlock>, CompactError> {
    let maps = merge_symbols(&[&source.index], |text| {
        let mut symbol = None;
        for (_, writer) in &mut writers {
            symbol = Some(writer.index().add_symbol(text)?);
        }
        Ok(symbol.unwrap_or(tsdb::index::SymbolRef(0)))
    })?;
    let Some(map) = maps.into_iter().next() else {
        return Ok(Vec::new());
    };
    let mut cursor = Cursor::new(source, map)?;
    let mut reader = SeriesReader::default();
    loop {
        if stop() {
            return Err(CompactError::Canceled);
        }
        cursor.advance()?;
        let Some(labels) = cursor.labels().map(<[_]>::to_vec) else {
            break;
        };
        let mut finer = reader.read(&mut cursor, from)?;
        let mut resolution = from;
        for (to, writer) in &mut writers {
            let coarser =
                finer
                    .downsampled(resolution, *to)
                    .map_err(|corrupt| CompactError::Corrupt {
                        block: cursor.block(),
                        source: tsdb::Corrupt {
                            what: format!("a downsampled chunk: {corrupt}").into(),
                            place: "chunks".into(),
                            at: None,
                        },
                    })?;
            if !coarser.is_empty() {
                let timed: Vec<TimedChunk<'_>> = coarser.iter().map(EncodedChunk::timed).collect();
                writer.add_series(&labels, &timed)?;
            }
            finer = Series::Aggregates(coarser);
            resolution = *to;
        }
    }
    writers
        .into_iter()
        .map(|(_, writer)| Ok(writer.finish()?))
        .collect()
}

/// A series before it is downsampled.
#[derive(Debug)]
pub(crate) enum Series {
    /// Runs of one kind of sample each.
    Raw(Vec<Run>),
    /// Aggregate chunks.
    Aggregates(Vec<EncodedChunk>),
}

/// Samples of one kind, in order of time.
#[derive(Debug)]
pub(crate) enum Run {
    Floats(Vec<(i64, f64)>),
    Histograms(Vec<HistogramSample>),
}

impl Series {
    fn downsampled(
        &self,
        from: Resolution,
        to: Resolution,
    ) -> Result<Vec<EncodedChunk>, chunk::Corrupt> {
        match self {
            Self::Raw(runs) => Ok(runs.iter().flat_map(|run| run.downsampled(to.0)).collect()),
            Self::Aggregates(chunks) => downsample_aggregates(chunks, from.0, to.0),
        }
    }
}

impl Run {
    fn downsampled(&self, to_ms: i64) -> Vec<EncodedChunk> {
        match self {
            Self::Floats(samples) => float::downsample_raw(samples, to_ms),
            Self::Histograms(samples) => histogram::downsample_raw(samples, to_ms),
        }
    }
}

/// Makes coarser aggregates of aggregates, floats and histograms apart.
fn downsample_aggregates(
    chunks: &[EncodedChunk],
    from_ms: i64,
    to_ms: i64,
) -> Result<Vec<EncodedChunk>, chunk::Corrupt> {
    let mut decoded = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let aggregates = AggregateChunk::decode(&chunk.data)?;
        decoded.push((chunk, aggregates, histogram::kind_of(&aggregates)?));
    }
    let mut coarser = Vec::new();
    for run in decoded.chunk_by(|(_, _, a), (_, _, b)| a == b) {
        let (Some((first, _, kind)), Some((last, _, _))) = (run.first(), run.last()) else {
            continue;
        };
        let samples = run
            .iter()
            .map(|(_, aggregates, _)| usize::from(aggregates.sample_count()))
            .sum();
        let target = window::target_chunks(first.min_time, last.max_time, from_ms, to_ms, samples);
        let at_once = (run.len() / target).max(1);
        for part in run.chunks(at_once) {
            let part: Vec<AggregateChunk<'_>> = part.iter().map(|(_, chunk, _)| *chunk).collect();
            coarser.extend(match kind {
                Kind::Floats => float::downsample_aggregates(&part, to_ms)?,
                Kind::Exponential | Kind::CustomBuckets => {
                    histogram::downsample_aggregates(&part, to_ms)?
                }
            });
        }
    }
    Ok(coarser)
}

/// Reads the samples or aggregates of one series after the other.
#[derive(Debug, Default)]
struct SeriesReader {
    columns: Columns,
    histograms: HistogramColumns,
}

impl SeriesReader {
    fn read(&mut self, cursor: &mut Cursor, from: Resolution) -> Result<Series, CompactError> {
        let metas = cursor.chunks().to_vec();
        let mut runs: Vec<Run> = Vec::new();
        let mut aggregates = Vec::new();
        for meta in metas {
            let framed = cursor.source.chunks.framed(meta.reference)?;
            let block = cursor.block();
            let chunk = decode_chunk(&framed).map_err(CompactError::corrupt(block))?;
            let corrupt = |error: chunk::Corrupt| CompactError::Corrupt {
                block,
                source: tsdb::Corrupt::in_chunk(&error, meta.reference),
            };
            if chunk.encoding == Encoding::Aggregate {
                aggregates.push(EncodedChunk {
                    min_time: meta.min_time,
                    max_time: meta.max_time,
                    encoding: chunk.encoding,
                    data: chunk.data.to_vec(),
                });
                continue;
            }
            self.expand(chunk, &mut runs).map_err(corrupt)?;
            // A downsampled block may hold chunks of plain samples: they become aggregates first.
            if from != Resolution::RAW {
                let made = runs.drain(..).flat_map(|run| run.downsampled(from.0));
                aggregates.extend(made);
            }
        }
        Ok(if from == Resolution::RAW {
            Series::Raw(runs)
        } else {
            Series::Aggregates(aggregates)
        })
    }

    /// Appends a chunk's samples, without stale markers and without those that go back in time.
    fn expand(&mut self, chunk: RawChunk<'_>, runs: &mut Vec<Run>) -> Result<(), chunk::Corrupt> {
        if chunk.encoding.is_float() {
            self.columns.clear();
            chunk::decode_floats(chunk.encoding, chunk.data, &mut self.columns)?;
            if !matches!(runs.last(), Some(Run::Floats(_))) {
                runs.push(Run::Floats(Vec::new()));
            }
            if let Some(Run::Floats(samples)) = runs.last_mut() {
                window::append_in_order(samples, self.columns.iter());
            }
        } else {
            chunk::decode_histograms(chunk.encoding, chunk.data, &mut self.histograms)?;
            if !matches!(runs.last(), Some(Run::Histograms(_))) {
                runs.push(Run::Histograms(Vec::new()));
            }
            if let Some(Run::Histograms(samples)) = runs.last_mut() {
                histogram::append_in_order(samples, &self.histograms);
            }
        }
        Ok(())
    }
}
