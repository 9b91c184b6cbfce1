//! Native histograms, as whole numbers and as floats.
//!
//! ```text
//! u16 BE sample count, u8 counter reset header in the top two bits
//!   (with start timestamps: the header in the count's top two bits, then as XOR2's third byte)
//! layout     zero threshold, varbit schema, positive spans, negative spans, custom bounds if the
//!            schema says so; the same for all samples
//! sample 0   varbit t, count, zero count, 64 bits sum, positive buckets, negative buckets
//! sample n   varbit delta of delta of t, then each of those against the last sample:
//!            whole numbers as varbit delta of delta (buckets are themselves differences),
//!            floats and the sum as XOR
//! ```
//!
//! A stale marker is a sum and has no buckets; it keeps what the next sample is measured against.

mod columns;
mod decode;
mod encode;
mod layout;

pub use columns::HistogramColumns;
pub use decode::decode_histograms;
pub(crate) use decode::first_timestamp;
pub use encode::{FloatHistogramAppender, HistogramAppender, NotAppendable};
pub use layout::Layout;

/// What the chunk's beginning says of a counter reset before its first sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum CounterResetHeader {
    #[default]
    Unknown = 0,
    NotReset = 0b0100_0000,
    Reset = 0b1000_0000,
    /// The histograms are gauges.
    Gauge = 0b1100_0000,
}

impl CounterResetHeader {
    /// Reads the two bits out of the byte they are in.
    pub fn from_byte(byte: u8) -> Self {
        match byte >> 6 {
            0 => Self::Unknown,
            1 => Self::NotReset,
            2 => Self::Reset,
            _ => Self::Gauge,
        }
    }
}
