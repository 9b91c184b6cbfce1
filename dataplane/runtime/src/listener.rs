//! One accept loop for every kind of server: limits, timeouts, TLS, connection age, graceful drain.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::shutdown::Shutdown;
use crate::tls::{ServerTls, TlsError};

/// How long the loop rests when the process has run out of file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// What a listener allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Open connections; further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// Concurrent requests on one HTTP/2 connection.
    pub max_concurrent_streams: u32,
    /// Bytes of request headers.
    pub max_header_bytes: u32,
    /// From accepting a connection to the end of its TLS handshake.
    pub handshake_timeout: Duration,
    /// From a connection being idle to the end of the next request's headers (HTTP/1).
    pub header_timeout: Duration,
    /// Age at which clients are asked to connect anew; `None` for never.
    pub max_connection_age: Option<Duration>,
    /// How often an HTTP/2 peer is pinged.
    pub keepalive_interval: Duration,
    /// How long a ping may go unanswered before the connection is closed.
    pub keepalive_timeout: Duration,
    /// Bytes a peer may send unasked on one HTTP/2 stream; twice that on the connection.
    pub stream_window_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_concurrent_streams: 256,
            max_header_bytes: 64 << 10,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(60),
            max_connection_age: None,
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(20),
            stream_window_bytes: 1 << 20,
        }
    }
}

/// Why a listener cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The text is no address.
    #[error("{address:?} is no listen address; write host:port or :port")]
    Address {
        /// The text.
        address: String,
        /// Why, when it was a name that does not resolve.
        #[source]
        source: Option<io::Error>,
    },
    /// The port cannot be had.
    #[error("listening on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The TLS files cannot be used.
    #[error("setting up tls for the listener")]
    Tls(#[from] TlsError),
    /// The web configuration cannot be used.
    #[error("reading the web configuration")]
    WebConfig(#[from] crate::http::WebConfigError),
}

/// A port that is bound and not yet served: connections already queue.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    tls: Option<ServerTls>,
    limits: Limits,
}

impl Listener {
    /// Binds `address`, written `host:port` or `:port`; port 0 takes any free one.
    ///
    /// # Errors
    /// When the address is none or is taken.
    pub async fn bind(
        address: &str,
        tls: Option<ServerTls>,
        limits: Limits,
    ) -> Result<Self, ListenError> {
        let bad = |source| ListenError::Address {
            address: address.to_owned(),
            source,
        };
        let spelled = if address.starts_with(':') {
            format!("0.0.0.0{address}")
        } else {
            address.to_owned()
        };
        let resolved = lookup_host(&spelled)
            .await
            .map_err(|error| bad(Some(error)))?
            .next();
        let address = resolved.ok_or_else(|| bad(None))?;
        let tcp = TcpListener::bind(address)
            .await
            .map_err(|source| ListenError::Bind { address, source })?;
        let address = tcp
            .local_addr()
            .map_err(|source| ListenError::Bind { address, source })?;
        Ok(Self {
            tcp,
            address,
            tls,
            limits,
        })
    }

    /// Returns the address bound, the port chosen included.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves `router` until `shutdown` begins, then lets open requests end for at most `grace`.
    pub async fn serve(self, router: Router, shutdown: Shutdown, grace: Duration) {
        let slots = Arc::new(Semaphore::new(self.limits.max_connections));
        let mut connections = JoinSet::new();
        let shared = Arc::new(Shared {
            router,
            tls: self.tls,
            builder: builder(&self.limits),
            limits: self.limits,
        });
        loop {
            // Ended connections are reaped here, so that the set holds only open ones.
            while connections.try_join_next().is_some() {}
            let slot = tokio::select! {
                () = shutdown.begun() => break,
                slot = Arc::clone(&slots).acquire_owned() => slot,
            };
            let accepted = tokio::select! {
                () = shutdown.begun() => break,
                accepted = self.tcp.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let shared = Arc::clone(&shared);
                    let shutdown = shutdown.clone();
                    connections.spawn(async move {
                        let _slot = slot;
                        shared.connection(stream, peer, shutdown).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(address = %self.address, %error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
        drop(self.tcp);
        let drained = tokio::time::timeout(grace, async {
            while connections.join_next().await.is_some() {}
        });
        if drained.await.is_err() {
            tracing::warn!(
                address = %self.address,
                connections = connections.len(),
                "closing connections that did not end within the grace period"
            );
            connections.shutdown().await;
        }
    }
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.max_header_bytes.max(8 << 10) as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_concurrent_streams)
        .max_header_list_size(limits.max_header_bytes)
        .initial_stream_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.stream_window_bytes.saturating_mul(2))
        .keep_alive_interval(limits.keepalive_interval)
        .keep_alive_timeout(limits.keepalive_timeout);
    builder
}

struct Shared {
    router: Router,
    tls: Option<ServerTls>,
    builder: auto::Builder<TokioExecutor>,
    limits: Limits,
}

impl Shared {
    async fn connection(&self, stream: TcpStream, peer: SocketAddr, shutdown: Shutdown) {
        // Small frames should not wait for large ones; a socket that refuses the option still works.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => self.requests(stream, peer, shutdown).await,
            Some(tls) => {
                let handshake = tls.acceptor().accept(stream);
                match tokio::time::timeout(self.limits.handshake_timeout, handshake).await {
                    Ok(Ok(stream)) => self.requests(stream, peer, shutdown).await,
                    Ok(Err(error)) => tracing::debug!(%peer, %error, "tls handshake failed"),
                    Err(_) => tracing::debug!(%peer, "tls handshake timed out"),
                }
            }
        }
    }

    async fn requests<S>(&self, stream: S, peer: SocketAddr, shutdown: Shutdown)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = self
            .router
            .clone()
            .map_request(move |request: http::Request<Incoming>| {
                let mut request: Request = request.map(Body::new);
                request
                    .extensions_mut()
                    .insert(axum::extract::ConnectInfo(peer));
                request
            });
        let connection = self.builder.serve_connection_with_upgrades(
            TokioIo::new(stream),
            TowerToHyperService::new(service),
        );
        let mut connection = pin!(connection);
        let mut old = pin!(async {
            match self.limits.max_connection_age {
                Some(age) => tokio::time::sleep(age).await,
                None => std::future::pending().await,
            }
        });
        let mut closing = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, error = %error, "connection ended");
                    }
                    return;
                }
                () = shutdown.begun(), if !closing => {}
                () = old.as_mut(), if !closing => {}
            }
            closing = true;
            connection.as_mut().graceful_shutdown();
        }
    }
}
