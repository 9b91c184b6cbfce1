//! The running query: what operators share while they pull blocks from each other.

use std::sync::Arc;

use crate::annotations::Annotation;
use crate::context::{MemoryExceeded, QueryContext, Reservation};
use crate::plan::Selector;
use crate::queryable::Queryable;
use crate::symbols::SymbolTable;
use crate::value::QueryStats;

use super::block::{Block, Grid};
use super::pool::Pool;
use super::share::Source;
use super::{EngineError, EngineOptions};

/// Yields the series of an instant vector, a block at a time.
///
/// No row is empty. Series come in the order of evaluation, which for a selection is label order.
pub(crate) trait Operator {
    /// Returns the next block, or nothing at the end.
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError>;
}

/// Blocks kept for another use.
const SPARE_BLOCKS: usize = 16;

/// What the operators of one query share.
pub(crate) struct Exec<'a> {
    pub queryable: &'a dyn Queryable,
    pub cx: &'a QueryContext,
    pub options: &'a EngineOptions,
    pub pool: Option<&'a Pool>,
    pub symbols: SymbolTable,
    pub stats: QueryStats,
    /// For each shared part: whether its operator exists, the operator until it has run, and then
    /// its result.
    pub started: Vec<bool>,
    pub sources: Vec<Option<Source>>,
    pub shared: Vec<Option<Arc<Collected>>>,
    pub max_samples: usize,
    /// Samples that operators hold between steps of their work.
    pub held_samples: usize,
    /// The selector that has yielded the most series, and how many, for messages.
    largest: Option<(Arc<Selector>, u64)>,
    symbols_held: Reservation,
    spare: Vec<Block>,
}

impl<'a> Exec<'a> {
    pub(crate) fn new(
        queryable: &'a dyn Queryable,
        cx: &'a QueryContext,
        options: &'a EngineOptions,
        pool: Option<&'a Pool>,
        shared: usize,
    ) -> Self {
        Self {
            queryable,
            cx,
            options,
            pool,
            symbols: SymbolTable::new(),
            stats: QueryStats::default(),
            started: vec![false; shared],
            sources: (0..shared).map(|_| None).collect(),
            shared: (0..shared).map(|_| None).collect(),
            max_samples: cx.max_samples().unwrap_or(options.max_samples),
            held_samples: 0,
            largest: None,
            symbols_held: Reservation::new(cx.memory()),
            spare: Vec::new(),
        }
    }

    /// How far an instant selector looks back.
    pub(crate) fn lookback_ms(&self) -> i64 {
        self.cx
            .lookback_delta_ms()
            .unwrap_or(self.options.lookback_delta_ms)
    }

    pub(crate) fn delayed_names(&self) -> bool {
        self.options.features.delayed_name_removal
    }

    /// Returns an empty block, reusing a spent one.
    pub(crate) fn block(&mut self, grid: &Grid) -> Block {
        let mut block = self.spare.pop().unwrap_or_default();
        block.reset(grid);
        block
    }

    /// Takes back a spent block.
    pub(crate) fn recycle(&mut self, block: Block) {
        if self.spare.len() < SPARE_BLOCKS {
            self.spare.push(block);
        }
    }

    pub(crate) fn warn(&self, annotation: Annotation) {
        self.cx.annotate(annotation);
    }

    /// Notes how many series a selector has yielded so far.
    pub(crate) fn note_selector(&mut self, selector: &Arc<Selector>, series: u64) {
        if self.largest.as_ref().is_none_or(|(_, most)| series > *most) {
            self.largest = Some((Arc::clone(selector), series));
        }
    }

    /// Charges the strings of labels, which live as long as the query.
    pub(crate) fn charge_symbols(&mut self) -> Result<(), EngineError> {
        let bytes = self.symbols.size_bytes();
        Ok(self.symbols_held.resize(bytes, &"labels")?)
    }

    /// Names the selector that is most likely the reason in an error about memory.
    pub(crate) fn explain(&self, error: EngineError) -> EngineError {
        match (error, &self.largest) {
            (EngineError::Memory(exceeded), Some((selector, series)))
                if exceeded.what != selector.text =>
            {
                EngineError::Memory(MemoryExceeded {
                    what: format!(
                        "{}, with {series} series of {}",
                        exceeded.what, selector.text
                    ),
                    ..exceeded
                })
            }
            (error, _) => error,
        }
    }

    /// Counts samples that stay in memory until given back.
    pub(crate) fn hold(&mut self, samples: usize) -> Result<(), EngineError> {
        self.held_samples = self.held_samples.saturating_add(samples);
        if self.held_samples > self.max_samples {
            return Err(EngineError::TooManySamples);
        }
        Ok(())
    }

    pub(crate) fn let_go(&mut self, samples: usize) {
        self.held_samples = self.held_samples.saturating_sub(samples);
    }

    /// Reads all of an operator into one block; the reservation has to live as long as the block.
    pub(crate) fn collect(
        &mut self,
        input: &mut dyn Operator,
        grid: &Grid,
        what: &str,
    ) -> Result<Collected, EngineError> {
        let mut all = Block::new(grid);
        let mut reservation = Reservation::new(self.cx.memory());
        let mut samples = 0;
        while let Some(block) = input.next(self)? {
            self.cx.check()?;
            let more = block.samples();
            self.hold(more)?;
            samples += more;
            reservation.grow(block.size_bytes(), &what)?;
            all.append(block);
        }
        Ok(Collected {
            block: all,
            samples,
            _reservation: reservation,
        })
    }
}

/// A whole vector in one block.
pub(crate) struct Collected {
    pub block: Block,
    pub samples: usize,
    _reservation: Reservation,
}
