//! What a reader says of bytes that are not what they should be.

use std::borrow::Cow;

/// Bytes that do not follow their format, or whose checksum does not match.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("corrupt {place}: {what}{}", at_byte(.at))]
pub struct Corrupt {
    /// What is wrong.
    pub what: Cow<'static, str>,
    /// The file or section it is in: `index postings`, `chunks/000001`, `meta.json`.
    pub place: Cow<'static, str>,
    /// The byte within that file or section, where it is known.
    pub at: Option<u64>,
}

fn at_byte(at: &Option<u64>) -> String {
    at.map(|at| format!(" at byte {at}")).unwrap_or_default()
}

impl Corrupt {
    pub(crate) fn new(place: &'static str, what: impl Into<Cow<'static, str>>) -> Self {
        Self {
            what: what.into(),
            place: Cow::Borrowed(place),
            at: None,
        }
    }

    pub(crate) fn at(
        place: &'static str,
        what: impl Into<Cow<'static, str>>,
        at: impl TryInto<u64>,
    ) -> Self {
        Self {
            what: what.into(),
            place: Cow::Borrowed(place),
            at: at.try_into().ok(),
        }
    }

    /// Names a chunk that did not decode by its place in the block.
    pub fn in_chunk(chunk: &chunk::Corrupt, reference: crate::segment::ChunkRef) -> Self {
        Self {
            what: Cow::Owned(format!("{} at byte {} of the chunk", chunk.what, chunk.at)),
            place: Cow::Owned(reference.segment_name()),
            at: Some(u64::from(reference.offset())),
        }
    }
}

/// What cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("{what} is larger than the format can say")]
    TooLarge { what: &'static str },
    #[error("{what} is out of order: {after} after {before}")]
    OutOfOrder {
        what: &'static str,
        before: String,
        after: String,
    },
    #[error("symbol {symbol} was not added before the series that use it")]
    UnknownSymbol { symbol: String },
    #[error("writing {what}")]
    Io {
        what: &'static str,
        #[source]
        source: std::io::Error,
    },
}

impl WriteError {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}
