//! Expressions: operators, calls, aggregations, parentheses and literals.

use super::{Node, ParseError, Parser, selector::label_name_is_valid};
use crate::ast::{
    AggregateExpr, AggregateOp, BinaryExpr, BinaryOp, Call, Expr, FillValues, NumberLiteral,
    ParenExpr, PosRange, StringLiteral, UnaryExpr, VectorMatchCardinality, VectorMatching,
};
use crate::functions::{Function, Stability};
use crate::lexer::quoting::{quote, unquote};
use crate::lexer::{Token, TokenKind, number};
use crate::parser::MAX_DEPTH;

/// How tightly a sign binds: as multiplication, so that `-1^2` is `-(1^2)`.
const UNARY_PRECEDENCE: u8 = 5;

/// Returns how tightly an operator binds; the higher, the tighter.
pub(super) const fn precedence(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => 1,
        BinaryOp::And | BinaryOp::Unless => 2,
        BinaryOp::Eq
        | BinaryOp::NotEq
        | BinaryOp::Less
        | BinaryOp::LessEq
        | BinaryOp::Greater
        | BinaryOp::GreaterEq
        | BinaryOp::TrimUpper
        | BinaryOp::TrimLower => 3,
        BinaryOp::Add | BinaryOp::Sub => 4,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Atan2 => UNARY_PRECEDENCE,
        BinaryOp::Pow => 6,
    }
}

/// Returns the precedence that operators need to belong to the right operand of `op`.
pub(super) const fn right_precedence(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Pow => precedence(op),
        _ => precedence(op) + 1,
    }
}

impl<'a> Parser<'a> {
    /// Reads an expression whose operators bind at least as tightly as `min_precedence`.
    pub(super) fn expression(&mut self, min_precedence: u8) -> Result<Node, ParseError> {
        self.nesting += 1;
        if self.nesting > MAX_DEPTH {
            let pos = self.peek()?.pos();
            return Err(self.too_deep(pos));
        }
        let mut lhs = self.operand()?;
        loop {
            lhs = self.with_modifiers(lhs)?;
            let Some(op) = self.peek()?.kind.binary_op() else { break };
            if precedence(op) < min_precedence {
                break;
            }
            self.next()?;
            lhs = self.binary(lhs, op)?;
        }
        self.nesting -= 1;
        Ok(lhs)
    }

    fn binary(&mut self, lhs: Node, op: BinaryOp) -> Result<Node, ParseError> {
        let return_bool = self.accept(TokenKind::Bool)?.is_some();
        let matching = self.vector_matching()?;
        let rhs = self.expression(right_precedence(op))?;
        let pos = PosRange::new(lhs.expr.pos().start, rhs.expr.pos().end);
        if !self.options.fill_modifiers && matching.fill != FillValues::default() {
            let message = "binop fill modifiers are experimental and not enabled";
            return Err(self.error(pos, message));
        }
        let depth = lhs.depth.max(rhs.depth);
        let binary = BinaryExpr {
            op,
            lhs: lhs.expr,
            rhs: rhs.expr,
            matching: Some(matching),
            return_bool,
            pos,
        };
        self.node(Expr::Binary(Box::new(binary)), depth)
    }

    fn vector_matching(&mut self) -> Result<VectorMatching, ParseError> {
        let mut matching = VectorMatching::default();
        let kind = self.peek()?.kind;
        if matches!(kind, TokenKind::On | TokenKind::Ignoring) {
            self.next()?;
            matching.on = kind == TokenKind::On;
            matching.labels = self.grouping_labels()?;
            let card = match self.peek()?.kind {
                TokenKind::GroupLeft => Some(VectorMatchCardinality::ManyToOne),
                TokenKind::GroupRight => Some(VectorMatchCardinality::OneToMany),
                _ => None,
            };
            if let Some(card) = card {
                self.next()?;
                matching.card = card;
                if self.peek()?.kind == TokenKind::LeftParen {
                    matching.include = self.grouping_labels()?;
                }
            }
        }
        match self.peek()?.kind {
            TokenKind::Fill => {
                self.next()?;
                let value = Some(self.fill_value()?);
                matching.fill = FillValues { lhs: value, rhs: value };
            }
            TokenKind::FillLeft => {
                self.next()?;
                matching.fill.lhs = Some(self.fill_value()?);
                if self.accept(TokenKind::FillRight)?.is_some() {
                    matching.fill.rhs = Some(self.fill_value()?);
                }
            }
            TokenKind::FillRight => {
                self.next()?;
                matching.fill.rhs = Some(self.fill_value()?);
                if self.accept(TokenKind::FillLeft)?.is_some() {
                    matching.fill.lhs = Some(self.fill_value()?);
                }
            }
            _ => {}
        }
        Ok(matching)
    }

    fn fill_value(&mut self) -> Result<f64, ParseError> {
        self.expect(TokenKind::LeftParen)?;
        let negative = self.accept_sign()?.is_some_and(|(negative, _)| negative);
        let value = self.number_or_duration()?.value;
        self.expect(TokenKind::RightParen)?;
        Ok(if negative { -value } else { value })
    }

    /// Reads a sign: whether it is a minus, and its token.
    pub(super) fn accept_sign(&mut self) -> Result<Option<(bool, Token<'a>)>, ParseError> {
        let negative = match self.peek()?.kind {
            TokenKind::Add => false,
            TokenKind::Sub => true,
            _ => return Ok(None),
        };
        Ok(Some((negative, self.next()?)))
    }

    /// Reads an expression without operators and modifiers around it.
    fn operand(&mut self) -> Result<Node, ParseError> {
        let token = self.peek()?;
        let expr = match token.kind {
            TokenKind::Add | TokenKind::Sub => return self.unary(),
            TokenKind::LeftParen => return self.paren(),
            TokenKind::Number | TokenKind::Duration => {
                Expr::NumberLiteral(self.number_or_duration()?)
            }
            TokenKind::String => {
                self.next()?;
                Expr::StringLiteral(StringLiteral {
                    value: self.unquoted(token)?,
                    pos: token.pos(),
                })
            }
            TokenKind::LeftBrace => Expr::VectorSelector(Box::new(self.vector_selector()?)),
            kind if kind.is_metric_identifier() => return self.name(token),
            _ => return Err(self.unexpected()),
        };
        self.node(expr, 0)
    }

    /// Reads what starts with a name: a call, an aggregation or a selector.
    fn name(&mut self, name: Token<'a>) -> Result<Node, ParseError> {
        self.next()?;
        let next = self.peek()?.kind;
        match (name.kind, next) {
            (
                TokenKind::Aggregate(op),
                TokenKind::LeftParen | TokenKind::By | TokenKind::Without,
            ) => self.within(("aggregation", ""), |parser| parser.aggregate(op, name)),
            (
                TokenKind::Identifier
                | TokenKind::Start
                | TokenKind::End
                | TokenKind::Step
                | TokenKind::Range
                | TokenKind::MaxOf
                | TokenKind::MinOf,
                TokenKind::LeftParen,
            ) => self.call(name),
            _ => {
                let selector = self.vector_selector_named(name)?;
                self.node(Expr::VectorSelector(Box::new(selector)), 0)
            }
        }
    }

    fn unary(&mut self) -> Result<Node, ParseError> {
        let sign = self.next()?;
        let negative = sign.kind == TokenKind::Sub;
        let operand = self.expression(UNARY_PRECEDENCE + 1)?;
        match operand.expr {
            Expr::NumberLiteral(mut literal) => {
                if negative {
                    literal.value = -literal.value;
                }
                literal.pos.start = sign.start;
                Ok(Node { expr: Expr::NumberLiteral(literal), depth: operand.depth })
            }
            expr => {
                let pos = PosRange::new(sign.start, expr.pos().end);
                let unary = UnaryExpr { negative, expr, pos };
                self.node(Expr::Unary(Box::new(unary)), operand.depth)
            }
        }
    }

    fn paren(&mut self) -> Result<Node, ParseError> {
        let open = self.next()?;
        let inner = self.expression(0)?;
        let close = self.expect(TokenKind::RightParen)?;
        let pos = PosRange::new(open.start, close.pos().end);
        let paren = ParenExpr { expr: inner.expr, pos };
        self.node(Expr::Paren(Box::new(paren)), inner.depth)
    }

    fn call(&mut self, name: Token<'a>) -> Result<Node, ParseError> {
        let (args, end) = self.arguments()?;
        let func = Function::by_name(name.text).filter(|func| {
            func.stability != Stability::Extended || self.options.extended_functions
        });
        let Some(func) = func else {
            let message = format!("unknown function with name {}", quote(name.text));
            return Err(self.error(name.pos(), message));
        };
        if func.stability == Stability::Experimental && !self.options.experimental_functions {
            let message = format!("function {} is not enabled", quote(name.text));
            return Err(self.error(name.pos(), message));
        }
        let depth = args.iter().map(|arg| arg.depth).max().unwrap_or(0);
        let args = args.into_iter().map(|arg| arg.expr).collect();
        let pos = PosRange::new(name.start, end);
        self.node(Expr::Call(Box::new(Call { func, args, pos })), depth)
    }

    /// Reads arguments in parentheses, and where they end.
    fn arguments(&mut self) -> Result<(Vec<Node>, usize), ParseError> {
        self.expect(TokenKind::LeftParen)?;
        let mut args = Vec::new();
        if let Some(close) = self.accept(TokenKind::RightParen)? {
            return Ok((args, close.pos().end));
        }
        loop {
            args.push(self.expression(0)?);
            let Some(comma) = self.accept(TokenKind::Comma)? else { break };
            if !self.peek()?.kind.starts_expr() {
                let message = "trailing commas not allowed in function call args";
                return Err(self.error(comma.pos(), message));
            }
        }
        let close = self.expect(TokenKind::RightParen)?;
        Ok((args, close.pos().end))
    }

    fn aggregate(&mut self, op: AggregateOp, name: Token<'a>) -> Result<Node, ParseError> {
        let before = self.aggregate_modifier()?;
        let (args, body_end) = self.arguments()?;
        let (modifier, end) = match before {
            Some(_) => (before, body_end),
            None => {
                let after = self.aggregate_modifier()?;
                let end = after.as_ref().map_or(body_end, |modifier| modifier.end);
                (after, end)
            }
        };
        let pos = PosRange::new(name.start, end);
        let n_args = args.len();
        if n_args == 0 {
            return Err(self.error(pos, "no arguments for aggregate expression provided"));
        }
        if op.is_experimental() && !self.options.experimental_functions {
            let message = format!(
                "{op}() is experimental and must be enabled with \
                 --enable-feature=promql-experimental-functions"
            );
            return Err(self.error(pos, message));
        }
        let depth = args.iter().map(|arg| arg.depth).max().unwrap_or(0);
        let mut args = args.into_iter().map(|arg| arg.expr);
        let (expr, param) = match (op.has_param(), args.next(), args.next(), args.next()) {
            (false, Some(expr), None, None) => (expr, None),
            (true, Some(param), Some(expr), None) => (expr, Some(param)),
            _ => {
                let message = format!(
                    "wrong number of arguments for aggregate expression provided, \
                     expected {}, got {n_args}",
                    if op.has_param() { 2 } else { 1 }
                );
                return Err(self.error(pos, message));
            }
        };
        let (grouping, without) =
            modifier.map_or((Vec::new(), false), |modifier| (modifier.labels, modifier.without));
        let aggregate = AggregateExpr { op, expr, param, grouping, without, pos };
        self.node(Expr::Aggregate(Box::new(aggregate)), depth)
    }

    fn aggregate_modifier(&mut self) -> Result<Option<Grouping>, ParseError> {
        let without = match self.peek()?.kind {
            TokenKind::By => false,
            TokenKind::Without => true,
            _ => return Ok(None),
        };
        self.next()?;
        let (labels, end) = self.labels_in_parens()?;
        Ok(Some(Grouping { labels, without, end }))
    }

    fn grouping_labels(&mut self) -> Result<Vec<String>, ParseError> {
        self.labels_in_parens().map(|(labels, _)| labels)
    }

    /// Reads label names in parentheses, and where they end.
    fn labels_in_parens(&mut self) -> Result<(Vec<String>, usize), ParseError> {
        const OPTIONS: &str = "grouping opts";
        if self.accept(TokenKind::LeftParen)?.is_none() {
            return Err(self.unexpected_in(OPTIONS, "\"(\""));
        }
        let mut labels = Vec::new();
        loop {
            let token = self.peek()?;
            let label = match token.kind {
                TokenKind::RightParen => break,
                TokenKind::String => {
                    self.next()?;
                    self.unquoted(token)?
                }
                kind if kind.is_label() => {
                    self.next()?;
                    token.text.to_owned()
                }
                _ => return Err(self.unexpected_in(OPTIONS, "label")),
            };
            if !label_name_is_valid(&label) {
                let message = format!("invalid label name for grouping: {}", quote(&label));
                return Err(self.error(token.pos(), message));
            }
            labels.push(label);
            match self.peek()?.kind {
                TokenKind::RightParen => break,
                TokenKind::Comma => self.next()?,
                _ => return Err(self.unexpected_in(OPTIONS, "\",\" or \")\"")),
            };
        }
        let close = self.next()?;
        Ok((labels, close.pos().end))
    }

    /// Reads a number, or a duration as a number of seconds.
    pub(super) fn number_or_duration(&mut self) -> Result<NumberLiteral, ParseError> {
        let token = self.peek()?;
        let is_duration = match token.kind {
            TokenKind::Number => false,
            TokenKind::Duration => true,
            _ => return Err(self.unexpected()),
        };
        self.next()?;
        let value = if is_duration {
            model::parse_duration(token.text)
                .map(seconds)
                .map_err(|err| self.error(token.pos(), err.to_string()))
        } else {
            number::parse_number(token.text)
                .map_err(|err| self.error(token.pos(), format!("error parsing number: {err}")))
        }?;
        Ok(NumberLiteral { value, is_duration, pos: token.pos() })
    }

    pub(super) fn unquoted(&self, token: Token<'a>) -> Result<String, ParseError> {
        unquote(token.text).map_err(|reason| {
            let message = format!("error unquoting string {}: {reason}", quote(token.text));
            self.error(token.pos(), message)
        })
    }
}

/// `by (...)` or `without (...)`.
struct Grouping {
    labels: Vec<String>,
    without: bool,
    end: usize,
}

/// Returns milliseconds as seconds, rounded as Prometheus does: whole seconds and the rest apart.
fn seconds(ms: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "both parts are below 2^53")]
    let (whole, rest) = ((ms / 1000) as f64, (ms % 1000 * 1_000_000) as f64);
    whole + rest / 1e9
}
