//! The HTTP server of a component: its routes beside `/metrics`, `/-/healthy` and `/-/ready`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use tower_http::limit::RequestBodyLimitLayer;

use crate::listener::{Limits, ListenError, Listener};
use crate::metrics::{Metrics, OPEN_METRICS_CONTENT_TYPE};
use crate::probe::Probe;
use crate::service::Kit;
use crate::tls::ServerTls;

mod auth;
mod red;
mod web_config;

pub use web_config::{WebConfig, WebConfigError};

/// The largest request body a listener takes.
pub const MAX_BODY_BYTES: usize = 10 << 20;

const HEALTHY_PATH: &str = "/-/healthy";
const READY_PATH: &str = "/-/ready";

/// Where and how HTTP is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// `host:port`.
    pub address: String,
    /// How long open requests may go on once shutdown begins.
    pub grace_period: Duration,
    /// File with TLS and users, in exporter-toolkit's format.
    pub web_config: Option<PathBuf>,
    /// What the listener allows.
    pub limits: Limits,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            address: "0.0.0.0:10902".to_owned(),
            grace_period: Duration::from_secs(120),
            web_config: None,
            limits: Limits::default(),
        }
    }
}

/// A bound HTTP port.
#[derive(Debug)]
pub struct HttpServer {
    listener: Listener,
    web_config: WebConfig,
    grace_period: Duration,
}

impl HttpServer {
    /// Reads the web configuration and binds the port.
    ///
    /// # Errors
    /// When either cannot be had.
    pub async fn bind(config: &HttpConfig) -> Result<Self, ListenError> {
        let web_config = match &config.web_config {
            Some(path) => WebConfig::load(path)?,
            None => WebConfig::default(),
        };
        let alpn: &[&str] = if web_config.http2 {
            &["h2", "http/1.1"]
        } else {
            &["http/1.1"]
        };
        let tls = web_config
            .tls
            .clone()
            .map(|tls| ServerTls::load(tls, alpn))
            .transpose()?;
        let listener = Listener::bind(&config.address, tls, config.limits.clone()).await?;
        Ok(Self {
            listener,
            web_config,
            grace_period: config.grace_period,
        })
    }

    /// Returns the address bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Serves `routes` and the common ones until shutdown, then drains. Meant for a task group.
    ///
    /// # Errors
    /// None today; the type is what a task group takes.
    pub async fn serve(self, kit: Kit, routes: Router) -> Result<(), ListenError> {
        tracing::info!(address = %self.local_addr(), "listening for http");
        let router = router(&kit, routes, &self.web_config);
        self.listener
            .serve(router, kit.shutdown, self.grace_period)
            .await;
        Ok(())
    }
}

/// Puts the common routes, metrics, users and limits around `routes`.
fn router(kit: &Kit, routes: Router, web_config: &WebConfig) -> Router {
    let probes = Router::new()
        .route(HEALTHY_PATH, get(healthy))
        .route(READY_PATH, get(ready))
        .with_state(kit.probe.clone());
    let own = Router::new()
        .route("/metrics", get(metrics))
        .with_state(kit.metrics.clone());
    let red = red::Red::register(&kit.metrics);
    auth::guard(routes.merge(own).merge(probes), web_config)
        .layer(axum::middleware::from_fn_with_state(red, red::observe))
        .layer(DefaultBodyLimit::disable())
        .layer(RequestBodyLimitLayer::new(MAX_BODY_BYTES))
}

async fn healthy(State(probe): State<Probe>) -> Response {
    match probe.state().healthy {
        Ok(()) => "OK".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason.to_string()).into_response(),
    }
}

async fn ready(State(probe): State<Probe>) -> Response {
    match probe.state().ready {
        Ok(()) => "OK".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason.to_string()).into_response(),
    }
}

async fn metrics(State(metrics): State<Metrics>) -> Response {
    match metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS_CONTENT_TYPE)], text).into_response(),
        Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "metrics cannot be written",
        )
            .into_response(),
    }
}

#[cfg(test)]
mod tests;
