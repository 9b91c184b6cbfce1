//! The services beside Store: what a sidecar, ruler or querier implements for each.
//!
//! Requests and items are the wire's own messages: nobody computes on them, they are read from one
//! side and written to the other.

use std::pin::Pin;

use futures::Stream;
use tonic::async_trait;

use crate::error::StoreError;
use crate::proto::thanos as pb;

/// A value with what should be known about it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer<T> {
    pub value: T,
    pub warnings: Vec<String>,
}

impl<T> Answer<T> {
    /// Returns an answer without warnings.
    pub fn new(value: T) -> Self {
        Self {
            value,
            warnings: Vec::new(),
        }
    }
}

/// Lists rule groups with their state; external labels included.
#[async_trait]
pub trait RulesApi: Send + Sync {
    /// # Errors
    /// An invalid request or a failure of the source.
    async fn rules(
        &self,
        request: pb::RulesRequest,
    ) -> Result<Answer<Vec<pb::RuleGroup>>, StoreError>;
}

/// Lists scrape targets; external labels included.
#[async_trait]
pub trait TargetsApi: Send + Sync {
    /// # Errors
    /// An invalid request or a failure of the source.
    async fn targets(
        &self,
        request: pb::TargetsRequest,
    ) -> Result<Answer<pb::TargetDiscovery>, StoreError>;
}

/// Lists type, help and unit of metrics.
#[async_trait]
pub trait MetadataApi: Send + Sync {
    /// # Errors
    /// An invalid request or a failure of the source.
    async fn metric_metadata(
        &self,
        request: pb::MetricMetadataRequest,
    ) -> Result<Answer<pb::MetricMetadata>, StoreError>;
}

/// Lists exemplars of the series that a PromQL expression selects.
#[async_trait]
pub trait ExemplarsApi: Send + Sync {
    /// # Errors
    /// An invalid request or a failure of the source.
    async fn exemplars(
        &self,
        request: pb::ExemplarsRequest,
    ) -> Result<Answer<Vec<pb::ExemplarData>>, StoreError>;
}

/// Gives head statistics by tenant.
#[async_trait]
pub trait StatusApi: Send + Sync {
    /// # Errors
    /// An invalid request or a failure of the source.
    async fn tsdb_statistics(
        &self,
        request: pb::TsdbStatisticsRequest,
    ) -> Result<Answer<pb::TsdbStatistics>, StoreError>;
}

/// Frames of an instant query's result.
pub type QueryStream = Pin<Box<dyn Stream<Item = Result<pb::QueryResponse, StoreError>> + Send>>;

/// Frames of a range query's result.
pub type QueryRangeStream =
    Pin<Box<dyn Stream<Item = Result<pb::QueryRangeResponse, StoreError>> + Send>>;

/// Evaluates PromQL; the stats frame comes last.
#[async_trait]
pub trait QueryApi: Send + Sync {
    /// # Errors
    /// What is known to be wrong before the first frame.
    async fn query(&self, request: pb::QueryRequest) -> Result<QueryStream, StoreError>;

    /// # Errors
    /// What is known to be wrong before the first frame.
    async fn query_range(
        &self,
        request: pb::QueryRangeRequest,
    ) -> Result<QueryRangeStream, StoreError>;
}
