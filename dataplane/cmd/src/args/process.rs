//! Flags that several components share, and what they become.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use runtime::content::PathOrContent;
use runtime::grpc::GrpcConfig;
use runtime::http::HttpConfig;
use runtime::listener::Limits;
use runtime::telemetry::{Format, Level};
use runtime::tls::{ClientTlsConfig, ServerTlsConfig, TlsError, TlsVersion};
use runtime::units::HumanDuration;

/// How the process logs.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// Log filtering level: debug, info, warn or error.
    #[arg(id = "log.level", long = "log.level", default_value = "info")]
    pub level: Level,
    /// Log format: logfmt or json.
    #[arg(id = "log.format", long = "log.format", default_value = "logfmt")]
    pub format: Format,
}

/// The HTTP listener.
#[derive(Debug, Clone, Args)]
pub struct HttpArgs {
    /// Listen host:port for HTTP endpoints.
    #[arg(
        id = "http-address",
        long = "http-address",
        default_value = "0.0.0.0:10902",
        value_name = "HOST:PORT"
    )]
    pub address: String,
    /// Time to wait after an interrupt received for the HTTP server.
    #[arg(
        id = "http-grace-period",
        long = "http-grace-period",
        default_value = "2m"
    )]
    pub grace_period: HumanDuration,
    /// File with TLS and basic authentication for all HTTP endpoints, in exporter-toolkit's format.
    #[arg(
        id = "http.config",
        long = "http.config",
        default_value = "",
        value_name = "PATH"
    )]
    pub web_config: String,
}

impl HttpArgs {
    pub fn config(&self) -> HttpConfig {
        HttpConfig {
            address: self.address.clone(),
            grace_period: self.grace_period.0,
            web_config: path(&self.web_config),
            limits: Limits::default(),
        }
    }
}

/// The gRPC listener.
#[derive(Debug, Clone, Args)]
pub struct GrpcArgs {
    /// Listen host:port for gRPC endpoints.
    #[arg(
        id = "grpc-address",
        long = "grpc-address",
        default_value = "0.0.0.0:10901",
        value_name = "HOST:PORT"
    )]
    pub address: String,
    /// TLS certificate of the gRPC server, leave blank to disable TLS.
    #[arg(
        id = "grpc-server-tls-cert",
        long = "grpc-server-tls-cert",
        default_value = "",
        value_name = "PATH"
    )]
    pub cert: String,
    /// TLS key of the gRPC server, leave blank to disable TLS.
    #[arg(
        id = "grpc-server-tls-key",
        long = "grpc-server-tls-key",
        default_value = "",
        value_name = "PATH"
    )]
    pub key: String,
    /// TLS CA to verify clients against; where given, clients have to show a certificate.
    #[arg(
        id = "grpc-server-tls-client-ca",
        long = "grpc-server-tls-client-ca",
        default_value = "",
        value_name = "PATH"
    )]
    pub client_ca: String,
    /// Oldest TLS version the gRPC server speaks: 1.2 or 1.3.
    #[arg(
        id = "grpc-server-tls-min-version",
        long = "grpc-server-tls-min-version",
        default_value = "1.3",
        value_name = "VERSION"
    )]
    pub min_version: String,
    /// Age at which clients are made to connect anew, so that they see new replicas.
    #[arg(
        id = "grpc-server-max-connection-age",
        long = "grpc-server-max-connection-age",
        default_value = "60m"
    )]
    pub max_connection_age: HumanDuration,
    /// Time to wait after an interrupt received for the gRPC server.
    #[arg(
        id = "grpc-grace-period",
        long = "grpc-grace-period",
        default_value = "2m"
    )]
    pub grace_period: HumanDuration,
}

impl GrpcArgs {
    /// # Errors
    /// A certificate without its key, or an unknown TLS version.
    pub fn config(&self) -> Result<GrpcConfig, TlsError> {
        Ok(GrpcConfig {
            address: self.address.clone(),
            grace_period: self.grace_period.0,
            tls: ServerTlsConfig::from_flags(
                path(&self.cert),
                path(&self.key),
                path(&self.client_ca),
                tls_version(&self.min_version)?,
            )?,
            max_connection_age: self.max_connection_age.0,
        })
    }
}

/// TLS towards all endpoints that do not say otherwise.
#[derive(Debug, Clone, Args)]
pub struct GrpcClientArgs {
    /// Use TLS when talking to the endpoints.
    #[arg(id = "grpc-client-tls-secure", long = "grpc-client-tls-secure", action = ArgAction::Set, default_value_t = false)]
    pub secure: bool,
    /// Accept any certificate of an endpoint.
    #[arg(id = "grpc-client-tls-skip-verify", long = "grpc-client-tls-skip-verify", action = ArgAction::Set, default_value_t = false)]
    pub skip_verify: bool,
    /// TLS certificate to show to endpoints.
    #[arg(
        id = "grpc-client-tls-cert",
        long = "grpc-client-tls-cert",
        default_value = "",
        value_name = "PATH"
    )]
    pub cert: String,
    /// TLS key of that certificate.
    #[arg(
        id = "grpc-client-tls-key",
        long = "grpc-client-tls-key",
        default_value = "",
        value_name = "PATH"
    )]
    pub key: String,
    /// TLS CA to verify endpoints against.
    #[arg(
        id = "grpc-client-tls-ca",
        long = "grpc-client-tls-ca",
        default_value = "",
        value_name = "PATH"
    )]
    pub ca: String,
    /// Oldest TLS version spoken with endpoints: 1.2 or 1.3.
    #[arg(
        id = "grpc-client-tls-min-version",
        long = "grpc-client-tls-min-version",
        default_value = "1.3",
        value_name = "VERSION"
    )]
    pub min_version: String,
    /// Name to verify in the endpoints' certificates.
    #[arg(
        id = "grpc-client-server-name",
        long = "grpc-client-server-name",
        default_value = "",
        value_name = "NAME"
    )]
    pub server_name: String,
}

impl GrpcClientArgs {
    /// # Errors
    /// An unknown TLS version.
    pub fn tls(&self) -> Result<Option<ClientTlsConfig>, TlsError> {
        let min_version = tls_version(&self.min_version)?;
        Ok(self.secure.then(|| ClientTlsConfig {
            ca_file: path(&self.ca),
            cert_file: path(&self.cert),
            key_file: path(&self.key),
            server_name: (!self.server_name.is_empty()).then(|| self.server_name.clone()),
            insecure_skip_verify: self.skip_verify,
            min_version,
        }))
    }
}

/// The bucket.
#[derive(Debug, Clone, Args)]
pub struct ObjstoreArgs {
    /// Path to the YAML file with the object store's configuration.
    #[arg(
        id = "objstore.config-file",
        long = "objstore.config-file",
        value_name = "PATH"
    )]
    pub config_file: Option<PathBuf>,
    /// The object store's configuration itself; excludes the file.
    #[arg(
        id = "objstore.config",
        long = "objstore.config",
        value_name = "CONTENT"
    )]
    pub config: Option<String>,
}

impl ObjstoreArgs {
    pub fn content(&self) -> PathOrContent {
        PathOrContent {
            flag: "objstore.config",
            content: self.config.clone(),
            path: self.config_file.clone(),
        }
    }
}

/// What one Series call may cost.
#[derive(Debug, Clone, Args)]
pub struct SeriesLimitArgs {
    /// Series a single Series call may return; 0 is no limit.
    #[arg(
        id = "store.limits.request-series",
        long = "store.limits.request-series",
        default_value_t = 0,
        value_name = "COUNT"
    )]
    pub series: u64,
    /// Samples a single Series call may return, counted as 120 a chunk; 0 is no limit.
    #[arg(
        id = "store.limits.request-samples",
        long = "store.limits.request-samples",
        default_value_t = 0,
        value_name = "COUNT"
    )]
    pub samples: u64,
}

/// An empty flag value means that the flag is not set, as in Thanos.
pub fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

/// The longer of two periods, since a process ends when its last server has.
pub fn drain_deadline(http: Duration, grpc: Duration) -> Duration {
    /// What the servers need beyond their own grace periods.
    const MARGIN: Duration = Duration::from_secs(5);
    http.max(grpc) + MARGIN
}

fn tls_version(text: &str) -> Result<TlsVersion, TlsError> {
    text.parse()
}

/// How the field writes that there is no end; a little later than the date library can say.
pub const END_OF_TIME: &str = "9999-12-31T23:59:59Z";
const END_OF_TIME_MS: i64 = 253_402_300_799_000;

/// Returns a point in time in milliseconds: RFC 3339, or a duration relative to `now_ms` such as `-2d`.
///
/// # Errors
/// A text that is neither.
pub fn time_ms(text: &str, now_ms: i64) -> anyhow::Result<i64> {
    let relative = match text.strip_prefix('-') {
        Some(back) => model::parse_duration(back)
            .ok()
            .map(|ms| now_ms.saturating_sub(ms)),
        None => {
            let forward = text.strip_prefix('+').unwrap_or(text);
            model::parse_duration(forward)
                .ok()
                .map(|ms| now_ms.saturating_add(ms))
        }
    };
    if let Some(ms) = relative {
        return Ok(ms);
    }
    if text == END_OF_TIME {
        return Ok(END_OF_TIME_MS);
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(timestamp) => Ok(timestamp.as_millisecond()),
        Err(_) => anyhow::bail!("{text:?} is no time; write 2026-01-31T00:00:00Z or -2d"),
    }
}
