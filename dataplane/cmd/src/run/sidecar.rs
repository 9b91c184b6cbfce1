//! `hindsight sidecar`.

use runtime::service::Kit;

use super::bucket;
use crate::args::sidecar::SidecarArgs;

pub(super) async fn run(args: SidecarArgs, kit: Kit) -> anyhow::Result<()> {
    let config = args.config(kit.clock.now_ms())?;
    let Some((bucket, reload)) = bucket::open(&args.objstore, &kit.metrics)? else {
        tracing::info!("no object store is configured, blocks are not uploaded");
        sidecar::build(config, None, kit).await?.run().await?;
        return Ok(());
    };
    let sidecar = sidecar::build(config, Some(bucket), kit).await?;
    tokio::select! {
        ended = sidecar.run() => ended?,
        never = reload.run() => match never {},
    }
    Ok(())
}
