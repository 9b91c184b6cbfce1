//! The Store service over a [`SeriesStore`].

use std::sync::Arc;

use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::batch::Batches;
use crate::proto::thanos as pb;
use crate::proto::thanos::store_server::Store;
use crate::request::{LabelsRequest, SeriesRequest};
use crate::store::SeriesStore;

pub(super) struct StoreService {
    pub(super) store: Arc<dyn SeriesStore>,
    /// In lower case, as metadata keys are.
    pub(super) tenant_header: String,
}

impl StoreService {
    fn tenant(&self, metadata: &MetadataMap) -> Option<String> {
        metadata
            .get(&self.tenant_header)?
            .to_str()
            .ok()
            .map(str::to_owned)
    }
}

#[tonic::async_trait]
impl Store for StoreService {
    type SeriesStream = Batches;

    async fn series(
        &self,
        request: Request<pb::SeriesRequest>,
    ) -> Result<Response<Batches>, Status> {
        let tenant = self.tenant(request.metadata());
        let mut typed = SeriesRequest::try_from_proto(request.into_inner())?;
        typed.tenant = tenant;
        let batch_size = typed.batch_size;
        let stream = self.store.series(Arc::new(typed)).await?;
        Ok(Response::new(Batches::new(stream, batch_size)))
    }

    async fn label_names(
        &self,
        request: Request<pb::LabelNamesRequest>,
    ) -> Result<Response<pb::LabelNamesResponse>, Status> {
        let tenant = self.tenant(request.metadata());
        let mut typed = LabelsRequest::try_from_names_proto(request.into_inner())?;
        typed.tenant = tenant;
        let answer = self.store.label_names(Arc::new(typed)).await?;
        Ok(Response::new(pb::LabelNamesResponse {
            names: answer.values,
            warnings: answer.warnings,
            hints: answer.hints,
        }))
    }

    async fn label_values(
        &self,
        request: Request<pb::LabelValuesRequest>,
    ) -> Result<Response<pb::LabelValuesResponse>, Status> {
        let tenant = self.tenant(request.metadata());
        let (label, mut typed) = LabelsRequest::try_from_values_proto(request.into_inner())?;
        typed.tenant = tenant;
        let answer = self.store.label_values(&label, Arc::new(typed)).await?;
        Ok(Response::new(pb::LabelValuesResponse {
            values: answer.values,
            warnings: answer.warnings,
            hints: answer.hints,
        }))
    }
}
