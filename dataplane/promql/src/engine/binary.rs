//! Operators between two vectors.
//!
//! Each series gets the number of its match group from the symbols of its labels when it arrives. The
//! side whose groups must be unique is read first; the other streams past it.

pub(crate) mod set;

use hashbrown::HashMap;

use crate::annotations::Annotation;
use crate::ast::{BinaryOp, PosRange, VectorMatchCardinality, VectorMatching};
use crate::plan::build::changes_meaning;
use crate::symbols::{SymbolId, SymbolLabels, SymbolTable};

use super::EngineError;
use super::block::{Block, Grid, SeriesMeta, full_word, has, ones};
use super::exec::{Collected, Exec, Operator};
use super::scalar::compute;

/// Numbers the match groups of series.
pub(crate) struct Matching {
    names: Vec<SymbolId>,
    on: bool,
    numbers: HashMap<Box<[(SymbolId, SymbolId)]>, usize, foldhash::fast::FixedState>,
    key: Vec<(SymbolId, SymbolId)>,
}

impl Matching {
    fn new(matching: &VectorMatching, ex: &mut Exec<'_>) -> Self {
        let mut names: Vec<SymbolId> = matching
            .labels
            .iter()
            .map(|name| ex.symbols.intern(name))
            .collect();
        if !matching.on {
            names.push(SymbolId::METRIC_NAME);
        }
        Self {
            names,
            on: matching.on,
            numbers: HashMap::with_hasher(foldhash::fast::FixedState::default()),
            key: Vec::new(),
        }
    }

    fn fill_key(&mut self, labels: &SymbolLabels) {
        self.key.clear();
        let pairs = labels.pairs().iter();
        self.key
            .extend(pairs.filter(|pair| self.names.contains(&pair.0) == self.on));
    }

    /// Returns the number of the series' group, a new one if needed.
    fn number(&mut self, labels: &SymbolLabels) -> usize {
        self.fill_key(labels);
        if let Some(&number) = self.numbers.get(self.key.as_slice()) {
            return number;
        }
        let number = self.numbers.len();
        self.numbers.insert(self.key.as_slice().into(), number);
        number
    }

    /// Returns the number of the series' group if it has one.
    fn find(&mut self, labels: &SymbolLabels) -> Option<usize> {
        self.fill_key(labels);
        self.numbers.get(self.key.as_slice()).copied()
    }

    /// The labels that matching is about.
    fn labels_of(&mut self, labels: &SymbolLabels) -> SymbolLabels {
        self.fill_key(labels);
        SymbolLabels::from_sorted(self.key.clone())
    }
}

/// A bitmap of steps for each of many things.
#[derive(Default)]
struct Bitmaps {
    words: usize,
    bits: Vec<u64>,
}

impl Bitmaps {
    fn new(grid: &Grid) -> Self {
        Self {
            words: grid.words(),
            bits: Vec::new(),
        }
    }

    fn grow(&mut self, len: usize) {
        if self.bits.len() < len * self.words {
            self.bits.resize(len * self.words, 0);
        }
    }

    fn get(&self, index: usize) -> &[u64] {
        self.bits
            .get(index * self.words..(index + 1) * self.words)
            .unwrap_or(&[])
    }

    fn get_mut(&mut self, index: usize) -> &mut [u64] {
        self.grow(index + 1);
        &mut self.bits[index * self.words..(index + 1) * self.words]
    }
}

/// What went wrong first. Prometheus evaluates step by step, so the earliest step decides.
#[derive(Default)]
struct FirstError(Option<(usize, String)>);

impl FirstError {
    fn offer(&mut self, step: usize, message: impl FnOnce() -> String) {
        if self.0.as_ref().is_none_or(|(first, _)| step < *first) {
            self.0 = Some((step, message()));
        }
    }
}

/// An arithmetic or comparison operator.
pub(crate) struct Binary {
    op: BinaryOp,
    matching: VectorMatching,
    return_bool: bool,
    pos: PosRange,
    include: Vec<SymbolId>,
    groups: Matching,
    grid: Grid,
    many: Box<dyn Operator>,
    one: Option<Box<dyn Operator>>,
    state: State,
}

/// The side that is unique in each group, and what has been seen of the other.
#[derive(Default)]
struct State {
    one: Option<Collected>,
    /// The rows of the unique side, by group.
    rows: Vec<Vec<usize>>,
    /// Steps at which the group's rows overlap.
    duplicates: Vec<u64>,
    /// Steps at which a group has found a partner.
    matched: Bitmaps,
    /// Steps at which a result of these labels exists in a group, where several may share one.
    results: HashMap<(usize, SymbolLabels), usize>,
    result_steps: Bitmaps,
    /// Steps at which the streaming side has anything.
    many_any: Vec<u64>,
    error: FirstError,
    finished: bool,
}

impl Binary {
    pub(crate) fn new(
        op: BinaryOp,
        (lhs, rhs): (Box<dyn Operator>, Box<dyn Operator>),
        matching: &VectorMatching,
        return_bool: bool,
        pos: PosRange,
        grid: Grid,
        ex: &mut Exec<'_>,
    ) -> Self {
        let (many, one) = if matching.card == VectorMatchCardinality::OneToMany {
            (rhs, lhs)
        } else {
            (lhs, rhs)
        };
        Self {
            op,
            return_bool,
            pos,
            include: matching
                .include
                .iter()
                .map(|name| ex.symbols.intern(name))
                .collect(),
            groups: Matching::new(matching, ex),
            matching: matching.clone(),
            grid,
            many,
            one: Some(one),
            state: State {
                matched: Bitmaps::new(&grid),
                result_steps: Bitmaps::new(&grid),
                ..State::default()
            },
        }
    }

    fn swapped(&self) -> bool {
        self.matching.card == VectorMatchCardinality::OneToMany
    }

    /// The values that stand in for a missing element of the streaming and of the unique side.
    fn fills(&self) -> (Option<f64>, Option<f64>) {
        // "Left" is the streaming side even where `group_right` swapped the sides: so Prometheus.
        (self.matching.fill.lhs, self.matching.fill.rhs)
    }

    fn read_one(&mut self, ex: &mut Exec<'_>) -> Result<(), EngineError> {
        let Some(mut one) = self.one.take() else {
            return Ok(());
        };
        let mut collected =
            ex.collect(one.as_mut(), &self.grid, "one side of a vector operator")?;
        note_histograms(&mut collected.block, self.op, self.pos, ex);
        self.state.duplicates = vec![0; self.grid.words()];
        self.state.many_any = vec![0; self.grid.words()];
        let mut seen = Bitmaps::new(&self.grid);
        for (row, meta) in collected.block.series.iter().enumerate() {
            let number = self.groups.number(&meta.labels);
            if number == self.state.rows.len() {
                self.state.rows.push(Vec::new());
            }
            self.state.rows[number].push(row);
            let steps = seen
                .get_mut(number)
                .iter_mut()
                .zip(collected.block.row_present(row));
            for ((seen, &present), duplicates) in steps.zip(&mut self.state.duplicates) {
                *duplicates |= *seen & present;
                *seen |= present;
            }
        }
        self.state.one = Some(collected);
        Ok(())
    }

    /// The labels of a result of `many` and `one`.
    fn result_labels(
        &self,
        many: &SymbolLabels,
        one: &SymbolLabels,
        delayed: bool,
        symbols: &SymbolTable,
    ) -> SymbolLabels {
        let mut labels = many.clone();
        if changes_meaning(self.op) || (self.return_bool && !delayed) {
            labels.drop_metadata();
        }
        if self.matching.card == VectorMatchCardinality::OneToOne {
            let names = &self.groups.names;
            if self.matching.on {
                labels.retain(|name| names.contains(&name));
            } else {
                // The name is ignored for matching only.
                let ignored = names.split_last().map_or(&[][..], |(_, rest)| rest);
                labels.retain(|name| !ignored.contains(&name));
            }
        }
        for &name in &self.include {
            labels.set(name, one.get(name), symbols);
        }
        labels
    }

    /// Notes that `labels` have results at `present` steps of a group, and what that violates.
    fn note_results(&mut self, group: usize, labels: &SymbolLabels, present: &[u64]) {
        let one_to_one = self.matching.card == VectorMatchCardinality::OneToOne;
        let matched = self.state.matched.get_mut(group);
        let mut twice = None;
        for (word, (matched, &present)) in matched.iter_mut().zip(present).enumerate() {
            let both = *matched & present;
            if one_to_one && both != 0 && twice.is_none() {
                twice = Some(word * 64 + both.trailing_zeros() as usize);
            }
            *matched |= present;
        }
        if let Some(step) = twice {
            self.state.error.offer(step, || {
                "multiple matches for labels: many-to-one matching must be explicit \
                 (group_left/group_right)"
                    .to_owned()
            });
        }
        if one_to_one {
            return;
        }
        let next = self.state.results.len();
        let index = *self
            .state
            .results
            .entry((group, labels.clone()))
            .or_insert(next);
        let steps = self.state.result_steps.get_mut(index);
        for (word, (steps, &present)) in steps.iter_mut().zip(present).enumerate() {
            let both = *steps & present;
            if both != 0 {
                let step = word * 64 + both.trailing_zeros() as usize;
                self.state.error.offer(step, || {
                    "multiple matches for labels: grouping labels must ensure unique matches"
                        .to_owned()
                });
            }
            *steps |= present;
        }
    }

    /// Appends the results of one pair of rows, where either may be a fill value.
    fn combine(
        &mut self,
        out: &mut Block,
        labels: SymbolLabels,
        present: &[u64],
        many: Side<'_>,
        one: Side<'_>,
    ) {
        let (lhs, rhs) = if self.swapped() {
            (one, many)
        } else {
            (many, one)
        };
        let drop_name = self.return_bool;
        let row = out.push_empty(SeriesMeta { labels, drop_name });
        let (values, out_present) = out.row_mut(row);
        out_present.copy_from_slice(present);
        apply(self.op, self.return_bool, lhs, rhs, values, out_present);
    }

    /// Matches the rows of a block of the streaming side.
    fn stream(&mut self, block: &Block, ex: &mut Exec<'_>) -> Block {
        let mut out = ex.block(&self.grid);
        let delayed = ex.delayed_names();
        let (_, fill_one) = self.fills();
        let Some(one) = self.state.one.take() else {
            return out;
        };
        for (row, meta) in block.series.iter().enumerate() {
            let many_present = block.row_present(row);
            for (any, present) in self.state.many_any.iter_mut().zip(many_present) {
                *any |= present;
            }
            let found = if fill_one.is_some() || self.fills().0.is_some() {
                Some(self.groups.number(&meta.labels))
            } else {
                self.groups.find(&meta.labels)
            };
            let Some(group) = found else { continue };
            let partners = self.state.rows.get(group).cloned().unwrap_or_default();
            let mut missing: Vec<u64> = many_present.to_vec();
            for &partner in &partners {
                let one_present = one.block.row_present(partner);
                let present: Vec<u64> = many_present
                    .iter()
                    .zip(one_present)
                    .map(|(a, b)| a & b)
                    .collect();
                for (missing, present) in missing.iter_mut().zip(&present) {
                    *missing &= !present;
                }
                if present.iter().all(|&word| word == 0) {
                    continue;
                }
                let partner_labels = &one.block.series[partner].labels;
                let labels = self.result_labels(&meta.labels, partner_labels, delayed, &ex.symbols);
                self.note_results(group, &labels, &present);
                let many = Side::Row(block.row_values(row));
                let one = Side::Row(one.block.row_values(partner));
                self.combine(&mut out, labels, &present, many, one);
            }
            if let Some(fill) = fill_one
                && missing.iter().any(|&word| word != 0)
            {
                let partner = self.groups.labels_of(&meta.labels);
                let labels = self.result_labels(&meta.labels, &partner, delayed, &ex.symbols);
                self.note_results(group, &labels, &missing);
                let many = Side::Row(block.row_values(row));
                self.combine(&mut out, labels, &missing, many, Side::Fill(fill));
            }
        }
        self.state.one = Some(one);
        out
    }

    /// What the unique side has and the streaming side has not.
    fn fill_rest(&mut self, ex: &mut Exec<'_>) -> Block {
        let mut out = ex.block(&self.grid);
        let delayed = ex.delayed_names();
        let (Some(fill), _) = self.fills() else {
            return out;
        };
        let Some(one) = self.state.one.take() else {
            return out;
        };
        for (row, meta) in one.block.series.iter().enumerate() {
            let Some(group) = self.groups.find(&meta.labels) else {
                continue;
            };
            let matched = self.state.matched.get_mut(group);
            let rest: Vec<u64> = one
                .block
                .row_present(row)
                .iter()
                .zip(matched.iter())
                .map(|(a, b)| a & !b)
                .collect();
            if rest.iter().all(|&word| word == 0) {
                continue;
            }
            let partner = self.groups.labels_of(&meta.labels);
            let labels = self.result_labels(&partner, &meta.labels, delayed, &ex.symbols);
            self.note_results(group, &labels, &rest);
            let values = Side::Row(one.block.row_values(row));
            self.combine(&mut out, labels, &rest, Side::Fill(fill), values);
        }
        self.state.one = Some(one);
        out
    }

    /// Reports the violation at the earliest step.
    fn check(&mut self, ex: &Exec<'_>) -> Result<(), EngineError> {
        let filled = self.fills() != (None, None);
        let overlap = self
            .state
            .duplicates
            .iter()
            .zip(&self.state.many_any)
            .enumerate();
        let steps = overlap.map(|(word, (duplicates, any))| {
            let counts = if filled {
                full_word(word, self.grid.steps)
            } else {
                *any
            };
            (word, duplicates & counts)
        });
        let first = steps
            .filter(|(_, bits)| *bits != 0)
            .map(|(word, bits)| word * 64 + bits.trailing_zeros() as usize)
            .next();
        let mut error = std::mem::take(&mut self.state.error);
        if let Some(step) = first
            && error.0.as_ref().is_none_or(|(other, _)| step <= *other)
        {
            error = FirstError(Some((step, self.describe_duplicate(step, ex))));
        }
        match error.0 {
            None => Ok(()),
            Some((_, message)) => Err(EngineError::Execution(message)),
        }
    }

    fn describe_duplicate(&mut self, step: usize, ex: &Exec<'_>) -> String {
        let side = if self.swapped() { "left" } else { "right" };
        let mut of_group: HashMap<usize, usize> = HashMap::new();
        let Some(one) = &self.state.one else {
            return String::new();
        };
        for (row, meta) in one.block.series.iter().enumerate() {
            if !has(one.block.row_present(row), step) {
                continue;
            }
            let Some(group) = self.groups.find(&meta.labels) else {
                continue;
            };
            let Some(other) = of_group.insert(group, row) else {
                continue;
            };
            let group = self.groups.labels_of(&meta.labels).resolve(&ex.symbols);
            let mut pair = [
                meta.labels.resolve(&ex.symbols).to_string(),
                one.block.series[other]
                    .labels
                    .resolve(&ex.symbols)
                    .to_string(),
            ];
            pair.sort();
            return format!(
                "found duplicate series for the match group {group} on the {side} hand-side of \
                 the operation: [{}, {}];many-to-many matching not allowed: matching labels must \
                 be unique on one side",
                pair[0], pair[1]
            );
        }
        String::new()
    }
}

impl Operator for Binary {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        self.read_one(ex)?;
        loop {
            if self.state.finished {
                return Ok(None);
            }
            let mut out = match self.many.next(ex)? {
                Some(mut block) => {
                    note_histograms(&mut block, self.op, self.pos, ex);
                    let out = self.stream(&block, ex);
                    ex.recycle(block);
                    out
                }
                None => {
                    self.state.finished = true;
                    let out = self.fill_rest(ex);
                    self.check(ex)?;
                    if let Some(one) = self.state.one.take() {
                        ex.let_go(one.samples);
                    }
                    out
                }
            };
            out.drop_empty_rows();
            if out.rows() > 0 {
                return Ok(Some(out));
            }
            ex.recycle(out);
        }
    }
}

/// Histograms have no part in operators yet.
fn note_histograms(block: &mut Block, op: BinaryOp, pos: PosRange, ex: &Exec<'_>) {
    if !block.histograms.is_empty() {
        let message = format!("native histograms are left out of operator \"{op}\" for now");
        ex.warn(Annotation::warning(message, pos));
        block.drop_histograms();
    }
}

/// The operands of one side.
#[derive(Clone, Copy)]
enum Side<'a> {
    Row(&'a [f64]),
    Fill(f64),
}

impl Side<'_> {
    #[inline(always)]
    fn at(&self, step: usize) -> f64 {
        match self {
            Self::Row(values) => values[step],
            Self::Fill(value) => *value,
        }
    }
}

/// Computes the present steps; a comparison keeps the left value or answers 0 or 1.
fn apply(
    op: BinaryOp,
    return_bool: bool,
    lhs: Side<'_>,
    rhs: Side<'_>,
    out: &mut [f64],
    present: &mut [u64],
) {
    macro_rules! arithmetic {
        ($f:expr) => {
            match (lhs, rhs) {
                (Side::Row(a), Side::Row(b)) => {
                    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                        *out = $f(a, b);
                    }
                }
                _ => {
                    for (step, out) in out.iter_mut().enumerate() {
                        *out = $f(lhs.at(step), rhs.at(step));
                    }
                }
            }
        };
    }
    let satisfies: fn(&f64, &f64) -> bool = match op {
        BinaryOp::Add => return arithmetic!(|a: f64, b: f64| a + b),
        BinaryOp::Sub => return arithmetic!(|a: f64, b: f64| a - b),
        BinaryOp::Mul => return arithmetic!(|a: f64, b: f64| a * b),
        BinaryOp::Div => return arithmetic!(|a: f64, b: f64| a / b),
        BinaryOp::Mod | BinaryOp::Pow | BinaryOp::Atan2 => {
            let steps: Vec<usize> = ones(present).collect();
            for step in steps {
                out[step] = compute(op, lhs.at(step), rhs.at(step));
            }
            return;
        }
        BinaryOp::Eq => f64::eq,
        BinaryOp::NotEq => f64::ne,
        BinaryOp::Less => f64::lt,
        BinaryOp::LessEq => f64::le,
        BinaryOp::Greater => f64::gt,
        BinaryOp::GreaterEq => f64::ge,
        BinaryOp::TrimLower
        | BinaryOp::TrimUpper
        | BinaryOp::And
        | BinaryOp::Or
        | BinaryOp::Unless => {
            present.fill(0);
            return;
        }
    };
    for (word, present) in present.iter_mut().enumerate() {
        let mut rest = *present;
        while rest != 0 {
            let bit = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            let step = word * 64 + bit;
            let (a, b) = (lhs.at(step), rhs.at(step));
            let holds = satisfies(&a, &b);
            if return_bool {
                out[step] = f64::from(u8::from(holds));
            } else {
                out[step] = a;
                if !holds {
                    *present &= !(1 << bit);
                }
            }
        }
    }
}
