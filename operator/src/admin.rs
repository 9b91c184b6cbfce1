//! The operator's listener: metrics and probes. Small, bounded, without secrets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::telemetry::Metrics;

/// Connections at once: a scraper, two probes and a person.
const MAX_CONNECTIONS: usize = 32;
/// Longest time for a client to send its request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest life of a connection; a probe opens a new one anyway.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// What the probes answer.
#[derive(Default)]
pub struct Health {
    ready: AtomicBool,
}

impl Health {
    /// Says that the API server has answered once.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }
}

#[derive(Clone)]
struct Admin {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

/// Opens the listener.
///
/// # Errors
/// Where the address is taken.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until `shutdown`.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    shutdown: CancellationToken,
) {
    let router = Router::new()
        .route("/metrics", get(metrics_text))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(Admin { metrics, health });
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let tasks = TaskTracker::new();
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else {
            break;
        };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(error = %error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        let shutdown = shutdown.clone();
        tasks.spawn(async move {
            let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
            builder
                .http1()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT);
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                // A client that goes away early is its own business.
                _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection) => {}
                () = shutdown.cancelled() => {}
            }
            drop(permit);
        });
    }
    tasks.close();
    tasks.wait().await;
}

async fn metrics_text(State(admin): State<Admin>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], admin.metrics.encode())
}

async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    if admin.health.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the API server has not answered yet\n",
        )
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sends");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answers");
        answer
    }

    #[tokio::test]
    async fn probes_and_metrics_answer_until_shutdown() {
        let listener = bind(([127, 0, 0, 1], 0).into()).await.expect("binds");
        let address = listener.local_addr().expect("address");
        let health = Arc::new(Health::default());
        let shutdown = CancellationToken::new();
        let metrics = Arc::new(Metrics::default());
        let served = tokio::spawn(serve(
            listener,
            metrics,
            Arc::clone(&health),
            shutdown.clone(),
        ));
        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 503"));
        health.set_ready();
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        let text = get(address, "/metrics").await;
        assert!(text.contains("hindsight_operator_leader 0"), "{text}");
        assert!(text.contains("application/openmetrics-text"), "{text}");
        assert!(get(address, "/elsewhere").await.starts_with("HTTP/1.1 404"));
        shutdown.cancel();
        served.await.expect("ends");
        assert!(TcpStream::connect(address).await.is_err());
    }
}
