//! The channel to a gRPC peer.

use std::io;
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::tls::ClientTls;

/// How a channel behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelConfig {
    /// For name resolution, TCP and TLS together.
    pub connect_timeout: Duration,
    /// How often an idle or busy connection is pinged.
    pub keepalive_interval: Duration,
    /// How long a ping may go unanswered.
    pub keepalive_timeout: Duration,
    /// Bytes a peer may send ahead on one stream.
    pub stream_window_bytes: u32,
    /// Bytes a peer may send ahead on all streams together.
    pub connection_window_bytes: u32,
}

impl Default for ChannelConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            keepalive_interval: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(5),
            stream_window_bytes: 4 << 20,
            connection_window_bytes: 8 << 20,
        }
    }
}

/// Why no channel can be made.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The text is no `host:port`.
    #[error("{address:?} is no address of a gRPC peer; write host:port")]
    Address {
        /// The text.
        address: String,
    },
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Returns a channel to `address` (`host:port`) that connects on first use and again after losses. With
/// `tls`, each new connection uses the certificate files of its moment.
///
/// Must be called within a tokio runtime.
///
/// # Errors
/// When `address` is none. Whether the peer can be reached shows at the first call.
pub fn channel(
    address: &str,
    tls: Option<&ClientTls>,
    config: &ChannelConfig,
) -> Result<Channel, ChannelError> {
    let bad = || ChannelError::Address {
        address: address.to_owned(),
    };
    let uri: Uri = format!("http://{address}").parse().map_err(|_| bad())?;
    let (Some(host), Some(port)) = (uri.host().map(str::to_owned), uri.port_u16()) else {
        return Err(bad());
    };
    let mut endpoint = Endpoint::from(uri)
        .connect_timeout(config.connect_timeout)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(config.keepalive_interval)
        .keep_alive_timeout(config.keepalive_timeout)
        .initial_stream_window_size(config.stream_window_bytes)
        .initial_connection_window_size(config.connection_window_bytes);
    if tls.is_some() {
        // The connector below does TLS itself, but peers should see the scheme they expect.
        let origin = format!("https://{address}").parse().map_err(|_| bad())?;
        endpoint = endpoint.origin(origin);
    }
    let tls = tls.cloned();
    let connector = service_fn(move |_: Uri| connect(host.clone(), port, tls.clone()));
    Ok(endpoint.connect_with_connector_lazy(connector))
}

async fn connect(
    host: String,
    port: u16,
    tls: Option<ClientTls>,
) -> io::Result<TokioIo<Box<dyn Io>>> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((bare, port)).await?;
    stream.set_nodelay(true)?;
    let stream: Box<dyn Io> = match tls {
        None => Box::new(stream),
        Some(tls) => {
            let name = tls.server_name(&host).map_err(io::Error::other)?;
            Box::new(
                TlsConnector::from(tls.config())
                    .connect(name, stream)
                    .await?,
            )
        }
    };
    Ok(TokioIo::new(stream))
}
