//! What is computed of each element of an instant vector on its own.

mod histogram;
mod math;

use crate::ast::{BinaryOp, PosRange};
use crate::functions::FunctionId;
use crate::plan::build::changes_meaning;

use super::EngineError;
use super::block::{Block, Grid, unset};
use super::build::nameless;
use super::exec::{Exec, Operator};
use super::leaf::drop_name;
use super::scalar::{ScalarColumn, ScalarOperator, compute, go_max, go_min};

/// A function of a float, its parameters and the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ElementFunc {
    Math(fn_id::Math),
    Date(fn_id::Date),
    Clamp,
    ClampMax,
    ClampMin,
    Round,
    /// The step's time: a vector that is not a selection has no other.
    Timestamp,
    /// Of native histograms; nothing comes of a float.
    Histogram(fn_id::OfHistogram),
    /// Of start timestamps, which no storage has.
    Nothing,
}

/// The functions that [`ElementFunc`] groups.
pub(crate) mod fn_id {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub(crate) enum Math {
        Abs,
        Acos,
        Acosh,
        Asin,
        Asinh,
        Atan,
        Atanh,
        Ceil,
        Cos,
        Cosh,
        Deg,
        Exp,
        Floor,
        Ln,
        Log10,
        Log2,
        Rad,
        Sgn,
        Sin,
        Sinh,
        Sqrt,
        Tan,
        Tanh,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub(crate) enum Date {
        DayOfMonth,
        DayOfWeek,
        DayOfYear,
        DaysInMonth,
        Hour,
        Minute,
        Month,
        Year,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub(crate) enum OfHistogram {
        Avg,
        Count,
        Sum,
        Stddev,
        Stdvar,
    }
}

use fn_id::{Date, Math, OfHistogram};
use math::{date, go_i64, math};

pub(crate) use histogram::with_number;

impl ElementFunc {
    /// Returns the function of that name if it is evaluated element by element.
    pub(crate) fn of(id: FunctionId) -> Option<Self> {
        Some(match id {
            FunctionId::Abs => Self::Math(Math::Abs),
            FunctionId::Acos => Self::Math(Math::Acos),
            FunctionId::Acosh => Self::Math(Math::Acosh),
            FunctionId::Asin => Self::Math(Math::Asin),
            FunctionId::Asinh => Self::Math(Math::Asinh),
            FunctionId::Atan => Self::Math(Math::Atan),
            FunctionId::Atanh => Self::Math(Math::Atanh),
            FunctionId::Ceil => Self::Math(Math::Ceil),
            FunctionId::Cos => Self::Math(Math::Cos),
            FunctionId::Cosh => Self::Math(Math::Cosh),
            FunctionId::Deg => Self::Math(Math::Deg),
            FunctionId::Exp => Self::Math(Math::Exp),
            FunctionId::Floor => Self::Math(Math::Floor),
            FunctionId::Ln => Self::Math(Math::Ln),
            FunctionId::Log10 => Self::Math(Math::Log10),
            FunctionId::Log2 => Self::Math(Math::Log2),
            FunctionId::Rad => Self::Math(Math::Rad),
            FunctionId::Sgn => Self::Math(Math::Sgn),
            FunctionId::Sin => Self::Math(Math::Sin),
            FunctionId::Sinh => Self::Math(Math::Sinh),
            FunctionId::Sqrt => Self::Math(Math::Sqrt),
            FunctionId::Tan => Self::Math(Math::Tan),
            FunctionId::Tanh => Self::Math(Math::Tanh),
            FunctionId::DayOfMonth => Self::Date(Date::DayOfMonth),
            FunctionId::DayOfWeek => Self::Date(Date::DayOfWeek),
            FunctionId::DayOfYear => Self::Date(Date::DayOfYear),
            FunctionId::DaysInMonth => Self::Date(Date::DaysInMonth),
            FunctionId::Hour => Self::Date(Date::Hour),
            FunctionId::Minute => Self::Date(Date::Minute),
            FunctionId::Month => Self::Date(Date::Month),
            FunctionId::Year => Self::Date(Date::Year),
            FunctionId::Clamp => Self::Clamp,
            FunctionId::ClampMax => Self::ClampMax,
            FunctionId::ClampMin => Self::ClampMin,
            FunctionId::Round => Self::Round,
            FunctionId::Timestamp => Self::Timestamp,
            FunctionId::HistogramAvg => Self::Histogram(OfHistogram::Avg),
            FunctionId::HistogramCount => Self::Histogram(OfHistogram::Count),
            FunctionId::HistogramSum => Self::Histogram(OfHistogram::Sum),
            FunctionId::HistogramStddev => Self::Histogram(OfHistogram::Stddev),
            FunctionId::HistogramStdvar => Self::Histogram(OfHistogram::Stdvar),
            FunctionId::StartTimestamp => Self::Nothing,
            _ => return None,
        })
    }
}

/// What [`Element`] does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ElementOf {
    Function(ElementFunc),
    Negation,
    /// An operator whose other side is a scalar.
    Operator {
        op: BinaryOp,
        swapped: bool,
        return_bool: bool,
        pos: PosRange,
    },
}

/// Computes each element on its own, in place.
pub(crate) struct Element {
    input: Box<dyn Operator>,
    of: ElementOf,
    operators: Vec<ScalarOperator>,
    params: Option<Vec<ScalarColumn>>,
    grid: Grid,
}

impl Element {
    pub(crate) fn new(
        input: Box<dyn Operator>,
        of: ElementOf,
        operators: Vec<ScalarOperator>,
        grid: Grid,
    ) -> Self {
        Self {
            input,
            of,
            operators,
            params: None,
            grid,
        }
    }
}

impl Operator for Element {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        if self.params.is_none() {
            let params = self
                .operators
                .iter_mut()
                .map(|operator| operator.eval(&self.grid, ex))
                .collect::<Result<Vec<_>, _>>()?;
            self.params = Some(params);
        }
        let params = self.params.as_deref().unwrap_or_default();
        let delayed = ex.delayed_names();
        loop {
            let Some(mut block) = self.input.next(ex)? else {
                return Ok(None);
            };
            let drops_name = match self.of {
                ElementOf::Function(func) => {
                    match func {
                        ElementFunc::Histogram(func) => histogram::function(func, &mut block),
                        ElementFunc::Timestamp => histogram::timestamps(&self.grid, &mut block),
                        _ => block.drop_histograms(),
                    }
                    function(func, params, &self.grid, &mut block);
                    true
                }
                ElementOf::Negation => {
                    histogram::negate(&mut block);
                    for value in &mut block.values {
                        *value = -*value;
                    }
                    true
                }
                ElementOf::Operator {
                    op,
                    swapped,
                    return_bool,
                    pos,
                } => {
                    if let Some(scalar) = params.first() {
                        trimmed_floats(op, pos, &block, ex);
                        if !block.histograms.is_empty()
                            && histogram::operator(op, swapped, scalar, &mut block)
                        {
                            let (lhs, rhs) = if swapped {
                                ("float", "histogram")
                            } else {
                                ("histogram", "float")
                            };
                            ex.warn(super::annotate::incompatible_types(lhs, op, rhs, pos));
                        }
                        operator(op, swapped, return_bool, scalar, &mut block);
                    }
                    changes_meaning(op) || return_bool
                }
            };
            if drops_name {
                for meta in &mut block.series {
                    drop_name(meta, delayed);
                }
            }
            block.drop_empty_rows();
            if block.rows() > 0 {
                return Ok(Some(block));
            }
            ex.recycle(block);
        }
    }
}

/// Only histograms can be trimmed.
fn trimmed_floats(op: BinaryOp, pos: PosRange, block: &Block, ex: &Exec<'_>) {
    if matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper)
        && block.present.iter().any(|&word| word != 0)
    {
        ex.warn(super::annotate::incompatible_types(
            "float", op, "float", pos,
        ));
    }
}

fn function(func: ElementFunc, params: &[ScalarColumn], grid: &Grid, block: &mut Block) {
    let param = |index: usize, step: usize| params.get(index).map(|param| param.at(step));
    match func {
        ElementFunc::Math(func) => each(block, |x| math(func, x)),
        ElementFunc::Date(func) => each(block, |x| date(func, go_i64(x))),
        ElementFunc::Timestamp => {
            let grid = *grid;
            each_step(block, |step, _| grid.ts(step) as f64 / 1000.0);
        }
        ElementFunc::Round => {
            each_step(block, |step, x| {
                // Multiplying by the inverse loses less than dividing.
                let inverse = 1.0 / param(0, step).unwrap_or(1.0);
                (x * inverse + 0.5).floor() / inverse
            });
        }
        ElementFunc::Clamp => {
            let bounds = |step| {
                (
                    param(0, step).unwrap_or(f64::NAN),
                    param(1, step).unwrap_or(f64::NAN),
                )
            };
            for row in 0..block.rows() {
                let steps = block.steps;
                let (_, present) = block.row_mut(row);
                for step in 0..steps {
                    let (min, max) = bounds(step);
                    if max < min {
                        unset(present, step);
                    }
                }
            }
            each_step(block, |step, x| {
                let (min, max) = bounds(step);
                go_max(min, go_min(max, x))
            });
        }
        ElementFunc::ClampMax => each_step(block, |step, x| {
            go_max(
                f64::NEG_INFINITY,
                go_min(param(0, step).unwrap_or(f64::NAN), x),
            )
        }),
        ElementFunc::ClampMin => each_step(block, |step, x| {
            go_max(param(0, step).unwrap_or(f64::NAN), go_min(f64::INFINITY, x))
        }),
        ElementFunc::Histogram(_) => {}
        ElementFunc::Nothing => block.truncate(0),
    }
}

/// Replaces every value, those of absent steps included.
#[inline(always)]
fn each(block: &mut Block, f: impl Fn(f64) -> f64) {
    for value in &mut block.values {
        *value = f(*value);
    }
}

#[inline(always)]
fn each_step(block: &mut Block, f: impl Fn(usize, f64) -> f64) {
    let steps = block.steps.max(1);
    for row in block.values.chunks_exact_mut(steps) {
        for (step, value) in row.iter_mut().enumerate() {
            *value = f(step, *value);
        }
    }
}

fn operator(
    op: BinaryOp,
    swapped: bool,
    return_bool: bool,
    scalar: &ScalarColumn,
    block: &mut Block,
) {
    macro_rules! arithmetic {
        ($f:expr) => {
            match (scalar, swapped) {
                (&ScalarColumn::Constant(y), false) => each(block, |x| $f(x, y)),
                (&ScalarColumn::Constant(y), true) => each(block, |x| $f(y, x)),
                (_, false) => each_step(block, |step, x| $f(x, scalar.at(step))),
                (_, true) => each_step(block, |step, x| $f(scalar.at(step), x)),
            }
        };
    }
    macro_rules! comparison {
        ($f:expr) => {
            if swapped {
                compare(block, return_bool, |step, x| $f(&scalar.at(step), &x))
            } else {
                compare(block, return_bool, |step, x| $f(&x, &scalar.at(step)))
            }
        };
    }
    match op {
        BinaryOp::Add => arithmetic!(|x: f64, y: f64| x + y),
        BinaryOp::Sub => arithmetic!(|x: f64, y: f64| x - y),
        BinaryOp::Mul => arithmetic!(|x: f64, y: f64| x * y),
        BinaryOp::Div => arithmetic!(|x: f64, y: f64| x / y),
        BinaryOp::Mod | BinaryOp::Pow | BinaryOp::Atan2 => {
            arithmetic!(|x: f64, y: f64| compute(op, x, y))
        }
        BinaryOp::Eq => comparison!(f64::eq),
        BinaryOp::NotEq => comparison!(f64::ne),
        BinaryOp::Less => comparison!(f64::lt),
        BinaryOp::LessEq => comparison!(f64::le),
        BinaryOp::Greater => comparison!(f64::gt),
        BinaryOp::GreaterEq => comparison!(f64::ge),
        // Floats cannot be trimmed, and set operators take no scalars.
        BinaryOp::TrimLower
        | BinaryOp::TrimUpper
        | BinaryOp::And
        | BinaryOp::Or
        | BinaryOp::Unless => block.present.fill(0),
    }
}

/// Keeps the steps that satisfy, or says at every step whether it does.
#[inline(always)]
fn compare(block: &mut Block, return_bool: bool, satisfies: impl Fn(usize, f64) -> bool) {
    for row in 0..block.rows() {
        let (values, present) = block.row_mut(row);
        if return_bool {
            for (step, value) in values.iter_mut().enumerate() {
                *value = f64::from(u8::from(satisfies(step, *value)));
            }
            continue;
        }
        for (word, values) in values.chunks(64).enumerate() {
            let mut mask = 0u64;
            for (bit, &value) in values.iter().enumerate() {
                mask |= u64::from(satisfies(word * 64 + bit, value)) << bit;
            }
            present[word] &= mask;
        }
    }
}

/// Repeats the only step of a vector at every step.
pub(crate) struct Broadcast {
    pub input: Box<dyn Operator>,
    pub grid: Grid,
}

impl Operator for Broadcast {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        let Some(mut block) = self.input.next(ex)? else {
            return Ok(None);
        };
        if self.grid.steps == 1 {
            return Ok(Some(block));
        }
        let mut wide = ex.block(&self.grid);
        for row in 0..block.rows() {
            let meta = std::mem::take(&mut block.series[row]);
            if let Some((_, histogram)) = block.row_histograms(row).first() {
                let at = wide.push_empty(meta);
                wide.set_histograms(at, histogram::repeat(histogram, self.grid.steps));
            } else {
                wide.push_constant(meta, block.row_values(row)[0]);
            }
        }
        ex.recycle(block);
        Ok(Some(wide))
    }
}

/// `vector(scalar)`.
pub(crate) struct OfScalar {
    pub scalar: Option<ScalarOperator>,
    pub grid: Grid,
}

impl Operator for OfScalar {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        let Some(mut scalar) = self.scalar.take() else {
            return Ok(None);
        };
        if self.grid.steps == 0 {
            return Ok(None);
        }
        let column = scalar.eval(&self.grid, ex)?;
        Ok(Some(nameless(&self.grid, |step| column.at(step), ex)))
    }
}

/// A date function of the step's time.
pub(crate) struct OfTime {
    pub func: Option<ElementFunc>,
    pub grid: Grid,
}

impl Operator for OfTime {
    fn next(&mut self, ex: &mut Exec<'_>) -> Result<Option<Block>, EngineError> {
        let Some(func) = self.func.take() else {
            return Ok(None);
        };
        if self.grid.steps == 0 {
            return Ok(None);
        }
        let grid = self.grid;
        let block = nameless(
            &grid,
            |step| match func {
                ElementFunc::Date(func) => date(func, grid.ts(step) / 1000),
                _ => f64::NAN,
            },
            ex,
        );
        Ok(Some(block))
    }
}
