//! The HTTP client below every service.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use objconfig::HttpConfig;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService,
};
use object_store::limit::LimitStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use runtime::tls::{ClientTls, ClientTlsConfig, TlsVersion};

/// Tries of one request within the client, where the configuration names none.
const DEFAULT_RETRIES: u32 = 3;

/// How long the client goes on trying one request; credentials must stay valid for as long.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a TCP connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes the HTTP client: our own TLS, whose provider and roots are known, instead of the library's.
#[derive(Debug)]
pub(crate) struct Connector {
    service: &'static str,
    http: HttpConfig,
    trace: bool,
}

impl Connector {
    /// Creates a connector for what messages call `service`.
    pub(crate) fn new(service: &'static str, http: &HttpConfig) -> Self {
        let http = http.clone();
        Self {
            service,
            http,
            trace: false,
        }
    }

    /// Logs every request.
    pub(crate) fn traced(self, trace: bool) -> Self {
        Self { trace, ..self }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = client(&self.http).map_err(|source| object_store::Error::Generic {
            store: self.service,
            source,
        })?;
        Ok(if self.trace {
            HttpClient::new(Traced(client))
        } else {
            HttpClient::new(client)
        })
    }
}

/// Logs requests without their queries and headers, which hold signatures.
#[derive(Debug)]
struct Traced(reqwest::Client);

#[async_trait]
impl HttpService for Traced {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let method = request.method().clone();
        let (host, path) = (
            request.uri().host().unwrap_or_default().to_owned(),
            request.uri().path().to_owned(),
        );
        let begun = Instant::now();
        let answer = HttpService::call(&self.0, request).await;
        let duration_ms = begun.elapsed().as_millis() as u64;
        match &answer {
            Ok(response) => {
                let status = response.status().as_u16();
                tracing::info!(%method, host, path, status, duration_ms, "object store request");
            }
            Err(error) => {
                let error = runtime::telemetry::chain(error);
                tracing::info!(%method, host, path, error, duration_ms, "object store request");
            }
        }
        answer
    }
}

/// Returns how often and for how long one request is tried; 0 is the default.
pub(crate) fn retries(max_retries: u32) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: match max_retries {
            0 => DEFAULT_RETRIES,
            retries => retries,
        } as usize,
        retry_timeout: RETRY_TIMEOUT,
    }
}

/// Lets no more requests run at once than connections are allowed; each has one of its own.
pub(crate) fn limited(store: Arc<dyn ObjectStore>, http: &HttpConfig) -> Arc<dyn ObjectStore> {
    match http.max_conns_per_host {
        0 => store,
        limit => Arc::new(LimitStore::new(store, limit)),
    }
}

/// Creates an HTTP client with the configured TLS and timeouts.
///
/// # Errors
/// When a file named by the configuration cannot be used.
pub(crate) fn client(
    http: &HttpConfig,
) -> Result<reqwest::Client, Box<dyn std::error::Error + Send + Sync>> {
    let tls = ClientTls::load(tls_config(http), &["http/1.1"])?;
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured((*tls.config()).clone())
        .http1_only()
        .connect_timeout(CONNECT_TIMEOUT + http.tls_handshake_timeout)
        .read_timeout(http.response_header_timeout)
        .pool_idle_timeout(http.idle_conn_timeout)
        .pool_max_idle_per_host(http.max_idle_conns_per_host.min(http.max_idle_conns.max(1)))
        // A redirect would leave the host that the configuration names.
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    Ok(client)
}

fn tls_config(http: &HttpConfig) -> ClientTlsConfig {
    let tls = &http.tls_config;
    let given = |path: &PathBuf| (!path.as_os_str().is_empty()).then(|| path.clone());
    ClientTlsConfig {
        ca_file: given(&tls.ca_file),
        cert_file: given(&tls.cert_file),
        key_file: given(&tls.key_file),
        server_name: (!tls.server_name.is_empty()).then(|| tls.server_name.clone()),
        insecure_skip_verify: http.insecure_skip_verify || tls.insecure_skip_verify,
        min_version: TlsVersion::V12,
    }
}
