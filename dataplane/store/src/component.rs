//! A store gateway as a component: bound, built, run.

use std::net::SocketAddr;
use std::sync::Arc;

use objstore::Bucket;
use runtime::grpc::GrpcServer;
use runtime::http::HttpServer;
use runtime::listener::ListenError;
use runtime::service::Kit;
use runtime::tasks::TaskGroup;
use storeapi::Services;
use storeapi::server::STREAMING_METHODS;

use crate::bucket_store::BucketStore;
use crate::config::{Config, ReadConfig, SyncConfig};
use crate::http;
use crate::metrics::StoreMetrics;
use crate::status;
use crate::sync::Syncer;

/// Why a store gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The data folder cannot be had.
    #[error("creating the data folder {path}")]
    DataDir {
        /// The folder.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Creates the store of a bucket and the loop that keeps it up to date, for a process that serves it itself.
///
/// # Errors
/// The data folder cannot be created.
pub fn open(
    bucket: Arc<dyn Bucket>,
    read: ReadConfig,
    sync: SyncConfig,
    kit: &Kit,
) -> Result<(Arc<BucketStore>, Syncer), StartError> {
    std::fs::create_dir_all(&sync.data_dir).map_err(|source| {
        let path = sync.data_dir.clone();
        StartError::DataDir { path, source }
    })?;
    if let Some(shared) = read.index_cache.in_place_of {
        tracing::warn!(
            r#type = shared,
            bytes = read.index_cache.max_bytes,
            "shared index caches are not used; keeping one in memory in its place"
        );
    }
    let metrics = Arc::new(StoreMetrics::register(&kit.metrics));
    let store = BucketStore::new(Arc::clone(&bucket), read, Arc::clone(&metrics), kit);
    let syncer = Syncer::new(Arc::clone(&store), bucket, sync, metrics, kit);
    Ok((store, syncer))
}

/// A store gateway whose ports are bound and which serves nobody yet.
#[derive(Debug)]
pub struct Gateway {
    http: HttpServer,
    grpc: GrpcServer,
    store: Arc<BucketStore>,
    syncer: Syncer,
    web_label: String,
    kit: Kit,
}

impl Gateway {
    /// Binds the ports and builds the store.
    ///
    /// # Errors
    /// A port or the data folder cannot be had.
    pub async fn build(
        config: Config,
        bucket: Arc<dyn Bucket>,
        kit: Kit,
    ) -> Result<Self, StartError> {
        let http = HttpServer::bind(&config.http).await?;
        let grpc = GrpcServer::bind(&config.grpc).await?;
        let (store, syncer) = open(bucket, config.read, config.sync, &kit)?;
        Ok(Self {
            http,
            grpc,
            store,
            syncer,
            web_label: config.web_label,
            kit,
        })
    }

    /// Returns the address HTTP is served at.
    pub fn http_addr(&self) -> SocketAddr {
        self.http.local_addr()
    }

    /// Returns the address gRPC is served at.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc.local_addr()
    }

    /// Returns the store itself.
    pub fn store(&self) -> Arc<BucketStore> {
        Arc::clone(&self.store)
    }

    /// Starts serving within `group`. gRPC answers from the start, health says when it is worth asking.
    pub fn spawn(self, group: &mut TaskGroup) {
        let Self {
            http,
            grpc,
            store,
            syncer,
            web_label,
            kit,
        } = self;
        let services = Services {
            store: Some(Arc::clone(&store) as _),
            ..Services::default()
        };
        let grpc_routes = services.into_routes(&kit.probe);
        group.spawn("sync", syncer.run(kit.shutdown.clone()));
        let status = status::routes(Arc::clone(&store), &kit);
        group.spawn(
            "http",
            http.serve(kit.clone(), http::routes(store, &web_label).merge(status)),
        );
        group.spawn("grpc", grpc.serve(kit, grpc_routes, STREAMING_METHODS));
    }
}

#[cfg(test)]
mod tests;
