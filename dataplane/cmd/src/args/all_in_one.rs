//! Flags of `hindsight all-in-one`: those of a querier and of a store gateway.

use clap::Args;

use super::process::{GrpcArgs, HttpArgs, LogArgs, SeriesLimitArgs};
use super::query::QuerySettings;
use super::store::StoreSettings;

/// A querier and a store gateway in one process, with one pair of ports.
#[derive(Debug, Clone, Args)]
pub struct AllInOneArgs {
    #[command(flatten)]
    pub log: LogArgs,
    #[command(flatten)]
    pub http: HttpArgs,
    #[command(flatten)]
    pub grpc: GrpcArgs,
    #[command(flatten)]
    pub limits: SeriesLimitArgs,
    #[command(flatten)]
    pub query: QuerySettings,
    #[command(flatten)]
    pub store: StoreSettings,
}
