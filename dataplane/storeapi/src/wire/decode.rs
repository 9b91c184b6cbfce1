//! Bytes into series, without a copy of chunk data.

use std::ops::Range;

use bytes::Bytes;
use chunk::Encoding;
use model::{Labels, LabelsBuilder};

use crate::series::{Aggregate, Chunk, Payload, Series};

/// Malformed bytes: what, and at which offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) what: &'static str,
    pub(super) at: usize,
}

type Result<T> = std::result::Result<T, Bad>;

/// Fewest bytes of an encoded series in a batch, to bound what is reserved for a count.
const MIN_CHUNK_BYTES: usize = 16;

pub(super) fn series(bytes: &Bytes) -> Result<Series> {
    Decoder {
        bytes,
        builder: LabelsBuilder::default(),
    }
    .series(0..bytes.len())
}

pub(super) fn batch(bytes: &Bytes) -> Result<Vec<Series>> {
    let mut decoder = Decoder {
        bytes,
        builder: LabelsBuilder::with_capacity(512),
    };
    let mut batch = Vec::new();
    let mut fields = Fields::new(bytes, 0..bytes.len());
    while let Some(field) = fields.next()? {
        if let Field::Delimited(1, range) = field {
            batch.push(decoder.series(range)?);
        }
    }
    Ok(batch)
}

struct Decoder<'a> {
    bytes: &'a Bytes,
    /// Used again for every series of a batch.
    builder: LabelsBuilder,
}

impl Decoder<'_> {
    fn series(&mut self, range: Range<usize>) -> Result<Series> {
        self.builder.clear();
        let mut last_name = "";
        let mut sorted = true;
        let mut chunks = Vec::new();
        let mut fields = Fields::new(self.bytes, range.clone());
        while let Some(field) = fields.next()? {
            match field {
                Field::Delimited(1, label) if sorted => {
                    let (name, value) = label_pair(self.bytes, label)?;
                    sorted = last_name < name;
                    if sorted {
                        self.builder.push(name, value);
                        last_name = name;
                    }
                }
                Field::Delimited(2, chunk) => {
                    if chunks.is_empty() {
                        // Chunks of a series are alike in size: the first tells how many follow.
                        let size = chunk.len().max(MIN_CHUNK_BYTES);
                        chunks.reserve((range.end - chunk.start) / size + 1);
                    }
                    chunks.push(self.chunk(chunk)?);
                }
                _ => {}
            }
        }
        let labels = if sorted {
            self.builder.finish()
        } else {
            self.unsorted_labels(range)?
        };
        Ok(Series { labels, chunks })
    }

    /// The slow way, for a peer that sends labels in another order or an empty name.
    fn unsorted_labels(&self, range: Range<usize>) -> Result<Labels> {
        let mut pairs = Vec::new();
        let mut fields = Fields::new(self.bytes, range);
        while let Some(field) = fields.next()? {
            if let Field::Delimited(1, label) = field {
                pairs.push(label_pair(self.bytes, label)?);
            }
        }
        Ok(Labels::from_pairs(pairs))
    }

    fn chunk(&self, range: Range<usize>) -> Result<Chunk> {
        let mut chunk = Chunk::default();
        let mut fields = Fields::new(self.bytes, range);
        while let Some(field) = fields.next()? {
            match field {
                Field::Varint(1, time) => chunk.min_time = time.cast_signed(),
                Field::Varint(2, time) => chunk.max_time = time.cast_signed(),
                Field::Delimited(tag @ 3..=8, payload) => {
                    if let Some(aggregate) = Aggregate::ALL.get(tag as usize - 3) {
                        let payload = self.payload(payload)?;
                        chunk.set_payload(*aggregate, payload);
                    }
                }
                _ => {}
            }
        }
        Ok(chunk)
    }

    fn payload(&self, range: Range<usize>) -> Result<Payload> {
        let start = range.start;
        let mut number = 0;
        let mut data = Bytes::new();
        let mut fields = Fields::new(self.bytes, range);
        while let Some(field) = fields.next()? {
            match field {
                Field::Varint(1, value) => number = value,
                Field::Delimited(2, range) => data = self.bytes.slice(range),
                _ => {}
            }
        }
        let encoding = u8::try_from(number)
            .ok()
            .and_then(|number| number.checked_add(1))
            .and_then(Encoding::from_u8)
            .filter(|encoding| *encoding != Encoding::Aggregate)
            .ok_or(Bad {
                what: "unknown chunk encoding",
                at: start,
            })?;
        Ok(Payload { encoding, data })
    }
}

fn label_pair(bytes: &[u8], range: Range<usize>) -> Result<(&str, &str)> {
    let (mut name, mut value) = ("", "");
    let mut fields = Fields::new(bytes, range);
    while let Some(field) = fields.next()? {
        match field {
            Field::Delimited(1, range) => name = text(bytes, range)?,
            Field::Delimited(2, range) => value = text(bytes, range)?,
            _ => {}
        }
    }
    Ok((name, value))
}

fn text(bytes: &[u8], range: Range<usize>) -> Result<&str> {
    let at = range.start;
    bytes
        .get(range)
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .ok_or(Bad {
            what: "label is not valid UTF-8",
            at,
        })
}

/// One field of a message; fixed-size and unknown kinds are skipped by their length.
enum Field {
    Varint(u64, u64),
    Delimited(u64, Range<usize>),
    Other,
}

/// Walks the fields of the message in a range of the frame.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8], range: Range<usize>) -> Self {
        Self {
            bytes,
            at: range.start,
            end: range.end.min(bytes.len()),
        }
    }

    #[inline]
    fn next(&mut self) -> Result<Option<Field>> {
        if self.at >= self.end {
            return Ok(None);
        }
        let key = self.varint()?;
        let tag = key >> 3;
        Ok(Some(match key & 7 {
            0 => Field::Varint(tag, self.varint()?),
            2 => {
                let len = self.varint()?;
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                Field::Delimited(tag, self.take(len)?)
            }
            1 => self.take(8).map(|_| Field::Other)?,
            5 => self.take(4).map(|_| Field::Other)?,
            _ => {
                return Err(Bad {
                    what: "unknown wire type",
                    at: self.at,
                });
            }
        }))
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<Range<usize>> {
        if len > self.end - self.at {
            return Err(Bad {
                what: "field is longer than its message",
                at: self.at,
            });
        }
        let start = self.at;
        self.at += len;
        Ok(start..self.at)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            if self.at >= self.end {
                return Err(Bad {
                    what: "number is cut off",
                    at: self.at,
                });
            }
            let Some(byte) = self.bytes.get(self.at) else {
                return Err(Bad {
                    what: "number is cut off",
                    at: self.at,
                });
            };
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Bad {
            what: "number is longer than 64 bits",
            at: self.at,
        })
    }
}
