//! Our engine over the blocks' bytes in memory, without network or store.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use chunk::Encoding;
use model::histogram::FloatHistogram;
use model::{Labels, TimeRange};
use promql::ParseOptions;
use promql::context::QueryContext;
use promql::engine::{Engine, EngineOptions, histogram_buckets};
use promql::queryable::{
    Columns, Queryable, QueryableError, SelectRequest, Series, SeriesData, SeriesSet,
};
use promql::symbols::{SymbolLabels, SymbolTable};
use promql::value::{QueryResult, SampleValue, Value};
use tsdb::block::{BlockReader, WrittenBlock};
use tsdb::tombstones::Tombstones;

use super::Opponent;
use super::answer::{Answer, LabelSet, Native, Outcome, Query, Seconds, Times, Value as Shown};
use super::blocks::{self, Layout};

/// What the real Prometheus has switched on, too.
pub(crate) const PARSE_OPTIONS: ParseOptions = ParseOptions {
    experimental_functions: true,
    duration_expressions: true,
    extended_range_selectors: true,
    fill_modifiers: true,
    extended_functions: false,
};

pub(crate) struct InProcess {
    engine: Engine,
    storage: Storage,
}

impl InProcess {
    pub(crate) fn new() -> Result<Self> {
        let open = |block: WrittenBlock| {
            let (mut index, mut segments) = (Bytes::new(), Vec::new());
            for (name, content) in block.files {
                if name == tsdb::block::INDEX_FILE_NAME {
                    index = content.into();
                } else if name != tsdb::meta::FILE_NAME {
                    segments.push(content.into());
                }
            }
            BlockReader::new(block.meta, index, segments, Tombstones::default())
        };
        let blocks = blocks::blocks(Layout::Prometheus)?.into_iter().map(open);
        let blocks = blocks.collect::<Result<_, _>>()?;
        Ok(Self {
            engine: Engine::new(EngineOptions::default())?,
            storage: Storage {
                blocks: Arc::new(blocks),
            },
        })
    }
}

impl Opponent for InProcess {
    fn ask(&self, query: &Query) -> Result<Answer> {
        let error = |kind: &str, message: String| {
            let outcome = Outcome::Error {
                kind: kind.to_owned(),
                message,
            };
            Ok(Answer {
                outcome,
                ..Answer::default()
            })
        };
        let expr = match promql::parse(&query.expr, &PARSE_OPTIONS) {
            Ok(expr) => expr,
            Err(e) => return error("bad_data", format!("invalid parameter \"query\": {e}")),
        };
        let context = QueryContext::builder().text(&query.expr).build();
        let result = match query.times {
            Times::Instant { at } => self.engine.instant(&self.storage, &expr, at, &context),
            Times::Range { start, end, step } => {
                let step = as_parsed(step);
                self.engine
                    .range(&self.storage, &expr, start, end, step, &context)
            }
        };
        match result {
            Ok(result) => Ok(answer(result)),
            Err(e) => {
                let kind = e.kind().error_type();
                let prefix = if kind == "bad_data" {
                    "invalid parameter \"query\": "
                } else {
                    ""
                };
                error(kind, format!("{prefix}{e}"))
            }
        }
    }
}

/// Returns the step that Prometheus' API reads: seconds as a float, cut off at nanoseconds and then
/// at milliseconds, so that 33.321 s become 33,320 ms.
fn as_parsed(step_ms: i64) -> i64 {
    let seconds: f64 = Seconds(step_ms)
        .to_string()
        .parse()
        .expect("decimal seconds");
    (seconds * 1e9) as i64 / 1_000_000
}

fn answer(result: QueryResult) -> Answer {
    let outcome = match result.value {
        Value::Scalar(scalar) => Outcome::Scalar(scalar.ts, scalar.value),
        Value::String(string) => Outcome::String(string.ts, string.value),
        Value::Vector(samples) => {
            let samples = samples
                .iter()
                .map(|s| (label_set(&s.labels), s.ts, shown(&s.value)));
            Outcome::Vector(samples.collect())
        }
        Value::Matrix(series) => {
            let series = series.into_iter().map(|s| {
                let floats = s.floats.iter().map(|(t, value)| (*t, Shown::Float(*value)));
                let histograms = s.histograms.iter().map(|(t, value)| (*t, native(value)));
                let mut points: Vec<_> = floats.chain(histograms).collect();
                points.sort_by_key(|(t, _)| *t);
                (label_set(&s.labels), points)
            });
            Outcome::Matrix(series.collect())
        }
    };
    Answer {
        outcome,
        warnings: result.warnings.into_iter().collect(),
        infos: result.infos.into_iter().collect(),
    }
}

fn shown(value: &SampleValue) -> Shown {
    match value {
        SampleValue::Float(value) => Shown::Float(*value),
        SampleValue::Histogram(histogram) => native(histogram),
    }
}

fn native(histogram: &FloatHistogram) -> Shown {
    let buckets = histogram_buckets(histogram).into_iter().map(|bucket| {
        let bounds = match (bucket.lower_inclusive, bucket.upper_inclusive) {
            (false, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (true, true) => 3,
        };
        (bounds, bucket.lower, bucket.upper, bucket.count)
    });
    Shown::Histogram(Box::new(Native {
        count: histogram.count,
        sum: histogram.sum,
        buckets: buckets.collect(),
    }))
}

fn label_set(labels: &Labels) -> LabelSet {
    labels
        .iter()
        .map(|label| (label.name.to_owned(), label.value.to_owned()))
        .collect()
}

struct Storage {
    blocks: Arc<Vec<BlockReader>>,
}

impl Queryable for Storage {
    fn select(
        &self,
        request: &SelectRequest<'_>,
        _: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, QueryableError> {
        let mut series: BTreeMap<Labels, Vec<OwnedChunk>> = BTreeMap::new();
        for block in self.blocks.iter() {
            let selected = block
                .select(request.matchers, request.range)
                .map_err(storage)?;
            for one in selected {
                let chunks = one.chunks.iter();
                let chunks = chunks.map(|(_, raw)| OwnedChunk(raw.encoding, raw.data.into()));
                series.entry(one.labels).or_default().extend(chunks);
            }
        }
        Ok(Box::new(Selected {
            series: series.into_iter(),
            range: request.range,
        }))
    }
}

fn storage(error: impl std::fmt::Display) -> QueryableError {
    QueryableError::Storage(error.to_string())
}

struct OwnedChunk(Encoding, Box<[u8]>);

struct Selected {
    series: std::collections::btree_map::IntoIter<Labels, Vec<OwnedChunk>>,
    range: TimeRange,
}

impl SeriesSet for Selected {
    fn next(&mut self, symbols: &mut SymbolTable) -> Result<Option<Series>, QueryableError> {
        let next = self.series.next().map(|(labels, chunks)| Series {
            labels: SymbolLabels::intern(&labels, symbols),
            data: Box::new(Samples {
                chunks: chunks.into_iter(),
                range: self.range,
                columns: chunk::Columns::new(),
                histograms: chunk::HistogramColumns::new(),
            }),
        });
        Ok(next)
    }

    fn warnings(&mut self) -> Vec<String> {
        Vec::new()
    }
}

struct Samples {
    chunks: std::vec::IntoIter<OwnedChunk>,
    range: TimeRange,
    columns: chunk::Columns,
    histograms: chunk::HistogramColumns,
}

impl SeriesData for Samples {
    fn next_batch(&mut self, out: &mut Columns) -> Result<bool, QueryableError> {
        let Some(OwnedChunk(encoding, data)) = self.chunks.next() else {
            return Ok(false);
        };
        if encoding.is_histogram() {
            chunk::decode_histograms(encoding, &data, &mut self.histograms).map_err(storage)?;
            for i in 0..self.histograms.len() {
                let sample = self
                    .histograms
                    .timestamp(i)
                    .zip(self.histograms.float_histogram(i));
                if let Some((t, value)) = sample.filter(|(t, _)| self.range.contains(*t)) {
                    out.histogram_ts.push(t);
                    out.histograms.push(Arc::new(value));
                }
            }
            return Ok(true);
        }
        self.columns.clear();
        chunk::decode_xor(&data, &mut self.columns).map_err(storage)?;
        for (t, value) in self.columns.iter().filter(|(t, _)| self.range.contains(*t)) {
            out.ts.push(t);
            out.floats.push(value);
        }
        Ok(true)
    }
}
