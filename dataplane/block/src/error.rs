//! What goes wrong with blocks.

use std::io;
use std::path::{Path, PathBuf};

use model::ulid::BlockId;
use objstore::BucketError;
use tsdb::Corrupt;

/// The kinds callers tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The block, or a file of it, is not there.
    NotFound,
    /// Its bytes are not what they should be.
    Corrupt,
    /// The bucket cannot be used now.
    Unavailable,
    /// This machine's disk, or a mistake of ours.
    Internal,
}

/// A failed operation on a block.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// The bucket failed.
    #[error("bucket")]
    Bucket(#[from] BucketError),
    /// A file of the block is unsound.
    #[error("block {block}")]
    Corrupt {
        /// The block.
        block: BlockId,
        /// Where and how.
        #[source]
        source: Corrupt,
    },
    /// A local file could not be read or written.
    #[error("{path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A local block lacks something.
    #[error("block {block} is incomplete: {what}")]
    Incomplete {
        /// The block.
        block: BlockId,
        /// What it lacks.
        what: String,
    },
}

impl BlockError {
    /// Returns the kind.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Bucket(error) if error.is_not_found() => ErrorKind::NotFound,
            Self::Bucket(_) => ErrorKind::Unavailable,
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::Incomplete { .. } => ErrorKind::NotFound,
            Self::Io { .. } => ErrorKind::Internal,
        }
    }

    pub(crate) fn corrupt(block: BlockId, source: Corrupt) -> Self {
        Self::Corrupt { block, source }
    }

    pub(crate) fn truncated(block: BlockId, place: &'static str, got: u64, wanted: u64) -> Self {
        let what = format!("{got} bytes were read where {wanted} should be").into();
        Self::Corrupt {
            block,
            source: Corrupt {
                what,
                place: place.into(),
                at: None,
            },
        }
    }

    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}
