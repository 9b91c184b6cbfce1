//! The trait every source of series implements, and what it says about itself.

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use model::{Labels, TimeRange};
use prost_types::Any;
use tonic::async_trait;

use crate::error::StoreError;
use crate::request::{LabelsRequest, SeriesRequest};
use crate::series::Series;

/// One item of a series stream.
#[derive(Debug, Clone, PartialEq)]
pub enum SeriesFrame {
    /// A series, or a further part of the one before.
    Series(Series),
    /// Something the person who asked should know.
    Warning(String),
    /// Packed response hints.
    Hints(Any),
}

/// A stream of frames in label order. Dropping it cancels the work behind it.
pub type SeriesStream = Pin<Box<dyn Stream<Item = Result<SeriesFrame, StoreError>> + Send>>;

/// Names or values, sorted and without duplicates, with what should be known about them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LabelsAnswer {
    pub values: Vec<String>,
    pub warnings: Vec<String>,
    pub hints: Option<Any>,
}

/// A source of series: a Prometheus, a bucket, another querier, or a proxy over many.
///
/// What every implementation owes, and [`crate::testsuite`] checks:
/// - Series come in label order *after* the removal of `without_replica_labels`. One series may be
///   split over consecutive frames; once another label set is sent, the old one does not return.
/// - External labels are attached and override labels of the same name. Matchers on external labels
///   are evaluated against them and stripped; if no matcher remains, the call fails with
///   [`StoreError::NoMatchers`]; if one does not match, the answer is empty.
/// - `skip_chunks` gives labels only; `limit` caps the number of series.
/// - A label in `without_replica_labels` has no values and is absent from the names.
/// - Label answers are sorted and unique.
#[async_trait]
pub trait SeriesStore: Send + Sync {
    /// Returns what the store says about itself now; cheap, asked for on every request.
    fn info(&self) -> Arc<StoreInfo>;

    /// Streams the series that match.
    ///
    /// # Errors
    /// What is known to be wrong before the first frame; later failures end the stream.
    ///
    /// # Cancel safety
    /// Dropping the future or the stream abandons the request.
    async fn series(&self, request: Arc<SeriesRequest>) -> Result<SeriesStream, StoreError>;

    /// Returns the label names of the series that match.
    ///
    /// # Errors
    /// A request that cannot be answered, or a failure of the source.
    async fn label_names(&self, request: Arc<LabelsRequest>) -> Result<LabelsAnswer, StoreError>;

    /// Returns the values of `label` among the series that match.
    ///
    /// # Errors
    /// As [`SeriesStore::label_names`], and an empty `label`.
    async fn label_values(
        &self,
        label: &str,
        request: Arc<LabelsRequest>,
    ) -> Result<LabelsAnswer, StoreError>;
}

/// The kind of component behind a store, as Info names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Component {
    Query,
    Rule,
    Sidecar,
    Store,
    Receive,
    ParquetGateway,
    Debug,
    #[default]
    Unknown,
}

impl Component {
    const NAMES: [(Self, &'static str); 8] = [
        (Self::Query, "query"),
        (Self::Rule, "rule"),
        (Self::Sidecar, "sidecar"),
        (Self::Store, "store"),
        (Self::Receive, "receive"),
        (Self::ParquetGateway, "parquet-gateway"),
        (Self::Debug, "debug"),
        (Self::Unknown, "unknown-store-api"),
    ];

    /// Returns the name that travels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(c, _)| *c == self)
            .map_or("unknown-store-api", |(_, n)| n)
    }

    /// Returns the component of a name; a name that is not known gives [`Component::Unknown`].
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        Self::NAMES
            .iter()
            .find(|(_, n)| *n == name)
            .map_or(Self::Unknown, |(c, _)| *c)
    }
}

/// What one store says about itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StoreInfo {
    pub component: Component,
    /// The external label sets of all its data; none means that it may hold anything.
    pub label_sets: Vec<Labels>,
    /// The time its data covers; `None` where nothing is known or nothing is there yet.
    pub range: Option<TimeRange>,
    /// Drops series that are not of the request's shard by itself.
    pub supports_sharding: bool,
    /// Strips `without_replica_labels` and sorts by itself.
    pub supports_without_replica_labels: bool,
    /// Finer than `label_sets` and `range`: one entry a stream of blocks.
    pub tsdb_infos: Vec<TsdbInfo>,
    /// The other services the peer offers.
    pub apis: Apis,
}

/// One TSDB or stream of blocks behind a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TsdbInfo {
    pub labels: Labels,
    pub range: TimeRange,
}

/// Which services a peer offers beside Info.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Apis {
    pub store: bool,
    pub rules: bool,
    pub metadata: bool,
    pub targets: bool,
    /// With the time range the exemplars cover.
    pub exemplars: Option<TimeRange>,
    pub query: bool,
    pub status: bool,
}
