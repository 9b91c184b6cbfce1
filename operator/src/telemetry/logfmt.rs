//! Log lines as `ts=… level=… msg=… key=value`.

use std::fmt;

use k8s_openapi::jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes an event as one line of logfmt.
pub(super) struct Logfmt;

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let level = metadata.level().as_str().to_ascii_lowercase();
        write!(
            writer,
            "ts={:.3} level={level} target={}",
            Timestamp::now(),
            metadata.target()
        )?;
        let mut line = Line {
            message: None,
            fields: String::new(),
        };
        event.record(&mut line);
        if let Some(message) = line.message {
            write!(writer, " msg={}", value(&message))?;
        }
        writeln!(writer, "{}", line.fields)
    }
}

struct Line {
    message: Option<String>,
    fields: String,
}

impl Line {
    fn add(&mut self, field: &Field, text: &str) {
        if field.name() == "message" {
            self.message = Some(text.to_owned());
        } else {
            self.fields.push(' ');
            self.fields.push_str(field.name());
            self.fields.push('=');
            self.fields.push_str(&value(text));
        }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, text: &str) {
        self.add(field, text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

/// The text, quoted where it would not be one word.
fn value(text: &str) -> String {
    let is_word = !text.is_empty()
        && text
            .chars()
            .all(|c| !c.is_whitespace() && !c.is_control() && c != '"' && c != '=');
    if is_word {
        text.to_owned()
    } else {
        format!("{text:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn a_value_is_quoted_only_where_needed() {
        for (text, expected) in [
            ("demo", "demo"),
            ("two words", "\"two words\""),
            ("", "\"\""),
            ("a=b", "\"a=b\""),
            ("a\nb", "\"a\\nb\""),
        ] {
            assert_eq!(value(text), expected);
        }
    }
}
