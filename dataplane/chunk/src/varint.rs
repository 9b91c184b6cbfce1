//! Go's variable-length integers: seven bits a byte, lowest first, signed ones zigzagged.

/// The most bytes a 64-bit integer takes.
pub const MAX_BYTES: usize = 10;

/// Returns the integer at the beginning of `data` and the bytes it takes; `None` where the data ends
/// within it or it does not fit 64 bits.
#[inline]
pub fn read_uvarint(data: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    let mut shift = 0u32;
    for (read, &byte) in data.iter().enumerate().take(MAX_BYTES) {
        if byte < 0x80 {
            if shift == 63 && byte > 1 {
                return None;
            }
            return Some((value | u64::from(byte) << shift, read + 1));
        }
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
    }
    None
}

/// [`read_uvarint`] for signed integers.
#[inline]
pub fn read_varint(data: &[u8]) -> Option<(i64, usize)> {
    read_uvarint(data).map(|(raw, read)| (unzigzag(raw), read))
}

/// Appends `value` to `out`.
#[inline]
pub fn put_uvarint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// [`put_uvarint`] for signed integers.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, value: i64) {
    put_uvarint(out, zigzag(value));
}

/// Returns the bytes that `value` takes as a uvarint.
pub fn uvarint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(crate) fn unzigzag(raw: u64) -> i64 {
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_is_read_and_its_length_known(value: i64, junk: Vec<u8>) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(out.len(), uvarint_len(zigzag(value)));
            let written = out.len();
            prop_assert_eq!(read_varint(&out[..written - 1]), None);
            out.extend(junk);
            prop_assert_eq!(read_varint(&out), Some((value, written)));
        }
    }

    #[test]
    fn more_than_64_bits_is_no_integer() {
        let mut data = [0xff; 10];
        assert_eq!(read_uvarint(&data), None);
        data[9] = 1;
        assert_eq!(read_uvarint(&data), Some((u64::MAX, 10)));
        data[9] = 2;
        assert_eq!(read_uvarint(&data), None);
    }
}
