//! From configuration to a bucket ready for use.

use std::path::PathBuf;
use std::sync::Arc;

use objconfig::{BucketConfig, Provider};
use runtime::metrics::Metrics;

use crate::backend::ObjectStoreBucket;
use crate::bucket::Bucket;
use crate::hedged::Hedged;
use crate::metered::Metered;
use crate::prefix::Prefixed;
use crate::retry::{RetryPolicy, Retrying};
use crate::swap::{Load, Reload, ReloadError, Swapping};
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
    Ok(wrap(Swapping::new(backend(config)?), config, metrics))
}

/// Opens the bucket as [`connect`] does, and returns what follows changes of `file` and of the files that
/// the configuration names.
///
/// # Errors
/// When the configuration cannot be loaded or used.
pub fn connect_reloading(
    file: Option<PathBuf>,
    load: Load,
    metrics: &Metrics,
) -> Result<(Arc<dyn Bucket>, Reload), ReloadError> {
    let config = load().map_err(ReloadError::Config)?;
    let swapping = Swapping::new(backend(&config)?);
    let bucket = wrap(swapping.clone(), &config, metrics);
    Ok((bucket, Reload::new(swapping, config, file, load, metrics)))
}

fn wrap(swapping: Swapping, config: &BucketConfig, metrics: &Metrics) -> Arc<dyn Bucket> {
    let policy = RetryPolicy::default();
    match config.hedging {
        Some(hedging) => {
            let hedged = Hedged::new(swapping, hedging, metrics);
            prefixed(Metered::new(Retrying::new(hedged, policy), metrics), config)
        }
        None => prefixed(
            Metered::new(Retrying::new(swapping, policy), metrics),
            config,
        ),
    }
}

fn prefixed(bucket: impl Bucket, config: &BucketConfig) -> Arc<dyn Bucket> {
    if config.prefix.is_empty() {
        Arc::new(bucket)
    } else {
        Arc::new(Prefixed::new(bucket, &config.prefix))
    }
}

/// Makes the client that `config` describes.
pub(crate) fn backend(config: &BucketConfig) -> Result<ObjectStoreBucket, ConnectError> {
    match &config.provider {
        Provider::S3(s3) => s3::bucket(s3),
        Provider::Gcs(gcs) => gcs::bucket(gcs),
        Provider::Azure(azure) => azure::bucket(azure),
        Provider::Filesystem(filesystem) => ObjectStoreBucket::folder(&filesystem.directory)
            .map_err(|source| {
                let path = filesystem.directory.clone();
                ConnectError::Folder { path, source }
            }),
    }
}
