use proptest::prelude::*;

use super::*;
use crate::bits::BitReader;
use crate::{COUNT_BYTES, Columns, Corrupt};

/// The format read the slow way: one bit at a time, straight from its description.
fn decode_naively(data: &[u8]) -> Option<Vec<(i64, u64)>> {
    let n = usize::from(u16::from_be_bytes([*data.first()?, *data.get(1)?]));
    let mut reader = BitReader::new(&data[COUNT_BYTES..]);
    let (mut t, mut delta, mut value) = (0i64, 0i64, 0u64);
    let (mut leading, mut trailing) = (0u32, 0u32);
    let mut samples = Vec::new();
    for i in 0..n {
        match i {
            0 => {
                t = reader.read_varint()?;
                value = reader.read(64);
            }
            1 => delta = reader.read_uvarint()? as i64,
            _ => {
                let mut ones = 0;
                while ones < 4 && reader.read(1) == 1 {
                    ones += 1;
                }
                let size = [0, 14, 17, 20, 64][ones];
                if size > 0 {
                    delta = delta.wrapping_add(crate::varbit::sign(reader.read(size), size));
                }
            }
        }
        if i > 0 {
            t = t.wrapping_add(delta);
            if reader.read(1) == 1 {
                if reader.read(1) == 1 {
                    leading = reader.read(5) as u32;
                    let significant = match reader.read(6) as u32 {
                        0 => 64,
                        n => n,
                    };
                    trailing = 64u32.checked_sub(leading + significant)?;
                }
                value ^= reader.read(64 - leading - trailing) << trailing;
            }
        }
        if reader.is_overrun() {
            return None;
        }
        samples.push((t, value));
    }
    Some(samples)
}

fn decode(data: &[u8]) -> Result<Vec<(i64, u64)>, Corrupt> {
    let mut columns = Columns::new();
    decode_xor(data, &mut columns)?;
    Ok(columns.iter().map(|(t, v)| (t, v.to_bits())).collect())
}

fn encode(samples: &[(i64, u64)]) -> Vec<u8> {
    let mut appender = XorAppender::new();
    for &(t, value) in samples {
        assert!(appender.append(t, f64::from_bits(value)));
    }
    let length = appender.byte_len();
    let data = appender.finish();
    assert_eq!(data.len(), length);
    data
}

/// Series as they occur: mostly regular, with runs, counters, decimals and any bits at all.
fn series() -> impl Strategy<Value = Vec<(i64, u64)>> {
    let step = prop_oneof![
        6 => Just(15_000i64),
        3 => 14_997i64..15_004,
        1 => 0i64..40_000,
        1 => -300_000i64..3_000_000,
        1 => any::<i64>(),
    ];
    let change = prop_oneof![
        6 => Just(None),
        4 => (0u32..2000).prop_map(|n| Some(f64::from(n).to_bits())),
        2 => (0u32..2000).prop_map(|n| Some((f64::from(n) / 100.0).to_bits())),
        1 => Just(Some(model::STALE_NAN_BITS)),
        1 => any::<u64>().prop_map(Some),
    ];
    (any::<i64>(), prop::collection::vec((step, change), 0..300)).prop_map(|(start, steps)| {
        let (mut t, mut value) = (start >> 20, 0);
        steps
            .into_iter()
            .map(|(step, change)| {
                t = t.wrapping_add(step);
                value = change.unwrap_or(value);
                (t, value)
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn what_is_appended_is_decoded(samples in series()) {
        let data = encode(&samples);
        prop_assert_eq!(decode(&data), Ok(samples.clone()));
        prop_assert_eq!(decode_naively(&data), Some(samples));
    }

    #[test]
    fn any_bytes_decode_as_the_naive_reader_says(
        data in prop::collection::vec(any::<u8>(), 0..200),
        n in 0u16..300,
    ) {
        let mut data = data;
        if let [hi, lo, ..] = data.as_mut_slice() {
            [*hi, *lo] = n.to_be_bytes();
        }
        prop_assert_eq!(decode(&data).ok(), decode_naively(&data));
    }

    #[test]
    fn cut_and_flipped_chunks_decode_as_the_naive_reader_says(
        samples in series(),
        flip: prop::sample::Index,
        cut: prop::sample::Index,
    ) {
        let mut data = encode(&samples);
        let flip = flip.index(data.len() * 8);
        data[flip / 8] ^= 1 << (flip % 8);
        prop_assert_eq!(decode(&data).ok(), decode_naively(&data));
        data.truncate(cut.index(data.len()));
        prop_assert_eq!(decode(&data).ok(), decode_naively(&data));
    }
}

#[test]
fn chunks_are_appended_to_the_columns_and_an_error_leaves_them() {
    let first = encode(&[(10, 1.0f64.to_bits()), (20, 1.0f64.to_bits())]);
    let second = encode(&[(30, 2.0f64.to_bits())]);
    let mut columns = Columns::new();
    assert_eq!(decode_xor(&first, &mut columns), Ok(()));
    assert_eq!(decode_xor(&second, &mut columns), Ok(()));
    assert_eq!(columns.timestamps(), [10, 20, 30]);
    assert_eq!(columns.values(), [1.0, 1.0, 2.0]);
    assert!(decode_xor(&first[..first.len() - 1], &mut columns).is_err());
    assert_eq!(columns.len(), 3);
    columns.truncate(1);
    columns.push(15, 4.0);
    assert_eq!(columns.iter().collect::<Vec<_>>(), [(10, 1.0), (15, 4.0)]);
}

#[test]
fn a_count_that_the_bytes_cannot_hold_is_refused() {
    let mut data = encode(&[(1, 0)]);
    data[0] = 0xff;
    assert_eq!(
        decode(&data).map_err(|corrupt| corrupt.what),
        Err("more samples than bits for them")
    );
}

#[test]
fn a_full_chunk_takes_no_more() {
    let mut appender = XorAppender::new();
    for t in 0..i64::from(u16::MAX) {
        assert!(appender.append(t, 1.0));
    }
    assert!(!appender.append(0, 1.0));
    let data = appender.finish();
    assert_eq!(
        decode(&data).map(|samples| samples.len()),
        Ok(usize::from(u16::MAX))
    );
}
