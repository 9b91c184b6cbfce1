//! What goes wrong with a bucket.

use std::error::Error;
use std::fmt;

/// What was attempted, named as in the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Listing.
    Iter,
    /// Reading a whole object.
    Get,
    /// Reading a part of one.
    GetRange,
    /// Asking whether one exists.
    Exists,
    /// Writing one.
    Upload,
    /// Removing one.
    Delete,
    /// Asking for size and time.
    Attributes,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Iter,
        Self::Get,
        Self::GetRange,
        Self::Exists,
        Self::Upload,
        Self::Delete,
        Self::Attributes,
    ];

    /// Returns the name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Iter => "iter",
            Self::Get => "get",
            Self::GetRange => "get_range",
            Self::Exists => "exists",
            Self::Upload => "upload",
            Self::Delete => "delete",
            Self::Attributes => "attributes",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The kinds callers tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// There is no such object.
    NotFound,
    /// The name or the range can never be right.
    Invalid,
    /// A conditional write found that its condition does not hold.
    Conflict,
    /// The store cannot do such a thing.
    Unsupported,
    /// The credentials do not allow it.
    PermissionDenied,
    /// The store did not answer, or answered that it cannot now. Worth another try.
    Unavailable,
    /// Anything that another try will not change.
    Internal,
}

/// A failed operation.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {name:?} in bucket {bucket:?}")]
pub struct BucketError {
    /// What was attempted.
    pub operation: Operation,
    /// On which object or folder.
    pub name: String,
    /// In which bucket.
    pub bucket: String,
    kind: ErrorKind,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

impl BucketError {
    /// Creates an error.
    pub fn new(
        operation: Operation,
        bucket: &str,
        name: &str,
        kind: ErrorKind,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        let (name, bucket) = (name.to_owned(), bucket.to_owned());
        Self {
            operation,
            name,
            bucket,
            kind,
            source: source.into(),
        }
    }

    /// Returns the kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns true when there is no such object.
    pub fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::NotFound
    }

    /// Returns true when the condition of a conditional write did not hold.
    pub fn is_conflict(&self) -> bool {
        self.kind == ErrorKind::Conflict
    }

    /// Returns true when another try may succeed.
    pub fn is_retryable(&self) -> bool {
        self.kind == ErrorKind::Unavailable
    }

    pub(crate) fn of_store(
        operation: Operation,
        bucket: &str,
        name: &str,
        error: object_store::Error,
    ) -> Self {
        use object_store::Error as Store;
        let kind = match &error {
            Store::NotFound { .. } => ErrorKind::NotFound,
            Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => {
                ErrorKind::PermissionDenied
            }
            Store::AlreadyExists { .. } | Store::Precondition { .. } => ErrorKind::Conflict,
            Store::NotImplemented { .. } | Store::NotSupported { .. } => ErrorKind::Unsupported,
            Store::InvalidPath { .. } => ErrorKind::Invalid,
            Store::Generic { .. } | Store::JoinError { .. } => ErrorKind::Unavailable,
            _ => ErrorKind::Internal,
        };
        Self::new(operation, bucket, name, kind, error)
    }
}
