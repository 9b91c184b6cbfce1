//! Errors of the parser.

use std::fmt;

use thiserror::Error;

use crate::ast::PosRange;

/// Why a text is no query. `Display` gives Prometheus' form, `line:column: parse error: message`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct ParseError {
    /// The bytes of the query that the message is about.
    pub pos: PosRange,
    /// The line of `pos.start`, from 1; 0 where the query is empty.
    pub line: usize,
    /// The byte within the line, from 1; 0 where the query is empty.
    pub col: usize,
    pub message: String,
}

impl ParseError {
    pub(crate) fn new(query: &str, pos: PosRange, message: String) -> Self {
        let before = query
            .as_bytes()
            .get(..pos.start)
            .unwrap_or(query.as_bytes());
        let (line, col) = if query.is_empty() {
            (0, 0)
        } else {
            let last_line = before.rsplit(|byte| *byte == b'\n').next();
            let line_breaks = before.iter().filter(|byte| **byte == b'\n').count();
            (line_breaks + 1, last_line.map_or(0, <[u8]>::len) + 1)
        };
        Self {
            pos,
            line,
            col,
            message,
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            f.write_str("unknown position")?;
        } else {
            write!(f, "{}:{}", self.line, self.col)?;
        }
        write!(f, ": parse error: {}", self.message)
    }
}

/// Why texts are no selectors for `match[]`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SeriesMatchersError {
    #[error(transparent)]
    Parse(#[from] ParseError),
    #[error("match[] must contain at least one non-empty matcher")]
    Empty,
}
