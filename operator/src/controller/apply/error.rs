//! Why objects could not be written.

use crate::controller::build::Kind;

/// Why the stack could not be brought to its desired state.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(
        "{} {name:?} exists and belongs to someone else; delete or rename it, or rename the stack",
        kind.as_str()
    )]
    Taken { kind: Kind, name: String },
    #[error("{} {name:?} of an earlier stack of this name is still being deleted", kind.as_str())]
    Terminating { kind: Kind, name: String },
    #[error(
        "volume claim {claim:?} is to grow to {size} and is not bound to a volume yet; it grows once it is"
    )]
    ClaimUnbound { claim: String, size: String },
    #[error(
        "StatefulSet {name:?} is being replaced without its pods, because the size in its claim template cannot be changed"
    )]
    Replacing { name: String },
    #[error(
        "volumes of StatefulSet {name:?} have {present} and cannot shrink to {wanted}; set the size back"
    )]
    Shrink {
        name: String,
        present: String,
        wanted: String,
    },
    #[error("cannot {verb} {what}")]
    Request {
        verb: &'static str,
        what: String,
        #[source]
        source: kube::Error,
    },
    #[error("cannot {verb} {what}: this process no longer leads")]
    NotLeading { verb: &'static str, what: String },
    #[error("cannot {verb} {what}: no answer while this process led")]
    TimedOut { verb: &'static str, what: String },
}

impl ApplyError {
    /// The condition's reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Taken { .. } => "NameTaken",
            Self::Terminating { .. } => "Terminating",
            Self::ClaimUnbound { .. } | Self::Replacing { .. } => "StorageGrowing",
            Self::Shrink { .. } => "StorageShrink",
            Self::Request {
                source: kube::Error::Api(status),
                ..
            } if status.is_invalid() || status.is_forbidden() => "ApplyRejected",
            Self::Request { .. } | Self::TimedOut { .. } => "ApplyFailed",
            Self::NotLeading { .. } => "NotLeading",
        }
    }

    /// Whether only a person can help.
    pub fn is_stalled(&self) -> bool {
        matches!(
            self.reason(),
            "NameTaken" | "ApplyRejected" | "StorageShrink"
        )
    }

    /// Whether nothing is wrong and the next pass will see more: someone else wrote in between, or a
    /// set is on its way out to be made again.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Replacing { .. } => true,
            Self::Request {
                source: kube::Error::Api(status),
                ..
            } => status.is_conflict(),
            _ => false,
        }
    }

    /// What happened, with the API server's own words.
    pub fn message(&self) -> String {
        match self {
            Self::Request {
                source: kube::Error::Api(status),
                ..
            } => {
                format!("{self}: {}", status.message)
            }
            Self::Request { source, .. } => format!("{self}: {source}"),
            _ => self.to_string(),
        }
    }
}
