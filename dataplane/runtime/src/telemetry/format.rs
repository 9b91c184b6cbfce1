//! How one log line is written.

use std::fmt::{self, Write};
use std::str::FromStr;

use super::ParseTelemetryError;

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `ts=… caller=… level=… msg=… key=value`.
    #[default]
    Logfmt,
    /// One JSON object a line, with the same keys.
    Json,
}

impl FromStr for Format {
    type Err = ParseTelemetryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "logfmt" => Ok(Self::Logfmt),
            "json" => Ok(Self::Json),
            _ => Err(ParseTelemetryError {
                given: text.to_owned(),
                what: "format",
                allowed: "logfmt, json",
            }),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Logfmt => "logfmt",
            Self::Json => "json",
        })
    }
}

/// A field's value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Quoted where the format needs it.
    Text(String),
    /// A number or a truth value, never quoted.
    Bare(String),
}

impl Format {
    /// Appends one line, newline included.
    pub(super) fn line<'a>(
        self,
        out: &mut String,
        fields: impl Iterator<Item = (&'a str, &'a Value)>,
    ) {
        let mut first = true;
        if self == Self::Json {
            out.push('{');
        }
        for (key, value) in fields {
            if !first {
                out.push(if self == Self::Json { ',' } else { ' ' });
            }
            first = false;
            match self {
                Self::Json => {
                    json_string(out, key);
                    out.push(':');
                    match value {
                        Value::Text(text) => json_string(out, text),
                        Value::Bare(text) => out.push_str(text),
                    }
                }
                Self::Logfmt => {
                    out.extend(
                        key.chars()
                            .filter(|c| !c.is_whitespace() && !"=\"".contains(*c)),
                    );
                    out.push('=');
                    match value {
                        Value::Text(text) if needs_quotes(text) => json_string(out, text),
                        Value::Text(text) | Value::Bare(text) => out.push_str(text),
                    }
                }
            }
        }
        out.push_str(if self == Self::Json { "}\n" } else { "\n" });
    }
}

fn needs_quotes(text: &str) -> bool {
    text.is_empty()
        || text
            .chars()
            .any(|c| c <= ' ' || "=\"\u{7f}\u{fffd}".contains(c))
}

fn json_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' || c == '\u{7f}' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
