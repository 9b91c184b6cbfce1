//! JSON as Go's encoder writes it: markup characters escaped, floats without a needless fraction.
//!
//! Clients compare bytes more often than one thinks: caches by checksum, golden files, diffs of two
//! queriers behind one address.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter};

use super::number::push_float;

/// Appends `value`; writing to memory cannot fail, and no type used here refuses to be serialised.
pub(super) fn push_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    push(out, value, Go { escape_html: true });
}

/// Appends `value` with markup characters as they are, as Prometheus does with labels of results.
pub(super) fn push_plain_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    push(out, value, Go { escape_html: false });
}

fn push<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T, format: Go) {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, format);
    let written = value.serialize(&mut serializer);
    debug_assert!(written.is_ok(), "serialising an answer");
}

struct Go {
    escape_html: bool,
}

/// Characters that could end a script element of a page the JSON is put into.
const fn is_markup(c: char) -> bool {
    matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}')
}

impl Formatter for Go {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let mut text = Vec::with_capacity(24);
        push_float(&mut text, value);
        // `1e-07` is written `1e-7` here, unlike the floats in strings.
        let len = text.len();
        if len >= 4 && &text[len - 4..len - 1] == b"e-0" {
            text.remove(len - 2);
        }
        writer.write_all(&text)
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if !self.escape_html {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some(at) = rest.find(is_markup) {
            let (before, after) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            let mut chars = after.chars();
            if let Some(c) = chars.next() {
                write!(writer, "\\u{:04x}", u32::from(c))?;
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        let text: &[u8] = match escape {
            CharEscape::Quote => b"\\\"",
            CharEscape::ReverseSolidus => b"\\\\",
            CharEscape::Solidus => b"/",
            CharEscape::LineFeed => b"\\n",
            CharEscape::CarriageReturn => b"\\r",
            CharEscape::Tab => b"\\t",
            CharEscape::Backspace => b"\\u0008",
            CharEscape::FormFeed => b"\\u000c",
            CharEscape::AsciiControl(byte) => return write!(writer, "\\u{byte:04x}"),
        };
        writer.write_all(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_floats_are_written_as_go_does() {
        let written = |push: fn(&mut Vec<u8>, &str), text: &str| {
            let mut out = Vec::new();
            push(&mut out, text);
            String::from_utf8(out).expect("utf-8")
        };
        assert_eq!(
            written(push_json, "a<b>&\u{2028}\u{8}\u{1}\n/é"),
            r#""a\u003cb\u003e\u0026\u2028\u0008\u0001\n/é""#
        );
        assert_eq!(written(push_plain_json, "a<b>&\"\\"), r#""a<b>&\"\\""#);
        let mut out = Vec::new();
        push_json(&mut out, &[30.0, 0.5, 1e-7, 1e-10, 1e21]);
        assert_eq!(
            String::from_utf8(out).expect("utf-8"),
            "[30,0.5,1e-7,1e-10,1e+21]"
        );
    }
}
