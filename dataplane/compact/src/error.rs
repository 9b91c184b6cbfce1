//! What goes wrong, and what is to be done about it.

use std::io;
use std::path::{Path, PathBuf};

use block::{BlockError, BlockId};
use objstore::BucketError;
use tsdb::{Corrupt, WriteError};

/// What the failure of a compaction asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Another try may succeed.
    Retry,
    /// A block cannot be read as it is: it is put aside, and the others go on.
    Quarantine(BlockId),
    /// Someone else compacts: stop at once.
    LeaseLost,
    /// This machine's disk, or a mistake of ours.
    Internal,
}

/// A failed step.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// The bucket failed.
    #[error("bucket")]
    Bucket(#[from] BucketError),
    /// A block or its objects failed.
    #[error(transparent)]
    Block(BlockError),
    /// A source block is unsound.
    #[error("block {block}")]
    Corrupt {
        /// The block.
        block: BlockId,
        /// Where and how.
        #[source]
        source: Corrupt,
    },
    /// Fewer bytes came than an object has.
    #[error("object {object}: {got} bytes came where {wanted} were asked for")]
    Short {
        object: String,
        got: u64,
        wanted: u64,
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
    /// The new block cannot be written.
    #[error("writing the new block")]
    Write(#[from] WriteError),
    /// The new block is not what it should be.
    #[error("the new block {block} is not sound and was not published: {what}")]
    Verify {
        /// The block.
        block: BlockId,
        /// What differs.
        what: String,
    },
    /// The lease ran out or is another's.
    #[error("the lease is not held any more")]
    LeaseLost,
    /// The process is ending.
    #[error("shutting down")]
    Canceled,
    /// A task of ours ended abnormally.
    #[error("{0}")]
    Task(String),
}

impl CompactError {
    /// Returns what is to be done.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Corrupt { block, .. } | Self::Block(BlockError::Corrupt { block, .. }) => {
                ErrorKind::Quarantine(*block)
            }
            Self::Bucket(_) | Self::Block(_) | Self::Short { .. } | Self::Canceled => {
                ErrorKind::Retry
            }
            Self::LeaseLost => ErrorKind::LeaseLost,
            Self::Io { .. } | Self::Write(_) | Self::Verify { .. } | Self::Task(_) => {
                ErrorKind::Internal
            }
        }
    }

    pub(crate) fn corrupt(block: BlockId) -> impl FnOnce(Corrupt) -> Self {
        move |source| Self::Corrupt { block, source }
    }

    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

impl From<BlockError> for CompactError {
    fn from(error: BlockError) -> Self {
        match error {
            BlockError::Bucket(error) => Self::Bucket(error),
            error => Self::Block(error),
        }
    }
}
