//! The services beside Store, over their traits: items first, then warnings, one frame each.

use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tonic::{Request, Response, Status};

use crate::apis::{Answer, ExemplarsApi, MetadataApi, QueryApi, RulesApi, StatusApi, TargetsApi};
use crate::proto::thanos as pb;

type Frames<T> = BoxStream<'static, Result<T, Status>>;

/// Returns the stream of an answer's items and warnings.
fn frames<T, R: Send + 'static>(
    answer: Answer<Vec<T>>,
    item: impl Fn(T) -> R,
    warning: impl Fn(String) -> R,
) -> Response<Frames<R>> {
    let items = answer.value.into_iter().map(item);
    let frames: Vec<_> = items
        .chain(answer.warnings.into_iter().map(warning))
        .map(Ok)
        .collect();
    Response::new(futures::stream::iter(frames).boxed())
}

fn one<T>(answer: Answer<T>) -> Answer<Vec<T>> {
    Answer {
        value: vec![answer.value],
        warnings: answer.warnings,
    }
}

pub(super) struct RulesService(pub(super) Arc<dyn RulesApi>);

#[tonic::async_trait]
impl pb::rules_server::Rules for RulesService {
    type RulesStream = Frames<pb::RulesResponse>;

    async fn rules(
        &self,
        request: Request<pb::RulesRequest>,
    ) -> Result<Response<Self::RulesStream>, Status> {
        use pb::rules_response::Result as Item;
        let answer = self.0.rules(request.into_inner()).await?;
        let frame = |result| pb::RulesResponse {
            result: Some(result),
        };
        Ok(frames(
            answer,
            |g| frame(Item::Group(g)),
            |w| frame(Item::Warning(w)),
        ))
    }
}

pub(super) struct TargetsService(pub(super) Arc<dyn TargetsApi>);

#[tonic::async_trait]
impl pb::targets_server::Targets for TargetsService {
    type TargetsStream = Frames<pb::TargetsResponse>;

    async fn targets(
        &self,
        request: Request<pb::TargetsRequest>,
    ) -> Result<Response<Self::TargetsStream>, Status> {
        use pb::targets_response::Result as Item;
        let answer = self.0.targets(request.into_inner()).await?;
        let frame = |result| pb::TargetsResponse {
            result: Some(result),
        };
        Ok(frames(
            one(answer),
            |t| frame(Item::Targets(t)),
            |w| frame(Item::Warning(w)),
        ))
    }
}

pub(super) struct MetadataService(pub(super) Arc<dyn MetadataApi>);

#[tonic::async_trait]
impl pb::metadata_server::Metadata for MetadataService {
    type MetricMetadataStream = Frames<pb::MetricMetadataResponse>;

    async fn metric_metadata(
        &self,
        request: Request<pb::MetricMetadataRequest>,
    ) -> Result<Response<Self::MetricMetadataStream>, Status> {
        use pb::metric_metadata_response::Result as Item;
        let answer = self.0.metric_metadata(request.into_inner()).await?;
        let frame = |result| pb::MetricMetadataResponse {
            result: Some(result),
        };
        Ok(frames(
            one(answer),
            |m| frame(Item::Metadata(m)),
            |w| frame(Item::Warning(w)),
        ))
    }
}

pub(super) struct ExemplarsService(pub(super) Arc<dyn ExemplarsApi>);

#[tonic::async_trait]
impl pb::exemplars_server::Exemplars for ExemplarsService {
    type ExemplarsStream = Frames<pb::ExemplarsResponse>;

    async fn exemplars(
        &self,
        request: Request<pb::ExemplarsRequest>,
    ) -> Result<Response<Self::ExemplarsStream>, Status> {
        use pb::exemplars_response::Result as Item;
        let answer = self.0.exemplars(request.into_inner()).await?;
        let frame = |result| pb::ExemplarsResponse {
            result: Some(result),
        };
        Ok(frames(
            answer,
            |d| frame(Item::Data(d)),
            |w| frame(Item::Warning(w)),
        ))
    }
}

pub(super) struct StatusService(pub(super) Arc<dyn StatusApi>);

#[tonic::async_trait]
impl pb::status_server::Status for StatusService {
    type TSDBStatisticsStream = Frames<pb::TsdbStatisticsResponse>;

    async fn tsdb_statistics(
        &self,
        request: Request<pb::TsdbStatisticsRequest>,
    ) -> Result<Response<Self::TSDBStatisticsStream>, Status> {
        use pb::tsdb_statistics_response::Result as Item;
        let answer = self.0.tsdb_statistics(request.into_inner()).await?;
        let frame = |result| pb::TsdbStatisticsResponse {
            result: Some(result),
        };
        Ok(frames(
            one(answer),
            |s| frame(Item::Statistics(s)),
            |w| frame(Item::Warning(w)),
        ))
    }
}

pub(super) struct QueryService(pub(super) Arc<dyn QueryApi>);

#[tonic::async_trait]
impl pb::query_server::Query for QueryService {
    type QueryStream = Frames<pb::QueryResponse>;

    async fn query(
        &self,
        request: Request<pb::QueryRequest>,
    ) -> Result<Response<Self::QueryStream>, Status> {
        let stream = self.0.query(request.into_inner()).await?;
        Ok(Response::new(stream.map_err(Status::from).boxed()))
    }

    type QueryRangeStream = Frames<pb::QueryRangeResponse>;

    async fn query_range(
        &self,
        request: Request<pb::QueryRangeRequest>,
    ) -> Result<Response<Self::QueryRangeStream>, Status> {
        let stream = self.0.query_range(request.into_inner()).await?;
        Ok(Response::new(stream.map_err(Status::from).boxed()))
    }
}
