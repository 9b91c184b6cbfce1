//! Durations in ranges, steps and offsets: literals or arithmetic.

use super::syntax::{precedence, right_precedence};
use super::{ParseError, Parser};
use crate::ast::{BinaryOp, DurationExpr, NumberLiteral, PosRange};
use crate::lexer::{Token, TokenKind};

/// The most terms of one duration, which bounds the depth of its tree.
const MAX_TERMS: usize = 64;

/// 2^63 nanoseconds, in seconds.
const MAX_SECONDS: f64 = 9_223_372_036.854_776;

impl<'a> Parser<'a> {
    /// Reads the duration of an offset. A bare literal or call ends it, so that `foo offset 5m + 1`
    /// adds to `foo`; only parentheses start arithmetic.
    pub(super) fn offset_duration(&mut self) -> Result<DurationExpr, ParseError> {
        self.duration_terms = 0;
        let sign = match self.peek()?.kind {
            TokenKind::LeftParen => return self.duration_expr(0),
            TokenKind::Add | TokenKind::Sub => self.next()?,
            _ => return self.duration_operand(None),
        };
        match self.peek()?.kind {
            TokenKind::LeftParen => {
                self.next()?;
                let inner = self.duration_expr(0)?;
                self.expect(TokenKind::RightParen)?;
                let pos = inner.pos();
                let inner = paren(inner, pos);
                Ok(self.signed_expr(sign, inner))
            }
            TokenKind::Number | TokenKind::Duration => {
                let literal = self.number_or_duration()?;
                self.signed_literal(sign, literal)
            }
            TokenKind::Add | TokenKind::Sub => {
                let operand = self.duration_expr(precedence(BinaryOp::Mul) + 1)?;
                let lhs = self.signed(sign, operand)?;
                self.duration_operators(lhs, 0)
            }
            _ => {
                let operand = self.duration_operand(Some(sign))?;
                Ok(self.signed_expr(sign, operand))
            }
        }
    }

    /// Reads the duration of a range or step.
    pub(super) fn bracket_duration(&mut self) -> Result<DurationExpr, ParseError> {
        self.duration_terms = 0;
        self.duration_expr(0)
    }

    /// Reads durations joined by operators that bind at least as tightly as `min_precedence`.
    fn duration_expr(&mut self, min_precedence: u8) -> Result<DurationExpr, ParseError> {
        self.duration_terms += 1;
        if self.duration_terms > MAX_TERMS {
            let message = format!("duration has more than the limit of {MAX_TERMS} terms");
            let pos = self.peek()?.pos();
            return Err(self.error(pos, message));
        }
        let lhs = match self.accept_sign()? {
            Some((_, sign)) => {
                let operand = self.duration_expr(precedence(BinaryOp::Mul) + 1)?;
                self.signed(sign, operand)?
            }
            None => self.duration_operand(None)?,
        };
        self.duration_operators(lhs, min_precedence)
    }

    fn duration_operators(
        &mut self,
        mut lhs: DurationExpr,
        min_precedence: u8,
    ) -> Result<DurationExpr, ParseError> {
        loop {
            let token = self.peek()?;
            let op = match token.kind.binary_op() {
                Some(
                    op @ (BinaryOp::Add
                    | BinaryOp::Sub
                    | BinaryOp::Mul
                    | BinaryOp::Div
                    | BinaryOp::Mod
                    | BinaryOp::Pow),
                ) if precedence(op) >= min_precedence => op,
                _ => return Ok(lhs),
            };
            self.next()?;
            let rhs = self.duration_expr(right_precedence(op))?;
            self.require_duration_expressions(lhs.pos())?;
            if matches!(&rhs, DurationExpr::Literal(literal) if literal.value == 0.0) {
                match op {
                    BinaryOp::Div => return Err(self.error(token.pos(), "division by zero")),
                    BinaryOp::Mod => return Err(self.error(token.pos(), "modulo by zero")),
                    _ => {}
                }
            }
            lhs = DurationExpr::Binary {
                op,
                lhs: Box::new(lhs),
                rhs: Box::new(rhs),
            };
        }
    }

    /// Reads a duration without operators; `sign` is the one before it, for the position of errors.
    fn duration_operand(&mut self, sign: Option<Token<'a>>) -> Result<DurationExpr, ParseError> {
        let token = self.peek()?;
        let expr = match token.kind {
            TokenKind::Number | TokenKind::Duration => {
                let literal = self.number_or_duration()?;
                self.check_literal(&literal, literal.pos)?;
                return Ok(DurationExpr::Literal(literal));
            }
            TokenKind::LeftParen => {
                self.next()?;
                let inner = self.duration_expr(0)?;
                let close = self.expect(TokenKind::RightParen)?;
                self.require_duration_expressions(inner.pos())?;
                return Ok(paren(inner, PosRange::new(token.start, close.pos().end)));
            }
            TokenKind::Step | TokenKind::Range => {
                self.next()?;
                self.expect(TokenKind::LeftParen)?;
                let close = self.expect(TokenKind::RightParen)?;
                let pos = PosRange::new(token.start, close.pos().end);
                if token.kind == TokenKind::Step {
                    DurationExpr::Step(pos)
                } else {
                    DurationExpr::Range(pos)
                }
            }
            TokenKind::MinOf | TokenKind::MaxOf => {
                self.next()?;
                self.expect(TokenKind::LeftParen)?;
                let lhs = Box::new(self.duration_expr(0)?);
                self.expect(TokenKind::Comma)?;
                let rhs = Box::new(self.duration_expr(0)?);
                let close = self.expect(TokenKind::RightParen)?;
                let pos = PosRange::new(token.start, close.pos().end);
                if token.kind == TokenKind::MinOf {
                    DurationExpr::MinOf { lhs, rhs, pos }
                } else {
                    DurationExpr::MaxOf { lhs, rhs, pos }
                }
            }
            _ => return Err(self.unexpected()),
        };
        // Prometheus points at the sign, else at the first argument, else at the name.
        let pos = match (&expr, sign) {
            (_, Some(sign)) => PosRange::new(sign.start, expr.pos().end),
            (DurationExpr::MinOf { lhs, rhs, .. } | DurationExpr::MaxOf { lhs, rhs, .. }, None) => {
                PosRange::new(lhs.pos().start, rhs.pos().end)
            }
            _ => expr.pos(),
        };
        self.require_duration_expressions(pos)?;
        Ok(expr)
    }

    fn signed(
        &mut self,
        sign: Token<'a>,
        operand: DurationExpr,
    ) -> Result<DurationExpr, ParseError> {
        match operand {
            DurationExpr::Literal(literal) => self.signed_literal(sign, literal),
            expr => Ok(self.signed_expr(sign, expr)),
        }
    }

    fn signed_literal(
        &self,
        sign: Token<'a>,
        mut literal: NumberLiteral,
    ) -> Result<DurationExpr, ParseError> {
        if sign.kind == TokenKind::Sub {
            literal.value = -literal.value;
        }
        self.check_literal(&literal, sign.pos())?;
        literal.pos.start = sign.start;
        Ok(DurationExpr::Literal(literal))
    }

    fn signed_expr(&self, sign: Token<'a>, expr: DurationExpr) -> DurationExpr {
        if sign.kind != TokenKind::Sub {
            return expr;
        }
        let pos = PosRange::new(sign.start, expr.pos().end);
        DurationExpr::Neg {
            expr: Box::new(expr),
            pos,
        }
    }

    fn check_literal(&self, literal: &NumberLiteral, pos: PosRange) -> Result<(), ParseError> {
        if literal.value > MAX_SECONDS || literal.value < -MAX_SECONDS {
            return Err(self.error(pos, "duration out of range"));
        }
        Ok(())
    }

    fn require_duration_expressions(&self, pos: PosRange) -> Result<(), ParseError> {
        if self.options.duration_expressions {
            return Ok(());
        }
        Err(self.error(pos, "experimental duration expression is not enabled"))
    }
}

/// Puts parentheses around an expression that has none yet.
fn paren(expr: DurationExpr, pos: PosRange) -> DurationExpr {
    match expr {
        expr @ DurationExpr::Paren { .. } => expr,
        expr => DurationExpr::Paren {
            expr: Box::new(expr),
            pos,
        },
    }
}
