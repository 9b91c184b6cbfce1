//! The chunk codecs: encoded bytes in, columns of samples out, and back.
//!
//! Read in this order:
//! - [`bits`]: bit positions over a byte slice, and the bit writer,
//! - [`varbit`] and [`varint`]: the integers of the formats,
//! - [`columns`]: where samples are decoded to,
//! - [`xor`]: float samples, the format of nearly every chunk; [`xor2`]: its successor,
//! - [`histogram`]: native histograms, integer and float,
//! - [`aggregate`]: downsampled chunks, five sub-chunks in one.
//!
//! The formats are those of Prometheus' `tsdb/chunkenc` and of Thanos' `AggrChunk`. A chunk's bytes
//! here begin with the two-byte sample count; the encoding byte, the length and the checksum around
//! it belong to the segment file, which is the room `tsdb`.
//!
//! Invariants: a decoder never panics, never reads outside its input, never allocates more than a
//! fixed multiple of the input's length, and on an error leaves the caller's columns as they were.
//! Nothing here knows files, blocks, labels or time ranges.
#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]
#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, clippy::cast_possible_truncation)
)]

pub mod aggregate;
pub mod bits;
pub mod columns;
pub mod histogram;
pub mod varbit;
pub mod varint;
pub mod xor;
pub mod xor2;

pub use aggregate::{Aggregate, AggregateChunk, SubChunk};
pub use columns::Columns;
pub use histogram::{HistogramColumns, decode_histograms};
pub use xor::{XorAppender, decode_xor};
pub use xor2::decode_xor2;

/// What a chunk's bytes are encoded with; the number is the byte in the segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Encoding {
    Xor = 1,
    Histogram = 2,
    FloatHistogram = 3,
    Xor2 = 4,
    /// [`Encoding::Histogram`] with start timestamps.
    HistogramSt = 5,
    /// [`Encoding::FloatHistogram`] with start timestamps.
    FloatHistogramSt = 6,
    /// Thanos' downsampled chunk, see [`aggregate`].
    Aggregate = 0xff,
}

impl Encoding {
    /// The encoding of that number, or `None` where no such encoding is known.
    pub fn from_u8(encoding: u8) -> Option<Self> {
        Some(match encoding {
            1 => Self::Xor,
            2 => Self::Histogram,
            3 => Self::FloatHistogram,
            4 => Self::Xor2,
            5 => Self::HistogramSt,
            6 => Self::FloatHistogramSt,
            0xff => Self::Aggregate,
            _ => return None,
        })
    }

    /// Whether the samples are plain floats.
    pub fn is_float(self) -> bool {
        matches!(self, Self::Xor | Self::Xor2)
    }

    /// Whether the samples are native histograms.
    pub fn is_histogram(self) -> bool {
        matches!(
            self,
            Self::Histogram | Self::FloatHistogram | Self::HistogramSt | Self::FloatHistogramSt
        )
    }
}

/// Bytes that are no chunk of the encoding they were said to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("corrupt chunk: {what} at byte {at}")]
pub struct Corrupt {
    /// What is wrong.
    pub what: &'static str,
    /// Where, in bytes from the chunk's beginning.
    pub at: usize,
}

impl Corrupt {
    pub(crate) fn new(what: &'static str, at: usize) -> Self {
        Self { what, at }
    }
}

/// Bytes of the sample count at the beginning of every chunk.
pub const COUNT_BYTES: usize = 2;

/// Returns the number of samples of a chunk without decoding it.
///
/// # Errors
/// The data is shorter than its header, or an aggregate chunk, which has no count of its own.
pub fn sample_count(encoding: Encoding, data: &[u8]) -> Result<u16, Corrupt> {
    let count = match data {
        [hi, lo, ..] => u16::from_be_bytes([*hi, *lo]),
        _ => return Err(Corrupt::new("shorter than the sample count", data.len())),
    };
    match encoding {
        Encoding::HistogramSt | Encoding::FloatHistogramSt => Ok(count & 0x3fff),
        Encoding::Aggregate => Err(Corrupt::new("an aggregate chunk has no sample count", 0)),
        _ => Ok(count),
    }
}

/// Appends the samples of a float chunk of either encoding to `columns`.
///
/// # Errors
/// The encoding is not one of floats, or the data is not sound; `columns` are then as before.
pub fn decode_floats(
    encoding: Encoding,
    data: &[u8],
    columns: &mut Columns,
) -> Result<(), Corrupt> {
    match encoding {
        Encoding::Xor => decode_xor(data, columns),
        Encoding::Xor2 => decode_xor2(data, columns),
        _ => Err(Corrupt::new("the encoding is not one of floats", 0)),
    }
}

/// Returns the time of a float or histogram chunk's first sample, without decoding the others.
///
/// # Errors
/// The chunk has no samples, or its beginning is not sound.
pub fn first_timestamp(encoding: Encoding, data: &[u8]) -> Result<i64, Corrupt> {
    if sample_count(encoding, data)? == 0 {
        return Err(Corrupt::new("the chunk has no samples", 0));
    }
    match encoding {
        Encoding::Xor => xor::first_sample(data, COUNT_BYTES).map(|(t, _, _)| t),
        Encoding::Xor2 => xor::first_sample(data, COUNT_BYTES + 1).map(|(t, _, _)| t),
        _ => histogram::first_timestamp(data),
    }
}
