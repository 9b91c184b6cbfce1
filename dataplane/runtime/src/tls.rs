//! TLS whose certificates are read again when their files change.
//!
//! A handshake asks for the configuration of that moment. At most once a second the files behind it are
//! read and compared; changed files give a new configuration, unreadable or broken ones leave the old
//! one in use, are logged once and counted. So certificates rotate without restart, symlink swaps
//! included, and no background task is needed.

use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

mod client;
mod pem;
mod reload;
mod server;

pub use client::{ClientTls, ClientTlsConfig};
pub use server::{ClientAuth, ServerTls, ServerTlsConfig};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("reading {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file holds no usable PEM of the kind wanted.
    #[error("{path} holds no {what} in PEM")]
    NoPem {
        /// The file.
        path: PathBuf,
        /// Certificate or private key.
        what: &'static str,
    },
    /// Only one of certificate and key was given.
    #[error("certificate and private key must be given together")]
    HalfPair,
    /// The files were read but do not fit together.
    #[error("{what} cannot be used: {reason}")]
    Unusable {
        /// Which files.
        what: String,
        /// What the TLS library says.
        reason: String,
    },
    /// A version's name is not known.
    #[error("{0:?} is no TLS version; use 1.2 or 1.3")]
    Version(String),
}

/// The oldest TLS version spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    /// TLS 1.2 and newer.
    V12,
    /// TLS 1.3 only.
    #[default]
    V13,
}

impl FromStr for TlsVersion {
    type Err = TlsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "1.2" | "TLS12" => Ok(Self::V12),
            "1.3" | "TLS13" => Ok(Self::V13),
            _ => Err(TlsError::Version(text.to_owned())),
        }
    }
}

impl TlsVersion {
    fn and_newer(self) -> &'static [&'static rustls::SupportedProtocolVersion] {
        static BOTH: [&rustls::SupportedProtocolVersion; 2] =
            [&rustls::version::TLS12, &rustls::version::TLS13];
        static ONLY_13: [&rustls::SupportedProtocolVersion; 1] = [&rustls::version::TLS13];
        match self {
            Self::V12 => &BOTH,
            Self::V13 => &ONLY_13,
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Makes ring the process's TLS provider, for libraries that ask for the default one. Safe to call again.
pub fn install_provider() {
    // An error says that a provider is installed already.
    let _ = ring::default_provider().install_default();
}

#[cfg(test)]
mod tests;
