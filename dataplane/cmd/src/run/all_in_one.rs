//! `hindsight all-in-one`: the querier asks the store within the process, so that between them nothing
//! is encoded.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use query::{Parts, Querier};
use runtime::service::Kit;

use super::bucket;
use crate::args::all_in_one::AllInOneArgs;
use crate::args::process::drain_deadline;

/// What the store is called in lists and errors.
const LOCAL_STORE: &str = "local-store";

pub(super) async fn run(
    args: AllInOneArgs,
    flags: BTreeMap<String, String>,
    kit: Kit,
) -> anyhow::Result<()> {
    let http = args.http.config();
    let grpc = args.grpc.config().context("--grpc-server-tls-*")?;
    let drain = drain_deadline(http.grace_period, grpc.grace_period);
    let config = args
        .query
        .config(http.clone(), grpc.clone(), &args.limits, flags)?;
    let gateway = args
        .store
        .config(http, grpc, &args.limits, kit.clock.now_ms())?;
    let (bucket, reload) = bucket::open_required(&args.store.objstore, &kit.metrics)?;
    let (store, syncer) = store::component::open(bucket, gateway.read, gateway.sync, &kit)?;
    let parts = Parts {
        local: vec![(LOCAL_STORE.to_owned(), Arc::clone(&store) as _)],
        routes: store::http::routes(store, &gateway.web_label),
        component: Some("all-in-one"),
        // Ready with the store's first listing: the querier itself knows its only endpoint at once.
        ready: query::Readiness::Elsewhere,
        ..Parts::default()
    };
    let querier = Querier::build(config, parts, kit.clone()).await?;
    let mut group = kit.task_group();
    group.spawn(
        "objstore-config",
        bucket::follow(reload, kit.shutdown.clone()),
    );
    group.spawn("sync", syncer.run(kit.shutdown.clone()));
    querier.spawn(&mut group);
    kit.supervise(group, drain).await?;
    Ok(())
}
