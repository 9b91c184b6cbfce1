//! What may follow an expression: `[range]`, `[range:step]`, `offset`, `@`, `anchored`, `smoothed`.

use super::{Node, ParseError, Parser, literal_duration, nanoseconds};
use crate::ast::{
    At, DurationExpr, DurationSpec, Expr, MatrixSelector, PosRange, RangeModifier, Subquery,
};
use crate::lexer::TokenKind;

/// The parts of a selector or subquery that `offset` and `@` change.
struct Shifted<'e> {
    offset: &'e mut Option<DurationSpec>,
    at: &'e mut Option<At>,
    pos: &'e mut PosRange,
}

fn shifted(expr: &mut Expr) -> Option<Shifted<'_>> {
    Some(match expr {
        Expr::VectorSelector(node) => Shifted {
            offset: &mut node.offset,
            at: &mut node.at,
            pos: &mut node.pos,
        },
        Expr::MatrixSelector(node) => Shifted {
            offset: &mut node.selector.offset,
            at: &mut node.selector.at,
            pos: &mut node.pos,
        },
        Expr::Subquery(node) => Shifted {
            offset: &mut node.offset,
            at: &mut node.at,
            pos: &mut node.pos,
        },
        _ => return None,
    })
}

impl Parser<'_> {
    /// Reads all modifiers that follow an expression.
    pub(super) fn with_modifiers(&mut self, mut node: Node) -> Result<Node, ParseError> {
        loop {
            match self.peek()?.kind {
                TokenKind::LeftBracket => node = self.bracket(node)?,
                TokenKind::Offset => self.offset(&mut node.expr)?,
                TokenKind::At => self.at(&mut node.expr)?,
                TokenKind::Anchored => {
                    self.range_modifier(&mut node.expr, RangeModifier::Anchored)?;
                }
                TokenKind::Smoothed => {
                    self.range_modifier(&mut node.expr, RangeModifier::Smoothed)?;
                }
                _ => return Ok(node),
            }
        }
    }

    /// Reads `[range]` or `[range:step]`.
    fn bracket(&mut self, node: Node) -> Result<Node, ParseError> {
        let open = self.next()?;
        let range = self.within(
            (
                "subquery or range selector",
                "number, duration, step(), or range()",
            ),
            Self::positive_duration,
        )?;
        if self.accept(TokenKind::Colon)?.is_some() {
            return self.subquery(node, range);
        }
        if self.peek()?.kind != TokenKind::RightBracket {
            return Err(self.unexpected_in("subquery or range", "\":\" or \"]\""));
        }
        let end = self.next()?.pos().end;
        let message = match node.expr {
            Expr::VectorSelector(selector) if selector.offset.is_some() => {
                "no offset modifiers allowed before range"
            }
            Expr::VectorSelector(selector) if selector.at.is_some() => {
                "no @ modifiers allowed before range"
            }
            Expr::VectorSelector(selector) => {
                let pos = PosRange::new(selector.pos.start, end);
                let matrix = MatrixSelector {
                    selector: *selector,
                    range,
                    pos,
                };
                let expr = Expr::MatrixSelector(Box::new(matrix));
                return Ok(Node {
                    expr,
                    depth: node.depth,
                });
            }
            _ => "ranges only allowed for vector selectors",
        };
        Err(self.error(PosRange::new(open.start, end), message))
    }

    /// Reads the rest of a subquery after its colon.
    fn subquery(&mut self, node: Node, range: DurationSpec) -> Result<Node, ParseError> {
        let mut step = None;
        if self.peek()?.kind != TokenKind::RightBracket {
            step = Some(self.within(
                (
                    "subquery selector",
                    "number, duration, step(), range(), or \"]\"",
                ),
                Self::positive_duration,
            )?);
            if self.peek()?.kind != TokenKind::RightBracket {
                return Err(self.unexpected_in("subquery selector", "\"]\""));
            }
        }
        let end = self.next()?.pos().end;
        let pos = PosRange::new(node.expr.pos().start, end);
        let subquery = Subquery {
            expr: node.expr,
            range,
            step,
            offset: None,
            at: None,
            pos,
        };
        self.node(Expr::Subquery(Box::new(subquery)), node.depth)
    }

    fn positive_duration(&mut self) -> Result<DurationSpec, ParseError> {
        match self.bracket_duration()? {
            DurationExpr::Literal(literal) if literal.value <= 0.0 => {
                Err(self.error(literal.pos, "duration must be greater than 0"))
            }
            DurationExpr::Literal(literal) => Ok(literal_duration(literal.value)),
            expr => Ok(DurationSpec::Expr(Box::new(expr))),
        }
    }

    fn offset(&mut self, expr: &mut Expr) -> Result<(), ParseError> {
        self.next()?;
        let duration = self.within(
            ("offset", "number, duration, step(), or range()"),
            Self::offset_duration,
        )?;
        let end = self.last_end;
        let pos = expr.pos();
        let Some(shifted) = shifted(expr) else {
            let message = "offset modifier must be preceded by an instant vector selector or \
                           range vector selector or a subquery";
            return Err(self.error(pos, message));
        };
        if shifted.offset.is_some() {
            return Err(self.error(pos, "offset may not be set multiple times"));
        }
        *shifted.offset = match duration {
            DurationExpr::Literal(literal) if nanoseconds(literal.value) == 0 => None,
            DurationExpr::Literal(literal) => Some(literal_duration(literal.value)),
            expr => Some(DurationSpec::Expr(Box::new(expr))),
        };
        shifted.pos.end = end;
        Ok(())
    }

    fn at(&mut self, expr: &mut Expr) -> Result<(), ParseError> {
        self.next()?;
        let pos = expr.pos();
        let at = self.within(("@", "timestamp"), |parser| parser.timestamp(pos))?;
        let end = self.last_end;
        let Some(shifted) = shifted(expr) else {
            let message = "@ modifier must be preceded by an instant vector selector or \
                           range vector selector or a subquery";
            return Err(self.error(pos, message));
        };
        if shifted.at.is_some() {
            return Err(self.error(pos, "@ <timestamp> may not be set multiple times"));
        }
        *shifted.at = Some(at);
        shifted.pos.end = end;
        Ok(())
    }

    fn timestamp(&mut self, modified: PosRange) -> Result<At, ParseError> {
        let at = match self.peek()?.kind {
            TokenKind::Start => At::Start,
            TokenKind::End => At::End,
            _ => {
                let negative = self.accept_sign()?.is_some_and(|(negative, _)| negative);
                let value = self.number_or_duration()?.value;
                let seconds = if negative { -value } else { value };
                // 2^63, the first float beyond the integers.
                if seconds.is_nan() || seconds.abs() >= 9_223_372_036_854_775_808.0 {
                    let shown = if seconds.is_infinite() {
                        if seconds > 0.0 {
                            "+Inf".to_owned()
                        } else {
                            "-Inf".to_owned()
                        }
                    } else {
                        format!("{seconds:.6}")
                    };
                    let message = format!("timestamp out of bounds for @ modifier: {shown}");
                    return Err(self.error(modified, message));
                }
                #[expect(clippy::cast_possible_truncation, reason = "saturates")]
                return Ok(At::Timestamp((seconds * 1000.0).round() as i64));
            }
        };
        self.next()?;
        self.expect(TokenKind::LeftParen)?;
        self.expect(TokenKind::RightParen)?;
        Ok(at)
    }

    fn range_modifier(
        &mut self,
        expr: &mut Expr,
        modifier: RangeModifier,
    ) -> Result<(), ParseError> {
        let word = match modifier {
            RangeModifier::Anchored => "anchored",
            RangeModifier::Smoothed => "smoothed",
        };
        self.next()?;
        let pos = expr.pos();
        if !self.options.extended_range_selectors {
            let message = format!("{word} modifier is experimental and not enabled");
            return Err(self.error(pos, message));
        }
        let current = match expr {
            Expr::VectorSelector(node) => &mut node.range_modifier,
            Expr::MatrixSelector(node) => &mut node.selector.range_modifier,
            Expr::Subquery(_) => {
                let message = format!("{word} modifier is not supported for subqueries");
                return Err(self.error(pos, message));
            }
            _ => return Err(self.error(pos, format!("{word} modifier not implemented"))),
        };
        if current
            .replace(modifier)
            .is_some_and(|before| before != modifier)
        {
            let message = "anchored and smoothed modifiers cannot be used together";
            return Err(self.error(pos, message));
        }
        Ok(())
    }
}
