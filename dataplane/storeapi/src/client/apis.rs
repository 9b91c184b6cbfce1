//! The services beside Store of a peer.

use futures::{StreamExt, TryStreamExt};
use tonic::async_trait;
use tonic::codec::Streaming;
use tonic::transport::Channel;

use crate::apis::{
    Answer, ExemplarsApi, MetadataApi, QueryApi, QueryRangeStream, QueryStream, RulesApi,
    StatusApi, TargetsApi,
};
use crate::error::StoreError;
use crate::proto::thanos as pb;

/// Every service beside Store of one peer; ask its Info which of them it offers.
#[derive(Debug, Clone)]
pub struct RemoteApis(Channel);

impl RemoteApis {
    /// Returns the services at the other end of `channel`.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self(channel)
    }
}

/// One frame taken apart.
enum Part<T> {
    Item(T),
    Warning(String),
    Nothing,
}

/// Reads a stream to its end and folds its items into `into`.
async fn gather<F, T, A: Default>(
    frames: Streaming<F>,
    part: impl Fn(F) -> Part<T>,
    mut into: impl FnMut(&mut A, T),
) -> Result<Answer<A>, StoreError> {
    let mut answer = Answer::new(A::default());
    let mut frames = frames;
    while let Some(frame) = frames.message().await? {
        match part(frame) {
            Part::Item(item) => into(&mut answer.value, item),
            Part::Warning(text) => answer.warnings.push(text),
            Part::Nothing => {}
        }
    }
    Ok(answer)
}

macro_rules! client {
    ($self:ident, $module:ident, $client:ident) => {
        pb::$module::$client::new($self.0.clone())
            .max_decoding_message_size(runtime::grpc::MAX_MESSAGE_BYTES)
    };
}

#[async_trait]
impl RulesApi for RemoteApis {
    async fn rules(
        &self,
        request: pb::RulesRequest,
    ) -> Result<Answer<Vec<pb::RuleGroup>>, StoreError> {
        use pb::rules_response::Result as Frame;
        let frames = client!(self, rules_client, RulesClient)
            .rules(request)
            .await?
            .into_inner();
        let part = |frame: pb::RulesResponse| match frame.result {
            Some(Frame::Group(group)) => Part::Item(group),
            Some(Frame::Warning(text)) => Part::Warning(text),
            None => Part::Nothing,
        };
        gather(frames, part, Vec::push).await
    }
}

#[async_trait]
impl TargetsApi for RemoteApis {
    async fn targets(
        &self,
        request: pb::TargetsRequest,
    ) -> Result<Answer<pb::TargetDiscovery>, StoreError> {
        use pb::targets_response::Result as Frame;
        let mut client = client!(self, targets_client, TargetsClient);
        let frames = client.targets(request).await?.into_inner();
        let part = |frame: pb::TargetsResponse| match frame.result {
            Some(Frame::Targets(targets)) => Part::Item(targets),
            Some(Frame::Warning(text)) => Part::Warning(text),
            None => Part::Nothing,
        };
        gather(frames, part, |all: &mut pb::TargetDiscovery, targets| {
            all.active_targets.extend(targets.active_targets);
            all.dropped_targets.extend(targets.dropped_targets);
        })
        .await
    }
}

#[async_trait]
impl MetadataApi for RemoteApis {
    async fn metric_metadata(
        &self,
        request: pb::MetricMetadataRequest,
    ) -> Result<Answer<pb::MetricMetadata>, StoreError> {
        use pb::metric_metadata_response::Result as Frame;
        let mut client = client!(self, metadata_client, MetadataClient);
        let frames = client.metric_metadata(request).await?.into_inner();
        let part = |frame: pb::MetricMetadataResponse| match frame.result {
            Some(Frame::Metadata(metadata)) => Part::Item(metadata),
            Some(Frame::Warning(text)) => Part::Warning(text),
            None => Part::Nothing,
        };
        gather(frames, part, |all: &mut pb::MetricMetadata, metadata| {
            for (metric, entry) in metadata.metadata {
                all.metadata
                    .entry(metric)
                    .or_default()
                    .metas
                    .extend(entry.metas);
            }
        })
        .await
    }
}

#[async_trait]
impl ExemplarsApi for RemoteApis {
    async fn exemplars(
        &self,
        request: pb::ExemplarsRequest,
    ) -> Result<Answer<Vec<pb::ExemplarData>>, StoreError> {
        use pb::exemplars_response::Result as Frame;
        let mut client = client!(self, exemplars_client, ExemplarsClient);
        let frames = client.exemplars(request).await?.into_inner();
        let part = |frame: pb::ExemplarsResponse| match frame.result {
            Some(Frame::Data(data)) => Part::Item(data),
            Some(Frame::Warning(text)) => Part::Warning(text),
            None => Part::Nothing,
        };
        gather(frames, part, Vec::push).await
    }
}

#[async_trait]
impl StatusApi for RemoteApis {
    async fn tsdb_statistics(
        &self,
        request: pb::TsdbStatisticsRequest,
    ) -> Result<Answer<pb::TsdbStatistics>, StoreError> {
        use pb::tsdb_statistics_response::Result as Frame;
        let mut client = client!(self, status_client, StatusClient);
        let frames = client.tsdb_statistics(request).await?.into_inner();
        let part = |frame: pb::TsdbStatisticsResponse| match frame.result {
            Some(Frame::Statistics(statistics)) => Part::Item(statistics),
            Some(Frame::Warning(text)) => Part::Warning(text),
            None => Part::Nothing,
        };
        gather(frames, part, |all: &mut pb::TsdbStatistics, statistics| {
            all.statistics.extend(statistics.statistics);
        })
        .await
    }
}

#[async_trait]
impl QueryApi for RemoteApis {
    async fn query(&self, request: pb::QueryRequest) -> Result<QueryStream, StoreError> {
        let frames = client!(self, query_client, QueryClient)
            .query(request)
            .await?
            .into_inner();
        Ok(frames.map_err(StoreError::from).boxed())
    }

    async fn query_range(
        &self,
        request: pb::QueryRangeRequest,
    ) -> Result<QueryRangeStream, StoreError> {
        let mut client = client!(self, query_client, QueryClient);
        let frames = client.query_range(request).await?.into_inner();
        Ok(frames.map_err(StoreError::from).boxed())
    }
}
