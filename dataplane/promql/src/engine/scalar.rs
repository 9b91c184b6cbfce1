//! Numbers per step.

use std::sync::Arc;

use crate::ast::BinaryOp;
use crate::plan::{ScalarNode, ScalarOp};

use super::block::{Grid, has};
use super::exec::{Exec, Operator};
use super::{EngineError, build};

/// A number at every step of a grid.
#[derive(Debug, Clone)]
pub(crate) enum ScalarColumn {
    Constant(f64),
    Steps(Arc<[f64]>),
}

impl ScalarColumn {
    #[inline]
    pub(crate) fn at(&self, step: usize) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Steps(values) => values.get(step).copied().unwrap_or(f64::NAN),
        }
    }

    pub(crate) fn is_constant(&self) -> bool {
        matches!(self, Self::Constant(_))
    }

    /// Calls `f` for every step of the grid, once where the number does not change.
    pub(crate) fn distinct(&self, grid: &Grid) -> impl Iterator<Item = f64> + '_ {
        let steps = if self.is_constant() {
            grid.steps.min(1)
        } else {
            grid.steps
        };
        (0..steps).map(|step| self.at(step))
    }

    fn map(self, f: impl Fn(f64) -> f64) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(f(value)),
            Self::Steps(values) => Self::Steps(values.iter().map(|&value| f(value)).collect()),
        }
    }

    fn zip(self, other: Self, grid: &Grid, f: impl Fn(f64, f64) -> f64) -> Self {
        match (&self, &other) {
            (Self::Constant(a), Self::Constant(b)) => Self::Constant(f(*a, *b)),
            _ => Self::Steps(
                (0..grid.steps)
                    .map(|step| f(self.at(step), other.at(step)))
                    .collect(),
            ),
        }
    }
}

/// A scalar node with the operators of the vectors inside it, their selections started.
pub(crate) enum ScalarOperator {
    Number(f64),
    Time,
    OfVector(Box<dyn Operator>),
    Binary {
        op: ScalarOp,
        lhs: Box<ScalarOperator>,
        rhs: Box<ScalarOperator>,
    },
    Neg(Box<ScalarOperator>),
    Invariant(Box<ScalarOperator>),
}

impl ScalarOperator {
    pub(crate) fn build(
        node: &ScalarNode,
        grid: &Grid,
        ex: &mut Exec<'_>,
    ) -> Result<Self, EngineError> {
        Ok(match node {
            ScalarNode::Number(value) => Self::Number(*value),
            ScalarNode::Time => Self::Time,
            ScalarNode::OfVector(vector) => Self::OfVector(build::vector(vector, grid, ex)?),
            ScalarNode::Binary { op, lhs, rhs } => Self::Binary {
                op: *op,
                lhs: Box::new(Self::build(lhs, grid, ex)?),
                rhs: Box::new(Self::build(rhs, grid, ex)?),
            },
            ScalarNode::Neg(input) => Self::Neg(Box::new(Self::build(input, grid, ex)?)),
            ScalarNode::Invariant(input) => {
                Self::Invariant(Box::new(Self::build(input, &grid.first_only(), ex)?))
            }
        })
    }

    pub(crate) fn eval(
        &mut self,
        grid: &Grid,
        ex: &mut Exec<'_>,
    ) -> Result<ScalarColumn, EngineError> {
        Ok(match self {
            Self::Number(value) => ScalarColumn::Constant(*value),
            Self::Time => {
                if grid.steps == 1 {
                    return Ok(ScalarColumn::Constant(grid.start as f64 / 1000.0));
                }
                ScalarColumn::Steps(
                    (0..grid.steps)
                        .map(|step| grid.ts(step) as f64 / 1000.0)
                        .collect(),
                )
            }
            Self::OfVector(input) => only_element(input.as_mut(), grid, ex)?,
            Self::Binary { op, lhs, rhs } => {
                let (lhs, rhs) = (lhs.eval(grid, ex)?, rhs.eval(grid, ex)?);
                let op = *op;
                lhs.zip(rhs, grid, |a, b| apply(op, a, b))
            }
            Self::Neg(input) => input.eval(grid, ex)?.map(|value| -value),
            Self::Invariant(input) => {
                let column = input.eval(&grid.first_only(), ex)?;
                ScalarColumn::Constant(column.at(0))
            }
        })
    }
}

/// The value of the only float at each step; NaN where there is none or more than one.
fn only_element(
    input: &mut dyn Operator,
    grid: &Grid,
    ex: &mut Exec<'_>,
) -> Result<ScalarColumn, EngineError> {
    let mut values = vec![f64::NAN; grid.steps];
    let mut counts = vec![0u8; grid.steps];
    while let Some(block) = input.next(ex)? {
        for row in 0..block.rows() {
            let present = block.row_present(row);
            let row_values = block.row_values(row);
            for step in 0..grid.steps {
                if has(present, step) {
                    values[step] = if counts[step] == 0 {
                        row_values[step]
                    } else {
                        f64::NAN
                    };
                    counts[step] = counts[step].saturating_add(1);
                }
            }
        }
        ex.recycle(block);
    }
    Ok(ScalarColumn::Steps(values.into()))
}

fn apply(op: ScalarOp, a: f64, b: f64) -> f64 {
    match op {
        ScalarOp::MaxOf => go_max(a, b),
        ScalarOp::MinOf => go_min(a, b),
        ScalarOp::Binary(op) => binary(op, a, b),
    }
}

/// An operator between two scalars; a comparison gives 0 or 1.
pub(crate) fn binary(op: BinaryOp, a: f64, b: f64) -> f64 {
    let truth = |truth: bool| f64::from(u8::from(truth));
    match op {
        BinaryOp::Eq => truth(a == b),
        BinaryOp::NotEq => truth(a != b),
        BinaryOp::Less => truth(a < b),
        BinaryOp::LessEq => truth(a <= b),
        BinaryOp::Greater => truth(a > b),
        BinaryOp::GreaterEq => truth(a >= b),
        arithmetic => compute(arithmetic, a, b),
    }
}

/// An arithmetic operator between two numbers; NaN for any other.
#[inline]
pub(crate) fn compute(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => go_pow(a, b),
        BinaryOp::Atan2 => a.atan2(b),
        _ => f64::NAN,
    }
}

/// Go's `math.Pow`.
#[inline]
pub(crate) fn go_pow(a: f64, b: f64) -> f64 {
    // Go defines pow(-1, ±Inf) as 1, as C does; all other special cases agree as well.
    a.powf(b)
}

/// Go's `math.Max`: NaN if either is, and +0 over -0.
#[inline]
pub(crate) fn go_max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { b } else { a }
    } else if a > b {
        a
    } else {
        b
    }
}

/// Go's `math.Min`: NaN if either is, and -0 under +0.
#[inline]
pub(crate) fn go_min(a: f64, b: f64) -> f64 {
    if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY {
        f64::NEG_INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { a } else { b }
    } else if a < b {
        a
    } else {
        b
    }
}
