//! The `tracing` layer that turns events into lines.

use std::error::Error;
use std::fmt;
use std::io::Write;
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::format::{Format, Value};

/// Takes one finished line.
pub type LineWriter = Arc<dyn Fn(&str) + Send + Sync>;

/// Writes each event as one line, the fields of its spans after its own.
pub struct LogLayer {
    format: Format,
    write: LineWriter,
}

impl fmt::Debug for LogLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogLayer")
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl LogLayer {
    /// Creates a layer that gives its lines to `write`.
    pub fn new(format: Format, write: LineWriter) -> Self {
        Self { format, write }
    }
}

/// Writes to standard error; a closed one loses the line, not the process.
pub(super) fn stderr() -> LineWriter {
    Arc::new(|line| {
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    })
}

#[derive(Debug, Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.push((field.name(), value));
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no NaN or infinity.
        let text = value.to_string();
        self.put(
            field,
            if value.is_finite() {
                Value::Bare(text)
            } else {
                Value::Text(text)
            },
        );
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::Bare(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::Bare(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::Bare(value.to_string()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::Text(value.to_owned()));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put(field, Value::Text(super::chain(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::Text(format!("{value:?}")));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut own = Fields::default();
        event.record(&mut own);
        let file = metadata.file().unwrap_or_default();
        let caller = match (file.rsplit('/').next(), metadata.line()) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            _ => metadata.target().to_owned(),
        };
        let level = match *metadata.level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            Level::DEBUG | Level::TRACE => "debug",
        };
        let mut fields: Vec<(&str, Value)> = vec![
            ("ts", Value::Text(jiff::Timestamp::now().to_string())),
            ("caller", Value::Text(caller)),
            ("level", Value::Text(level.to_owned())),
        ];
        if let Some(at) = own.0.iter().position(|(name, _)| *name == "message") {
            let message = own.0.remove(at).1;
            fields.push(("msg", message));
        }
        fields.extend(own.0);
        if let Some(scope) = context.event_scope(event) {
            for span in scope.from_root() {
                if let Some(Fields(of_span)) = span.extensions().get::<Fields>() {
                    fields.extend(of_span.iter().map(|(key, value)| (*key, value.clone())));
                }
            }
        }
        let mut line = String::with_capacity(160);
        self.format
            .line(&mut line, fields.iter().map(|(key, value)| (*key, value)));
        (self.write)(&line);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn lines(format: Format, emit: impl FnOnce()) -> Vec<String> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let write: LineWriter = Arc::new(move |line| {
            sink.lock().expect("not poisoned").push(line.to_owned());
        });
        let subscriber = tracing_subscriber::registry().with(LogLayer::new(format, write));
        tracing::subscriber::with_default(subscriber, emit);
        std::mem::take(&mut *lines.lock().expect("not poisoned"))
    }

    #[test]
    fn logfmt_line_has_the_fields_in_order_and_quotes_what_needs_it() {
        let written = lines(Format::Logfmt, || {
            let span = tracing::info_span!("request", tenant = "a b");
            let _entered = span.enter();
            tracing::warn!(
                block = "01X",
                count = 3,
                empty = "",
                "skipping \"bad\" block"
            );
        });
        let line = written.first().expect("one line");
        assert!(line.starts_with("ts=2"), "{line}");
        assert!(line.contains("Z caller=layer.rs:"), "{line}");
        assert!(
            line.ends_with(
                " level=warn msg=\"skipping \\\"bad\\\" block\" block=01X count=3 empty=\"\" tenant=\"a b\"\n"
            ),
            "{line}"
        );
    }

    #[test]
    fn json_line_has_the_same_keys() {
        let written = lines(Format::Json, || {
            tracing::info!(ratio = 0.5, nan = f64::NAN, ok = true, "a\nb");
        });
        let line = written.first().expect("one line");
        assert!(line.starts_with("{\"ts\":\"2"), "{line}");
        assert!(
            line.ends_with(
                "\"level\":\"info\",\"msg\":\"a\\nb\",\"ratio\":0.5,\"nan\":\"NaN\",\"ok\":true}\n"
            ),
            "{line}"
        );
    }

    #[test]
    fn error_field_shows_the_chain() {
        let written = lines(Format::Logfmt, || {
            let error = crate::content::ContentError::Read {
                flag: "x",
                path: "/p".into(),
                source: std::io::Error::other("gone"),
            };
            tracing::error!(error = &error as &dyn Error, "cannot start");
        });
        let line = written.first().expect("one line");
        assert!(
            line.contains("error=\"reading /p given by --x-file: gone\""),
            "{line}"
        );
    }
}
