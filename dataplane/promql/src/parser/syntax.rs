//! Expressions: operators, calls, aggregations, parentheses and literals.

use super::grouping::Grouping;
use super::{Node, ParseError, Parser};
use crate::ast::{
    AggregateExpr, AggregateOp, BinaryExpr, BinaryOp, Call, Expr, FillValues, NumberLiteral,
    ParenExpr, PosRange, StringLiteral, UnaryExpr, VectorMatching,
};
use crate::functions::{Function, Stability};
use crate::lexer::quoting::{quote, unquote};
use crate::lexer::{Token, TokenKind, number};
use crate::parser::MAX_NESTING;

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
        self.enter()?;
        let mut lhs = self.operand()?;
        loop {
            lhs = self.with_modifiers(lhs)?;
            let Some(operator) = self.operator(min_precedence)? else {
                break;
            };
            let rhs = self.expression(right_precedence(operator.op))?;
            lhs = self.binary(lhs, operator, rhs)?;
        }
        self.nesting -= 1;
        Ok(lhs)
    }

    fn enter(&mut self) -> Result<(), ParseError> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            let pos = self.peek()?.pos();
            let message =
                format!("expression is nested deeper than the limit of {MAX_NESTING} levels");
            return Err(self.error(pos, message));
        }
        Ok(())
    }

    /// Reads an operator with its modifiers, if one comes that binds tightly enough.
    fn operator(&mut self, min_precedence: u8) -> Result<Option<Operator>, ParseError> {
        let op = match self.peek()?.kind.binary_op() {
            Some(op) if precedence(op) >= min_precedence => op,
            _ => return Ok(None),
        };
        self.next()?;
        let return_bool = self.accept(TokenKind::Bool)?.is_some();
        let matching = self.vector_matching()?;
        Ok(Some(Operator {
            op,
            return_bool,
            matching: Box::new(matching),
        }))
    }

    fn binary(&self, lhs: Node, operator: Operator, rhs: Node) -> Result<Node, ParseError> {
        let Operator {
            op,
            return_bool,
            matching,
        } = operator;
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
            matching: Some(*matching),
            return_bool,
            pos,
        };
        self.node(Expr::Binary(Box::new(binary)), depth)
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

    // The functions from here to `arguments` call each other for every level of nesting. They leave
    // what needs much stack to functions that return before the next level starts.

    /// Reads an expression without operators and modifiers around it.
    fn operand(&mut self) -> Result<Node, ParseError> {
        match self.peek()?.kind {
            TokenKind::Add | TokenKind::Sub => self.unary(),
            TokenKind::LeftParen => self.paren(),
            kind if kind.is_metric_identifier() => self.name(),
            _ => self.leaf(),
        }
    }

    /// Reads what starts with a name: a call, an aggregation or a selector.
    fn name(&mut self) -> Result<Node, ParseError> {
        let name = self.next()?;
        match (name.kind, self.peek()?.kind) {
            (
                TokenKind::Aggregate(op),
                TokenKind::LeftParen | TokenKind::By | TokenKind::Without,
            ) => {
                self.contexts.push(("aggregation", ""));
                let before = self.aggregate_modifier()?;
                let args = self.arguments()?;
                let node = self.aggregate(op, name, before, args);
                self.contexts.pop();
                node
            }
            (
                TokenKind::Identifier
                | TokenKind::Start
                | TokenKind::End
                | TokenKind::Step
                | TokenKind::Range
                | TokenKind::MaxOf
                | TokenKind::MinOf,
                TokenKind::LeftParen,
            ) => {
                let args = self.arguments()?;
                self.call(name, args)
            }
            _ => self.named_selector(name),
        }
    }

    fn unary(&mut self) -> Result<Node, ParseError> {
        let sign = self.next()?;
        let operand = self.expression(UNARY_PRECEDENCE + 1)?;
        self.signed_node(sign, operand)
    }

    fn paren(&mut self) -> Result<Node, ParseError> {
        let open = self.next()?;
        let inner = self.expression(0)?;
        self.closed_paren(open, inner)
    }

    /// Reads arguments in parentheses.
    fn arguments(&mut self) -> Result<Arguments, ParseError> {
        self.expect(TokenKind::LeftParen)?;
        let mut nodes = Vec::new();
        if self.peek()?.kind != TokenKind::RightParen {
            loop {
                nodes.push(self.expression(0)?);
                if !self.another_argument()? {
                    break;
                }
            }
        }
        self.expect(TokenKind::RightParen)?;
        Ok(Arguments {
            nodes,
            end: self.last_end,
        })
    }

    fn another_argument(&mut self) -> Result<bool, ParseError> {
        let Some(comma) = self.accept(TokenKind::Comma)? else {
            return Ok(false);
        };
        if self.peek()?.kind.starts_expr() {
            return Ok(true);
        }
        let message = "trailing commas not allowed in function call args";
        Err(self.error(comma.pos(), message))
    }

    fn leaf(&mut self) -> Result<Node, ParseError> {
        let token = self.peek()?;
        let expr = match token.kind {
            TokenKind::Number | TokenKind::Duration => {
                Expr::NumberLiteral(self.number_or_duration()?)
            }
            TokenKind::String => {
                self.next()?;
                let value = self.unquoted(token)?;
                Expr::StringLiteral(StringLiteral {
                    value,
                    pos: token.pos(),
                })
            }
            TokenKind::LeftBrace => Expr::VectorSelector(Box::new(self.vector_selector()?)),
            _ => return Err(self.unexpected()),
        };
        self.node(expr, 0)
    }

    fn named_selector(&mut self, name: Token<'a>) -> Result<Node, ParseError> {
        let selector = self.vector_selector_named(name)?;
        self.node(Expr::VectorSelector(Box::new(selector)), 0)
    }

    fn signed_node(&self, sign: Token<'a>, operand: Node) -> Result<Node, ParseError> {
        let negative = sign.kind == TokenKind::Sub;
        match operand.expr {
            Expr::NumberLiteral(mut literal) => {
                if negative {
                    literal.value = -literal.value;
                }
                literal.pos.start = sign.start;
                Ok(Node {
                    expr: Expr::NumberLiteral(literal),
                    depth: operand.depth,
                })
            }
            expr => {
                let pos = PosRange::new(sign.start, expr.pos().end);
                let unary = UnaryExpr {
                    negative,
                    expr,
                    pos,
                };
                self.node(Expr::Unary(Box::new(unary)), operand.depth)
            }
        }
    }

    fn closed_paren(&mut self, open: Token<'a>, inner: Node) -> Result<Node, ParseError> {
        let close = self.expect(TokenKind::RightParen)?;
        let pos = PosRange::new(open.start, close.pos().end);
        let paren = ParenExpr {
            expr: inner.expr,
            pos,
        };
        self.node(Expr::Paren(Box::new(paren)), inner.depth)
    }

    fn call(&self, name: Token<'a>, args: Arguments) -> Result<Node, ParseError> {
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
        let depth = args.depth();
        let pos = PosRange::new(name.start, args.end);
        let args = args.nodes.into_iter().map(|arg| arg.expr).collect();
        self.node(Expr::Call(Box::new(Call { func, args, pos })), depth)
    }

    /// Reads what may follow the arguments of an aggregation and puts it together.
    fn aggregate(
        &mut self,
        op: AggregateOp,
        name: Token<'a>,
        before: Option<Grouping>,
        args: Arguments,
    ) -> Result<Node, ParseError> {
        let after = if before.is_none() {
            self.aggregate_modifier()?
        } else {
            None
        };
        let end = after.as_ref().map_or(args.end, |modifier| modifier.end);
        let pos = PosRange::new(name.start, end);
        let n_args = args.nodes.len();
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
        let depth = args.depth();
        let mut args = args.nodes.into_iter().map(|arg| arg.expr);
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
        let (grouping, without) = before.or(after).map_or((Vec::new(), false), |modifier| {
            (modifier.labels, modifier.without)
        });
        let aggregate = AggregateExpr {
            op,
            expr,
            param,
            grouping,
            without,
            pos,
        };
        self.node(Expr::Aggregate(Box::new(aggregate)), depth)
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
        Ok(NumberLiteral {
            value,
            is_duration,
            pos: token.pos(),
        })
    }

    pub(super) fn unquoted(&self, token: Token<'a>) -> Result<String, ParseError> {
        unquote(token.text).map_err(|reason| {
            let message = format!("error unquoting string {}: {reason}", quote(token.text));
            self.error(token.pos(), message)
        })
    }
}

/// An operator and its modifiers.
struct Operator {
    op: BinaryOp,
    return_bool: bool,
    matching: Box<VectorMatching>,
}

/// The arguments of a call or aggregation, and where their parentheses end.
struct Arguments {
    nodes: Vec<Node>,
    end: usize,
}

impl Arguments {
    fn depth(&self) -> usize {
        self.nodes.iter().map(|node| node.depth).max().unwrap_or(0)
    }
}

/// Returns milliseconds as seconds, rounded as Prometheus does: whole seconds and the rest apart.
fn seconds(ms: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "both parts are below 2^53")]
    let (whole, rest) = ((ms / 1000) as f64, (ms % 1000 * 1_000_000) as f64);
    whole + rest / 1e9
}
