//! Appending samples.

use crate::bits::BitWriter;
use crate::{COUNT_BYTES, varbit, varint};

/// Writes one XOR chunk, byte for byte as Prometheus does.
#[derive(Debug, Clone)]
pub struct XorAppender {
    writer: BitWriter,
    n: u16,
    t: i64,
    delta: i64,
    value: XorWindow,
}

impl Default for XorAppender {
    fn default() -> Self {
        Self::new()
    }
}

impl XorAppender {
    pub fn new() -> Self {
        Self {
            writer: BitWriter::new(vec![0; COUNT_BYTES]),
            n: 0,
            t: 0,
            delta: 0,
            value: XorWindow::new(0),
        }
    }

    /// Appends a sample. Timestamps may go in any direction; it is the caller who keeps their order.
    /// Returns whether there was room: a chunk holds 65,535 samples.
    pub fn append(&mut self, t: i64, value: f64) -> bool {
        let Some(n) = self.n.checked_add(1) else {
            return false;
        };
        let delta = t.wrapping_sub(self.t);
        match self.n {
            0 => {
                let mut bytes = Vec::with_capacity(varint::MAX_BYTES);
                varint::put_varint(&mut bytes, t);
                self.writer.write_bytes(&bytes);
                self.writer.write(value.to_bits(), 64);
                self.value = XorWindow::new(value.to_bits());
            }
            1 => {
                let mut bytes = Vec::with_capacity(varint::MAX_BYTES);
                varint::put_uvarint(&mut bytes, delta.cast_unsigned());
                self.writer.write_bytes(&bytes);
                self.value.write(&mut self.writer, value.to_bits());
                self.delta = delta;
            }
            _ => {
                self.write_delta_of_delta(delta.wrapping_sub(self.delta));
                self.value.write(&mut self.writer, value.to_bits());
                self.delta = delta;
            }
        }
        self.t = t;
        self.n = n;
        true
    }

    /// Appends a staleness marker.
    pub fn append_stale(&mut self, t: i64) -> bool {
        self.append(t, model::stale_nan())
    }

    /// How many samples there are.
    pub fn len(&self) -> u16 {
        self.n
    }

    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// The length in bytes that [`XorAppender::finish`] would give.
    pub fn byte_len(&self) -> usize {
        self.writer.byte_len()
    }

    /// Returns the chunk, beginning with its sample count.
    pub fn finish(mut self) -> Vec<u8> {
        for (slot, byte) in self
            .writer
            .header_mut()
            .iter_mut()
            .zip(self.n.to_be_bytes())
        {
            *slot = byte;
        }
        self.writer.finish()
    }

    fn write_delta_of_delta(&mut self, dod: i64) {
        let writer = &mut self.writer;
        if dod == 0 {
            writer.write(0, 1);
        } else if varbit::in_bit_range(dod, 14) {
            writer.write(0b10 << 14 | dod.cast_unsigned() & 0x3fff, 16);
        } else if varbit::in_bit_range(dod, 17) {
            writer.write(0b110 << 17 | dod.cast_unsigned() & 0x1_ffff, 20);
        } else if varbit::in_bit_range(dod, 20) {
            writer.write(0b1110 << 20 | dod.cast_unsigned() & 0xf_ffff, 24);
        } else {
            writer.write(0b1111, 4);
            writer.write(dod.cast_unsigned(), 64);
        }
    }
}

/// A value of which each next one is written as XOR with the last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct XorWindow {
    last: u64,
    /// Leading zeros of the window; `None` before the first change.
    leading: Option<u32>,
    trailing: u32,
}

impl XorWindow {
    pub(crate) fn new(first: u64) -> Self {
        Self {
            last: first,
            leading: None,
            trailing: 0,
        }
    }

    pub(crate) fn last(&self) -> f64 {
        f64::from_bits(self.last)
    }

    pub(crate) fn write(&mut self, writer: &mut BitWriter, value: u64) {
        let xor = value ^ self.last;
        self.last = value;
        if xor == 0 {
            writer.write(0, 1);
            return;
        }
        // Five bits hold the leading zeros.
        let leading = xor.leading_zeros().min(31);
        let trailing = xor.trailing_zeros();
        match self.leading {
            Some(window) if leading >= window && trailing >= self.trailing => {
                writer.write(0b10, 2);
                writer.write(xor >> self.trailing, 64 - window - self.trailing);
            }
            _ => {
                self.leading = Some(leading);
                self.trailing = trailing;
                let significant = 64 - leading - trailing;
                let header = 0b11 << 11 | leading << 6 | significant & 0x3f;
                writer.write(u64::from(header), 13);
                writer.write(xor >> trailing, significant);
            }
        }
    }
}
