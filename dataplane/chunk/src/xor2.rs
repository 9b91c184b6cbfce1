//! Float samples with joint timestamp and value controls, and optional start timestamps.
//!
//! ```text
//! u16 BE sample count
//! u8 start timestamps: bit 7, the first sample has one; bits 6-0, the sample that changes it first
//! sample 0    varint t, 64 bits value, varint t - start if the first sample has one
//! sample 1    uvarint delta of t, <value>, <start>
//! sample n    0      same interval, same value
//!             10     same interval, then 0: XOR in the previous window, 1: XOR in a new window
//!             110    +13 bits delta of delta, <value>
//!             1110   +20 bits delta of delta, <value>
//!             11110  +64 bits delta of delta, <value>
//!             11111  same interval, stale
//!             and <start> behind each
//!
//! <value>     0 unchanged | 10 XOR in the previous window | 110 XOR in a new window | 111 stale
//! <start>     varbit delta of (previous t - start), from the sample that first changes it on
//! ```
//!
//! A stale marker does not become the value that the next one is XORed with.

use crate::bits::BitReader;
use crate::varbit::read_varbit_int;
use crate::xor::{MAX_SAMPLES_PER_BYTE, Window};
use crate::{COUNT_BYTES, Columns, Corrupt, Encoding, sample_count};

/// Bytes before the first sample.
const HEADER_BYTES: usize = COUNT_BYTES + 1;

/// Appends the samples of an XOR2 chunk to `columns`. Start timestamps are read and left out: nothing
/// asks for them yet.
///
/// # Errors
/// The data is no XOR2 chunk or shorter than its samples; `columns` are then as before.
pub fn decode_xor2(data: &[u8], columns: &mut Columns) -> Result<(), Corrupt> {
    let n = usize::from(sample_count(Encoding::Xor2, data)?);
    if n == 0 {
        return Ok(());
    }
    let (Some(&start_header), Some(body)) = (data.get(COUNT_BYTES), data.get(HEADER_BYTES..))
    else {
        return Err(Corrupt::new("shorter than its header", data.len()));
    };
    // A sample takes one bit at least.
    if n > body.len() * MAX_SAMPLES_PER_BYTE * 2 {
        return Err(Corrupt::new("more samples than bits for them", 0));
    }
    let mut decoder = Decoder {
        reader: BitReader::new(body),
        starts: StartTimestamps::new(start_header),
        t: 0,
        delta: 0,
        value: 0,
        window: Window::INITIAL,
    };
    let (ts, values) = columns.spare(n);
    for (i, (t, value)) in ts.iter_mut().zip(values).enumerate() {
        *value = f64::from_bits(decoder.next(i)?);
        *t = decoder.t;
    }
    if decoder.reader.is_overrun() {
        return Err(Corrupt::new("ends before its last sample", data.len()));
    }
    columns.commit(n);
    Ok(())
}

struct Decoder<'a> {
    reader: BitReader<'a>,
    starts: StartTimestamps,
    t: i64,
    delta: i64,
    /// The last value that was no stale marker.
    value: u64,
    window: Window,
}

impl Decoder<'_> {
    /// Reads sample `i`, leaves its time in `t` and returns its value.
    #[inline]
    fn next(&mut self, i: usize) -> Result<u64, Corrupt> {
        let value = match i {
            0 => {
                let t = self.reader.read_varint();
                self.t = t.ok_or_else(|| self.corrupt("the first timestamp is too large"))?;
                let value = self.reader.read(64);
                if value != model::STALE_NAN_BITS {
                    self.value = value;
                }
                value
            }
            1 => {
                let delta = self.reader.read_uvarint();
                let delta =
                    delta.ok_or_else(|| self.corrupt("the second timestamp is too large"))?;
                self.delta = delta.cast_signed();
                self.value()?
            }
            _ => self.joint()?,
        };
        if i > 0 {
            self.t = self.t.wrapping_add(self.delta);
        }
        self.starts
            .skip(i, &mut self.reader)
            .ok_or_else(|| self.corrupt("a start timestamp is too large"))?;
        Ok(value)
    }

    #[inline]
    fn joint(&mut self) -> Result<u64, Corrupt> {
        let word = self.reader.peek();
        let ones = word.leading_ones();
        match ones {
            0 => {
                self.reader.skip(1);
                return Ok(self.value);
            }
            1 => {
                let is_new = word >> 61 & 1 == 1;
                self.reader.skip(3);
                return self.changed(is_new);
            }
            2..=4 => {
                self.reader.skip(ones + 1);
                let dod = match ones {
                    2 => self.reader.read(13).cast_signed() << 51 >> 51,
                    3 => self.reader.read(20).cast_signed() << 44 >> 44,
                    _ => self.reader.read(64).cast_signed(),
                };
                self.delta = self.delta.wrapping_add(dod);
            }
            _ => {
                self.reader.skip(5);
                return Ok(model::STALE_NAN_BITS);
            }
        }
        self.value()
    }

    fn value(&mut self) -> Result<u64, Corrupt> {
        match self.reader.peek().leading_ones() {
            0 => {
                self.reader.skip(1);
                Ok(self.value)
            }
            1 => {
                self.reader.skip(2);
                self.changed(false)
            }
            2 => {
                self.reader.skip(3);
                self.changed(true)
            }
            _ => {
                self.reader.skip(3);
                Ok(model::STALE_NAN_BITS)
            }
        }
    }

    fn changed(&mut self, in_new_window: bool) -> Result<u64, Corrupt> {
        if in_new_window {
            self.window = Window::read(self.reader.peek())
                .ok_or_else(|| self.corrupt("a value has more than 64 significant bits"))?;
            self.reader.skip(11);
        }
        self.value ^= self.reader.read(self.window.significant) << self.window.trailing;
        Ok(self.value)
    }

    fn corrupt(&self, what: &'static str) -> Corrupt {
        Corrupt::new(what, HEADER_BYTES + self.reader.position() / 8)
    }
}

/// Where in the chunk start timestamps are; they are stepped over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StartTimestamps {
    first_is_known: bool,
    /// The sample from which on each has one; 0 for none.
    changes_from: usize,
}

impl StartTimestamps {
    pub(crate) const NONE: Self = Self {
        first_is_known: false,
        changes_from: 0,
    };

    pub(crate) fn new(header: u8) -> Self {
        Self {
            first_is_known: header & 0x80 != 0,
            changes_from: usize::from(header & 0x7f),
        }
    }

    /// Steps over what stands behind sample `i`; `None` where it is no integer.
    #[inline]
    pub(crate) fn skip(self, i: usize, reader: &mut BitReader<'_>) -> Option<()> {
        if i == 0 {
            if self.first_is_known {
                reader.read_varint()?;
            }
        } else if self.changes_from > 0 && i >= self.changes_from {
            read_varbit_int(reader);
        }
        Some(())
    }
}
