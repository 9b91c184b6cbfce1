//! `topk`, `bottomk`, `limitk` and `limit_ratio`: aggregations that keep some of their input.

use crate::ast::{AggregateOp, PosRange};
use crate::context::Reservation;
use crate::engine::block::{Block, Grid, SeriesMeta, ones, set};
use crate::engine::exec::{Exec, Operator};
use crate::engine::gosort;
use crate::engine::scalar::{ScalarColumn, ScalarOperator, go_max, go_min};
use crate::engine::sort::goes_first;
use crate::engine::{EngineError, annotate};
use crate::number::format_g;
use crate::symbols::{SymbolLabels, SymbolTable};

use super::Grouping;

/// A candidate: its value and the number of its series.
type Entry = (f64, u32);

/// Keeps some elements of each group.
pub(crate) struct TopK {
    op: AggregateOp,
    input: Box<dyn Operator>,
    param: ScalarOperator,
    groups: Grouping,
    pos: PosRange,
    param_pos: PosRange,
    grid: Grid,
    done: bool,
}

impl TopK {
    pub(super) fn new(
        op: AggregateOp,
        input: Box<dyn Operator>,
        param: ScalarOperator,
        groups: Grouping,
        pos: PosRange,
        param_pos: PosRange,
        grid: Grid,
    ) -> Self {
        Self {
            op,
            input,
            param,
            groups,
            pos,
            param_pos,
            grid,
            done: false,
        }
    }

    /// Checks the parameter; returns false where nothing can come out.
    fn check(&self, param: &ScalarColumn, ex: &Exec<'_>) -> Result<bool, EngineError> {
        let values = || param.distinct(&self.grid);
        let max = values().fold(f64::NEG_INFINITY, go_max);
        let min = values().fold(f64::INFINITY, go_min);
        if self.op == AggregateOp::LimitRatio {
            if max == 0.0 && min == 0.0 {
                return Ok(false);
            }
            if values().any(f64::is_nan) {
                return Err(EngineError::execution("Ratio value is NaN"));
            }
            if max > 1.0 {
                ex.warn(annotate::invalid_ratio(max, 1.0, self.param_pos));
            }
            if min < -1.0 {
                ex.warn(annotate::invalid_ratio(min, -1.0, self.param_pos));
            }
            return Ok(true);
        }
        if max < 1.0 {
            return Ok(false);
        }
        if values().any(f64::is_nan) {
            return Err(EngineError::execution("Parameter value is NaN"));
        }
        let edge = 9_223_372_036_854_775_808.0;
        if min <= -edge {
            let message = format!("Scalar value {} underflows int64", format_g(min));
            return Err(EngineError::execution(message));
        }
        if max >= edge {
            let message = format!("Scalar value {} overflows int64", format_g(max));
            return Err(EngineError::execution(message));
        }
        Ok(true)
    }

    fn note_histograms(&self, block: &mut Block, ex: &Exec<'_>) {
        if !block.histograms.is_empty()
            && matches!(self.op, AggregateOp::Topk | AggregateOp::Bottomk)
        {
            ex.warn(annotate::ignored_in_aggregation(self.op, self.pos));
            block.drop_histograms();
        }
    }
}

impl Operator for TopK {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        if self.done {
            return Ok(None);
        }
        self.done = true;
        let param = self.param.eval(&self.grid, ex)?;
        if !self.check(&param, ex)? {
            // What is wrong with the input is reported even so.
            while let Some(block) = self.input.next(ex)? {
                ex.cx.check()?;
                ex.recycle(block);
            }
            return Ok(None);
        }
        if matches!(self.op, AggregateOp::Limitk | AggregateOp::LimitRatio) {
            return self.limit(&param, ex);
        }
        let steps = self.grid.steps;
        let descending = self.op == AggregateOp::Topk;
        let mut series: Vec<SeriesMeta> = Vec::new();
        let mut heaps: Vec<Vec<Entry>> = Vec::new();
        let mut reservation = Reservation::new(ex.cx.memory());
        while let Some(mut block) = self.input.next(ex)? {
            ex.cx.check()?;
            self.note_histograms(&mut block, ex);
            let mut bytes = 0;
            for row in 0..block.rows() {
                let meta = std::mem::take(&mut block.series[row]);
                let group = self.groups.group_of(&meta.labels);
                bytes += meta.labels.size_bytes();
                if heaps.len() < (group + 1) * steps {
                    heaps.resize_with((group + 1) * steps, Vec::new);
                    bytes += steps * size_of::<Vec<Entry>>();
                }
                let number = series.len() as u32;
                series.push(meta);
                let values = block.row_values(row);
                for step in ones(block.row_present(row)) {
                    let k = param.at(step);
                    if k >= 1.0 {
                        let heap = &mut heaps[group * steps + step];
                        bytes += offer(heap, k as usize, (values[step], number), descending)
                            * size_of::<Entry>();
                    }
                }
            }
            reservation.grow(bytes, &self.op)?;
            ex.recycle(block);
        }
        for heap in &mut heaps {
            gosort::sort(heap, |a, b| goes_first(a.0, b.0, descending));
        }
        // An instant query shows groups after each other, each in order of value; over several steps
        // the matrix is sorted by labels anyway.
        let mut row_of: Vec<Option<usize>> = vec![None; series.len()];
        let mut out = ex.block(&self.grid);
        for (at, heap) in heaps.iter().enumerate() {
            let step = at % steps.max(1);
            for &(value, number) in heap {
                let number = number as usize;
                let row = *row_of[number]
                    .get_or_insert_with(|| out.push_empty(std::mem::take(&mut series[number])));
                let (values, present) = out.row_mut(row);
                values[step] = value;
                set(present, step);
            }
        }
        Ok((out.rows() > 0).then_some(out))
    }
}

impl TopK {
    /// `limitk` keeps the first of each group, `limit_ratio` those whose labels' hash is in a part of
    /// all hashes.
    fn limit(
        &mut self,
        param: &ScalarColumn,
        ex: &mut Exec<'_>,
    ) -> Result<Option<Block>, EngineError> {
        let steps = self.grid.steps;
        let mut taken: Vec<u32> = Vec::new();
        let mut out = ex.block(&self.grid);
        let mut reservation = Reservation::new(ex.cx.memory());
        while let Some(mut block) = self.input.next(ex)? {
            ex.cx.check()?;
            for row in 0..block.rows() {
                let group = self.groups.group_of(&block.series[row].labels);
                taken.resize(taken.len().max((group + 1) * steps), 0);
                let offset = if self.op == AggregateOp::LimitRatio {
                    sampling_offset(&block.series[row].labels, &ex.symbols)
                } else {
                    0.0
                };
                let op = self.op;
                let mut keep = |step: usize| {
                    let value = param.at(step);
                    if op == AggregateOp::LimitRatio {
                        let ratio = value.clamp(-1.0, 1.0);
                        return (ratio >= 0.0 && offset < ratio)
                            || (ratio < 0.0 && offset >= 1.0 + ratio);
                    }
                    let taken = &mut taken[group * steps + step];
                    let more = f64::from(*taken) + 1.0 <= value.trunc();
                    *taken += u32::from(more);
                    more
                };
                let kept: Vec<usize> = ones(block.row_present(row))
                    .filter(|&step| keep(step))
                    .collect();
                let (_, present) = block.row_mut(row);
                present.fill(0);
                for step in kept {
                    set(present, step);
                }
                if let Some(histograms) = block.histograms.get_mut(row) {
                    histograms.retain(|(step, _)| keep(*step as usize));
                }
            }
            block.drop_empty_rows();
            reservation.grow(block.size_bytes(), &self.op)?;
            out.append(block);
        }
        if steps == 1 {
            out = self.in_heap_order(&out, ex);
        }
        Ok((out.rows() > 0).then_some(out))
    }

    /// Orders the elements of an instant vector as Prometheus does: group by group, each in the
    /// order of the heap that it has been collected in.
    fn in_heap_order(&mut self, kept: &Block, ex: &mut Exec<'_>) -> Block {
        let mut heaps: Vec<Vec<Entry>> = Vec::new();
        heaps.resize_with(self.groups.len(), Vec::new);
        for row in 0..kept.rows() {
            // A histogram's float is zero in Prometheus.
            let value = match kept.row_histograms(row) {
                [] => kept.row_values(row)[0],
                _ => 0.0,
            };
            let group = self.groups.group_of(&kept.series[row].labels);
            offer(&mut heaps[group], usize::MAX, (value, row as u32), true);
        }
        let mut ordered = ex.block(&self.grid);
        for (_, row) in heaps.into_iter().flatten() {
            ordered.push_row_of(kept, row as usize);
        }
        ordered
    }
}

/// Offers an entry to the heap of the `k` best, whose root is the worst of them. Ties and NaN are
/// resolved by the heap's shape, so it is kept exactly as Go's `container/heap` keeps it. Returns by
/// how many entries the heap grew.
fn offer(heap: &mut Vec<Entry>, k: usize, new: Entry, descending: bool) -> usize {
    // NaN is the worst value whichever end is wanted.
    let worse = |a: f64, b: f64| a.is_nan() || if descending { a < b } else { a > b };
    if heap.len() < k {
        heap.push(new);
        let mut at = heap.len() - 1;
        while at > 0 {
            let parent = (at - 1) / 2;
            if !worse(heap[at].0, heap[parent].0) {
                break;
            }
            heap.swap(at, parent);
            at = parent;
        }
        return 1;
    }
    let root = heap[0].0;
    let beats = if descending {
        root < new.0
    } else {
        root > new.0
    };
    if beats || (root.is_nan() && !new.0.is_nan()) {
        heap[0] = new;
        let mut at = 0;
        loop {
            let left = 2 * at + 1;
            if left >= heap.len() {
                break;
            }
            let right = left + 1;
            let child = if right < heap.len() && worse(heap[right].0, heap[left].0) {
                right
            } else {
                left
            };
            if !worse(heap[child].0, heap[at].0) {
                break;
            }
            heap.swap(at, child);
            at = child;
        }
    }
    0
}

/// A number in `0..1` that depends on the labels only, as Prometheus computes it.
fn sampling_offset(labels: &SymbolLabels, symbols: &SymbolTable) -> f64 {
    let mut encoded = Vec::new();
    for &(name, value) in labels.pairs() {
        for text in [symbols.get(name), symbols.get(value)] {
            match u8::try_from(text.len()) {
                Ok(len) if len < u8::MAX => encoded.push(len),
                _ => {
                    let [low, middle, high, ..] = text.len().to_le_bytes();
                    encoded.extend([u8::MAX, low, middle, high]);
                }
            }
            encoded.extend_from_slice(text.as_bytes());
        }
    }
    xxhash_rust::xxh64::xxh64(&encoded, 0) as f64 / u64::MAX as f64
}
