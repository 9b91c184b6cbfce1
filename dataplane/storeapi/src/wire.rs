//! The frame of a series stream as it travels, encoded and decoded straight from and into
//! [`Series`].
//!
//! Generated code would allocate two strings a label and one vector a message; here a series costs
//! one allocation for its labels and one for its chunks, and chunk data are slices of the frame.
//!
//! ```text
//! SeriesResponse { 1 series: Series | 2 warning: string | 3 hints: Any | 4 batch: SeriesBatch }
//! SeriesBatch    { 1* Series }
//! Series         { 1* Label { 1 name, 2 value }, 2* AggrChunk }
//! AggrChunk      { 1 min_time, 2 max_time, 3 raw, 4 count, 5 sum, 6 min, 7 max, 8 counter: Chunk }
//! Chunk          { 1 type, 2 data, 3 hash }
//! ```

mod decode;
mod encode;

use bytes::{Buf, BufMut};
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_varint, skip_field};
use prost_types::Any;

use crate::series::Series;

const SERIES: u32 = 1;
const WARNING: u32 = 2;
const HINTS: u32 = 3;
const BATCH: u32 = 4;

/// A `thanos.SeriesResponse`.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum WireFrame {
    /// No field was set, or none that is known.
    #[default]
    Empty,
    Series(Series),
    Warning(String),
    Hints(Any),
    Batch(Vec<Series>),
    /// The frame's bytes are malformed. A value rather than a decode error, so that the reader can
    /// say where and of which store.
    Corrupt {
        /// What is wrong.
        what: &'static str,
        /// At which byte of the frame's field.
        at: usize,
    },
}

impl prost::Message for WireFrame {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        match self {
            Self::Empty | Self::Corrupt { .. } => {}
            Self::Series(series) => encode::series_field(SERIES, series, buf),
            Self::Warning(text) => prost::encoding::string::encode(WARNING, text, buf),
            Self::Hints(any) => prost::encoding::message::encode(HINTS, any, buf),
            Self::Batch(batch) => encode::batch_field(BATCH, batch, buf),
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        if !matches!(tag, SERIES | WARNING | HINTS | BATCH) {
            return skip_field(wire_type, tag, buf, ctx);
        }
        prost::encoding::check_wire_type(WireType::LengthDelimited, wire_type)?;
        match tag {
            WARNING => {
                let mut text = String::new();
                prost::encoding::string::merge(wire_type, &mut text, buf, ctx)?;
                *self = Self::Warning(text);
            }
            HINTS => {
                let mut any = Any::default();
                prost::encoding::message::merge(wire_type, &mut any, buf, ctx)?;
                *self = Self::Hints(any);
            }
            _ => {
                let declared = decode_varint(buf)?;
                let len = usize::try_from(declared).unwrap_or(usize::MAX);
                if len > buf.remaining() {
                    let rest = buf.remaining();
                    buf.advance(rest);
                    *self = Self::Corrupt {
                        what: "frame is shorter than it says",
                        at: rest,
                    };
                    return Ok(());
                }
                let bytes = buf.copy_to_bytes(len);
                let decoded = if tag == SERIES {
                    decode::series(&bytes).map(Self::Series)
                } else {
                    decode::batch(&bytes).map(Self::Batch)
                };
                *self = decoded.unwrap_or_else(|bad| Self::Corrupt {
                    what: bad.what,
                    at: bad.at,
                });
            }
        }
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        match self {
            Self::Empty | Self::Corrupt { .. } => 0,
            Self::Series(series) => encode::series_field_len(series),
            Self::Warning(text) => prost::encoding::string::encoded_len(WARNING, text),
            Self::Hints(any) => prost::encoding::message::encoded_len(HINTS, any),
            Self::Batch(batch) => encode::batch_field_len(batch),
        }
    }

    fn clear(&mut self) {
        *self = Self::Empty;
    }
}

/// Returns the bytes `series` takes in a frame.
#[must_use]
pub fn series_len(series: &Series) -> usize {
    encode::series_field_len(series)
}

#[cfg(test)]
mod tests;
