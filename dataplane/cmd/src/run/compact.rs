//! `hindsight compact`.

use compact::Compactor;
use runtime::service::Kit;

use super::bucket;
use crate::args::compact::CompactArgs;
use crate::args::process::drain_deadline;

pub(super) async fn run(args: CompactArgs, kit: Kit) -> anyhow::Result<()> {
    let grace_period = args.http.config().grace_period;
    let config = args.config(kit.clock.now_ms())?;
    let bucket = objstore::connect(&bucket::required(&args.objstore)?, &kit.metrics)?;
    let compactor = Compactor::build(config, bucket, kit.clone()).await?;
    let mut group = kit.task_group();
    compactor.spawn(&mut group);
    kit.supervise(group, drain_deadline(grace_period, grace_period))
        .await?;
    Ok(())
}
