//! Decoding a whole chunk at once.
//!
//! The loop keeps nothing but a bit position between samples. Timestamp and value controls are
//! looked at together: `00` (same interval, same value) is counted as a run of up to 28 samples with
//! one leading-zeros instruction and filled in bulk, and the other cases mostly need one load for the
//! controls and the value's bits. Nothing is checked against the end but the last position.

use crate::bits::{Bits, PEEK_BITS};
use crate::{COUNT_BYTES, Columns, Corrupt, Encoding, sample_count, varbit, varint};

/// A sample takes two bits at least, so that a count beyond this is refused before allocating.
pub(crate) const MAX_SAMPLES_PER_BYTE: usize = 4;

/// Appends the samples of an XOR chunk to `columns`.
///
/// `data` begins with the sample count. Values keep their bits, NaN payloads included.
///
/// # Errors
/// The data is no XOR chunk or shorter than its samples; `columns` are then as before.
pub fn decode_xor(data: &[u8], columns: &mut Columns) -> Result<(), Corrupt> {
    let n = usize::from(sample_count(Encoding::Xor, data)?);
    if n == 0 {
        return Ok(());
    }
    if n > data.len() * MAX_SAMPLES_PER_BYTE {
        return Err(Corrupt::new("more samples than bits for them", 0));
    }
    let (t, value, mut at) = first_sample(data, COUNT_BYTES)?;
    let delta = if n == 1 {
        0
    } else {
        let (delta, read) = data
            .get(at..)
            .and_then(varint::read_uvarint)
            .ok_or_else(|| Corrupt::new("second timestamp is cut off or too large", at))?;
        at += read;
        delta.cast_signed()
    };
    let (ts, values) = columns.spare(n);
    let start = Start { t, value, delta };
    let end = decode_samples(&Bits::new(data), at * 8, start, ts, values);
    if end >= NOWHERE {
        return Err(Corrupt::new(
            "a value has more than 64 significant bits",
            at,
        ));
    }
    if end > data.len() * 8 {
        return Err(Corrupt::new("ends before its last sample", data.len()));
    }
    columns.commit(n);
    Ok(())
}

/// Reads timestamp and value bits of the first sample at byte `at`, and says where they end.
pub(crate) fn first_sample(data: &[u8], at: usize) -> Result<(i64, u64, usize), Corrupt> {
    let (t, read) = data
        .get(at..)
        .and_then(varint::read_varint)
        .ok_or_else(|| Corrupt::new("first timestamp is cut off or too large", at))?;
    let value_at = at + read;
    let value = data
        .get(value_at..)
        .and_then(<[u8]>::first_chunk)
        .ok_or_else(|| Corrupt::new("first value is cut off", value_at))?;
    Ok((t, u64::from_be_bytes(*value), value_at + 8))
}

/// The window of significant bits that the last changed value set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) significant: u32,
    pub(crate) trailing: u32,
}

impl Window {
    /// What the format's reader starts with, though no writer uses it before setting another.
    pub(crate) const INITIAL: Self = Self {
        significant: 64,
        trailing: 0,
    };

    /// Reads the eleven bits that are `word`'s first; `None` where they name more than 64 bits.
    #[inline(always)]
    pub(crate) fn read(word: u64) -> Option<Self> {
        let leading = (word >> 59) as u32;
        let significant = match (word >> 53) as u32 & 0x3f {
            0 => 64,
            significant => significant,
        };
        let trailing = 64u32.checked_sub(leading + significant)?;
        Some(Self {
            significant,
            trailing,
        })
    }
}

struct Start {
    t: i64,
    value: u64,
    delta: i64,
}

/// After so many samples it is clear whether the target's timestamps jitter.
const JITTER_SAMPLES: usize = 8;

/// Fills `ts` and `values` and returns the position behind the last sample, which may lie beyond the
/// end. `position` is behind the second timestamp.
#[expect(
    clippy::indexing_slicing,
    reason = "every index is below `n`, which is the length of both slices"
)]
fn decode_samples(
    bits: &Bits<'_>,
    mut position: usize,
    start: Start,
    ts: &mut [i64],
    values: &mut [f64],
) -> usize {
    let n = ts.len();
    let values = &mut values[..n];
    let Start {
        mut t,
        mut value,
        mut delta,
    } = start;
    let mut window = Window::INITIAL;
    ts[0] = t;
    values[0] = f64::from_bits(value);
    if n == 1 {
        return position;
    }
    t = t.wrapping_add(delta);
    let word = bits.peek(position);
    position = read_value::<0>(bits, position, word, &mut value, &mut window);
    ts[1] = t;
    values[1] = f64::from_bits(value);

    let mut i = 2;
    let mut irregular = 0;
    while i < n {
        let mut word = bits.peek(position);
        if word >> 62 == 0 {
            // Bit 7 stops the count within what the peek guarantees.
            let pairs = ((word | 1 << 7).leading_zeros() / 2) as usize;
            let run = pairs.min(n - i);
            let float = f64::from_bits(value);
            for (t_out, value_out) in ts[i..i + run].iter_mut().zip(&mut values[i..i + run]) {
                t = t.wrapping_add(delta);
                *t_out = t;
                *value_out = float;
            }
            position += run * 2;
            i += run;
            continue;
        }
        if word >> 63 == 0 {
            position += 1;
            word <<= 1;
        } else {
            irregular += 1;
            if irregular > JITTER_SAMPLES && irregular * 2 > i {
                break;
            }
            if word >> 62 == 0b10 {
                delta = delta.wrapping_add(small_dod(word));
                position += SMALL_DOD_BITS as usize;
            } else {
                let (dod, taken) = read_large_dod(bits, position, word);
                delta = delta.wrapping_add(dod);
                position += taken;
            }
            word = bits.peek(position);
        }
        t = t.wrapping_add(delta);
        position = read_value::<1>(bits, position, word, &mut value, &mut window);
        ts[i] = t;
        values[i] = f64::from_bits(value);
        i += 1;
    }

    if i == n {
        return position;
    }
    let state = State {
        position,
        t,
        delta,
        value,
        window,
    };
    decode_jittered(bits, state, &mut ts[i..], &mut values[i..])
}

/// What one sample hands to the next.
struct State {
    position: usize,
    t: i64,
    delta: i64,
    value: u64,
    window: Window,
}

/// Goes on where most timestamps jitter: whether one does is then as good as random, and computing
/// both cases is cheaper than guessing wrong. A function of its own, so that the usual loop keeps its
/// registers.
#[inline(never)]
fn decode_jittered(bits: &Bits<'_>, state: State, ts: &mut [i64], values: &mut [f64]) -> usize {
    let State {
        mut position,
        mut t,
        mut delta,
        mut value,
        mut window,
    } = state;
    for (t_out, value_out) in ts.iter_mut().zip(values) {
        let mut word = bits.peek(position);
        if word >> 62 == 0b11 {
            let (dod, taken) = read_large_dod(bits, position, word);
            delta = delta.wrapping_add(dod);
            position += taken;
            word = bits.peek(position);
        } else {
            // All ones or all zeros.
            let is_irregular = word.cast_signed() >> 63;
            delta = delta.wrapping_add(small_dod(word) & is_irregular);
            let taken = if is_irregular == 0 { 1 } else { SMALL_DOD_BITS };
            position += taken as usize;
            word <<= taken;
        }
        t = t.wrapping_add(delta);
        position = read_value::<SMALL_DOD_BITS>(bits, position, word, &mut value, &mut window);
        *t_out = t;
        *value_out = f64::from_bits(value);
    }
    position
}

/// Bits of the prefix `10` and what follows it.
const SMALL_DOD_BITS: u32 = 16;

/// The delta of delta behind the prefix `10`: 14 bits whose range leans to the positive side.
#[inline(always)]
fn small_dod(word: u64) -> i64 {
    let raw = (word << 2 >> 50).cast_signed();
    ((raw + 0x1fff) & 0x3fff) - 0x1fff
}

/// Reads a delta of delta behind one of the longer prefixes, and says how many bits it takes. Given
/// the position by value: a reference would keep it in memory for the whole loop.
#[cold]
fn read_large_dod(bits: &Bits<'_>, position: usize, word: u64) -> (i64, usize) {
    let (prefix, size) = match word.leading_ones() {
        2 => (3, 17),
        3 => (4, 20),
        _ => (4, 64),
    };
    let raw = bits.read(position + prefix, size);
    (varbit::sign(raw, size), prefix + size as usize)
}

/// Bits of a value's longest header.
const VALUE_HEADER_BITS: u32 = 13;

/// A position that no chunk reaches, for a chunk that makes no sense; what is read from there on is
/// zeros.
const NOWHERE: usize = usize::MAX / 2;

/// Reads the next value at `position`, where `word` begins too, a peek of which `TAKEN` bits are used.
/// Returns the position behind it, [`NOWHERE`] if the value makes no sense: an error here would be
/// looked at for each sample.
#[inline(always)]
fn read_value<const TAKEN: u32>(
    bits: &Bits<'_>,
    mut position: usize,
    word: u64,
    value: &mut u64,
    window: &mut Window,
) -> usize {
    if word >> 63 == 0 {
        return position + 1;
    }
    let payload;
    if word >> 62 == 0b10 {
        position += 2;
        payload = word << 2;
    } else {
        match Window::read(word << 2) {
            Some(read) => *window = read,
            None => return NOWHERE,
        }
        position += VALUE_HEADER_BITS as usize;
        payload = word << VALUE_HEADER_BITS;
    }
    let significant = window.significant;
    let xor = if significant <= PEEK_BITS - TAKEN - VALUE_HEADER_BITS {
        payload >> (64 - significant)
    } else {
        bits.read(position, significant)
    };
    *value ^= xor << window.trailing;
    position + significant as usize
}
