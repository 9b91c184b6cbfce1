//! From configuration to a bucket ready for use.

use std::path::PathBuf;
use std::sync::Arc;

use objconfig::{BucketConfig, Provider};
use runtime::metrics::Metrics;

use crate::backend::ObjectStoreBucket;
use crate::bucket::Bucket;
use crate::metered::Metered;
use crate::prefix::Prefixed;
use crate::retry::{RetryPolicy, Retrying};
use crate::{azure, gcs, s3};

/// Why a bucket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A file could not be read.
    #[error("reading {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The folder cannot be used.
    #[error("opening the folder {path} as a bucket")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The client refuses its settings.
    #[error("setting up the object store client")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A valid setting that is not built in.
    #[error("{0}")]
    Unsupported(&'static str),
    /// A setting that cannot be used.
    #[error("{0}")]
    Unusable(&'static str),
}

impl ConnectError {
    pub(crate) fn client(error: object_store::Error) -> Self {
        Self::Client(Box::new(error))
    }
}

/// Opens the bucket that `config` describes, with retries, metrics and its prefix. Whether the service
/// answers shows at first use.
///
/// # Errors
/// When a file or folder that the configuration names cannot be used.
pub fn connect(config: &BucketConfig, metrics: &Metrics) -> Result<Arc<dyn Bucket>, ConnectError> {
    let backend = match &config.provider {
        Provider::S3(s3) => {
            if !s3.http_config.tls_config.server_name.is_empty() {
                return Err(ConnectError::Unsupported(
                    "config.http_config.tls_config.server_name is not supported yet; name the host \
                     of the certificate as endpoint",
                ));
            }
            s3::bucket(s3)?
        }
        Provider::Gcs(gcs) => gcs::bucket(gcs)?,
        Provider::Azure(azure) => azure::bucket(azure)?,
        Provider::Filesystem(filesystem) => ObjectStoreBucket::folder(&filesystem.directory)
            .map_err(|source| {
                let path = filesystem.directory.clone();
                ConnectError::Folder { path, source }
            })?,
    };
    let bucket = Metered::new(Retrying::new(backend, RetryPolicy::default()), metrics);
    Ok(if config.prefix.is_empty() {
        Arc::new(bucket)
    } else {
        Arc::new(Prefixed::new(bucket, &config.prefix))
    })
}
