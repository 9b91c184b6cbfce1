//! Duration expressions, evaluated once the query's step and length are known.

use crate::ast::{BinaryOp, DurationExpr, DurationSpec, PosRange};
use crate::engine::EngineError;

/// What `step()` and `range()` are, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct QuerySpan {
    pub step_ms: i64,
    pub range_ms: i64,
}

/// Returns the milliseconds of a duration.
pub(super) fn resolve(
    spec: &DurationSpec,
    span: QuerySpan,
    allow_negative: bool,
) -> Result<i64, EngineError> {
    let expr = match spec {
        DurationSpec::Literal(ms) => return Ok(*ms),
        DurationSpec::Expr(expr) => expr,
    };
    let seconds = evaluate(expr, span)?;
    let refuse = |what: &str| Err(error(expr.pos(), what));
    if !seconds.is_finite() {
        return refuse("duration is NaN or infinite");
    }
    if seconds <= 0.0 && !allow_negative {
        return refuse("duration must be greater than 0");
    }
    // Nanoseconds have to fit 63 bits, as for literals.
    if seconds.abs() > i64::MAX as f64 / 1e9 {
        return refuse("duration is out of range");
    }
    Ok((seconds * 1000.0) as i64)
}

fn error(pos: PosRange, what: &str) -> EngineError {
    EngineError::BadData(format!("{}:{}: {what}", pos.start, pos.end))
}

fn evaluate(expr: &DurationExpr, span: QuerySpan) -> Result<f64, EngineError> {
    Ok(match expr {
        DurationExpr::Literal(literal) => literal.value,
        DurationExpr::Step(_) => span.step_ms as f64 / 1000.0,
        DurationExpr::Range(_) => span.range_ms as f64 / 1000.0,
        DurationExpr::Neg { expr, .. } => -evaluate(expr, span)?,
        DurationExpr::Paren { expr, .. } => evaluate(expr, span)?,
        DurationExpr::MinOf { lhs, rhs, .. } => {
            crate::engine::go_min(evaluate(lhs, span)?, evaluate(rhs, span)?)
        }
        DurationExpr::MaxOf { lhs, rhs, .. } => {
            crate::engine::go_max(evaluate(lhs, span)?, evaluate(rhs, span)?)
        }
        DurationExpr::Binary { op, lhs, rhs } => {
            let (x, y) = (evaluate(lhs, span)?, evaluate(rhs, span)?);
            match op {
                BinaryOp::Add => x + y,
                BinaryOp::Sub => x - y,
                BinaryOp::Mul => x * y,
                BinaryOp::Div if y == 0.0 => return Err(error(expr.pos(), "division by zero")),
                BinaryOp::Div => x / y,
                BinaryOp::Mod if y == 0.0 => return Err(error(expr.pos(), "modulo by zero")),
                BinaryOp::Mod => x % y,
                BinaryOp::Pow => x.powf(y),
                other => {
                    return Err(EngineError::Internal(format!(
                        "duration expression with operator {other}"
                    )));
                }
            }
        }
    })
}
