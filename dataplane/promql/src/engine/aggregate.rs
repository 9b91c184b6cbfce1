//! Aggregations over the series of a vector.
//!
//! A series gets the number of its group when it arrives, from the symbols of its labels: one hash a
//! series, none a step. Its column is folded into the group's columns at once and then forgotten, in
//! the order of series, which is the order in which Prometheus adds.

mod fold;
mod histogram;
mod quantile;
mod topk;

use hashbrown::HashMap;

use crate::ast::{AggregateOp, PosRange};
use crate::symbols::{SymbolId, SymbolLabels};

use super::block::Grid;
use super::exec::{Exec, Operator};
use super::scalar::ScalarOperator;

/// Returns the operator of an aggregation other than `count_values`.
pub(crate) fn operator(
    op: AggregateOp,
    input: Box<dyn Operator>,
    param: Option<ScalarOperator>,
    groups: Grouping,
    pos: PosRange,
    param_pos: PosRange,
    grid: Grid,
) -> Box<dyn Operator> {
    let param = param.unwrap_or(ScalarOperator::Number(0.0));
    match op {
        AggregateOp::Topk
        | AggregateOp::Bottomk
        | AggregateOp::Limitk
        | AggregateOp::LimitRatio => Box::new(topk::TopK::new(
            op, input, param, groups, pos, param_pos, grid,
        )),
        AggregateOp::Quantile => Box::new(quantile::Quantile::new(
            input, param, groups, pos, param_pos, grid,
        )),
        _ => Box::new(fold::Fold::new(op, input, groups, pos, grid)),
    }
}

/// Numbers the groups of series.
pub(crate) struct Grouping {
    names: Vec<SymbolId>,
    without: bool,
    numbers: HashMap<Box<[(SymbolId, SymbolId)]>, usize, foldhash::fast::FixedState>,
    keys: Vec<SymbolLabels>,
    key: Vec<(SymbolId, SymbolId)>,
}

impl Grouping {
    pub(crate) fn new(names: &[String], without: bool, ex: &mut Exec<'_>) -> Self {
        let mut names: Vec<SymbolId> = names.iter().map(|name| ex.symbols.intern(name)).collect();
        if without {
            names.push(SymbolId::METRIC_NAME);
        }
        Self {
            names,
            without,
            numbers: HashMap::with_hasher(foldhash::fast::FixedState::default()),
            keys: Vec::new(),
            key: Vec::new(),
        }
    }

    /// Returns the number of the group that a series belongs to; a new group has the next number.
    pub(crate) fn group_of(&mut self, labels: &SymbolLabels) -> usize {
        self.key.clear();
        // `without` keeps what is not named, `by` what is.
        let pairs = labels.pairs().iter();
        self.key
            .extend(pairs.filter(|pair| self.names.contains(&pair.0) != self.without));
        if let Some(&number) = self.numbers.get(self.key.as_slice()) {
            return number;
        }
        let number = self.keys.len();
        self.numbers.insert(self.key.as_slice().into(), number);
        self.keys.push(SymbolLabels::from_sorted(self.key.clone()));
        number
    }

    /// Returns how many groups there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Takes the labels of a group.
    pub(crate) fn take_labels(&mut self, group: usize) -> SymbolLabels {
        self.keys
            .get_mut(group)
            .map(std::mem::take)
            .unwrap_or_default()
    }
}
