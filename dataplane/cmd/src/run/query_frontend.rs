//! `hindsight query-frontend`.

use frontend::Frontend;
use runtime::service::Kit;

use crate::args::process::drain_deadline;
use crate::args::query_frontend::QueryFrontendArgs;

pub(super) async fn run(args: QueryFrontendArgs, kit: Kit) -> anyhow::Result<()> {
    let config = args.config()?;
    let drain = drain_deadline(config.http.grace_period, config.http.grace_period);
    let frontend = Frontend::build(config, kit.clone()).await?;
    let mut group = kit.task_group();
    frontend.spawn(&mut group);
    kit.supervise(group, drain).await?;
    Ok(())
}
