//! Where series enter: selectors and windows over them, decoded and evaluated batch by batch, on the
//! pool's threads where there is more than one batch, and handed on in label order.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::annotations::Annotation;
use crate::ast::PosRange;
use crate::context::{QueryContext, Reservation};
use crate::plan::{Selector, Take};
use crate::queryable::{Columns, SelectRequest, Series, SeriesData, SeriesSet};
use crate::symbols::SymbolId;

use super::block::{Block, Grid, HistogramRow, SeriesMeta, set};
use super::exec::{Exec, Operator};
use super::pool::Pending;
use super::scalar::{ScalarColumn, ScalarOperator};
use super::stats::{Reads, keep_stats};
use super::window::{Cursor, Notes, Out, RefTimes, Scratch, WindowFunc, WindowSpec};
use super::{EngineError, annotate};

/// Values that one batch should produce: enough to outweigh handing it over, little enough to stay in
/// a core's cache.
const BATCH_VALUES: usize = 16 * 1024;
const MAX_BATCH: usize = 128;

/// Batches a thread may have to work on, so that it never waits for the next.
const IN_FLIGHT_PER_THREAD: usize = 2;

fn batch_size(grid: &Grid) -> usize {
    (BATCH_VALUES / grid.steps.max(1)).clamp(1, MAX_BATCH)
}

/// What is computed of each series.
pub(crate) enum LeafSpec {
    Instant {
        refs: RefTimes,
        lookback_ms: i64,
        take: Take,
        /// Where a smoothed selector stands in the query.
        smoothed: Option<PosRange>,
    },
    Window(WindowSpec),
}

impl LeafSpec {
    fn eval(
        &self,
        name: &str,
        scratch: &mut Scratch,
        out: &mut Out<'_>,
        cx: &QueryContext,
    ) -> Result<(), EngineError> {
        match self {
            Self::Instant {
                refs,
                lookback_ms,
                smoothed: Some(pos),
                ..
            } => {
                let notes = Notes::new(name, *pos, cx);
                super::smoothed::eval(refs, *lookback_ms, &mut scratch.columns, &notes, out);
                Ok(())
            }
            Self::Instant {
                refs,
                lookback_ms,
                take,
                ..
            } => {
                instant(refs, *lookback_ms, *take, &scratch.columns, out);
                Ok(())
            }
            Self::Window(spec) => spec.eval(name, scratch, out, cx),
        }
    }

    /// Whether the metric's name goes.
    fn drops_name(&self) -> bool {
        match self {
            Self::Instant { take, .. } => *take == Take::Timestamp,
            Self::Window(spec) => !matches!(
                spec.func,
                WindowFunc::FirstOverTime | WindowFunc::LastOverTime
            ),
        }
    }

    /// How Prometheus reads the samples.
    fn reads(&self) -> Reads {
        match self {
            Self::Instant {
                refs, lookback_ms, ..
            } => Reads {
                refs: *refs,
                after_ms: 0,
                first_ms: *lookback_ms,
                other_ms: *lookback_ms,
            },
            Self::Window(spec) => {
                let (before, after) = spec.reach();
                let whole = spec.range_ms.saturating_add(before).saturating_add(after);
                Reads {
                    refs: spec.refs,
                    after_ms: after,
                    first_ms: whole,
                    other_ms: whole.min(spec.refs.grid.step),
                }
            }
        }
    }

    /// Whether annotations may name the metric.
    fn needs_name(&self) -> bool {
        !matches!(self, Self::Instant { smoothed: None, .. })
    }
}

/// Drops the metric's name now, or marks it for the end.
pub(crate) fn drop_name(meta: &mut SeriesMeta, delayed: bool) {
    if delayed {
        meta.drop_name = true;
    } else {
        meta.labels.drop_metadata();
    }
}

/// One series on its way through a worker.
struct Task {
    meta: SeriesMeta,
    /// The metric's name, where an annotation might need it.
    name: String,
    data: Box<dyn SeriesData>,
}

struct Done {
    block: Block,
    samples: u64,
    /// Names of the metrics that had a result.
    names: Vec<String>,
}

/// Reads a selection.
pub(crate) struct Leaf {
    selector: Arc<Selector>,
    grid: Grid,
    set: Option<Box<dyn SeriesSet>>,
    stage: Stage,
    pending: VecDeque<Pending<Result<Done, EngineError>>>,
    scratch: Scratch,
    /// The metrics already checked for looking like a counter.
    checked: Vec<SymbolId>,
    reservation: Reservation,
    /// Bytes of the columns of all batches that may exist at once.
    blocks_bytes: usize,
    batches: usize,
    series: u64,
}

/// A window's parameters are numbers only once the query runs.
enum Stage {
    Planned {
        spec: Option<WindowSpec>,
        params: Vec<ScalarOperator>,
    },
    Ready(Arc<LeafSpec>),
}

impl Leaf {
    /// Starts the selection.
    pub(crate) fn new(
        selector: &Arc<Selector>,
        grid: &Grid,
        spec: LeafSpec,
        params: Vec<ScalarOperator>,
        ex: &mut Exec<'_>,
    ) -> Result<Self, EngineError> {
        let request = SelectRequest {
            matchers: &selector.matchers,
            range: selector.time,
            hints: selector.hints.clone(),
        };
        let set = ex.queryable.select(&request, ex.cx)?;
        let stage = match spec {
            LeafSpec::Window(spec) => Stage::Planned {
                spec: Some(spec),
                params,
            },
            spec @ LeafSpec::Instant { .. } => Stage::Ready(Arc::new(spec)),
        };
        // Batches in flight, one being folded, one being filled here.
        let blocks = ex
            .pool
            .map_or(0, |pool| pool.threads() * IN_FLIGHT_PER_THREAD)
            + 2;
        let rows = batch_size(grid) * blocks;
        let row_bytes =
            grid.steps.saturating_mul(size_of::<f64>()) + grid.words() * size_of::<u64>();
        let blocks_bytes = rows.saturating_mul(row_bytes);
        let mut reservation = Reservation::new(ex.cx.memory());
        reservation.resize(blocks_bytes, &selector.text)?;
        Ok(Self {
            selector: Arc::clone(selector),
            grid: *grid,
            set: Some(set),
            stage,
            pending: VecDeque::new(),
            scratch: Scratch::default(),
            checked: Vec::new(),
            reservation,
            blocks_bytes,
            batches: 0,
            series: 0,
        })
    }

    fn spec(&mut self, ex: &mut Exec<'_>) -> Result<Arc<LeafSpec>, EngineError> {
        let (spec, params) = match &mut self.stage {
            Stage::Ready(spec) => return Ok(Arc::clone(spec)),
            Stage::Planned { spec, params } => (spec.take(), params),
        };
        let Some(mut spec) = spec else {
            return Err(EngineError::Internal(
                "a window's parameters failed before".to_owned(),
            ));
        };
        spec.params = eval_params(&mut *params, &self.grid, ex)?;
        let ready = Arc::new(LeafSpec::Window(spec));
        self.stage = Stage::Ready(Arc::clone(&ready));
        Ok(ready)
    }

    /// Reads the next batch of series.
    fn read(&mut self, spec: &LeafSpec, ex: &mut Exec<'_>) -> Result<Vec<Task>, EngineError> {
        let size = batch_size(&self.grid);
        let mut tasks = Vec::new();
        let Some(set) = &mut self.set else {
            return Ok(tasks);
        };
        let delayed = ex.options.features.delayed_name_removal;
        while tasks.len() < size {
            let Some(Series { labels, data }) = set.next(&mut ex.symbols)? else {
                for warning in set.warnings() {
                    ex.cx.annotate(Annotation::storage(warning));
                }
                self.set = None;
                break;
            };
            let name = if spec.needs_name() {
                ex.symbols.get(labels.get(SymbolId::METRIC_NAME)).to_owned()
            } else {
                String::new()
            };
            let mut meta = SeriesMeta {
                labels,
                drop_name: false,
            };
            if spec.drops_name() {
                drop_name(&mut meta, delayed);
            }
            tasks.push(Task { meta, name, data });
        }
        ex.stats.series += tasks.len() as u64;
        self.series += tasks.len() as u64;
        ex.note_selector(&self.selector, self.series);
        ex.charge_symbols()?;
        Ok(tasks)
    }

    fn finish(&mut self, done: Done, spec: &LeafSpec, ex: &mut Exec<'_>) -> Block {
        ex.stats.samples += done.samples;
        if let LeafSpec::Window(window) = spec {
            note_names(&done.names, window, &mut self.checked, ex);
        }
        done.block
    }
}

/// Evaluates a window's parameters.
pub(crate) fn eval_params(
    params: &mut [ScalarOperator],
    grid: &Grid,
    ex: &mut Exec<'_>,
) -> Result<Vec<ScalarColumn>, EngineError> {
    params
        .iter_mut()
        .map(|param| param.eval(grid, ex))
        .collect()
}

/// Notes metrics whose names do not look like a counter's.
pub(crate) fn note_names(
    names: &[String],
    window: &WindowSpec,
    checked: &mut Vec<SymbolId>,
    ex: &mut Exec<'_>,
) {
    for name in names {
        let id = ex.symbols.intern(name);
        if id == SymbolId::EMPTY || checked.contains(&id) {
            continue;
        }
        checked.push(id);
        if !["_total", "_sum", "_count", "_bucket"]
            .iter()
            .any(|suffix| name.ends_with(suffix))
        {
            ex.warn(annotate::possible_non_counter(name, window.pos));
        }
    }
}

impl Operator for Leaf {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        if self.grid.steps == 0 {
            return Ok(None);
        }
        let spec = self.spec(ex)?;
        loop {
            ex.cx.check()?;
            let in_flight = match ex.pool {
                // The first batch is evaluated here: most queries have no second one.
                Some(pool) if self.batches > 0 => pool.threads() * IN_FLIGHT_PER_THREAD,
                _ => 0,
            };
            while self.pending.len() < in_flight && self.set.is_some() {
                let Some(pool) = ex.pool else { break };
                let tasks = self.read(&spec, ex)?;
                if tasks.is_empty() {
                    break;
                }
                self.batches += 1;
                let block = ex.block(&self.grid);
                let (job_spec, cx) = (Arc::clone(&spec), ex.cx.clone());
                let stats_only = self.selector.stats_only;
                self.pending.push_back(pool.submit(move |scratch| {
                    evaluate(&job_spec, stats_only, tasks, block, scratch, &cx)
                }));
            }
            let done = if let Some(pending) = self.pending.pop_front() {
                pending.wait()??
            } else {
                let tasks = self.read(&spec, ex)?;
                if tasks.is_empty() {
                    return Ok(None);
                }
                self.batches += 1;
                let block = ex.block(&self.grid);
                let stats_only = self.selector.stats_only;
                let done = evaluate(&spec, stats_only, tasks, block, &mut self.scratch, ex.cx)?;
                let held = self.scratch.columns.size_bytes() + self.blocks_bytes;
                self.reservation.resize(held, &self.selector.text)?;
                done
            };
            let block = self.finish(done, &spec, ex);
            if block.rows() > 0 {
                return Ok(Some(block));
            }
            ex.recycle(block);
        }
    }
}

fn evaluate(
    spec: &LeafSpec,
    stats_only: bool,
    tasks: Vec<Task>,
    mut block: Block,
    scratch: &mut Scratch,
    cx: &QueryContext,
) -> Result<Done, EngineError> {
    let mut samples = 0;
    let mut names: Vec<String> = Vec::new();
    let keeps_names = matches!(
        spec,
        LeafSpec::Window(window)
            if matches!(window.func, WindowFunc::Rate | WindowFunc::Increase)
    );
    let mut histograms = HistogramRow::new();
    for mut task in tasks {
        cx.check()?;
        scratch.columns.clear();
        while task.data.next_batch(&mut scratch.columns)? {}
        samples += (scratch.columns.ts.len() + scratch.columns.histogram_ts.len()) as u64;
        if stats_only {
            keep_stats(&mut scratch.columns, &spec.reads());
        }
        // An empty row that stays empty is used for the next series.
        let row = block.push_empty(task.meta);
        let (values, present) = block.row_mut(row);
        let mut out = Out {
            values,
            present,
            histograms: &mut histograms,
        };
        spec.eval(&task.name, scratch, &mut out, cx)?;
        block.set_histograms(row, std::mem::take(&mut histograms));
        if block.row_is_empty(row) {
            block.truncate(row);
        } else if keeps_names
            && names.last() != Some(&task.name)
            && block.row_present(row).iter().any(|&word| word != 0)
        {
            names.push(task.name);
        }
    }
    Ok(Done {
        block,
        samples,
        names,
    })
}

/// The latest sample in `(ref - lookback, ref]` at every step, unless it is a stale marker.
pub(crate) fn instant(
    refs: &RefTimes,
    lookback_ms: i64,
    take: Take,
    columns: &Columns,
    out: &mut Out<'_>,
) {
    if !columns.histograms.is_empty() {
        return instant_mixed(refs, lookback_ms, take, columns, out);
    }
    let (ts, floats) = (columns.ts.as_slice(), columns.floats.as_slice());
    let mut cursor = Cursor::default();
    for step in 0..refs.grid.steps {
        let at = refs.ts(step);
        let end = cursor.advance(ts, at);
        if end == 0 || ts[end - 1] <= at - lookback_ms || model::is_stale_nan(floats[end - 1]) {
            continue;
        }
        out.values[step] = match take {
            Take::Value => floats[end - 1],
            Take::Timestamp => ts[end - 1] as f64 / 1000.0,
        };
        set(out.present, step);
    }
}

fn instant_mixed(
    refs: &RefTimes,
    lookback_ms: i64,
    take: Take,
    columns: &Columns,
    out: &mut Out<'_>,
) {
    let (mut floats, mut histograms) = (Cursor::default(), Cursor::default());
    for step in 0..refs.grid.steps {
        let at = refs.ts(step);
        let float = floats.advance(&columns.ts, at).checked_sub(1);
        let histogram = histograms.advance(&columns.histogram_ts, at).checked_sub(1);
        let float_ts = float.map(|i| columns.ts[i]);
        let histogram_ts = histogram.map(|i| columns.histogram_ts[i]);
        let Some(ts) = float_ts
            .max(histogram_ts)
            .filter(|&ts| ts > at - lookback_ms)
        else {
            continue;
        };
        match (float, histogram) {
            (_, Some(i)) if histogram_ts == Some(ts) => {
                let value = &columns.histograms[i];
                if value.is_stale() {
                    continue;
                }
                if take == Take::Value {
                    out.histograms.push((step as u32, Arc::clone(value)));
                    continue;
                }
            }
            (Some(i), _) if model::is_stale_nan(columns.floats[i]) => continue,
            (Some(i), _) => out.values[step] = columns.floats[i],
            (None, _) => continue,
        }
        if take == Take::Timestamp {
            out.values[step] = ts as f64 / 1000.0;
        }
        set(out.present, step);
    }
}
