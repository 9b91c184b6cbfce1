//! Reading the formats' primitives from bytes, and the length-content-checksum frame around sections.

use chunk::varint;

use crate::Corrupt;

/// Bytes of a CRC32 (Castagnoli) checksum.
pub const CRC_BYTES: usize = 4;

/// A position in some bytes that are named for the error message.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    place: &'static str,
    data: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(place: &'static str, data: &'a [u8]) -> Self {
        Self { place, data, at: 0 }
    }

    /// Begins at byte `at`, which may lie beyond the end: the first read then fails.
    pub(crate) fn starting_at(place: &'static str, data: &'a [u8], at: usize) -> Self {
        Self { place, data, at }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn remaining(&self) -> usize {
        self.data.len().saturating_sub(self.at)
    }

    pub(crate) fn corrupt(&self, what: impl Into<std::borrow::Cow<'static, str>>) -> Corrupt {
        Corrupt::at(self.place, what, self.at)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Corrupt> {
        let bytes = self
            .at
            .checked_add(count)
            .and_then(|end| self.data.get(self.at..end))
            .ok_or_else(|| self.corrupt(format!("{count} bytes are cut off")))?;
        self.at += count;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let array = self
            .data
            .get(self.at..)
            .and_then(<[u8]>::first_chunk)
            .copied()
            .ok_or_else(|| self.corrupt(format!("{N} bytes are cut off")))?;
        self.at += N;
        Ok(array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Corrupt> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn be32(&mut self) -> Result<u32, Corrupt> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn be64(&mut self) -> Result<u64, Corrupt> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn uvarint(&mut self) -> Result<u64, Corrupt> {
        let (value, read) = self
            .data
            .get(self.at..)
            .and_then(varint::read_uvarint)
            .ok_or_else(|| self.corrupt("a uvarint is cut off or too large"))?;
        self.at += read;
        Ok(value)
    }

    pub(crate) fn uvarint32(&mut self) -> Result<u32, Corrupt> {
        let at = self.at;
        let value = self.uvarint()?;
        u32::try_from(value).map_err(|_| Corrupt::at(self.place, "a uvarint exceeds 32 bits", at))
    }

    pub(crate) fn varint(&mut self) -> Result<i64, Corrupt> {
        let (value, read) = self
            .data
            .get(self.at..)
            .and_then(varint::read_varint)
            .ok_or_else(|| self.corrupt("a varint is cut off or too large"))?;
        self.at += read;
        Ok(value)
    }

    /// Reads bytes that a uvarint of their length precedes.
    pub(crate) fn uvarint_bytes(&mut self) -> Result<&'a [u8], Corrupt> {
        let length = self.uvarint()?;
        let length = usize::try_from(length)
            .map_err(|_| self.corrupt("a length exceeds the address space"))?;
        self.bytes(length)
    }

    /// [`Cursor::uvarint_bytes`] that are text.
    pub(crate) fn uvarint_str(&mut self) -> Result<&'a str, Corrupt> {
        let at = self.at;
        let bytes = self.uvarint_bytes()?;
        std::str::from_utf8(bytes).map_err(|_| Corrupt::at(self.place, "a text is not UTF-8", at))
    }
}

/// Takes the frame at the beginning of `data` apart: a four-byte big-endian length, that many bytes
/// of content, and the content's checksum, which is verified. What follows is not looked at.
pub(crate) fn framed<'a>(place: &'static str, data: &'a [u8]) -> Result<&'a [u8], Corrupt> {
    let mut cursor = Cursor::new(place, data);
    let length = cursor.be32()? as usize;
    let content = cursor.bytes(length)?;
    verify(place, content, cursor.be32()?)?;
    Ok(content)
}

/// Checks `content` against its checksum.
pub(crate) fn verify(place: &'static str, content: &[u8], expected: u32) -> Result<(), Corrupt> {
    let actual = crc32c::crc32c(content);
    if actual == expected {
        return Ok(());
    }
    Err(Corrupt::new(
        place,
        format!("checksum is {actual:08x} where {expected:08x} was written"),
    ))
}
