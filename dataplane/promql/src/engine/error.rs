//! Why a query has no answer.

use crate::context::{Interrupt, MemoryExceeded};
use crate::queryable::QueryableError;

/// A failed query.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// The request makes no sense, e.g. a step of zero.
    #[error("{0}")]
    BadData(String),
    /// The expression cannot be evaluated over the data found.
    #[error("{0}")]
    Execution(String),
    /// More samples at once than allowed.
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    #[error(transparent)]
    Memory(#[from] MemoryExceeded),
    #[error("query timed out in expression evaluation")]
    Timeout,
    #[error("query was canceled in expression evaluation")]
    Canceled,
    /// The storage failed.
    #[error("expanding series: {0}")]
    Storage(String),
    /// A defect of the engine.
    #[error("unexpected error: {0}")]
    Internal(String),
}

/// What an [`EngineError`] means to a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineErrorKind {
    BadData,
    Execution,
    Timeout,
    Canceled,
    Internal,
}

impl EngineErrorKind {
    /// Returns the `errorType` of Prometheus' HTTP API.
    #[must_use]
    pub const fn error_type(self) -> &'static str {
        match self {
            Self::BadData => "bad_data",
            Self::Execution => "execution",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
            Self::Internal => "internal",
        }
    }
}

impl EngineError {
    /// Returns what the error means to a caller.
    #[must_use]
    pub const fn kind(&self) -> EngineErrorKind {
        match self {
            Self::BadData(_) => EngineErrorKind::BadData,
            Self::Execution(_) | Self::TooManySamples | Self::Memory(_) | Self::Storage(_) => {
                EngineErrorKind::Execution
            }
            Self::Timeout => EngineErrorKind::Timeout,
            Self::Canceled => EngineErrorKind::Canceled,
            Self::Internal(_) => EngineErrorKind::Internal,
        }
    }

    pub(crate) fn execution(message: impl Into<String>) -> Self {
        Self::Execution(message.into())
    }

    pub(crate) fn same_labelset() -> Self {
        Self::execution("vector cannot contain metrics with the same labelset")
    }
}

impl From<Interrupt> for EngineError {
    fn from(interrupt: Interrupt) -> Self {
        match interrupt {
            Interrupt::Canceled => Self::Canceled,
            Interrupt::Timeout => Self::Timeout,
        }
    }
}

impl From<QueryableError> for EngineError {
    fn from(error: QueryableError) -> Self {
        match error {
            QueryableError::Storage(message) => Self::Storage(message),
            QueryableError::Canceled => Self::Canceled,
            QueryableError::Timeout => Self::Timeout,
            QueryableError::Memory(exceeded) => Self::Memory(exceeded),
        }
    }
}
