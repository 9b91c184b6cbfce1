//! The bucket that the flags describe.

use std::sync::Arc;

use anyhow::{Context, bail};
use objconfig::BucketConfig;
use objstore::Bucket;
use runtime::metrics::Metrics;

use crate::args::process::ObjstoreArgs;

/// Returns the bucket's configuration; `None` where no flag gives one.
///
/// # Errors
/// Configuration that cannot be read or understood.
pub(super) fn config(args: &ObjstoreArgs) -> anyhow::Result<Option<BucketConfig>> {
    let Some(text) = args.content().load()? else {
        return Ok(None);
    };
    let lookup = |name: &str| std::env::var(name).ok();
    let config = objconfig::parse(&text, &lookup).context("object store configuration")?;
    Ok(Some(config))
}

/// Returns the bucket; `None` where no flag gives one.
///
/// # Errors
/// As [`config`], and files that it names and that cannot be used.
pub(super) fn open(
    args: &ObjstoreArgs,
    metrics: &Metrics,
) -> anyhow::Result<Option<Arc<dyn Bucket>>> {
    match config(args)? {
        Some(config) => Ok(Some(objstore::connect(&config, metrics)?)),
        None => Ok(None),
    }
}

/// Returns the bucket's configuration where there has to be one.
///
/// # Errors
/// As [`config`], and no configuration at all.
pub(super) fn required(args: &ObjstoreArgs) -> anyhow::Result<BucketConfig> {
    match config(args)? {
        Some(config) => Ok(config),
        None => bail!("give --objstore.config-file or --objstore.config"),
    }
}
