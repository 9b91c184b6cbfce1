//! Vector selectors: `name{label="value", ...}`.

use model::{METRIC_NAME, MatchOp, Matcher};

use super::{ParseError, Parser};
use crate::ast::{PosRange, VectorSelector};
use crate::lexer::{Token, TokenKind};

const MATCHING: &str = "label matching";

/// Returns whether a label may have a name: any text but the empty one.
pub(super) const fn label_name_is_valid(name: &str) -> bool {
    !name.is_empty()
}

impl<'a> Parser<'a> {
    /// Reads a selector; the next token is a name or a left brace.
    pub(super) fn vector_selector(&mut self) -> Result<VectorSelector, ParseError> {
        if self.peek()?.kind == TokenKind::LeftBrace {
            let (matchers, pos) = self.label_matchers()?;
            return Ok(selector(String::new(), matchers, pos));
        }
        let name = self.next()?;
        self.vector_selector_named(name)
    }

    /// Reads what may follow the name of a selector.
    pub(super) fn vector_selector_named(
        &mut self,
        name: Token<'a>,
    ) -> Result<VectorSelector, ParseError> {
        let mut pos = name.pos();
        let mut matchers = Vec::new();
        if self.peek()?.kind == TokenKind::LeftBrace {
            let (inside, braces) = self.label_matchers()?;
            matchers = inside;
            pos.end = braces.end;
        }
        matchers.push(Matcher::equal(METRIC_NAME, name.text));
        Ok(selector(name.text.to_owned(), matchers, pos))
    }

    fn label_matchers(&mut self) -> Result<(Vec<Matcher>, PosRange), ParseError> {
        let open = self.expect(TokenKind::LeftBrace)?;
        let mut matchers = Vec::new();
        while self.peek()?.kind != TokenKind::RightBrace {
            matchers.push(self.label_matcher()?);
            match self.peek()?.kind {
                TokenKind::RightBrace => {}
                TokenKind::Comma => {
                    self.next()?;
                }
                _ => return Err(self.unexpected_in(MATCHING, "\",\" or \"}\"")),
            }
        }
        let close = self.next()?;
        Ok((matchers, PosRange::new(open.start, close.pos().end)))
    }

    fn label_matcher(&mut self) -> Result<Matcher, ParseError> {
        let label = self.peek()?;
        let name = match label.kind {
            TokenKind::Identifier => {
                self.next()?;
                label.text.to_owned()
            }
            TokenKind::String => {
                self.next()?;
                self.unquoted(label)?
            }
            _ => return Err(self.unexpected_in(MATCHING, "identifier or \"}\"")),
        };
        let op = match self.peek()?.kind {
            TokenKind::Eql => MatchOp::Equal,
            TokenKind::Neq => MatchOp::NotEqual,
            TokenKind::EqlRegex => MatchOp::Regex,
            TokenKind::NeqRegex => MatchOp::NotRegex,
            // A string alone is the metric's name.
            _ if label.kind == TokenKind::String => return Ok(Matcher::equal(METRIC_NAME, name)),
            _ => return Err(self.unexpected_in(MATCHING, "label matching operator")),
        };
        self.next()?;
        let value = self.peek()?;
        if value.kind != TokenKind::String {
            return Err(self.unexpected_in(MATCHING, "string"));
        }
        self.next()?;
        let text = self.unquoted(value)?;
        Matcher::new(op, name, text)
            .map_err(|err| self.error(PosRange::new(label.start, value.pos().end), err.to_string()))
    }
}

const fn selector(name: String, matchers: Vec<Matcher>, pos: PosRange) -> VectorSelector {
    VectorSelector {
        name,
        matchers,
        offset: None,
        at: None,
        range_modifier: None,
        allows_empty_matchers: false,
        pos,
    }
}
