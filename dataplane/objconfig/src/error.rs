//! Why a configuration is refused.

/// What is wrong, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// There is nothing in it.
    #[error("the object store configuration is empty; it needs at least `type` and `config`")]
    Empty,
    /// It is no YAML, or not of the shape wanted. Holds line, column and the key.
    #[error("object store configuration: {0}")]
    Yaml(String),
    /// The `type` is one of Thanos' that is not built in.
    #[error("object store type {kind} is not supported; {way_out}")]
    Unsupported {
        /// The type.
        kind: &'static str,
        /// What to write instead.
        way_out: &'static str,
    },
    /// The `type` is nobody's.
    #[error(
        "object store type {0:?} is not known; supported are S3, GCS, AZURE, COS, ALIYUNOSS, OBS and \
         FILESYSTEM"
    )]
    UnknownType(String),
    /// A key is missing or its value cannot work.
    #[error("object store configuration: {key}: {reason}")]
    Invalid {
        /// The key's path, e.g. `config.bucket`.
        key: &'static str,
        /// What is wrong and what to write.
        reason: String,
    },
    /// A `$(VAR)` names a variable that is not set.
    #[error(
        "object store configuration: found reference to unset environment variable {0:?}; set it or \
         write $$({0})"
    )]
    UnsetVariable(String),
}

impl ConfigError {
    pub(crate) fn invalid(key: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid {
            key,
            reason: reason.into(),
        }
    }
}
