//! Bits of a byte slice, most significant first.
//!
//! Reading is by position, not by a consumed buffer: [`Bits::peek`] loads eight bytes at any bit
//! position, so that the position is the only thing one sample hands to the next, and loads of later
//! samples start before earlier ones are done. Reading past the end gives zeros; a decoder compares
//! its final position with [`Bits::len`] once instead of checking every read.

/// A byte slice that is read by bit position.
#[derive(Debug, Clone)]
pub struct Bits<'a> {
    data: &'a [u8],
    /// The last eight bytes (fewer if there are fewer), then zeros.
    tail: [u8; 16],
    tail_start: usize,
}

/// Valid bits that one [`Bits::peek`] gives at least.
pub const PEEK_BITS: u32 = 57;

impl<'a> Bits<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        let tail_start = data.len().saturating_sub(8);
        let mut tail = [0; 16];
        for (to, from) in tail.iter_mut().zip(data.iter().skip(tail_start)) {
            *to = *from;
        }
        Self {
            data,
            tail,
            tail_start,
        }
    }

    /// The length in bits.
    pub fn len(&self) -> usize {
        self.data.len() * 8
    }

    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Returns the bits from `position` on, left-aligned; at least the first [`PEEK_BITS`] of the 64
    /// are the slice's bits, or zeros past its end.
    #[inline(always)]
    pub fn peek(&self, position: usize) -> u64 {
        let byte = position >> 3;
        let word = match self.data.get(byte..).and_then(<[u8]>::first_chunk) {
            Some(word) => u64::from_be_bytes(*word),
            None => self.peek_tail(byte),
        };
        word << (position & 7)
    }

    #[inline]
    fn peek_tail(&self, byte: usize) -> u64 {
        match self
            .tail
            .get(byte - self.tail_start..)
            .and_then(<[u8]>::first_chunk)
        {
            Some(word) => u64::from_be_bytes(*word),
            None => 0,
        }
    }

    /// Returns `count` bits from `position` on, right-aligned. `count` is 1 to 64.
    #[inline(always)]
    pub fn read(&self, position: usize, count: u32) -> u64 {
        if count <= PEEK_BITS {
            return self.peek(position) >> (64 - count);
        }
        let low = count - 32;
        let high = self.peek(position) >> 32;
        high << low | self.peek(position + 32) >> (64 - low)
    }
}

/// A [`Bits`] with a position that reads move on.
#[derive(Debug, Clone)]
pub struct BitReader<'a> {
    bits: Bits<'a>,
    position: usize,
}

impl<'a> BitReader<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self {
            bits: Bits::new(data),
            position: 0,
        }
    }

    /// The position in bits; beyond the end if more was read than there is.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Whether more was read than there is, so that what was read last is not to be trusted.
    pub fn is_overrun(&self) -> bool {
        self.position > self.bits.len()
    }

    /// Makes the reader overrun: what it read last made no sense.
    pub(crate) fn invalidate(&mut self) {
        // Half the range leaves room for reads that follow before anyone looks.
        self.position = usize::MAX / 2;
    }

    /// The bits not read yet.
    pub fn remaining(&self) -> usize {
        self.bits.len().saturating_sub(self.position)
    }

    #[inline]
    pub(crate) fn peek(&self) -> u64 {
        self.bits.peek(self.position)
    }

    #[inline]
    pub(crate) fn skip(&mut self, count: u32) {
        self.position += count as usize;
    }

    /// Reads `count` bits, 1 to 64, right-aligned.
    #[inline]
    pub fn read(&mut self, count: u32) -> u64 {
        let value = self.bits.read(self.position, count);
        self.position += count as usize;
        value
    }

    /// Reads a uvarint that need not begin at a byte; `None` where it does not fit 64 bits.
    pub fn read_uvarint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.read(8);
            if shift == 63 && byte > 1 {
                return None;
            }
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// [`BitReader::read_uvarint`] for signed integers.
    pub fn read_varint(&mut self) -> Option<i64> {
        self.read_uvarint().map(crate::varint::unzigzag)
    }
}

/// Writes bits to a byte vector, most significant first, through a 64-bit accumulator.
#[derive(Debug, Clone, Default)]
pub struct BitWriter {
    bytes: Vec<u8>,
    /// Bits not in `bytes` yet, left-aligned.
    pending: u64,
    /// How many they are, below 64.
    n_pending: u32,
}

impl BitWriter {
    /// Begins behind `header`, which the writer does not look at.
    pub fn new(header: Vec<u8>) -> Self {
        Self {
            bytes: header,
            pending: 0,
            n_pending: 0,
        }
    }

    /// The bytes that [`BitWriter::finish`] would give, the begun one included.
    pub fn byte_len(&self) -> usize {
        self.bytes.len() + self.n_pending.div_ceil(8) as usize
    }

    /// Writes the `count` lowest bits of `value`; `count` is 0 to 64.
    #[inline]
    pub fn write(&mut self, value: u64, count: u32) {
        if count == 0 {
            return;
        }
        let aligned = value << (64 - count);
        self.pending |= aligned >> self.n_pending;
        let total = self.n_pending + count;
        if total < 64 {
            self.n_pending = total;
            return;
        }
        self.bytes.extend_from_slice(&self.pending.to_be_bytes());
        let taken = 64 - self.n_pending;
        self.pending = if taken == 64 { 0 } else { aligned << taken };
        self.n_pending = total - 64;
    }

    /// Writes whole bytes, wherever the position is.
    pub fn write_bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write(u64::from(byte), 8);
        }
    }

    /// Changes the bytes of the header.
    pub(crate) fn header_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Returns all bytes, the last one filled up with zeros.
    pub fn finish(mut self) -> Vec<u8> {
        let n_bytes = self.n_pending.div_ceil(8) as usize;
        self.bytes
            .extend(self.pending.to_be_bytes().iter().take(n_bytes));
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(fields: Vec<(u64, u8)>, header: Vec<u8>) {
            let fields: Vec<(u64, u32)> =
                fields.into_iter().map(|(v, n)| (v, u32::from(n % 64) + 1)).collect();
            let skipped = header.len();
            let mut writer = BitWriter::new(header);
            for &(value, count) in &fields {
                writer.write(value, count);
            }
            let length = writer.byte_len();
            let bytes = writer.finish();
            prop_assert_eq!(bytes.len(), length);
            let mut reader = BitReader::new(&bytes[skipped..]);
            for &(value, count) in &fields {
                prop_assert_eq!(reader.read(count), value << (64 - count) >> (64 - count));
                prop_assert!(!reader.is_overrun());
            }
            prop_assert!(reader.remaining() < 8);
            reader.read(8);
            prop_assert!(reader.is_overrun());
            prop_assert_eq!(reader.read(64), 0);
        }
    }
}
