//! What all histograms of a chunk have in common.

use model::histogram::{CUSTOM_BUCKETS_SCHEMA, Span, count_buckets, is_known_schema};

use crate::bits::{BitReader, BitWriter};
use crate::varbit::{put_varbit_int, put_varbit_uint, read_varbit_int, read_varbit_uint};

/// Schema, zero threshold and which buckets there are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layout {
    pub schema: i32,
    pub zero_threshold: f64,
    pub positive_spans: Vec<Span>,
    pub negative_spans: Vec<Span>,
    pub custom_values: Vec<f64>,
}

/// Zero thresholds that are a power of two between these exponents take one byte.
const MIN_EXPONENT: i32 = -242;
const MAX_EXPONENT: i32 = 11;
const EXPONENT_BIAS: i32 = 243;

/// The first byte of a zero threshold that follows in full.
const FULL_THRESHOLD: u64 = 255;

impl Layout {
    /// Returns how many positive buckets there are.
    pub fn positive_len(&self) -> usize {
        usize::try_from(count_buckets(&self.positive_spans)).unwrap_or(usize::MAX)
    }

    /// Returns how many negative buckets there are.
    pub fn negative_len(&self) -> usize {
        usize::try_from(count_buckets(&self.negative_spans)).unwrap_or(usize::MAX)
    }

    /// Reads a layout; the error says what is wrong. Every count is checked against the bits left.
    pub(crate) fn read(reader: &mut BitReader<'_>) -> Result<Self, &'static str> {
        let zero_threshold = read_zero_threshold(reader);
        let schema = i32::try_from(read_varbit_int(reader))
            .ok()
            .filter(|schema| is_known_schema(*schema))
            .ok_or("the schema is not known")?;
        let positive_spans = read_spans(reader)?;
        let negative_spans = read_spans(reader)?;
        let mut custom_values = Vec::new();
        if schema == CUSTOM_BUCKETS_SCHEMA {
            let count = read_varbit_uint(reader);
            if count > reader.remaining() as u64 {
                return Err("more custom bounds than bits for them");
            }
            for _ in 0..count {
                custom_values.push(read_custom_bound(reader));
            }
        }
        let buckets = count_buckets(&positive_spans).saturating_add(count_buckets(&negative_spans));
        if buckets > reader.remaining() as u64 {
            return Err("more buckets than bits for them");
        }
        Ok(Self {
            schema,
            zero_threshold,
            positive_spans,
            negative_spans,
            custom_values,
        })
    }

    pub(crate) fn write(&self, writer: &mut BitWriter) {
        put_zero_threshold(writer, self.zero_threshold);
        put_varbit_int(writer, i64::from(self.schema));
        for spans in [&self.positive_spans, &self.negative_spans] {
            put_varbit_uint(writer, spans.len() as u64);
            for span in spans {
                put_varbit_uint(writer, u64::from(span.length));
                put_varbit_int(writer, i64::from(span.offset));
            }
        }
        if self.schema == CUSTOM_BUCKETS_SCHEMA {
            put_varbit_uint(writer, self.custom_values.len() as u64);
            for bound in &self.custom_values {
                put_custom_bound(writer, *bound);
            }
        }
    }
}

fn read_spans(reader: &mut BitReader<'_>) -> Result<Vec<Span>, &'static str> {
    let count = read_varbit_uint(reader);
    // A length and an offset of a bit each at least.
    if count > reader.remaining() as u64 / 2 {
        return Err("more spans than bits for them");
    }
    let mut spans = Vec::new();
    for _ in 0..count {
        let length = u32::try_from(read_varbit_uint(reader));
        let offset = i32::try_from(read_varbit_int(reader));
        match (length, offset) {
            (Ok(length), Ok(offset)) => spans.push(Span { offset, length }),
            _ => return Err("a span is out of range"),
        }
    }
    Ok(spans)
}

fn read_zero_threshold(reader: &mut BitReader<'_>) -> f64 {
    match reader.read(8) {
        0 => 0.0,
        FULL_THRESHOLD => f64::from_bits(reader.read(64)),
        biased => power_of_two(biased.cast_signed() - i64::from(EXPONENT_BIAS) - 1),
    }
}

fn put_zero_threshold(writer: &mut BitWriter, threshold: f64) {
    if threshold == 0.0 {
        writer.write(0, 8);
        return;
    }
    let bits = threshold.to_bits();
    let is_power = bits >> 63 == 0 && bits << 12 == 0;
    // As Go's Frexp has it: 0.5·2^exponent.
    let exponent = (bits >> 52).cast_signed() - 1022;
    let fits = (i64::from(MIN_EXPONENT)..=i64::from(MAX_EXPONENT)).contains(&exponent);
    if is_power && fits {
        writer.write((exponent + i64::from(EXPONENT_BIAS)).cast_unsigned(), 8);
    } else {
        writer.write(FULL_THRESHOLD, 8);
        writer.write(bits, 64);
    }
}

/// 2^exponent for exponents of normal numbers.
fn power_of_two(exponent: i64) -> f64 {
    f64::from_bits((exponent + 1023).cast_unsigned() << 52)
}

/// Bounds up to this many thousandths are stored as whole thousandths.
const MAX_THOUSANDTHS: f64 = 33_554_430.0;

fn read_custom_bound(reader: &mut BitReader<'_>) -> f64 {
    match read_varbit_uint(reader) {
        0 => f64::from_bits(reader.read(64)),
        thousandths => (thousandths - 1) as f64 / 1000.0,
    }
}

fn put_custom_bound(writer: &mut BitWriter, bound: f64) {
    let thousandths = bound * 1000.0;
    let rounded = thousandths.round();
    let fits = (0.0..=MAX_THOUSANDTHS).contains(&thousandths) && rounded / 1000.0 == bound;
    if fits {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whole and at most MAX_THOUSANDTHS"
        )]
        put_varbit_uint(writer, rounded as i64 as u64 + 1);
    } else {
        writer.write(0, 1);
        writer.write(bound.to_bits(), 64);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn layouts_come_back(
            schema in prop_oneof![-9i32..=52, Just(CUSTOM_BUCKETS_SCHEMA)],
            threshold in prop_oneof![
                any::<u64>().prop_map(f64::from_bits),
                (-300i32..40).prop_map(|exponent| 2f64.powi(exponent)),
                Just(0.0),
            ],
            spans in prop::collection::vec((any::<i32>(), 0u32..50), 0..6),
            bounds in prop::collection::vec(
                prop_oneof![any::<f64>(), (0u32..50_000_000).prop_map(|n| f64::from(n) / 1000.0)],
                0..6,
            ),
        ) {
            // The format knows no negative zero: adding zero makes it a positive one.
            let threshold = threshold + 0.0;
            let bounds: Vec<f64> = bounds.into_iter().map(|bound| bound + 0.0).collect();
            let spans: Vec<Span> =
                spans.into_iter().map(|(offset, length)| Span { offset, length }).collect();
            let custom_values = if schema == CUSTOM_BUCKETS_SCHEMA { bounds } else { Vec::new() };
            let layout = Layout {
                schema,
                zero_threshold: threshold,
                positive_spans: spans.clone(),
                negative_spans: spans,
                custom_values,
            };
            let mut writer = BitWriter::default();
            layout.write(&mut writer);
            let end = writer.byte_len() * 8;
            // Room for the buckets that the spans announce.
            for _ in 0..20 {
                writer.write(0, 64);
            }
            let bytes = writer.finish();
            let mut reader = BitReader::new(&bytes);
            let read = Layout::read(&mut reader).expect("what is written is sound");
            prop_assert_eq!(format!("{read:?}"), format!("{layout:?}"));
            prop_assert!(reader.position() <= end);
        }
    }
}
