//! Thanos' downsampled chunks: up to five chunks in one.
//!
//! ```text
//! count, sum, min, max, counter, each:
//!   uvarint length of the data; 0 where the aggregate is absent, else
//!   u8 encoding, data (the length does not count the encoding)
//! ```

use crate::{Corrupt, Encoding, varint};

/// Which of the five a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Aggregate {
    /// How many raw samples a window had.
    Count = 0,
    Sum = 1,
    Min = 2,
    Max = 3,
    /// Running total with resets folded in; its last sample is the last raw value once more.
    Counter = 4,
}

impl Aggregate {
    /// All five in the order they are stored in.
    pub const ALL: [Self; 5] = [Self::Count, Self::Sum, Self::Min, Self::Max, Self::Counter];
}

/// A chunk within an aggregate chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubChunk<'a> {
    pub encoding: Encoding,
    /// Begins with the sample count.
    pub data: &'a [u8],
}

/// The chunks of an aggregate chunk, present or absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AggregateChunk<'a> {
    chunks: [Option<SubChunk<'a>>; 5],
}

impl<'a> AggregateChunk<'a> {
    /// Takes an aggregate chunk apart; the chunks within are not decoded.
    ///
    /// # Errors
    /// A chunk is cut off, its encoding is unknown or itself an aggregate, or there are bytes left.
    pub fn decode(data: &'a [u8]) -> Result<Self, Corrupt> {
        let mut rest = data;
        let mut chunks = [None; 5];
        for chunk in &mut chunks {
            *chunk = Self::take(&mut rest)
                .map_err(|what| Corrupt::new(what, data.len() - rest.len()))?;
        }
        if rest.is_empty() {
            Ok(Self { chunks })
        } else {
            Err(Corrupt::new(
                "bytes behind the last aggregate",
                data.len() - rest.len(),
            ))
        }
    }

    fn take(rest: &mut &'a [u8]) -> Result<Option<SubChunk<'a>>, &'static str> {
        let (length, read) =
            varint::read_uvarint(rest).ok_or("an aggregate's length is cut off or too large")?;
        let behind = rest.get(read..).unwrap_or_default();
        if length == 0 {
            *rest = behind;
            return Ok(None);
        }
        let (&encoding, behind) = behind.split_first().ok_or("an aggregate is cut off")?;
        let (data, behind) = usize::try_from(length)
            .ok()
            .and_then(|length| behind.split_at_checked(length))
            .ok_or("an aggregate is cut off")?;
        let encoding = Encoding::from_u8(encoding)
            .filter(|encoding| *encoding != Encoding::Aggregate)
            .ok_or("an aggregate's encoding is not known")?;
        *rest = behind;
        Ok(Some(SubChunk { encoding, data }))
    }

    /// Returns one of the five, if it is there.
    pub fn get(&self, aggregate: Aggregate) -> Option<SubChunk<'a>> {
        self.chunks.get(aggregate as usize).copied().flatten()
    }

    /// Sets one of the five. Empty data is the same as none.
    pub fn set(&mut self, aggregate: Aggregate, chunk: SubChunk<'a>) {
        if let Some(slot) = self.chunks.get_mut(aggregate as usize) {
            *slot = Some(chunk).filter(|chunk| !chunk.data.is_empty());
        }
    }

    /// How many samples the chunk is said to have: as many as its counts.
    pub fn sample_count(&self) -> u16 {
        self.get(Aggregate::Count)
            .and_then(|counts| crate::sample_count(counts.encoding, counts.data).ok())
            .unwrap_or_default()
    }

    /// Encodes the chunk's data.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for chunk in &self.chunks {
            match chunk {
                None => varint::put_uvarint(&mut out, 0),
                Some(SubChunk { encoding, data }) => {
                    varint::put_uvarint(&mut out, data.len() as u64);
                    out.push(*encoding as u8);
                    out.extend_from_slice(data);
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn five_chunks_come_back(chunks: [Option<(bool, Vec<u8>)>; 5], flip: prop::sample::Index) {
            let mut aggregate = AggregateChunk::default();
            for (which, chunk) in Aggregate::ALL.into_iter().zip(&chunks) {
                if let Some((is_float, data)) = chunk {
                    let encoding =
                        if *is_float { Encoding::Xor } else { Encoding::FloatHistogram };
                    aggregate.set(which, SubChunk { encoding, data });
                }
            }
            let mut data = aggregate.encode();
            prop_assert_eq!(AggregateChunk::decode(&data), Ok(aggregate));
            for end in 0..data.len() {
                prop_assert!(AggregateChunk::decode(&data[..end]).is_err());
            }
            let flip = flip.index(data.len());
            data[flip] ^= 0x55;
            if let Ok(decoded) = AggregateChunk::decode(&data) {
                prop_assert_eq!(decoded.encode(), data);
            }
        }
    }

    #[test]
    fn what_thanos_writes_is_read() {
        let data = [0, 3, 1, 7, 8, 9, 0, 1, 3, 5, 0];
        let aggregate = AggregateChunk::decode(&data).expect("it is sound");
        assert_eq!(aggregate.get(Aggregate::Count), None);
        let sum = SubChunk {
            encoding: Encoding::Xor,
            data: &[7, 8, 9],
        };
        assert_eq!(aggregate.get(Aggregate::Sum), Some(sum));
        let max = SubChunk {
            encoding: Encoding::FloatHistogram,
            data: &[5],
        };
        assert_eq!(aggregate.get(Aggregate::Max), Some(max));
        assert_eq!(
            AggregateChunk::decode(&[0, 1, 0xff, 7, 0, 0, 0]),
            Err(Corrupt::new("an aggregate's encoding is not known", 1))
        );
    }
}
