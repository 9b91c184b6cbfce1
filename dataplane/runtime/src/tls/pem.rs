//! Certificates and keys out of PEM files.

use std::path::Path;

use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;

pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}

pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let none = || TlsError::NoPem {
        path: path.to_owned(),
        what: "certificate",
    };
    let bytes = read(path)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|_| none())?;
    if certificates.is_empty() {
        Err(none())
    } else {
        Ok(certificates)
    }
}

pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|_| TlsError::NoPem {
        path: path.to_owned(),
        what: "private key",
    })
}

pub(super) fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|error| TlsError::Unusable {
            what: path.display().to_string(),
            reason: error.to_string(),
        })?;
    }
    Ok(store)
}

/// Where distributions keep the system's trust bundle, in the order Go looks.
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Returns the system's roots; empty where the machine has none.
pub(super) fn system_roots() -> RootCertStore {
    let mut store = RootCertStore::empty();
    let from_env = std::env::var("SSL_CERT_FILE").ok();
    let candidates = from_env.iter().map(String::as_str).chain(SYSTEM_BUNDLES);
    for path in candidates {
        if let Ok(found) = certificates(Path::new(path)) {
            // Bundles hold odd certificates; what cannot be parsed is no root.
            store.add_parsable_certificates(found);
            break;
        }
    }
    store
}
