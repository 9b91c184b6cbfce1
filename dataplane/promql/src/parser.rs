//! Parses queries into typed syntax trees.
//!
//! A recursive descent with operator precedences that stops at the first error, which is the one
//! Prometheus shows. `syntax` reads the grammar, `grouping` lists of labels, `duration` the
//! arithmetic inside of ranges and offsets, `check` the types. Which of several messages fits an unexpected token depends on the
//! construct around it; the parser keeps a stack of these constructs.

mod check;
mod duration;
mod error;
mod grouping;
mod modifier;
mod selector;
mod syntax;

pub use error::{ParseError, SeriesMatchersError};

use model::Matcher;

use crate::ast::{DurationSpec, Expr, PosRange};
use crate::lexer::{LexError, Lexer, Token, TokenKind};

/// The most levels of a syntax tree, so that recursion over it cannot exhaust a stack.
pub const MAX_DEPTH: usize = 512;

/// The most levels of parentheses, calls, aggregations and signs, each of which takes more of the
/// parser's own stack than a level of the tree does.
pub const MAX_NESTING: usize = 128;

/// The largest query, in bytes.
pub const MAX_QUERY_BYTES: usize = 1 << 20;

/// Which parts of the language are allowed beside the stable ones; by default none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ParseOptions {
    /// Functions and aggregations marked experimental.
    pub experimental_functions: bool,
    /// Arithmetic, `step()`, `range()`, `min_of()` and `max_of()` in ranges and offsets.
    pub duration_expressions: bool,
    /// The modifiers `anchored` and `smoothed`.
    pub extended_range_selectors: bool,
    /// The modifiers `fill`, `fill_left` and `fill_right`.
    pub fill_modifiers: bool,
    /// Thanos' functions `xrate`, `xincrease` and `xdelta`.
    pub extended_functions: bool,
}

/// Parses and type-checks a query.
///
/// # Errors
/// The first error of the query, with Prometheus' message and position, or that it is larger than
/// [`MAX_QUERY_BYTES`] or deeper than [`MAX_DEPTH`] or
/// [`MAX_NESTING`].
pub fn parse(query: &str, options: &ParseOptions) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(query, options)?;
    let mut expr = parser.query()?;
    check::check(&mut expr, query)?;
    Ok(expr)
}

/// Parses a selector such as `up{job="api"}` into its matchers, the one for the name last.
///
/// # Errors
/// Anything that is no selector without modifiers. A selector that matches every series is none.
pub fn parse_metric_selector(selector: &str) -> Result<Vec<Matcher>, ParseError> {
    Parser::new(selector, &ParseOptions::default())?.metric_selector()
}

/// Parses the selectors of `match[]` parameters.
///
/// # Errors
/// A selector that does not parse, or one that no matcher keeps from selecting every series.
pub fn parse_series_matchers<S: AsRef<str>>(
    selectors: &[S],
) -> Result<Vec<Vec<Matcher>>, SeriesMatchersError> {
    selectors
        .iter()
        .map(|selector| {
            let matchers = parse_metric_selector(selector.as_ref())?;
            if matchers.iter().all(Matcher::matches_empty) {
                return Err(SeriesMatchersError::Empty);
            }
            Ok(matchers)
        })
        .collect()
}

/// What is being read, and what could come next: the two halves of the message about an unexpected
/// token.
type Context = (&'static str, &'static str);

/// A subtree and how many levels it has.
struct Node {
    expr: Expr,
    depth: usize,
}

struct Parser<'a> {
    query: &'a str,
    options: ParseOptions,
    lexer: Lexer<'a>,
    peeked: Option<Token<'a>>,
    /// The constructs with their own messages around the current token, innermost last.
    contexts: Vec<Context>,
    /// How many expressions contain the current one.
    nesting: usize,
    /// How many terms the duration being read has so far.
    duration_terms: usize,
    /// Where the last consumed token ends.
    last_end: usize,
}

impl<'a> Parser<'a> {
    fn new(query: &'a str, options: &ParseOptions) -> Result<Self, ParseError> {
        if query.len() > MAX_QUERY_BYTES {
            let message = format!(
                "query of {} bytes is larger than the limit of {MAX_QUERY_BYTES} bytes",
                query.len()
            );
            return Err(ParseError::new(query, PosRange::default(), message));
        }
        Ok(Self {
            query,
            options: *options,
            lexer: Lexer::new(query),
            peeked: None,
            contexts: Vec::new(),
            nesting: 0,
            duration_terms: 0,
            last_end: 0,
        })
    }

    fn query(&mut self) -> Result<Expr, ParseError> {
        if self.peek()?.kind == TokenKind::Eof {
            return Err(self.error(PosRange::default(), "no expression found in input"));
        }
        let node = self.expression(0)?;
        self.expect_end()?;
        Ok(node.expr)
    }

    fn metric_selector(&mut self) -> Result<Vec<Matcher>, ParseError> {
        let token = self.peek()?;
        if !token.kind.is_metric_identifier() && token.kind != TokenKind::LeftBrace {
            return Err(self.unexpected());
        }
        let selector = self.vector_selector()?;
        self.expect_end()?;
        Ok(selector.matchers)
    }

    fn expect_end(&mut self) -> Result<(), ParseError> {
        match self.peek()?.kind {
            TokenKind::Eof => Ok(()),
            _ => Err(self.unexpected()),
        }
    }

    /// Returns the next token without consuming it.
    fn peek(&mut self) -> Result<Token<'a>, ParseError> {
        if let Some(token) = self.peeked {
            return Ok(token);
        }
        let token = self
            .lexer
            .next_token()
            .map_err(|LexError { at, message }| {
                ParseError::new(self.query, PosRange::new(at, self.query.len()), message)
            })?;
        self.peeked = Some(token);
        Ok(token)
    }

    /// Consumes the next token.
    fn next(&mut self) -> Result<Token<'a>, ParseError> {
        let token = self.peek()?;
        self.peeked = None;
        self.last_end = token.pos().end;
        Ok(token)
    }

    /// Consumes the next token if it is of a kind.
    fn accept(&mut self, kind: TokenKind) -> Result<Option<Token<'a>>, ParseError> {
        if self.peek()?.kind == kind {
            self.next().map(Some)
        } else {
            Ok(None)
        }
    }

    /// Consumes the next token, which has to be of a kind.
    fn expect(&mut self, kind: TokenKind) -> Result<Token<'a>, ParseError> {
        if self.peek()?.kind == kind {
            self.next()
        } else {
            Err(self.unexpected())
        }
    }

    /// Reads with a construct as the innermost one.
    fn within<T>(
        &mut self,
        context: Context,
        read: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        self.contexts.push(context);
        let result = read(self);
        self.contexts.pop();
        result
    }

    fn error(&self, pos: PosRange, message: impl Into<String>) -> ParseError {
        ParseError::new(self.query, pos, message.into())
    }

    /// The error that the next token does not belong here, in the words of the innermost construct.
    fn unexpected(&mut self) -> ParseError {
        let (context, expected) = self.contexts.last().copied().unwrap_or(("", ""));
        self.unexpected_in(context, expected)
    }

    fn unexpected_in(&mut self, context: &str, expected: &str) -> ParseError {
        let token = match self.peek() {
            Ok(token) => token,
            Err(err) => return err,
        };
        let mut message = format!("unexpected {}", token.describe());
        if !context.is_empty() {
            message.push_str(" in ");
            message.push_str(context);
        }
        if !expected.is_empty() {
            message.push_str(", expected ");
            message.push_str(expected);
        }
        self.error(token.pos(), message)
    }

    /// Returns a node above children of a depth.
    fn node(&self, expr: Expr, children_depth: usize) -> Result<Node, ParseError> {
        let depth = children_depth + 1;
        if depth > MAX_DEPTH {
            return Err(self.too_deep(expr.pos()));
        }
        Ok(Node { expr, depth })
    }

    fn too_deep(&self, pos: PosRange) -> ParseError {
        let message = format!("expression is nested deeper than the limit of {MAX_DEPTH} levels");
        self.error(pos, message)
    }
}

/// Returns a literal duration of so many seconds.
fn literal_duration(seconds: f64) -> DurationSpec {
    DurationSpec::Literal(nanoseconds(seconds) / 1_000_000)
}

/// Returns seconds as whole nanoseconds: Prometheus' resolution, which decides whether an offset is
/// zero.
fn nanoseconds(seconds: f64) -> i64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range is checked by the caller"
    )]
    let nanoseconds = (seconds * 1e9).round() as i64;
    nanoseconds
}

#[cfg(test)]
mod tests;
