//! The server's side of TLS.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;

use super::reload::Reloading;
use super::{TlsError, TlsVersion, pem, provider};

/// What a server asks of its clients' certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// Clients show none.
    #[default]
    None,
    /// A certificate that is shown must be valid.
    VerifyIfGiven,
    /// A valid certificate must be shown.
    Require,
}

/// Files and choices of a server's TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerTlsConfig {
    /// The certificate chain in PEM.
    pub cert_file: PathBuf,
    /// The private key in PEM.
    pub key_file: PathBuf,
    /// Who signs clients' certificates; needed unless `client_auth` is `None`.
    pub client_ca_file: Option<PathBuf>,
    /// What is asked of clients.
    pub client_auth: ClientAuth,
    /// The oldest version spoken.
    pub min_version: TlsVersion,
}

impl ServerTlsConfig {
    /// Creates the configuration that flags describe: TLS with `cert` and `key`, mutual when `client_ca`
    /// is given, none when all three are empty.
    ///
    /// # Errors
    /// When only a part of certificate and key is given.
    pub fn from_flags(
        cert: Option<PathBuf>,
        key: Option<PathBuf>,
        client_ca: Option<PathBuf>,
        min_version: TlsVersion,
    ) -> Result<Option<Self>, TlsError> {
        match (cert, key) {
            (None, None) if client_ca.is_none() => Ok(None),
            (Some(cert_file), Some(key_file)) => {
                let client_auth = if client_ca.is_some() {
                    ClientAuth::Require
                } else {
                    ClientAuth::None
                };
                let client_ca_file = client_ca;
                Ok(Some(Self {
                    cert_file,
                    key_file,
                    client_ca_file,
                    client_auth,
                    min_version,
                }))
            }
            _ => Err(TlsError::HalfPair),
        }
    }
}

/// A server's TLS. Clones share the files.
#[derive(Debug, Clone)]
pub struct ServerTls(Arc<Reloading<ServerConfig>>);

impl ServerTls {
    /// Reads the files.
    ///
    /// `alpn` lists the protocols offered, in order of preference, e.g. `h2`.
    ///
    /// # Errors
    /// When a file is missing, broken or does not fit the others.
    pub fn load(config: ServerTlsConfig, alpn: &[&str]) -> Result<Self, TlsError> {
        Reloading::new(Self::files(&config), Self::builder(config, alpn))
            .map(Arc::new)
            .map(Self)
    }

    #[cfg(test)]
    pub(super) fn load_checking_always(config: ServerTlsConfig) -> Result<Self, TlsError> {
        let reloading = Reloading::new(Self::files(&config), Self::builder(config, &["h2"]))?;
        Ok(Self(Arc::new(reloading.check_always())))
    }

    fn files(config: &ServerTlsConfig) -> Vec<PathBuf> {
        let mut files = vec![config.cert_file.clone(), config.key_file.clone()];
        files.extend(config.client_ca_file.clone());
        files
    }

    fn builder(
        config: ServerTlsConfig,
        alpn: &[&str],
    ) -> Box<dyn Fn() -> Result<ServerConfig, TlsError> + Send + Sync> {
        let alpn: Vec<Vec<u8>> = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Box::new(move || {
            let mut server = build(&config)?;
            server.alpn_protocols.clone_from(&alpn);
            Ok(server)
        })
    }

    /// Returns an acceptor with the files of this moment.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.get())
    }

    /// Returns how often changed files could not be used.
    pub fn reload_failures(&self) -> u64 {
        self.0.failures()
    }
}

fn build(config: &ServerTlsConfig) -> Result<ServerConfig, TlsError> {
    let unusable = |reason: String| TlsError::Unusable {
        what: format!(
            "{} with {}",
            config.cert_file.display(),
            config.key_file.display()
        ),
        reason,
    };
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(config.min_version.and_newer())
        .map_err(|error| unusable(error.to_string()))?;
    let builder = match (config.client_auth, &config.client_ca_file) {
        (ClientAuth::None, _) => builder.with_no_client_auth(),
        (_, None) => {
            return Err(unusable(
                "client certificates are asked for without a client CA".into(),
            ));
        }
        (auth, Some(ca_file)) => {
            let roots = Arc::new(pem::roots(ca_file)?);
            let mut verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
            if auth == ClientAuth::VerifyIfGiven {
                verifier = verifier.allow_unauthenticated();
            }
            let verifier = verifier
                .build()
                .map_err(|error| unusable(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    builder
        .with_single_cert(
            pem::certificates(&config.cert_file)?,
            pem::private_key(&config.key_file)?,
        )
        .map_err(|error| unusable(error.to_string()))
}
