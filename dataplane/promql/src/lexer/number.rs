//! Number and duration tokens, and the values of numbers.

use super::quoting::quote;
use super::{Lexer, Step, TokenKind, is_alphanumeric};

impl Lexer<'_> {
    /// Reads a number or a duration; its first character is already consumed.
    pub(super) fn number_or_duration(&mut self) -> Step {
        self.pos = self.start;
        if self.scan_number() {
            return Ok(Some(TokenKind::Number));
        }
        if self.accept_remaining_duration() {
            return Ok(Some(TokenKind::Duration));
        }
        self.fail(format!(
            "bad number or duration syntax: {}",
            quote(self.token_text())
        ))
    }

    /// Reads the units of a duration after its first digits; on failure also the offending
    /// character, for the message.
    fn accept_remaining_duration(&mut self) -> bool {
        if !self.accept("smhdwy") {
            return false;
        }
        // The `s` of `ms`; wrong units such as `hs` are found when the duration is computed.
        self.accept("s");
        while self.accept("0123456789") {
            self.skip_while(|c| c.is_ascii_digit());
            // Years come first or not at all.
            if !self.accept("smhdw") {
                return false;
            }
            self.accept("s");
        }
        if self.peek().is_some_and(is_alphanumeric) {
            self.next();
            return false;
        }
        true
    }

    /// Reads what looks like a number; whether it is one is found when its value is computed.
    fn scan_number(&mut self) -> bool {
        let mut digits = "0123456789";
        let mut hexadecimal = false;
        if self.accept("0") && self.accept("xX") {
            self.accept("_");
            digits = "0123456789abcdefABCDEF";
            hexadecimal = true;
        }
        self.accept(".");
        self.accept(digits);
        let (mut got_dot, mut got_exponent) = (false, false);
        while let Some(c) = self.peek() {
            match c {
                '.' => {
                    self.next();
                    if got_dot || self.accept("_.") || hexadecimal {
                        return false;
                    }
                    got_dot = true;
                }
                'e' | 'E' => {
                    self.next();
                    if got_exponent {
                        return false;
                    }
                    got_exponent = true;
                    self.accept("+-");
                    if self.accept("._eE") || self.peek().is_none() {
                        return false;
                    }
                }
                '_' => {
                    self.next();
                    if self.accept("._eE") || self.peek().is_none() {
                        return false;
                    }
                }
                c if digits.contains(c) => self.skip_while(|c| digits.contains(c)),
                _ => break,
            }
        }
        self.pos > self.start && !self.peek().is_some_and(is_alphanumeric)
    }
}

/// Returns the value of a number token: a decimal, octal (`017`) or hexadecimal integer, or a
/// float; `_` may separate digits.
///
/// # Errors
/// Go's message for a text that is no number or too large.
pub(crate) fn parse_number(text: &str) -> Result<f64, String> {
    let fail = |reason: &str| {
        Err(format!(
            "strconv.ParseFloat: parsing {}: {reason}",
            quote(text)
        ))
    };
    if !underscores_separate_digits(text) {
        return fail("invalid syntax");
    }
    let digits = text.replace('_', "");
    if let Some(integer) = parse_integer(&digits) {
        // As in Prometheus, which also goes by way of a 64-bit integer.
        #[expect(clippy::cast_precision_loss, reason = "a float is asked for")]
        return Ok(integer as f64);
    }
    match digits.parse::<f64>() {
        Ok(value) if value.is_infinite() && !text.eq_ignore_ascii_case("inf") => {
            fail("value out of range")
        }
        Ok(value) => Ok(value),
        Err(_) => fail("invalid syntax"),
    }
}

fn parse_integer(digits: &str) -> Option<i64> {
    if let Some(hexadecimal) = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        return unsigned(hexadecimal, 16);
    }
    match digits.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => unsigned(octal, 8),
        _ => unsigned(digits, 10),
    }
}

fn unsigned(digits: &str, base: u32) -> Option<i64> {
    // `from_str_radix` would allow a sign.
    if digits.starts_with(['+', '-']) {
        None
    } else {
        i64::from_str_radix(digits, base).ok()
    }
}

/// Whether every `_` stands between digits or right after the prefix `0x`.
fn underscores_separate_digits(text: &str) -> bool {
    if !text.contains('_') {
        return true;
    }
    let (rest, hexadecimal) = match text.get(..2) {
        Some("0x" | "0X") => (text.get(2..).unwrap_or(""), true),
        _ => (text, false),
    };
    let is_digit = |c: char| {
        if hexadecimal {
            c.is_ascii_hexdigit()
        } else {
            c.is_ascii_digit()
        }
    };
    let mut before_is_digit = hexadecimal;
    let mut chars = rest.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '_' && !(before_is_digit && chars.peek().is_some_and(|next| is_digit(*next))) {
            return false;
        }
        before_is_digit = is_digit(c);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_formats_have_their_values() {
        for (text, value) in [
            ("0", 0.0),
            ("1_000", 1000.0),
            ("0755", 493.0),
            ("089", 89.0),
            ("0x1F", 31.0),
            ("0x_1_f", 31.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("5e-3", 0.005),
            ("9223372036854775807", 9_223_372_036_854_775_807.0),
            ("99999999999999999999", 1e20),
            ("INF", f64::INFINITY),
        ] {
            assert_eq!(parse_number(text), Ok(value), "{text}");
        }
        assert!(parse_number("NaN").unwrap().is_nan());
    }

    #[test]
    fn what_is_no_number_is_refused_in_gos_words() {
        for (text, reason) in [
            ("0x", "invalid syntax"),
            ("0xffffffffffffffffff", "invalid syntax"),
            ("1e999", "value out of range"),
        ] {
            let message = format!("strconv.ParseFloat: parsing \"{text}\": {reason}");
            assert_eq!(parse_number(text), Err(message));
        }
    }
}
