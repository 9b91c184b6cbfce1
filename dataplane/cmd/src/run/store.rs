//! `hindsight store`.

use anyhow::Context;
use runtime::service::Kit;
use store::Gateway;

use super::bucket;
use crate::args::process::drain_deadline;
use crate::args::store::StoreArgs;

pub(super) async fn run(args: StoreArgs, kit: Kit) -> anyhow::Result<()> {
    let http = args.http.config();
    let grpc = args.grpc.config().context("--grpc-server-tls-*")?;
    let drain = drain_deadline(http.grace_period, grpc.grace_period);
    let config = args
        .settings
        .config(http, grpc, &args.limits, kit.clock.now_ms())?;
    let (bucket, reload) = bucket::open_required(&args.settings.objstore, &kit.metrics)?;
    let gateway = Gateway::build(config, bucket, kit.clone()).await?;
    let mut group = kit.task_group();
    group.spawn(
        "objstore-config",
        bucket::follow(reload, kit.shutdown.clone()),
    );
    gateway.spawn(&mut group);
    kit.supervise(group, drain).await?;
    Ok(())
}
