//! `hindsight query`.

use std::collections::BTreeMap;

use anyhow::Context;
use query::{Parts, Querier};
use runtime::service::Kit;

use crate::args::process::drain_deadline;
use crate::args::query::QueryArgs;

pub(super) async fn run(
    args: QueryArgs,
    flags: BTreeMap<String, String>,
    kit: Kit,
) -> anyhow::Result<()> {
    let http = args.http.config();
    let grpc = args.grpc.config().context("--grpc-server-tls-*")?;
    let drain = drain_deadline(http.grace_period, grpc.grace_period);
    let config = args.settings.config(http, grpc, &args.limits, flags)?;
    let querier = Querier::build(config, Parts::default(), kit.clone()).await?;
    let mut group = kit.task_group();
    querier.spawn(&mut group);
    kit.supervise(group, drain).await?;
    Ok(())
}
