//! The client's side of TLS.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::reload::Reloading;
use super::{TlsError, TlsVersion, pem, provider};

/// Files and choices of a client's TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientTlsConfig {
    /// Who signs servers' certificates; the system's bundle when absent.
    pub ca_file: Option<PathBuf>,
    /// The certificate shown to servers.
    pub cert_file: Option<PathBuf>,
    /// Its private key.
    pub key_file: Option<PathBuf>,
    /// The name verified in place of the host dialled.
    pub server_name: Option<String>,
    /// Accepts any server. For trying things out.
    pub insecure_skip_verify: bool,
    /// The oldest version spoken.
    pub min_version: TlsVersion,
}

/// A client's TLS. Clones share the files.
#[derive(Debug, Clone)]
pub struct ClientTls {
    config: Arc<Reloading<ClientConfig>>,
    server_name: Option<ServerName<'static>>,
}

impl ClientTls {
    /// Reads the files. `alpn` lists the protocols offered, e.g. `h2`.
    ///
    /// # Errors
    /// When a file is missing, broken or does not fit the others, or the server name is none.
    pub fn load(config: ClientTlsConfig, alpn: &[&str]) -> Result<Self, TlsError> {
        let server_name = server_name(&config)?;
        if config.cert_file.is_some() != config.key_file.is_some() {
            return Err(TlsError::HalfPair);
        }
        let files = [&config.ca_file, &config.cert_file, &config.key_file];
        let files = files.into_iter().flatten().cloned().collect();
        let alpn: Vec<Vec<u8>> = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let build = move || {
            let mut client = build(&config)?;
            client.alpn_protocols.clone_from(&alpn);
            Ok(client)
        };
        Ok(Self {
            config: Arc::new(Reloading::new(files, Box::new(build))?),
            server_name,
        })
    }

    /// Returns the configuration with the files of this moment.
    pub fn config(&self) -> Arc<ClientConfig> {
        self.config.get()
    }

    /// Returns the name to verify for a connection to `host`.
    ///
    /// # Errors
    /// When no name is configured and `host` is neither a DNS name nor an address.
    pub fn server_name(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        if let Some(name) = &self.server_name {
            return Ok(name.clone());
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        ServerName::try_from(bare.to_owned()).map_err(|error| TlsError::Unusable {
            what: format!("host {host:?}"),
            reason: error.to_string(),
        })
    }
}

fn server_name(config: &ClientTlsConfig) -> Result<Option<ServerName<'static>>, TlsError> {
    let Some(name) = config
        .server_name
        .as_deref()
        .filter(|name| !name.is_empty())
    else {
        return Ok(None);
    };
    let parsed = ServerName::try_from(name.to_owned());
    parsed.map(Some).map_err(|error| TlsError::Unusable {
        what: format!("server name {name:?}"),
        reason: error.to_string(),
    })
}

fn build(config: &ClientTlsConfig) -> Result<ClientConfig, TlsError> {
    let unusable = |reason: String| TlsError::Unusable {
        what: "client TLS".to_owned(),
        reason,
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(config.min_version.and_newer())
        .map_err(|error| unusable(error.to_string()))?;
    let builder = if config.insecure_skip_verify {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer(provider())))
    } else {
        let roots = match &config.ca_file {
            Some(path) => pem::roots(path)?,
            None => pem::system_roots(),
        };
        let roots = Arc::new(roots);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        match server_name(config)? {
            // Some clients offer no way to name another host than the one they dial.
            Some(name) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(NamedServer { verifier, name })),
            None => builder.with_webpki_verifier(verifier),
        }
    };
    match (&config.cert_file, &config.key_file) {
        (Some(cert), Some(key)) => builder
            .with_client_auth_cert(pem::certificates(cert)?, pem::private_key(key)?)
            .map_err(|error| unusable(error.to_string())),
        _ => Ok(builder.with_no_client_auth()),
    }
}

/// Demands a certificate for one name, whatever host was dialled.
#[derive(Debug)]
struct NamedServer {
    verifier: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

impl ServerCertVerifier for NamedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verifier
            .verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Accepts every certificate, but still demands that the peer holds its key.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
