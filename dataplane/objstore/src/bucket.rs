//! The trait.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::conditional::{Condition, Version};
use crate::error::BucketError;

/// How deep a listing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// What is directly in the folder: objects, and folders with a `/` at their end.
    Folder,
    /// All objects below the folder, no folders.
    Recursive,
}

/// What a listing gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name from the bucket's root; a folder's ends with `/`.
    pub name: String,
    /// Present for objects, absent for folders.
    pub attributes: Option<Attributes>,
}

impl Entry {
    /// Returns true for a folder.
    pub fn is_folder(&self) -> bool {
        self.name.ends_with('/')
    }
}

/// What a bucket knows of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// Size in bytes.
    pub size: u64,
    /// When it was written, in milliseconds since the Unix epoch.
    pub last_modified_ms: i64,
    /// Changes with the content, where the store has such a thing.
    pub etag: Option<String>,
}

/// What is uploaded.
pub enum Content {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A file, which must not change meanwhile.
    File(PathBuf),
    /// Bytes as they come. Cannot be tried again.
    Stream(BoxStream<'static, io::Result<Bytes>>),
}

impl Content {
    /// Returns another handle to the same content, `None` for a stream.
    pub fn again(&self) -> Option<Self> {
        match self {
            Self::Bytes(bytes) => Some(Self::Bytes(bytes.clone())),
            Self::File(path) => Some(Self::File(path.clone())),
            Self::Stream(_) => None,
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

/// What [`Bucket::iter`] gives: entries in no particular order. An error ends it, and what came before is
/// then no complete listing.
pub type EntryStream = BoxStream<'static, Result<Entry, BucketError>>;

/// Objects by name. Names are parts joined by `/`, without one at their ends; folders exist only while
/// objects are below them.
///
/// All methods may be dropped half-way: reads leave nothing behind, an upload or a deletion may then have
/// happened or not.
#[async_trait]
pub trait Bucket: fmt::Debug + Send + Sync + 'static {
    /// Returns the bucket's name for messages and metrics.
    fn name(&self) -> &str;

    /// Lists what is in or below `folder`; the empty name is the root. A folder that does not exist is
    /// empty.
    fn iter(&self, folder: &str, listing: Listing) -> EntryStream;

    /// Reads a whole object.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    async fn get(&self, name: &str) -> Result<Bytes, BucketError>;

    /// Reads `range` of an object; the answer is shorter only where the object ends, and empty for a
    /// range that begins at or after its end.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, BucketError>;

    /// Returns true when there is such an object.
    ///
    /// # Errors
    /// Only when the store cannot say.
    async fn exists(&self, name: &str) -> Result<bool, BucketError>;

    /// Returns size, time and tag of an object.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    async fn attributes(&self, name: &str) -> Result<Attributes, BucketError>;

    /// Writes an object, replacing one of the same name. Readers see the old or the new one, whole.
    ///
    /// # Errors
    /// After an error the object may have been written or not.
    async fn upload(&self, name: &str, content: Content) -> Result<(), BucketError>;

    /// Reads a whole object and which writing of it that is.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    async fn get_versioned(&self, name: &str) -> Result<(Bytes, Version), BucketError>;

    /// Writes an object where `condition` holds at that moment, of all such writers at most one at a time,
    /// and returns the version written. [`Bucket::upload`] heeds no condition and is not kept out by one.
    ///
    /// The content must tell its writer and the occasion from all others: an answer that was lost is made up
    /// for by reading the object, and what equals `content` then counts as written by this call.
    ///
    /// # Errors
    /// `Conflict` when the condition does not hold: another has written since, perhaps upon a write of this
    /// call whose answer was lost. `Unsupported` where the store has no such writes. After any other error
    /// the object may have been written or not.
    async fn put_if(
        &self,
        name: &str,
        content: Bytes,
        condition: Condition,
    ) -> Result<Version, BucketError>;

    /// Removes an object.
    ///
    /// # Errors
    /// `NotFound` where the store can tell that there is none; S3 cannot and answers success.
    async fn delete(&self, name: &str) -> Result<(), BucketError>;
}

#[async_trait]
impl<B: Bucket + ?Sized> Bucket for Arc<B> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn iter(&self, folder: &str, listing: Listing) -> EntryStream {
        (**self).iter(folder, listing)
    }

    async fn get(&self, name: &str) -> Result<Bytes, BucketError> {
        (**self).get(name).await
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        (**self).get_range(name, range).await
    }

    async fn exists(&self, name: &str) -> Result<bool, BucketError> {
        (**self).exists(name).await
    }

    async fn attributes(&self, name: &str) -> Result<Attributes, BucketError> {
        (**self).attributes(name).await
    }

    async fn upload(&self, name: &str, content: Content) -> Result<(), BucketError> {
        (**self).upload(name, content).await
    }

    async fn get_versioned(&self, name: &str) -> Result<(Bytes, Version), BucketError> {
        (**self).get_versioned(name).await
    }

    async fn put_if(
        &self,
        name: &str,
        content: Bytes,
        condition: Condition,
    ) -> Result<Version, BucketError> {
        (**self).put_if(name, content, condition).await
    }

    async fn delete(&self, name: &str) -> Result<(), BucketError> {
        (**self).delete(name).await
    }
}
