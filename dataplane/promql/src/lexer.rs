//! Splits a query into tokens with byte positions.
//!
//! What a character means depends on where it stands: inside `{}` keywords are plain identifiers,
//! inside `[]` only durations and their arithmetic are allowed. The messages are Prometheus'.

pub(crate) mod number;
pub(crate) mod quoting;
mod token;

pub(crate) use token::{Token, TokenKind};

use quoting::quote_char;

/// A place where no token can be read: byte offset and message.
pub(crate) struct LexError {
    pub(crate) at: usize,
    pub(crate) message: String,
}

type Step = Result<Option<TokenKind>, LexError>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Outside of braces, and inside of brackets once a number has been seen.
    Statements,
    /// Right after `[` and after everything in brackets but numbers.
    Duration,
}

/// Reads tokens from a query, one at a time.
pub(crate) struct Lexer<'a> {
    input: &'a str,
    /// Where the current token starts.
    start: usize,
    /// Where the next character is read.
    pos: usize,
    state: State,
    paren_depth: usize,
    brace_open: bool,
    bracket_open: bool,
    /// Whether a `:` was seen since the last `[`.
    got_colon: bool,
    /// Whether a number was seen right after a `[`; never reset, as in Prometheus.
    got_duration: bool,
}

impl<'a> Lexer<'a> {
    pub(crate) const fn new(input: &'a str) -> Self {
        Self {
            input,
            start: 0,
            pos: 0,
            state: State::Statements,
            paren_depth: 0,
            brace_open: false,
            bracket_open: false,
            got_colon: false,
            got_duration: false,
        }
    }

    /// Returns the next token; at the end of the input [`TokenKind::Eof`], again and again.
    pub(crate) fn next_token(&mut self) -> Result<Token<'a>, LexError> {
        loop {
            self.start = self.pos;
            let step = if self.state == State::Duration {
                self.duration_expr()
            } else if self.brace_open {
                self.inside_braces()
            } else {
                self.statements()
            };
            if let Some(kind) = step? {
                return Ok(Token {
                    kind,
                    start: self.start,
                    text: self.token_text(),
                });
            }
        }
    }

    fn rest(&self) -> &'a str {
        self.input.get(self.pos..).unwrap_or("")
    }

    fn token_text(&self) -> &'a str {
        self.input.get(self.start..self.pos).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    /// Consumes the next character if it is one of `valid`.
    fn accept(&mut self, valid: &str) -> bool {
        let accepted = self.peek().is_some_and(|c| valid.contains(c));
        if accepted {
            self.next();
        }
        accepted
    }

    fn skip_while(&mut self, mut keep: impl FnMut(char) -> bool) {
        while self.peek().is_some_and(&mut keep) {
            self.next();
        }
    }

    /// An error at the start of the current token.
    fn fail<T>(&self, message: String) -> Result<T, LexError> {
        Err(LexError {
            at: self.start,
            message,
        })
    }

    /// An error that is found only after the current token was complete, and stands after it.
    fn fail_after<T>(&self, message: String) -> Result<T, LexError> {
        Err(LexError {
            at: self.pos,
            message,
        })
    }

    fn statements(&mut self) -> Step {
        let Some(c) = self.next() else {
            if self.paren_depth != 0 {
                return self.fail("unclosed left parenthesis".to_owned());
            }
            if self.bracket_open {
                return self.fail("unclosed left bracket".to_owned());
            }
            return Ok(Some(TokenKind::Eof));
        };
        let kind = match c {
            '#' => return self.comment(),
            c if is_space(c) => {
                self.skip_while(is_space);
                return Ok(None);
            }
            ',' => TokenKind::Comma,
            '*' => TokenKind::Mul,
            '/' => TokenKind::Div,
            '%' => TokenKind::Mod,
            '+' => TokenKind::Add,
            '-' => TokenKind::Sub,
            '^' => TokenKind::Pow,
            '@' => TokenKind::At,
            '=' if self.accept("=") => TokenKind::EqlC,
            '=' if self.peek() == Some('~') => {
                return self.fail("unexpected character after '=': '~'".to_owned());
            }
            '=' => TokenKind::Eql,
            '!' if self.accept("=") => TokenKind::Neq,
            '!' => {
                let next = quote_char(self.peek());
                return self.fail(format!("unexpected character after '!': {next}"));
            }
            '<' if self.accept("=") => TokenKind::Lte,
            '<' if self.accept("/") => TokenKind::TrimUpper,
            '<' => TokenKind::Lss,
            '>' if self.accept("=") => TokenKind::Gte,
            '>' if self.accept("/") => TokenKind::TrimLower,
            '>' => TokenKind::Gtr,
            c if self.starts_number(c) => return self.number_or_duration(),
            '"' | '\'' => return self.string(c),
            '`' => return self.raw_string(),
            c if is_alpha(c) || c == ':' => {
                return if self.bracket_open {
                    self.word_in_brackets(c)
                } else {
                    Ok(Some(self.keyword_or_identifier()))
                };
            }
            '(' => {
                self.paren_depth += 1;
                TokenKind::LeftParen
            }
            ')' => {
                self.close_paren()?;
                TokenKind::RightParen
            }
            '{' => {
                self.brace_open = true;
                TokenKind::LeftBrace
            }
            '[' => {
                if self.bracket_open {
                    return self.fail("unexpected left bracket '['".to_owned());
                }
                self.got_colon = false;
                self.bracket_open = true;
                self.state = State::Duration;
                TokenKind::LeftBracket
            }
            ']' => {
                if !self.bracket_open {
                    return self.fail("unexpected right bracket ']'".to_owned());
                }
                self.bracket_open = false;
                TokenKind::RightBracket
            }
            c => return self.fail(format!("unexpected character: {}", quote_char(Some(c)))),
        };
        Ok(Some(kind))
    }

    fn close_paren(&mut self) -> Result<(), LexError> {
        match self.paren_depth.checked_sub(1) {
            Some(depth) => {
                self.paren_depth = depth;
                Ok(())
            }
            None => self.fail_after("unexpected right parenthesis ')'".to_owned()),
        }
    }

    fn comment(&mut self) -> Step {
        self.skip_while(|c| c != '\n' && c != '\r');
        Ok(None)
    }

    /// Whether `c`, already consumed, starts a number.
    fn starts_number(&self, c: char) -> bool {
        c.is_ascii_digit() || (c == '.' && self.peek().is_some_and(|d| d.is_ascii_digit()))
    }

    fn word_in_brackets(&mut self, first: char) -> Step {
        if first == ':' {
            if self.got_colon {
                return self.fail("unexpected colon ':'".to_owned());
            }
            self.got_colon = true;
            return Ok(Some(TokenKind::Colon));
        }
        if let Some(kind) = self.duration_keyword(first) {
            return Ok(Some(kind));
        }
        self.fail(format!(
            "unexpected character: {}, expected ':'",
            quote_char(Some(first))
        ))
    }

    /// Reads one of the keywords that durations may have; `first` is already consumed.
    fn duration_keyword(&mut self, first: char) -> Option<TokenKind> {
        if !matches!(first.to_ascii_lowercase(), 's' | 'r' | 'm') {
            return None;
        }
        self.skip_while(is_alpha);
        match self.token_text().to_ascii_lowercase().as_str() {
            "step" => Some(TokenKind::Step),
            "range" => Some(TokenKind::Range),
            "max_of" => Some(TokenKind::MaxOf),
            "min_of" => Some(TokenKind::MinOf),
            _ => None,
        }
    }

    fn duration_expr(&mut self) -> Step {
        let Some(c) = self.next() else {
            return self.fail("unexpected end of input in duration expression".to_owned());
        };
        let kind = match c {
            ']' => {
                self.bracket_open = false;
                self.got_colon = false;
                self.state = State::Statements;
                TokenKind::RightBracket
            }
            ':' => {
                if !self.got_duration {
                    return self.fail_after(
                        "unexpected colon before duration in duration expression".to_owned(),
                    );
                }
                if self.got_colon {
                    return self
                        .fail_after("unexpected repeated colon in duration expression".to_owned());
                }
                self.got_colon = true;
                TokenKind::Colon
            }
            '(' => {
                self.paren_depth += 1;
                TokenKind::LeftParen
            }
            ')' => {
                self.close_paren()?;
                TokenKind::RightParen
            }
            c if is_space(c) => {
                self.skip_while(is_space);
                return Ok(None);
            }
            '+' => TokenKind::Add,
            '-' => TokenKind::Sub,
            '*' => TokenKind::Mul,
            '/' => TokenKind::Div,
            '%' => TokenKind::Mod,
            '^' => TokenKind::Pow,
            ',' => TokenKind::Comma,
            c if self.starts_number(c) => {
                self.got_duration = true;
                self.state = State::Statements;
                return self.number_or_duration();
            }
            c => match self.duration_keyword(c) {
                Some(kind) => kind,
                None => {
                    let c = quote_char(Some(c));
                    return self.fail(format!("unexpected character in duration expression: {c}"));
                }
            },
        };
        Ok(Some(kind))
    }

    fn inside_braces(&mut self) -> Step {
        let Some(c) = self.next() else {
            return self.fail("unexpected end of input inside braces".to_owned());
        };
        let kind = match c {
            '#' => return self.comment(),
            c if is_space(c) => {
                self.skip_while(is_space);
                return Ok(None);
            }
            c if is_alpha(c) => {
                self.skip_while(is_alphanumeric);
                TokenKind::Identifier
            }
            ',' => TokenKind::Comma,
            '"' | '\'' => return self.string(c),
            '`' => return self.raw_string(),
            '=' if self.accept("~") => TokenKind::EqlRegex,
            '=' => TokenKind::Eql,
            '!' if self.accept("~") => TokenKind::NeqRegex,
            '!' if self.accept("=") => TokenKind::Neq,
            '!' => {
                let next = quote_char(self.peek());
                return self.fail(format!(
                    "unexpected character after '!' inside braces: {next}"
                ));
            }
            '{' => return self.fail("unexpected left brace '{'".to_owned()),
            '}' => {
                self.brace_open = false;
                TokenKind::RightBrace
            }
            c => {
                let c = quote_char(Some(c));
                return self.fail(format!("unexpected character inside braces: {c}"));
            }
        };
        Ok(Some(kind))
    }

    /// Reads a quoted string; the opening quote is already consumed.
    fn string(&mut self, open: char) -> Step {
        loop {
            match self.next() {
                Some('\\') => self.escape(open)?,
                Some(char::REPLACEMENT_CHARACTER) => {
                    return self.fail("invalid UTF-8 rune".to_owned());
                }
                None | Some('\n') => return self.fail("unterminated quoted string".to_owned()),
                Some(c) if c == open => return Ok(Some(TokenKind::String)),
                Some(_) => {}
            }
        }
    }

    /// Reads a raw string; the opening backquote is already consumed.
    fn raw_string(&mut self) -> Step {
        loop {
            match self.next() {
                Some(char::REPLACEMENT_CHARACTER) => {
                    return self.fail("invalid UTF-8 rune".to_owned());
                }
                None => return self.fail("unterminated raw string".to_owned()),
                Some('`') => return Ok(Some(TokenKind::String)),
                Some(_) => {}
            }
        }
    }

    /// Checks an escape sequence; the backslash is already consumed.
    fn escape(&mut self, open: char) -> Result<(), LexError> {
        let (digits, base, max) = match self.next() {
            None => return self.fail("escape sequence not terminated".to_owned()),
            Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\') => return Ok(()),
            Some(c) if c == open => return Ok(()),
            Some('0'..='7') => {
                self.pos -= 1;
                (3, 8, 255)
            }
            Some('x') => (2, 16, 255),
            Some('u') => (4, 16, u32::from(char::MAX)),
            Some('U') => (8, 16, u32::from(char::MAX)),
            Some(c) => {
                return self.fail(format!(
                    "unknown escape sequence {}",
                    quoting::code_point(c)
                ));
            }
        };
        let mut value: u32 = 0;
        for _ in 0..digits {
            let Some(c) = self.next() else {
                return self.fail("escape sequence not terminated".to_owned());
            };
            let Some(digit) = c.to_digit(base) else {
                let c = quoting::code_point(c);
                return self.fail(format!("illegal character {c} in escape sequence"));
            };
            value = value.wrapping_mul(base).wrapping_add(digit);
        }
        if value > max || (0xd800..0xe000).contains(&value) {
            return self.fail("escape sequence is an invalid Unicode code point".to_owned());
        }
        Ok(())
    }

    /// Reads a word; its first character is already consumed.
    fn keyword_or_identifier(&mut self) -> TokenKind {
        self.skip_while(|c| is_alphanumeric(c) || c == ':');
        let word = self.token_text();
        match TokenKind::keyword(&word.to_ascii_lowercase()) {
            // `fill` and its kin are common metric names, and keywords only before a parenthesis.
            Some(TokenKind::Fill | TokenKind::FillLeft | TokenKind::FillRight)
                if !self.rest().trim_start_matches(is_space).starts_with('(') =>
            {
                TokenKind::Identifier
            }
            Some(kind) => kind,
            None if word.contains(':') => TokenKind::MetricIdentifier,
            None => TokenKind::Identifier,
        }
    }
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

const fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

const fn is_alphanumeric(c: char) -> bool {
    is_alpha(c) || c.is_ascii_digit()
}
