//! `hindsight sidecar`.

use runtime::service::Kit;

use super::bucket;
use crate::args::sidecar::SidecarArgs;

pub(super) async fn run(args: SidecarArgs, kit: Kit) -> anyhow::Result<()> {
    let config = args.config(kit.clock.now_ms())?;
    let bucket = bucket::open(&args.objstore, &kit.metrics)?;
    if bucket.is_none() {
        tracing::info!("no object store is configured, blocks are not uploaded");
    }
    sidecar::build(config, bucket, kit).await?.run().await?;
    Ok(())
}
