//! Modifiers that list labels: of aggregations and of binary operators.

use super::selector::label_name_is_valid;
use super::{ParseError, Parser};
use crate::ast::{FillValues, VectorMatchCardinality, VectorMatching};
use crate::lexer::TokenKind;
use crate::lexer::quoting::quote;

/// `by (...)` or `without (...)`.
pub(super) struct Grouping {
    pub(super) labels: Vec<String>,
    pub(super) without: bool,
    pub(super) end: usize,
}

impl Parser<'_> {
    /// Reads what may stand between an operator and its right operand, but for `bool`.
    pub(super) fn vector_matching(&mut self) -> Result<VectorMatching, ParseError> {
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
                let next = self.peek()?.kind;
                // The list may be missing where the operand follows.
                if next == TokenKind::LeftParen || !next.starts_expr() {
                    matching.include = self.grouping_labels()?;
                }
            }
        }
        match self.peek()?.kind {
            TokenKind::Fill => {
                self.next()?;
                let value = Some(self.fill_value()?);
                matching.fill = FillValues {
                    lhs: value,
                    rhs: value,
                };
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

    /// Reads `by (...)` or `without (...)`, if it comes.
    pub(super) fn aggregate_modifier(&mut self) -> Result<Option<Grouping>, ParseError> {
        let without = match self.peek()?.kind {
            TokenKind::By => false,
            TokenKind::Without => true,
            _ => return Ok(None),
        };
        self.next()?;
        let (labels, end) = self.labels_in_parens()?;
        Ok(Some(Grouping {
            labels,
            without,
            end,
        }))
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
}
