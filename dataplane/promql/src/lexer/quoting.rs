//! Quoted strings as Go writes and PromQL reads them.

use std::fmt::Write as _;

/// Returns `text` as a double-quoted Go string literal.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        push_escaped(&mut out, c, '"');
    }
    out.push('"');
    out
}

/// Returns a character as a Go rune literal; the end of the input is a replacement character.
pub(crate) fn quote_char(c: Option<char>) -> String {
    let mut out = String::from('\'');
    push_escaped(&mut out, c.unwrap_or(char::REPLACEMENT_CHARACTER), '\'');
    out.push('\'');
    out
}

/// Returns a character as `U+0070 'p'`, without the part in quotes where it cannot be shown.
pub(crate) fn code_point(c: char) -> String {
    let code = u32::from(c);
    if is_printable(c) {
        format!("U+{code:04X} '{c}'")
    } else {
        format!("U+{code:04X}")
    }
}

fn push_escaped(out: &mut String, c: char, quote: char) {
    match c {
        '\\' => out.push_str("\\\\"),
        c if c == quote => {
            out.push('\\');
            out.push(c);
        }
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        c if is_printable(c) => out.push(c),
        c => {
            let code = u32::from(c);
            let written = match code {
                0..=0x7f => write!(out, "\\x{code:02x}"),
                0x80..=0xffff => write!(out, "\\u{code:04x}"),
                _ => write!(out, "\\U{code:08x}"),
            };
            // Writing to a string cannot fail.
            debug_assert!(written.is_ok());
        }
    }
}

/// Whether Go shows the character as it is.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    // A combining mark is shown inside a string but escaped at its start, so it needs company.
    let company: String = ['a', c].iter().collect();
    !company.escape_debug().any(|shown| shown == '\\')
}

/// Returns what a quoted string means; `text` includes the quotes and has passed the lexer.
///
/// # Errors
/// The reason, where the escapes do not give UTF-8 or the quotes are missing. Prometheus' strings
/// may hold any bytes; a label value cannot, so such a string could match nothing.
pub(crate) fn unquote(text: &str) -> Result<String, &'static str> {
    const SYNTAX: &str = "invalid syntax";
    let quote = text.chars().next().ok_or(SYNTAX)?;
    let inner = text
        .strip_prefix(['"', '\'', '`'])
        .and_then(|rest| rest.strip_suffix(quote))
        .ok_or(SYNTAX)?;
    if quote == '`' || !inner.contains('\\') {
        return Ok(inner.to_owned());
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = chars.next().ok_or(SYNTAX)?;
        match escape {
            'a' => bytes.push(0x07),
            'b' => bytes.push(0x08),
            'f' => bytes.push(0x0c),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(0x0b),
            '\\' => bytes.push(b'\\'),
            'x' => {
                let value = digits(&mut chars, 0, 2, 16).ok_or(SYNTAX)?;
                bytes.push(u8::try_from(value).map_err(|_| SYNTAX)?);
            }
            'u' | 'U' => {
                let count = if escape == 'u' { 4 } else { 8 };
                let value = digits(&mut chars, 0, count, 16).ok_or(SYNTAX)?;
                let c = char::from_u32(value).ok_or(SYNTAX)?;
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            '0'..='7' => {
                let first = escape.to_digit(8).ok_or(SYNTAX)?;
                let value = digits(&mut chars, first, 2, 8).ok_or(SYNTAX)?;
                bytes.push(u8::try_from(value).map_err(|_| SYNTAX)?);
            }
            c if c == quote => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            _ => return Err(SYNTAX),
        }
    }
    String::from_utf8(bytes).map_err(|_| "its escapes are not valid UTF-8")
}

fn digits(chars: &mut std::str::Chars<'_>, first: u32, count: usize, base: u32) -> Option<u32> {
    let mut value = first;
    for _ in 0..count {
        value = value
            .checked_mul(base)?
            .checked_add(chars.next()?.to_digit(base)?)?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_as_go_does() {
        for (text, quoted) in [
            ("plain", r#""plain""#),
            ("a\"b\\c\n", r#""a\"b\\c\n""#),
            ("\x01\x7f", r#""\x01\x7f""#),
            ("äöü 🙂 e\u{301}", "\"äöü 🙂 e\u{301}\""),
            ("\u{a0}\u{200b}\u{10ffff}", r#""\u00a0\u200b\U0010ffff""#),
        ] {
            assert_eq!(quote(text), quoted);
        }
        assert_eq!(quote_char(Some('\'')), r"'\''");
        assert_eq!(quote_char(None), "'\u{fffd}'");
        assert_eq!(code_point('.'), "U+002E '.'");
    }

    #[test]
    fn escapes_give_bytes_that_must_be_text() {
        for (quoted, text) in [
            (r#""\a\b\f\n\r\t\v\\\"""#, "\x07\x08\x0c\n\r\t\x0b\\\""),
            (r"'\''", "'"),
            (r"`\n`", "\\n"),
            (r#""\xc3\xa4\303\244\u00e4\U0001F642""#, "äää🙂"),
        ] {
            assert_eq!(unquote(quoted).as_deref(), Ok(text));
        }
        assert!(unquote(r#""\xff""#).is_err());
        assert!(unquote(r#""\'""#).is_err());
    }
}
