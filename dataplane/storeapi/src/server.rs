//! gRPC services over the traits: decode, call, encode, nothing else.

mod apis;
mod batch;
mod health;
mod store;

use std::sync::Arc;

use model::TimeRange;
use runtime::probe::Probe;
use tonic::codec::CompressionEncoding;
use tonic::service::{Routes, RoutesBuilder};

use crate::apis::{ExemplarsApi, MetadataApi, QueryApi, RulesApi, StatusApi, TargetsApi};
use crate::proto::DESCRIPTOR_SET;
use crate::proto::thanos as pb;
use crate::proto::thanos::info::info_server::{Info, InfoServer};
use crate::proto::thanos::info::{InfoRequest, InfoResponse};
use crate::store::{Apis, SeriesStore, StoreInfo};

/// Largest request that is read; requests hold matchers and names, not data.
const MAX_REQUEST_BYTES: usize = 16 << 20;

/// The header that carries a tenant, unless configured.
pub const DEFAULT_TENANT_HEADER: &str = "thanos-tenant";

/// Full paths of the methods here that answer a stream, for the metrics of a gRPC server.
pub const STREAMING_METHODS: &[&str] = &[
    "/thanos.Store/Series",
    "/thanos.Rules/Rules",
    "/thanos.Targets/Targets",
    "/thanos.Metadata/MetricMetadata",
    "/thanos.Exemplars/Exemplars",
    "/thanos.Query/Query",
    "/thanos.Query/QueryRange",
    "/thanos.Status/TSDBStatistics",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// The services a component offers; Info names exactly those that are set.
#[derive(Clone, Default)]
pub struct Services {
    pub store: Option<Arc<dyn SeriesStore>>,
    pub rules: Option<Arc<dyn RulesApi>>,
    pub targets: Option<Arc<dyn TargetsApi>>,
    pub metadata: Option<Arc<dyn MetadataApi>>,
    pub exemplars: Option<Arc<dyn ExemplarsApi>>,
    pub query: Option<Arc<dyn QueryApi>>,
    pub status: Option<Arc<dyn StatusApi>>,
    /// What Info says where there is no store.
    pub info: StoreInfo,
    /// The metadata key of the tenant; [`DEFAULT_TENANT_HEADER`] where `None`.
    pub tenant_header: Option<String>,
}

impl Services {
    /// Returns what Info answers now.
    #[must_use]
    pub fn current_info(&self) -> StoreInfo {
        let base = self
            .store
            .as_ref()
            .map_or_else(|| self.info.clone(), |s| (*s.info()).clone());
        let apis = Apis {
            store: self.store.is_some(),
            rules: self.rules.is_some(),
            metadata: self.metadata.is_some(),
            targets: self.targets.is_some(),
            exemplars: self
                .exemplars
                .is_some()
                .then(|| base.range.unwrap_or(TimeRange::ALL)),
            query: self.query.is_some(),
            status: self.status.is_some(),
        };
        StoreInfo { apis, ..base }
    }

    /// Returns the routes of all services, with Info, health (following `probe`) and reflection.
    #[must_use]
    pub fn into_routes(self, probe: &Probe) -> Routes {
        /// Every service takes the same limits and encodings.
        macro_rules! add {
            ($routes:ident, $server:expr) => {
                $routes.add_service(
                    $server
                        .max_decoding_message_size(MAX_REQUEST_BYTES)
                        .max_encoding_message_size(runtime::grpc::MAX_MESSAGE_BYTES)
                        .accept_compressed(CompressionEncoding::Gzip)
                        .accept_compressed(CompressionEncoding::Zstd),
                )
            };
        }
        let mut routes: RoutesBuilder = Routes::builder();
        if let Some(store) = &self.store {
            let tenant_header = self
                .tenant_header
                .as_deref()
                .unwrap_or(DEFAULT_TENANT_HEADER)
                .to_ascii_lowercase();
            let service = store::StoreService {
                store: Arc::clone(store),
                tenant_header,
            };
            add!(routes, pb::store_server::StoreServer::new(service));
        }
        if let Some(rules) = &self.rules {
            let service = apis::RulesService(Arc::clone(rules));
            add!(routes, pb::rules_server::RulesServer::new(service));
        }
        if let Some(targets) = &self.targets {
            let service = apis::TargetsService(Arc::clone(targets));
            add!(routes, pb::targets_server::TargetsServer::new(service));
        }
        if let Some(metadata) = &self.metadata {
            let service = apis::MetadataService(Arc::clone(metadata));
            add!(routes, pb::metadata_server::MetadataServer::new(service));
        }
        if let Some(exemplars) = &self.exemplars {
            let service = apis::ExemplarsService(Arc::clone(exemplars));
            add!(routes, pb::exemplars_server::ExemplarsServer::new(service));
        }
        if let Some(query) = &self.query {
            let service = apis::QueryService(Arc::clone(query));
            add!(routes, pb::query_server::QueryServer::new(service));
        }
        if let Some(status) = &self.status {
            let service = apis::StatusService(Arc::clone(status));
            add!(routes, pb::status_server::StatusServer::new(service));
        }
        routes.add_service(health::server(probe.clone()));
        add_reflection(&mut routes);
        add!(routes, InfoServer::new(InfoService(self)));
        routes.routes()
    }
}

/// Both versions: grpcurl asks for v1 since 1.9, older tools for v1alpha only.
fn add_reflection(routes: &mut RoutesBuilder) {
    let configure = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    match (configure().build_v1(), configure().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => {
            routes.add_service(v1).add_service(v1alpha);
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "reflection is off: descriptor set is unreadable");
        }
    }
}

struct InfoService(Services);

#[tonic::async_trait]
impl Info for InfoService {
    async fn info(
        &self,
        _: tonic::Request<InfoRequest>,
    ) -> Result<tonic::Response<InfoResponse>, tonic::Status> {
        Ok(tonic::Response::new(self.0.current_info().to_proto()))
    }
}
