//! Chunk segment files, `chunks/000001` and on.
//!
//! ```text
//! magic 0x85BD40DD u32 BE, version u8 1, three zero bytes
//! each chunk: uvarint length of the data, u8 encoding, data, u32 BE CRC32-C of encoding and data
//! ```

use bytes::Bytes;
use chunk::{Encoding, varint};

use crate::Corrupt;
use crate::cursor::{CRC_BYTES, Cursor, verify};

mod writer;

pub use writer::{DEFAULT_SEGMENT_BYTES, SegmentWriter};

/// A segment's first four bytes.
pub const MAGIC: u32 = 0x85BD_40DD;

/// The only version there is.
pub const VERSION: u8 = 1;

/// Bytes before the first chunk.
pub const HEADER_BYTES: usize = 8;

const PLACE: &str = "chunk segment";

/// Bytes within which a chunk's length is.
pub const MAX_CHUNK_HEADER_BYTES: u64 = varint::MAX_BYTES as u64;

/// Where a chunk lies: the segment in the upper half, the byte in the lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkRef(pub u64);

impl ChunkRef {
    pub fn new(segment: u32, offset: u32) -> Self {
        Self(u64::from(segment) << 32 | u64::from(offset))
    }

    /// The segment, counted from 0.
    pub fn segment(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The byte of the segment at which the chunk begins.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the lower half is what is asked for"
    )]
    pub fn offset(self) -> u32 {
        self.0 as u32
    }

    /// The segment's file in the block.
    pub fn segment_name(self) -> String {
        segment_name(self.segment())
    }
}

/// Returns the name of the `segment`th file, counted from 0: `chunks/000001` is the first.
pub fn segment_name(segment: u32) -> String {
    format!("chunks/{:06}", u64::from(segment) + 1)
}

/// A chunk as it lies in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawChunk<'a> {
    pub encoding: Encoding,
    /// The encoded samples, beginning with their count; for [`Encoding::Aggregate`] the sub-chunks.
    pub data: &'a [u8],
}

/// Returns the bytes of the chunk that begins `data`, frame included; `None` where `data` does not
/// even hold its length. A reader of ranges that fetched less asks again for so much.
pub fn chunk_length(data: &[u8]) -> Option<u64> {
    let (length, read) = varint::read_uvarint(data)?;
    length.checked_add((read + 1 + CRC_BYTES) as u64)
}

/// Returns the bytes that a chunk with `length` bytes of data takes in its segment.
pub(crate) fn framed_bytes(length: u64) -> u64 {
    length + (varint::uvarint_len(length) + 1 + CRC_BYTES) as u64
}

/// Takes the chunk at the beginning of `data` out of its frame and verifies its checksum. What
/// follows is not looked at.
///
/// # Errors
/// The chunk is cut off, its checksum is wrong or its encoding unknown.
pub fn decode_chunk(data: &[u8]) -> Result<RawChunk<'_>, Corrupt> {
    let mut cursor = Cursor::new(PLACE, data);
    let length = usize::try_from(cursor.uvarint()?)
        .ok()
        .and_then(|length| length.checked_add(1))
        .ok_or_else(|| cursor.corrupt("a chunk's length exceeds the address space"))?;
    let content = cursor.bytes(length)?;
    verify(PLACE, content, cursor.be32()?)?;
    let Some((&encoding, data)) = content.split_first() else {
        return Err(cursor.corrupt("a chunk has no encoding"));
    };
    let encoding = Encoding::from_u8(encoding)
        .ok_or_else(|| cursor.corrupt(format!("chunk encoding {encoding} is not known")))?;
    Ok(RawChunk { encoding, data })
}

/// A whole segment over the file's bytes, which may be a memory map.
#[derive(Debug, Clone)]
pub struct Segment {
    data: Bytes,
}

impl Segment {
    /// Checks the header; chunks are checked when read.
    ///
    /// # Errors
    /// No segment, or of a version that is not known.
    pub fn decode(data: Bytes) -> Result<Self, Corrupt> {
        let mut cursor = Cursor::new(PLACE, &data);
        let magic = cursor.be32()?;
        if magic != MAGIC {
            return Err(Corrupt::at(
                PLACE,
                format!("magic number is {magic:08x}"),
                0,
            ));
        }
        let version = cursor.u8()?;
        if version != VERSION {
            return Err(Corrupt::at(
                PLACE,
                format!("version {version} is not known"),
                4,
            ));
        }
        cursor.bytes(HEADER_BYTES - 5)?;
        Ok(Self { data })
    }

    /// Returns the chunk that begins at byte `offset`.
    ///
    /// # Errors
    /// There is none, or it is not sound.
    pub fn chunk(&self, offset: u32) -> Result<RawChunk<'_>, Corrupt> {
        let start = offset as usize;
        let data = self
            .data
            .get(start..)
            .filter(|_| start >= HEADER_BYTES)
            .unwrap_or_default();
        decode_chunk(data).map_err(|corrupt| Corrupt {
            at: Some(corrupt.at.unwrap_or_default() + u64::from(offset)),
            ..corrupt
        })
    }

    /// The file's length in bytes.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there is no chunk.
    pub fn is_empty(&self) -> bool {
        self.data.len() <= HEADER_BYTES
    }
}
