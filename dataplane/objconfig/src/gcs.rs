//! A bucket of Google Cloud Storage.

use serde::Deserialize;

use crate::error::ConfigError;
use crate::http_config::HttpConfig;
use crate::secret::Secret;

/// What Google's clients send in one piece where nothing else is said.
const DEFAULT_CHUNK_BYTES: u64 = 16 << 20;

/// A valid configuration of a GCS bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GcsConfig {
    /// The bucket's name.
    pub bucket: String,
    /// The key file's JSON; without it the application default credentials are looked for.
    pub service_account: Option<Secret<String>>,
    /// Objects larger than this are uploaded in parts of this size, in bytes.
    pub chunk_bytes: u64,
    /// How often a failed request is tried again; 0 for the default.
    pub max_retries: u32,
    /// The HTTP client.
    pub http_config: HttpConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawGcs {
    bucket: String,
    service_account: Secret<String>,
    use_grpc: bool,
    grpc_conn_pool_size: u32,
    http_config: HttpConfig,
    chunk_size_bytes: u64,
    max_retries: u32,
}

impl RawGcs {
    pub(crate) fn validate(self) -> Result<GcsConfig, ConfigError> {
        if self.bucket.is_empty() {
            return Err(ConfigError::invalid(
                "config.bucket",
                "is missing; name the bucket",
            ));
        }
        if self.use_grpc {
            return Err(ConfigError::invalid(
                "config.use_grpc",
                "is not supported; set it to false, the same bucket is reached by HTTP",
            ));
        }
        // Without gRPC there is no pool of its connections.
        let _ = self.grpc_conn_pool_size;
        Ok(GcsConfig {
            bucket: self.bucket,
            service_account: (!self.service_account.is_empty()).then_some(self.service_account),
            chunk_bytes: match self.chunk_size_bytes {
                0 => DEFAULT_CHUNK_BYTES,
                bytes => bytes,
            },
            max_retries: self.max_retries,
            http_config: self.http_config,
        })
    }
}
