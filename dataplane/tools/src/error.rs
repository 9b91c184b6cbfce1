//! What goes wrong with the tools.

use std::path::{Path, PathBuf};

use block::BlockError;
use model::ulid::BlockId;
use objstore::BucketError;

/// A failed tool.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// A block.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The bucket.
    #[error("bucket")]
    Bucket(#[from] BucketError),
    /// A block that is wanted is not there.
    #[error("block {0} is not in the bucket, or has no meta.json")]
    NoBlock(BlockId),
    /// A block's files are not sound.
    #[error("block {block} is not sound")]
    Unsound {
        /// The block.
        block: BlockId,
        /// Where and how.
        #[source]
        source: tsdb::Corrupt,
    },
    /// A block cannot be made anew.
    #[error("block {block}: {reason}")]
    Rewrite {
        /// The block.
        block: BlockId,
        /// Why.
        reason: String,
    },
    /// A file of this machine.
    #[error("{path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What was asked for makes no sense.
    #[error("{0}")]
    Invalid(String),
}

impl ToolError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn unsound(block: BlockId) -> impl FnOnce(tsdb::Corrupt) -> Self {
        move |source| Self::Unsound { block, source }
    }
}
