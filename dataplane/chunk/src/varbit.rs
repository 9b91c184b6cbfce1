//! The variable-length integers that histogram chunks and start timestamps are made of: a prefix of
//! up to eight ones says which of nine sizes follows.

use crate::bits::{BitReader, BitWriter};

/// Payload bits behind a prefix of that many ones; 0 for the value zero.
const SIZES: [u32; 9] = [0, 3, 6, 9, 12, 18, 25, 56, 64];

/// Whether `value` is one of the `bits`-bit integers, whose range leans to the positive side.
#[inline]
pub(crate) fn in_bit_range(value: i64, bits: u32) -> bool {
    -((1i64 << (bits - 1)) - 1) <= value && value <= 1i64 << (bits - 1)
}

/// Makes a `bits`-bit integer of [`in_bit_range`] signed again.
#[inline]
pub(crate) fn sign(raw: u64, bits: u32) -> i64 {
    if bits < 64 && raw > 1u64 << (bits - 1) {
        raw.wrapping_sub(1u64 << bits) as i64
    } else {
        raw as i64
    }
}

/// Writes a signed integer.
pub fn put_varbit_int(writer: &mut BitWriter, value: i64) {
    let class = if value == 0 {
        0
    } else {
        (1..8)
            .find(|&class| in_bit_range(value, size(class)))
            .unwrap_or(8)
    };
    put(writer, class, value as u64);
}

/// Writes an unsigned integer.
pub fn put_varbit_uint(writer: &mut BitWriter, value: u64) {
    let significant = 64 - value.leading_zeros();
    let class = (0..8)
        .find(|&class| significant <= size(class))
        .unwrap_or(8);
    put(writer, class, value);
}

/// Reads what [`put_varbit_int`] wrote.
#[inline]
pub fn read_varbit_int(reader: &mut BitReader<'_>) -> i64 {
    let word = reader.peek();
    if word >> 63 == 0 {
        reader.skip(1);
        return 0;
    }
    let (raw, bits) = read(reader, word);
    sign(raw, bits)
}

/// Reads what [`put_varbit_uint`] wrote.
#[inline]
pub fn read_varbit_uint(reader: &mut BitReader<'_>) -> u64 {
    let word = reader.peek();
    if word >> 63 == 0 {
        reader.skip(1);
        return 0;
    }
    read(reader, word).0
}

#[inline]
fn read(reader: &mut BitReader<'_>, word: u64) -> (u64, u32) {
    let ones = word.leading_ones().min(8);
    let bits = size(ones as usize);
    reader.skip(if ones == 8 { 8 } else { ones + 1 });
    (reader.read(bits), bits)
}

#[expect(clippy::cast_possible_truncation, reason = "a class is at most 8")]
fn put(writer: &mut BitWriter, class: usize, value: u64) {
    let ones = (1u64 << class) - 1;
    if class == 8 {
        writer.write(ones, 8);
    } else {
        writer.write(ones << 1, class as u32 + 1);
    }
    writer.write(value, size(class));
}

#[inline]
fn size(class: usize) -> u32 {
    SIZES.get(class).copied().unwrap_or(64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_of_every_size_come_back(values: Vec<(i64, u8)>) {
            let values: Vec<i64> = values.into_iter().map(|(v, shift)| v >> (shift % 64)).collect();
            let mut writer = BitWriter::default();
            for &value in &values {
                put_varbit_int(&mut writer, value);
                put_varbit_uint(&mut writer, value as u64);
            }
            let bytes = writer.finish();
            let mut reader = BitReader::new(&bytes);
            for &value in &values {
                prop_assert_eq!(read_varbit_int(&mut reader), value);
                prop_assert_eq!(read_varbit_uint(&mut reader), value as u64);
            }
            prop_assert!(!reader.is_overrun());
        }
    }

    #[test]
    fn borders_of_each_size_take_the_documented_bits() {
        for (value, bits) in [
            (0, 1),
            (4, 5),
            (-3, 5),
            (5, 9),
            (32, 9),
            (-31, 9),
            (-32, 13),
            (256, 13),
            (2048, 17),
            (2049, 24),
            (131_072, 24),
            (131_073, 32),
            (16_777_216, 32),
            (16_777_217, 64),
            (1 << 55, 64),
            ((1 << 55) + 1, 72),
            (i64::MIN, 72),
        ] {
            let mut writer = BitWriter::default();
            put_varbit_int(&mut writer, value);
            writer.write(1, 1);
            let bytes = writer.finish();
            let mut reader = BitReader::new(&bytes);
            assert_eq!(read_varbit_int(&mut reader), value);
            assert_eq!(reader.position(), bits, "{value}");
        }
    }
}
