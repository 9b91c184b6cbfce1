//! What can go wrong between a request and its last series.

use std::time::Duration;

/// What a caller can do about an error; each transport maps it once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Nothing of that name exists.
    NotFound,
    /// The request cannot be answered as it stands.
    Invalid,
    /// Bytes that are not what they were said to be.
    Corrupt,
    /// The store cannot be reached or is not ready.
    Unavailable,
    /// The store was silent for too long, or the deadline passed.
    Timeout,
    /// A limit was hit.
    Exhausted,
    /// The caller went away.
    Canceled,
    /// Given up because a part failed and the caller asked for all or nothing.
    Aborted,
    /// The peer does not offer this call.
    Unimplemented,
    /// Anything else.
    Internal,
}

/// Why a store did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Every matcher was on an external label, or there was none.
    #[error("no matchers specified (excluding external labels)")]
    NoMatchers,
    /// The request cannot be answered.
    #[error("{what}")]
    Invalid {
        /// What is wrong with it.
        what: String,
    },
    /// Foreign bytes are malformed.
    #[error("corrupt {at}: {what}")]
    Corrupt {
        /// What is wrong.
        what: String,
        /// In which message or chunk, at which byte.
        at: String,
    },
    /// A store broke the order its stream promises.
    #[error("series out of order: {next} came after {previous}")]
    OutOfOrder {
        /// The label set sent before.
        previous: String,
        /// The label set that should have come earlier.
        next: String,
    },
    /// No frame came for the response timeout.
    #[error("no frame within {}ms", after.as_millis())]
    Silent {
        /// How long was waited.
        after: Duration,
    },
    /// A request would exceed a configured limit.
    #[error("exceeded {what} limit: {used} of at most {limit}")]
    Limit {
        /// The counted thing: `series`, `samples`, `bytes`.
        what: &'static str,
        /// What would have been used.
        used: u64,
        /// What is allowed.
        limit: u64,
    },
    /// No store is known, and the caller asked for a complete answer.
    #[error("no store is known; check the configured endpoints")]
    NoEndpoints,
    /// A named store failed.
    #[error("store {store}: {source}")]
    Store {
        /// Its address or name.
        store: String,
        /// Its error.
        source: Box<StoreError>,
    },
    /// An error of an implementation or a peer.
    #[error("{message}")]
    Other {
        /// What the caller can do about it.
        kind: ErrorKind,
        /// The text, for humans.
        message: String,
    },
}

impl StoreError {
    /// Returns an error of an implementation that has no more precise variant.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::Other {
            kind,
            message: message.into(),
        }
    }

    /// Returns an error for a request that cannot be answered.
    pub fn invalid(what: impl Into<String>) -> Self {
        Self::Invalid { what: what.into() }
    }

    /// Returns the error with the name of the store it came from.
    #[must_use]
    pub fn of_store(self, store: &str) -> Self {
        Self::Store {
            store: store.to_owned(),
            source: Box::new(self),
        }
    }

    /// Returns what the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoMatchers | Self::Invalid { .. } => ErrorKind::Invalid,
            Self::Corrupt { .. } | Self::OutOfOrder { .. } => ErrorKind::Corrupt,
            Self::Silent { .. } => ErrorKind::Timeout,
            Self::Limit { .. } => ErrorKind::Exhausted,
            Self::NoEndpoints => ErrorKind::Unavailable,
            Self::Store { source, .. } => source.kind(),
            Self::Other { kind, .. } => *kind,
        }
    }
}

/// The one mapping of kinds to gRPC codes.
impl From<StoreError> for tonic::Status {
    fn from(error: StoreError) -> Self {
        use tonic::Code;
        let code = match error.kind() {
            ErrorKind::NotFound => Code::NotFound,
            ErrorKind::Invalid => Code::InvalidArgument,
            ErrorKind::Corrupt => Code::DataLoss,
            ErrorKind::Unavailable => Code::Unavailable,
            ErrorKind::Timeout => Code::DeadlineExceeded,
            ErrorKind::Exhausted => Code::ResourceExhausted,
            ErrorKind::Canceled => Code::Cancelled,
            ErrorKind::Aborted => Code::Aborted,
            ErrorKind::Unimplemented => Code::Unimplemented,
            ErrorKind::Internal => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}

/// The way back: what a peer's status means to us.
impl From<tonic::Status> for StoreError {
    fn from(status: tonic::Status) -> Self {
        use tonic::Code;
        let kind = match status.code() {
            Code::NotFound => ErrorKind::NotFound,
            Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
                ErrorKind::Invalid
            }
            Code::DataLoss => ErrorKind::Corrupt,
            Code::Unavailable => ErrorKind::Unavailable,
            Code::DeadlineExceeded => ErrorKind::Timeout,
            Code::ResourceExhausted => ErrorKind::Exhausted,
            Code::Cancelled => ErrorKind::Canceled,
            Code::Aborted => ErrorKind::Aborted,
            Code::Unimplemented => ErrorKind::Unimplemented,
            _ => ErrorKind::Internal,
        };
        Self::Other {
            kind,
            message: status.message().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_survives_a_trip_over_the_wire() {
        for kind in [
            ErrorKind::NotFound,
            ErrorKind::Invalid,
            ErrorKind::Corrupt,
            ErrorKind::Unavailable,
            ErrorKind::Timeout,
            ErrorKind::Exhausted,
            ErrorKind::Canceled,
            ErrorKind::Aborted,
            ErrorKind::Unimplemented,
            ErrorKind::Internal,
        ] {
            let status = tonic::Status::from(StoreError::new(kind, "text").of_store("a:1"));
            let back = StoreError::from(status);
            assert_eq!(back.kind(), kind);
            assert_eq!(back.to_string(), "store a:1: text");
        }
    }
}
