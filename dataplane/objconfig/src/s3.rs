//! An S3 bucket.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::error::ConfigError;
use crate::http_config::HttpConfig;
use crate::secret::Secret;

/// The smallest part S3 takes in a multipart upload, other than the last.
const MIN_PART_BYTES: u64 = 5 << 20;

/// Parts of a multipart upload where nothing else is said.
const DEFAULT_PART_BYTES: u64 = 64 << 20;

/// A valid configuration of an S3 bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Config {
    /// The bucket's name.
    pub bucket: String,
    /// Host and port of the service, without scheme.
    pub endpoint: String,
    /// The region; empty when it follows from the endpoint or does not matter.
    pub region: String,
    /// Key and secret; without them the environment, the shared credentials file or the machine's role
    /// are asked, in this order.
    pub keys: Option<(String, Secret<String>)>,
    /// A temporary key's token; empty for none.
    pub session_token: Secret<String>,
    /// Plain HTTP.
    pub insecure: bool,
    /// How the bucket's name travels.
    pub bucket_lookup: BucketLookup,
    /// Metadata put on each object.
    pub put_user_metadata: BTreeMap<String, String>,
    /// The HTTP client.
    pub http_config: HttpConfig,
    /// Logs requests at debug level.
    pub trace: bool,
    /// Objects larger than this are uploaded in parts of this size, in bytes.
    pub part_size: u64,
    /// Uploads each object in one request whatever its size.
    pub disable_multipart: bool,
    /// Encryption by the server.
    pub sse: Option<Sse>,
    /// Where temporary credentials are asked for; empty for the default.
    pub sts_endpoint: String,
    /// How often a failed request is tried again; 0 for the default.
    pub max_retries: u32,
}

impl S3Config {
    /// Returns the defaults for a bucket at `endpoint`.
    pub(crate) fn new(bucket: String, endpoint: String) -> Self {
        Self {
            bucket,
            endpoint,
            region: String::new(),
            keys: None,
            session_token: Secret::default(),
            insecure: false,
            bucket_lookup: BucketLookup::Auto,
            put_user_metadata: BTreeMap::new(),
            http_config: HttpConfig::default(),
            trace: false,
            part_size: DEFAULT_PART_BYTES,
            disable_multipart: false,
            sse: None,
            sts_endpoint: String::new(),
            max_retries: 0,
        }
    }
}

/// How the bucket's name travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum BucketLookup {
    /// In the host where the service is known to support it, else in the path.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// In the host.
    #[serde(rename = "virtual-hosted")]
    VirtualHosted,
    /// In the path.
    #[serde(rename = "path")]
    Path,
}

/// Encryption by the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sse {
    /// With keys of the service.
    S3,
    /// With a key of the key management service.
    Kms {
        /// The key.
        key_id: String,
        /// What the key's use is bound to.
        encryption_context: BTreeMap<String, String>,
    },
    /// With a key sent along.
    Customer {
        /// File with the key.
        encryption_key: PathBuf,
    },
}

/// The keys as written. Those that change nothing here are listed too, so that they are not unknown.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawS3 {
    bucket: String,
    endpoint: String,
    region: String,
    disable_dualstack: bool,
    aws_sdk_auth: bool,
    access_key: String,
    insecure: bool,
    signature_version2: bool,
    secret_key: Secret<String>,
    session_token: Secret<String>,
    put_user_metadata: BTreeMap<String, String>,
    http_config: HttpConfig,
    trace: RawTrace,
    list_objects_version: String,
    bucket_lookup_type: BucketLookup,
    send_content_md5: bool,
    disable_multipart: bool,
    part_size: u64,
    sse_config: RawSse,
    sts_endpoint: String,
    max_retries: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawTrace {
    enable: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawSse {
    #[serde(rename = "type")]
    kind: String,
    kms_key_id: String,
    kms_encryption_context: BTreeMap<String, String>,
    encryption_key: PathBuf,
}

impl Default for RawS3 {
    fn default() -> Self {
        Self {
            bucket: String::new(),
            endpoint: String::new(),
            region: String::new(),
            disable_dualstack: false,
            aws_sdk_auth: false,
            access_key: String::new(),
            insecure: false,
            signature_version2: false,
            secret_key: Secret::default(),
            session_token: Secret::default(),
            put_user_metadata: BTreeMap::new(),
            http_config: HttpConfig::default(),
            trace: RawTrace::default(),
            list_objects_version: String::new(),
            bucket_lookup_type: BucketLookup::Auto,
            send_content_md5: true,
            disable_multipart: false,
            part_size: DEFAULT_PART_BYTES,
            sse_config: RawSse::default(),
            sts_endpoint: String::new(),
            max_retries: 0,
        }
    }
}

impl RawS3 {
    pub(crate) fn validate(self) -> Result<S3Config, ConfigError> {
        if self.bucket.is_empty() {
            return Err(ConfigError::invalid(
                "config.bucket",
                "is missing; name the bucket",
            ));
        }
        if self.endpoint.is_empty() {
            return Err(ConfigError::invalid(
                "config.endpoint",
                "is missing; write host or host:port, e.g. s3.eu-central-1.amazonaws.com",
            ));
        }
        if self.endpoint.contains("://") || self.endpoint.contains('/') {
            return Err(ConfigError::invalid(
                "config.endpoint",
                format!(
                    "{:?} is no host or host:port; leave the scheme out and set `insecure: true` for http",
                    self.endpoint
                ),
            ));
        }
        let keys = match (self.access_key.is_empty(), self.secret_key.is_empty()) {
            (true, true) => None,
            (false, false) => Some((self.access_key, self.secret_key)),
            (true, false) => {
                return Err(ConfigError::invalid(
                    "config.access_key",
                    "is missing while secret_key is given; give both or neither",
                ));
            }
            (false, true) => {
                return Err(ConfigError::invalid(
                    "config.secret_key",
                    "is missing while access_key is given; give both or neither",
                ));
            }
        };
        if self.aws_sdk_auth && keys.is_some() {
            return Err(ConfigError::invalid(
                "config.aws_sdk_auth",
                "excludes access_key and secret_key; leave one of them out",
            ));
        }
        if self.signature_version2 {
            return Err(ConfigError::invalid(
                "config.signature_version2",
                "is not supported, as services have dropped it; remove the key",
            ));
        }
        if !matches!(self.list_objects_version.as_str(), "" | "v2") {
            return Err(ConfigError::invalid(
                "config.list_objects_version",
                format!("{:?} is not supported; use v2", self.list_objects_version),
            ));
        }
        if self.part_size < MIN_PART_BYTES {
            return Err(ConfigError::invalid(
                "config.part_size",
                format!(
                    "{} is below the {MIN_PART_BYTES} bytes S3 demands",
                    self.part_size
                ),
            ));
        }
        let sse = self.sse_config.validate()?;
        // Both describe how others speak S3; there is nothing to switch here.
        let _ = (self.disable_dualstack, self.send_content_md5);
        Ok(S3Config {
            bucket: self.bucket,
            endpoint: self.endpoint,
            region: self.region,
            keys,
            session_token: self.session_token,
            insecure: self.insecure,
            bucket_lookup: self.bucket_lookup_type,
            put_user_metadata: self.put_user_metadata,
            http_config: self.http_config,
            trace: self.trace.enable,
            part_size: self.part_size,
            disable_multipart: self.disable_multipart,
            sse,
            sts_endpoint: self.sts_endpoint,
            max_retries: self.max_retries,
        })
    }
}

impl RawSse {
    fn validate(self) -> Result<Option<Sse>, ConfigError> {
        match self.kind.as_str() {
            "" => Ok(None),
            "SSE-S3" => Ok(Some(Sse::S3)),
            "SSE-KMS" if self.kms_key_id.is_empty() => Err(ConfigError::invalid(
                "config.sse_config.kms_key_id",
                "is missing for SSE-KMS",
            )),
            "SSE-KMS" => Ok(Some(Sse::Kms {
                key_id: self.kms_key_id,
                encryption_context: self.kms_encryption_context,
            })),
            "SSE-C" if self.encryption_key.as_os_str().is_empty() => Err(ConfigError::invalid(
                "config.sse_config.encryption_key",
                "is missing for SSE-C; name the file that holds the key",
            )),
            "SSE-C" => Ok(Some(Sse::Customer {
                encryption_key: self.encryption_key,
            })),
            other => Err(ConfigError::invalid(
                "config.sse_config.type",
                format!("{other:?} is not known; use SSE-S3, SSE-KMS or SSE-C"),
            )),
        }
    }
}
