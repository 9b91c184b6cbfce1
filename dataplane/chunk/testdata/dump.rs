//! Samples as text, as `gopeer dump` and `gopeer vectors` have them.

use std::fmt::Write;

use chunk::histogram::HistogramColumns;
use chunk::{Columns, Corrupt, Encoding, decode_floats, decode_histograms};
use model::histogram::{CounterResetHint, Span};

/// Appends a line for each sample of the chunk.
pub(crate) fn dump_samples(
    encoding: Encoding,
    data: &[u8],
    out: &mut String,
) -> Result<(), Corrupt> {
    if encoding.is_float() {
        let mut columns = Columns::new();
        decode_floats(encoding, data, &mut columns)?;
        for (t, value) in columns.iter() {
            writeln!(out, "{t} {:016x}", value.to_bits()).expect("a string takes it");
        }
        return Ok(());
    }
    let mut columns = HistogramColumns::new();
    decode_histograms(encoding, data, &mut columns)?;
    for i in 0..columns.len() {
        dump_histogram(&columns, i, out);
    }
    Ok(())
}

fn dump_histogram(columns: &HistogramColumns, i: usize, out: &mut String) {
    let t = columns.timestamp(i).expect("the row is there");
    if let Some(h) = columns.histogram(i) {
        writeln!(
            out,
            "{t} i {} {} {:016x} {:016x} {} {} {} {} {} {} {}",
            hint(h.counter_reset_hint),
            h.schema,
            h.zero_threshold.to_bits(),
            h.sum.to_bits(),
            h.zero_count,
            h.count,
            spans(&h.positive_spans),
            spans(&h.negative_spans),
            floats(&h.custom_values),
            list(h.positive_buckets.iter().map(i64::to_string)),
            list(h.negative_buckets.iter().map(i64::to_string)),
        )
    } else {
        let h = columns.float_histogram(i).expect("the row is there");
        writeln!(
            out,
            "{t} f {} {} {:016x} {:016x} {:016x} {:016x} {} {} {} {} {}",
            hint(h.counter_reset_hint),
            h.schema,
            h.zero_threshold.to_bits(),
            h.sum.to_bits(),
            h.zero_count.to_bits(),
            h.count.to_bits(),
            spans(&h.positive_spans),
            spans(&h.negative_spans),
            floats(&h.custom_values),
            floats(&h.positive_buckets),
            floats(&h.negative_buckets),
        )
    }
    .expect("a string takes it");
}

/// The number that Prometheus gives the hint.
fn hint(hint: CounterResetHint) -> u8 {
    match hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::Reset => 1,
        CounterResetHint::NotReset => 2,
        CounterResetHint::Gauge => 3,
    }
}

fn spans(spans: &[Span]) -> String {
    list(
        spans
            .iter()
            .map(|span| format!("{}+{}", span.offset, span.length)),
    )
}

fn floats(values: &[f64]) -> String {
    list(
        values
            .iter()
            .map(|value| format!("{:016x}", value.to_bits())),
    )
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(" "))
}
