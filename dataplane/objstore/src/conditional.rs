//! Writing only where nobody else has written meanwhile.

/// Which writing of an object was read. Opaque: it fits only the bucket it came from.
#[derive(Debug, Clone)]
pub struct Version {
    /// What S3 and Azure compare.
    pub(crate) etag: Option<String>,
    /// What GCS compares.
    pub(crate) generation: Option<String>,
}

/// What must be so for [`Bucket::put_if`](crate::Bucket::put_if) to write.
#[derive(Debug, Clone)]
pub enum Condition {
    /// There is no such object.
    Absent,
    /// The object is still the one that was read or written at this version.
    Unchanged(Version),
}
