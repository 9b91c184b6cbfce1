//! The wire between components: what a store is, how its series travel, and how the streams of many
//! stores become one.
//!
//! Modules in reading order:
//! - [`store`]: the trait [`SeriesStore`] and what a store says about itself ([`info`] puts it on the
//!   wire); [`apis`]: the traits of the services beside Store;
//! - [`request`], [`series`], [`error`]: what goes in, what comes out, what goes wrong;
//! - [`proto`]: the generated messages; [`wire`]: the hand-written codec of the series stream;
//! - [`server`], [`client`]: the traits over gRPC, both ways; [`shard`]: which series a shard holds;
//! - [`proxy`]: one store over many, on top of [`merge`] and with [`coverage`]: who sent what;
//! - [`dedup`]: replicas into one stream of decoded samples;
//! - [`testsuite`]: what every store owes, as tests, and a store in memory.
//!
//! Invariants: a series stream is in label order and never returns to a label set it has left; chunk
//! data is never copied between the socket and the decoder; a failure is an error or a warning that
//! names the store, never a silent gap.
//!
//! It deliberately knows neither blocks nor buckets nor PromQL; only [`dedup`] decodes samples.

pub mod apis;
pub mod client;
pub mod coverage;
pub mod dedup;
pub mod error;
pub mod info;
pub mod merge;
pub mod proto;
pub mod proxy;
pub mod request;
pub mod series;
pub mod server;
pub mod shard;
pub mod store;
pub mod testsuite;
pub mod wire;

pub use apis::{
    Answer, ExemplarsApi, MetadataApi, QueryApi, QueryRangeStream, QueryStream, RulesApi,
    StatusApi, TargetsApi,
};
pub use client::{RemoteApis, RemoteConfig, RemoteStore};
pub use coverage::{Coverage, CoverageRecorder, StoreCoverage};
pub use error::{ErrorKind, StoreError};
pub use proxy::{Endpoint, Endpoints, Proxy, ProxyConfig, Selection, against_external_labels};
pub use request::{LabelsRequest, PartialResponse, SeriesRequest};
pub use series::{Aggregate, Aggregates, Chunk, Payload, Series};
pub use server::Services;
pub use store::{
    Apis, Component, LabelsAnswer, SeriesFrame, SeriesStore, SeriesStream, StoreInfo, TsdbInfo,
};
/// For implementations of the traits here.
pub use tonic::async_trait;

/// Series a wire frame that our own clients ask for.
pub const DEFAULT_BATCH_SIZE: usize = 64;
