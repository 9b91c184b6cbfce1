//! `histogram_quantile`, `histogram_quantiles` and `histogram_fraction` over classic buckets.

use hashbrown::HashMap;

use crate::annotations::{Annotation, Monotonicity};
use crate::ast::PosRange;
use crate::number::{format_open_metrics, parse_float};
use crate::symbols::{SymbolId, SymbolLabels};

use super::block::{Block, Grid, SeriesMeta, has, set};
use super::exec::{Collected, Exec, Operator};
use super::leaf::drop_name;
use super::scalar::{ScalarColumn, ScalarOperator};
use super::{EngineError, annotate};

/// Differences between cumulative counts below this relative size are rounding.
const TOLERANCE: f64 = 1e-12;

/// The cumulative count up to a bound.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bucket {
    upper: f64,
    count: f64,
}

/// The series of one histogram, ordered by bound.
struct Histogram {
    labels: SymbolLabels,
    /// `(bound, row)`.
    rows: Vec<(f64, usize)>,
}

/// Reads a vector and sorts its series into histograms.
fn histograms(
    input: &mut dyn Operator,
    grid: &Grid,
    pos: PosRange,
    ex: &mut Exec<'_>,
) -> Result<(Collected, Vec<Histogram>), EngineError> {
    let mut collected = ex.collect(input, grid, "classic histogram buckets")?;
    ex.let_go(collected.samples);
    if !collected.block.histograms.is_empty() {
        ex.warn(Annotation::warning(
            "native histograms are left out of histogram functions for now",
            pos,
        ));
        collected.block.drop_histograms();
    }
    let mut numbers: HashMap<SymbolLabels, usize> = HashMap::new();
    let mut histograms: Vec<Histogram> = Vec::new();
    for (row, meta) in collected.block.series.iter().enumerate() {
        let le = ex.symbols.get(meta.labels.get(SymbolId::LE));
        let Some(bound) = parse_float(le) else {
            let metric = if ex.delayed_names() {
                ex.symbols.get(meta.labels.get(SymbolId::METRIC_NAME))
            } else {
                ""
            };
            ex.warn(annotate::bad_bucket_label(metric, le, pos));
            continue;
        };
        let mut labels = meta.labels.clone();
        labels.retain(|name| name != SymbolId::LE);
        let number = *numbers.entry(labels).or_insert_with_key(|labels| {
            histograms.push(Histogram {
                labels: labels.clone(),
                rows: Vec::new(),
            });
            histograms.len() - 1
        });
        histograms[number].rows.push((bound, row));
    }
    for histogram in &mut histograms {
        histogram.rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    Ok((collected, histograms))
}

/// Gathers the buckets that a histogram has at a step, those of equal bounds added up.
fn gather(block: &Block, histogram: &Histogram, step: usize, buckets: &mut Vec<Bucket>) {
    buckets.clear();
    for &(upper, row) in &histogram.rows {
        if !has(block.row_present(row), step) {
            continue;
        }
        let count = block.row_values(row)[step];
        match buckets.last_mut() {
            Some(last) if last.upper == upper => last.count += count,
            _ => buckets.push(Bucket { upper, count }),
        }
    }
}

/// Quantiles of each histogram.
pub(crate) struct Quantiles {
    input: Box<dyn Operator>,
    quantiles: Vec<(ScalarOperator, PosRange)>,
    label: Option<SymbolId>,
    pos: PosRange,
    grid: Grid,
    done: bool,
}

impl Quantiles {
    pub(crate) fn new(
        input: Box<dyn Operator>,
        quantiles: Vec<(ScalarOperator, PosRange)>,
        label: Option<&str>,
        pos: PosRange,
        grid: Grid,
        ex: &mut Exec<'_>,
    ) -> Self {
        let label = label.map(|label| ex.symbols.intern(label));
        Self {
            input,
            quantiles,
            label,
            pos,
            grid,
            done: false,
        }
    }
}

impl Operator for Quantiles {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        if self.done {
            return Ok(None);
        }
        self.done = true;
        let mut columns: Vec<ScalarColumn> = Vec::with_capacity(self.quantiles.len());
        for (operator, pos) in &mut self.quantiles {
            let column = operator.eval(&self.grid, ex)?;
            for q in column
                .distinct(&self.grid)
                .filter(|q| !(0.0..=1.0).contains(q))
            {
                ex.warn(annotate::invalid_quantile(q, *pos));
            }
            columns.push(column);
        }
        let (collected, histograms) = histograms(self.input.as_mut(), &self.grid, self.pos, ex)?;
        let block = &collected.block;
        let mut out = ex.block(&self.grid);
        let mut buckets = Vec::new();
        for column in &columns {
            for histogram in &histograms {
                ex.cx.check()?;
                let forced_name = histogram.labels.get(SymbolId::METRIC_NAME);
                let mut row_of: HashMap<u64, usize> = HashMap::new();
                for step in 0..self.grid.steps {
                    gather(block, histogram, step, &mut buckets);
                    if buckets.is_empty() {
                        continue;
                    }
                    let q = column.at(step);
                    let (value, forced) = bucket_quantile(q, &mut buckets);
                    if let Some(forced) = forced {
                        let name = if ex.delayed_names() {
                            ex.symbols.get(forced_name)
                        } else {
                            ""
                        };
                        let ts = self.grid.ts(step);
                        let forced = Monotonicity {
                            min_ts: ts,
                            max_ts: ts,
                            ..forced
                        };
                        ex.warn(annotate::forced_monotonicity(name, self.pos, forced));
                    }
                    // With a label for the quantile, a quantile that changes makes several series.
                    let key = self.label.map_or(0, |_| q.to_bits());
                    let row = *row_of.entry(key).or_insert_with(|| {
                        let mut meta = SeriesMeta {
                            labels: histogram.labels.clone(),
                            drop_name: false,
                        };
                        drop_name(&mut meta, ex.options.features.delayed_name_removal);
                        if let Some(label) = self.label {
                            let text = ex.symbols.intern(&format_open_metrics(q));
                            meta.labels.set(label, text, &ex.symbols);
                        }
                        out.push_empty(meta)
                    });
                    let (values, present) = out.row_mut(row);
                    values[step] = value;
                    set(present, step);
                }
            }
        }
        Ok((out.rows() > 0).then_some(out))
    }
}

/// The φ-quantile of cumulative buckets, which are made monotonic first; also returns what that took.
fn bucket_quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, Option<Monotonicity>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if buckets
        .last()
        .is_none_or(|last| last.upper != f64::INFINITY)
    {
        return (f64::NAN, None);
    }
    let forced = make_monotonic(buckets);
    let [.., before_last, last] = *buckets.as_slice() else {
        return (f64::NAN, forced);
    };
    if last.count == 0.0 {
        return (f64::NAN, forced);
    }
    let mut rank = q * last.count;
    // As a binary search, whose answer for NaN counts is part of the contract.
    let (mut low, mut high) = (0, buckets.len() - 1);
    while low < high {
        let middle = usize::midpoint(low, high);
        if buckets[middle].count >= rank {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    let found = buckets[low];
    let value = if low == buckets.len() - 1 {
        before_last.upper
    } else if low == 0 && found.upper <= 0.0 {
        found.upper
    } else {
        let (mut start, mut count) = (0.0, found.count);
        if low > 0 {
            let below = buckets[low - 1];
            start = below.upper;
            count -= below.count;
            rank -= below.count;
        }
        start + (found.upper - start) * (rank / count)
    };
    (value, forced)
}

fn make_monotonic(buckets: &mut [Bucket]) -> Option<Monotonicity> {
    let mut forced: Option<Monotonicity> = None;
    let mut previous = buckets.first()?.count;
    for bucket in &mut buckets[1..] {
        let current = bucket.count;
        if current == previous {
            continue;
        }
        if almost_equal(previous, current) {
            bucket.count = previous;
            continue;
        }
        if current < previous {
            bucket.count = previous;
            let so_far = forced.get_or_insert(Monotonicity {
                min_ts: 0,
                max_ts: 0,
                min_bucket: bucket.upper,
                max_bucket: bucket.upper,
                max_diff: 0.0,
                count: 1,
            });
            so_far.min_bucket = so_far.min_bucket.min(bucket.upper);
            so_far.max_bucket = so_far.max_bucket.max(bucket.upper);
            so_far.max_diff = so_far.max_diff.max(previous - current);
            continue;
        }
        previous = current;
    }
    forced
}

fn almost_equal(a: f64, b: f64) -> bool {
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    let sum = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

/// The part of each histogram's observations between two bounds.
pub(crate) struct Fraction {
    input: Box<dyn Operator>,
    lower: ScalarOperator,
    upper: ScalarOperator,
    pos: PosRange,
    grid: Grid,
    done: bool,
}

impl Fraction {
    pub(crate) fn new(
        input: Box<dyn Operator>,
        lower: ScalarOperator,
        upper: ScalarOperator,
        pos: PosRange,
        grid: Grid,
    ) -> Self {
        Self {
            input,
            lower,
            upper,
            pos,
            grid,
            done: false,
        }
    }
}

impl Operator for Fraction {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        if self.done {
            return Ok(None);
        }
        self.done = true;
        let lower = self.lower.eval(&self.grid, ex)?;
        let upper = self.upper.eval(&self.grid, ex)?;
        let (collected, histograms) = histograms(self.input.as_mut(), &self.grid, self.pos, ex)?;
        let mut out = ex.block(&self.grid);
        let mut buckets = Vec::new();
        for histogram in histograms {
            ex.cx.check()?;
            let mut meta = SeriesMeta {
                labels: histogram.labels.clone(),
                drop_name: false,
            };
            drop_name(&mut meta, ex.delayed_names());
            let row = out.push_empty(meta);
            let (values, present) = out.row_mut(row);
            for (step, value) in values.iter_mut().enumerate() {
                gather(&collected.block, &histogram, step, &mut buckets);
                if !buckets.is_empty() {
                    *value = bucket_fraction(lower.at(step), upper.at(step), &buckets);
                    set(present, step);
                }
            }
        }
        Ok((out.rows() > 0).then_some(out))
    }
}

fn bucket_fraction(lower: f64, upper: f64, buckets: &[Bucket]) -> f64 {
    let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else {
        return f64::NAN;
    };
    if last.upper != f64::INFINITY || last.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    // Where the first bound is positive, nothing is observed below zero.
    let mut bucket_lower = if first.upper <= 0.0 {
        f64::NEG_INFINITY
    } else {
        0.0
    };
    let (mut rank, mut lower_rank, mut upper_rank) = (0.0, None, None);
    for bucket in buckets {
        let rank_at = |value: f64| {
            if bucket_lower == f64::NEG_INFINITY {
                return bucket.count;
            }
            rank + (bucket.count - rank) * (value - bucket_lower) / (bucket.upper - bucket_lower)
        };
        for (value, found) in [(lower, &mut lower_rank), (upper, &mut upper_rank)] {
            if found.is_none() && bucket_lower >= value {
                *found = Some(rank);
            }
            if found.is_none() && bucket_lower < value && bucket.upper > value {
                *found = Some(rank_at(value));
            }
        }
        if lower_rank.is_some() && upper_rank.is_some() {
            break;
        }
        rank = bucket.count;
        bucket_lower = bucket.upper;
    }
    let capped = |rank: Option<f64>| match rank {
        Some(rank) if rank > last.count => last.count,
        Some(rank) => rank,
        None => last.count,
    };
    (capped(upper_rank) - capped(lower_rank)) / last.count
}
