//! Serving gRPC.

use std::net::SocketAddr;
use std::time::Duration;

use tonic::service::Routes;

use super::metered::{self, RpcMetrics};
use crate::listener::{Limits, ListenError, Listener};
use crate::service::Kit;
use crate::tls::{ServerTls, ServerTlsConfig};

/// Where and how gRPC is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcConfig {
    /// `host:port`.
    pub address: String,
    /// How long open calls may go on once shutdown begins.
    pub grace_period: Duration,
    /// TLS, mutual when a client CA is given.
    pub tls: Option<ServerTlsConfig>,
    /// Age at which clients are asked to connect anew, so that they see new replicas; zero for never.
    pub max_connection_age: Duration,
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            address: "0.0.0.0:10901".to_owned(),
            grace_period: Duration::from_secs(120),
            tls: None,
            max_connection_age: Duration::from_secs(3600),
        }
    }
}

/// A bound gRPC port.
#[derive(Debug)]
pub struct GrpcServer {
    listener: Listener,
    grace_period: Duration,
}

impl GrpcServer {
    /// Reads the TLS files and binds the port.
    ///
    /// # Errors
    /// When either cannot be had.
    pub async fn bind(config: &GrpcConfig) -> Result<Self, ListenError> {
        let tls = config
            .tls
            .clone()
            .map(|tls| ServerTls::load(tls, &["h2"]))
            .transpose()?;
        let age = config.max_connection_age;
        let limits = Limits {
            max_connection_age: (!age.is_zero()).then_some(age),
            max_concurrent_streams: 1024,
            ..Limits::default()
        };
        let listener = Listener::bind(&config.address, tls, limits).await?;
        Ok(Self {
            listener,
            grace_period: config.grace_period,
        })
    }

    /// Returns the address bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Serves `routes` until shutdown, then drains. Meant for a task group.
    ///
    /// `streaming` lists the full paths (`/package.Service/Method`) that answer a stream, for the metrics'
    /// `grpc_type`.
    ///
    /// # Errors
    /// None today; the type is what a task group takes.
    pub async fn serve(
        self,
        kit: Kit,
        routes: Routes,
        streaming: &'static [&'static str],
    ) -> Result<(), ListenError> {
        tracing::info!(address = %self.local_addr(), "listening for grpc");
        let metrics = RpcMetrics::register(&kit.metrics, streaming);
        let router =
            routes
                .prepare()
                .into_axum_router()
                .layer(axum::middleware::from_fn_with_state(
                    metrics,
                    metered::observe,
                ));
        self.listener
            .serve(router, kit.shutdown, self.grace_period)
            .await;
        Ok(())
    }
}
