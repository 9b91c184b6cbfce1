//! Pairs of floats.

use crate::ast::BinaryOp;
use crate::engine::block::ones;
use crate::engine::scalar::compute;

/// The floats of one side.
#[derive(Clone, Copy)]
pub(super) enum Side<'a> {
    Row(&'a [f64]),
    Fill(f64),
}

impl Side<'_> {
    #[inline(always)]
    pub(super) fn at(&self, step: usize) -> f64 {
        match self {
            Self::Row(values) => values[step],
            Self::Fill(value) => *value,
        }
    }
}

/// Computes the present steps; a comparison keeps the left value or answers 0 or 1.
pub(super) fn apply(
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
