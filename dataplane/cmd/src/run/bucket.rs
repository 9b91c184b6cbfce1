//! The bucket that the flags describe.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::{Context, bail};
use objconfig::BucketConfig;
use objstore::{Bucket, Reload};
use runtime::metrics::Metrics;
use runtime::shutdown::Shutdown;

use crate::args::process::ObjstoreArgs;

const MISSING: &str = "give --objstore.config-file or --objstore.config";

/// Returns the bucket's configuration; `None` where no flag gives one.
///
/// # Errors
/// Configuration that cannot be read or understood.
pub(super) fn config(args: &ObjstoreArgs) -> anyhow::Result<Option<BucketConfig>> {
    let Some(text) = args.content().load()? else {
        return Ok(None);
    };
    Ok(Some(parse(&text)?))
}

pub(super) fn parse(text: &str) -> anyhow::Result<BucketConfig> {
    let lookup = |name: &str| std::env::var(name).ok();
    objconfig::parse(text, &lookup).context("object store configuration")
}

/// Returns the bucket and what follows its configuration; `None` where no flag gives one.
///
/// # Errors
/// As [`config`], and files that it names and that cannot be used.
pub(super) fn open(
    args: &ObjstoreArgs,
    metrics: &Metrics,
) -> anyhow::Result<Option<(Arc<dyn Bucket>, Reload)>> {
    let content = args.content();
    if content.load()?.is_none() {
        return Ok(None);
    }
    let load = move || {
        let text = content.load()?.unwrap_or_default();
        Ok(parse(&text)?)
    };
    let opened = objstore::connect_reloading(args.config_file.clone(), Box::new(load), metrics);
    Ok(Some(opened?))
}

/// Returns the bucket and what follows its configuration, where there has to be one.
///
/// # Errors
/// As [`open`], and no configuration at all.
pub(super) fn open_required(
    args: &ObjstoreArgs,
    metrics: &Metrics,
) -> anyhow::Result<(Arc<dyn Bucket>, Reload)> {
    open(args, metrics)?.context(MISSING)
}

/// Follows the configuration until shutdown.
pub(super) async fn follow(reload: Reload, shutdown: Shutdown) -> Result<(), Infallible> {
    tokio::select! {
        () = shutdown.begun() => Ok(()),
        never = reload.run() => match never {},
    }
}

/// Returns the bucket's configuration where there has to be one.
///
/// # Errors
/// As [`config`], and no configuration at all.
pub(super) fn required(args: &ObjstoreArgs) -> anyhow::Result<BucketConfig> {
    match config(args)? {
        Some(config) => Ok(config),
        None => bail!(MISSING),
    }
}
