//! A store and the other services of a gRPC peer.

mod apis;
mod series;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tonic::async_trait;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;

use crate::error::{ErrorKind, StoreError};
use crate::proto::thanos::info::InfoRequest;
use crate::proto::thanos::info::info_client::InfoClient;
use crate::proto::thanos::store_client::StoreClient;
use crate::request::{LabelsRequest, SeriesRequest};
use crate::server::DEFAULT_TENANT_HEADER;
use crate::store::{LabelsAnswer, SeriesStore, SeriesStream, StoreInfo};

pub use apis::RemoteApis;

/// How a remote store is asked.
#[derive(Debug, Clone)]
pub struct RemoteConfig {
    /// Longest silence: before the first frame, and between frames while one is awaited.
    pub response_timeout: Option<Duration>,
    /// Longest wait for an Info answer.
    pub info_timeout: Duration,
    /// The metadata key that carries the tenant.
    pub tenant_header: String,
}

impl Default for RemoteConfig {
    fn default() -> Self {
        Self {
            response_timeout: None,
            info_timeout: Duration::from_secs(5),
            tenant_header: DEFAULT_TENANT_HEADER.to_owned(),
        }
    }
}

/// The Store service of a peer. What it says about itself is what the last
/// [`RemoteStore::refresh_info`] heard.
#[derive(Debug)]
pub struct RemoteStore {
    address: Arc<str>,
    channel: Channel,
    config: RemoteConfig,
    info: RwLock<Arc<StoreInfo>>,
}

impl RemoteStore {
    /// Returns the store at the other end of `channel`; `address` names it in errors.
    #[must_use]
    pub fn new(address: &str, channel: Channel, config: RemoteConfig) -> Self {
        Self {
            address: address.into(),
            channel,
            config,
            info: RwLock::new(Arc::new(StoreInfo::default())),
        }
    }

    /// Returns the name used in errors.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Asks the peer what it is and remembers the answer.
    ///
    /// # Errors
    /// The peer's error, or silence for the info timeout; what was known before stays.
    pub async fn refresh_info(&self) -> Result<Arc<StoreInfo>, StoreError> {
        let mut client = InfoClient::new(self.channel.clone())
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(runtime::grpc::MAX_MESSAGE_BYTES);
        let call = client.info(InfoRequest {});
        let response = within(Some(self.config.info_timeout), call)
            .await?
            .into_inner();
        let info = Arc::new(StoreInfo::from_proto(response));
        self.set_info(Arc::clone(&info));
        Ok(info)
    }

    /// Replaces what is known of the peer, for one whose Info cannot be asked.
    pub fn set_info(&self, info: Arc<StoreInfo>) {
        *self.info.write().unwrap_or_else(PoisonError::into_inner) = info;
    }

    /// Returns a client of the peer's other services.
    #[must_use]
    pub fn apis(&self) -> RemoteApis {
        RemoteApis::new(self.channel.clone())
    }

    fn client(&self) -> StoreClient<Channel> {
        StoreClient::new(self.channel.clone())
            .max_decoding_message_size(runtime::grpc::MAX_MESSAGE_BYTES)
    }

    fn request<T>(
        &self,
        message: T,
        tenant: Option<&str>,
    ) -> Result<tonic::Request<T>, StoreError> {
        let mut request = tonic::Request::new(message);
        if let Some(tenant) = tenant {
            let bad = |what| StoreError::invalid(format!("{what} is not allowed in gRPC metadata"));
            let key = self.config.tenant_header.to_ascii_lowercase();
            let key = tonic::metadata::AsciiMetadataKey::from_bytes(key.as_bytes())
                .map_err(|_| bad("tenant header name"))?;
            let value = tenant.parse().map_err(|_| bad("tenant"))?;
            request.metadata_mut().insert(key, value);
        }
        Ok(request)
    }
}

/// Waits for a call, at most for `timeout`.
async fn within<T>(
    timeout: Option<Duration>,
    call: impl Future<Output = Result<T, tonic::Status>>,
) -> Result<T, StoreError> {
    let answer = match timeout {
        None => call.await,
        Some(after) => tokio::time::timeout(after, call)
            .await
            .map_err(|_| StoreError::Silent { after })?,
    };
    answer.map_err(StoreError::from)
}

#[async_trait]
impl SeriesStore for RemoteStore {
    fn info(&self) -> Arc<StoreInfo> {
        Arc::clone(&self.info.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn series(&self, request: Arc<SeriesRequest>) -> Result<SeriesStream, StoreError> {
        let info = self.info();
        let message = self.request(request.to_proto(), request.tenant.as_deref())?;
        let mut client = self.client();
        let response = within(self.config.response_timeout, client.series(message)).await?;
        let stream = series::RemoteSeries::new(response.into_inner(), self.config.response_timeout);
        series::adapted(stream, &info, &request).await
    }

    async fn label_names(&self, request: Arc<LabelsRequest>) -> Result<LabelsAnswer, StoreError> {
        let message = self.request(request.to_names_proto(), request.tenant.as_deref())?;
        let mut client = self.client();
        let call = client.label_names(message);
        let response = within(self.config.response_timeout, call)
            .await?
            .into_inner();
        let mut values = response.names;
        if !self.info().supports_without_replica_labels {
            values.retain(|name| !request.without_replica_labels.contains(name));
        }
        Ok(LabelsAnswer {
            values,
            warnings: response.warnings,
            hints: response.hints,
        })
    }

    async fn label_values(
        &self,
        label: &str,
        request: Arc<LabelsRequest>,
    ) -> Result<LabelsAnswer, StoreError> {
        if label.is_empty() {
            return Err(StoreError::new(
                ErrorKind::Invalid,
                "label name parameter cannot be empty",
            ));
        }
        if request
            .without_replica_labels
            .iter()
            .any(|name| name == label)
        {
            return Ok(LabelsAnswer::default());
        }
        let message = self.request(request.to_values_proto(label), request.tenant.as_deref())?;
        let mut client = self.client();
        let call = client.label_values(message);
        let response = within(self.config.response_timeout, call)
            .await?
            .into_inner();
        Ok(LabelsAnswer {
            values: response.values,
            warnings: response.warnings,
            hints: response.hints,
        })
    }
}

#[cfg(test)]
mod tests;
