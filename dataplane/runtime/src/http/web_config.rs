//! The file behind `--http.config`, in exporter-toolkit's format.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::tls::{ClientAuth, ServerTlsConfig, TlsError, TlsVersion};

/// Why a web configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WebConfigError {
    /// The file cannot be read.
    #[error("reading {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no valid web configuration.
    #[error("{path}: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        reason: String,
    },
    /// The TLS part is wrong.
    #[error("tls_server_config")]
    Tls(#[from] TlsError),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    tls_server_config: Option<RawTls>,
    http_server_config: RawHttp,
    basic_auth_users: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawTls {
    cert_file: PathBuf,
    key_file: PathBuf,
    client_auth_type: String,
    client_ca_file: Option<PathBuf>,
    min_version: Option<String>,
    max_version: Option<String>,
    prefer_server_cipher_suites: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawHttp {
    http2: Option<bool>,
    headers: BTreeMap<String, String>,
}

/// TLS, users and response headers of a listener.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct WebConfig {
    /// TLS, when the listener should speak it.
    pub tls: Option<ServerTlsConfig>,
    /// Whether HTTP/2 is offered beside HTTP/1.1.
    pub http2: bool,
    /// Headers added to every answer.
    pub headers: Vec<(http::HeaderName, http::HeaderValue)>,
    /// Users and their bcrypt hashes; empty when nobody is asked.
    pub users: BTreeMap<String, String>,
}

impl fmt::Debug for WebConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The hashes stay out of logs.
        f.debug_struct("WebConfig")
            .field("tls", &self.tls)
            .field("http2", &self.http2)
            .field("users", &self.users.len())
            .finish_non_exhaustive()
    }
}

impl WebConfig {
    /// Reads the file. Relative names in it are relative to its folder.
    ///
    /// # Errors
    /// When it cannot be read, holds an unknown key, or a value that is none.
    pub fn load(path: &Path) -> Result<Self, WebConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| WebConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let base = path.parent().unwrap_or_else(|| Path::new(""));
        Self::parse(&text, base).map_err(|error| match error {
            ParseError::Invalid(reason) => WebConfigError::Invalid {
                path: path.to_owned(),
                reason,
            },
            ParseError::Tls(error) => WebConfigError::Tls(error),
        })
    }

    fn parse(text: &str, base: &Path) -> Result<Self, ParseError> {
        let raw: Raw = if text.trim().is_empty() {
            Raw::default()
        } else {
            // Without the snippet: the lines around a mistake may hold hashes.
            let options = serde_saphyr::options! { with_snippet: false };
            serde_saphyr::from_str_with_options(text, options)
                .map_err(|error| ParseError::Invalid(error.to_string()))?
        };
        let tls = raw
            .tls_server_config
            .map(|tls| tls.validate(base))
            .transpose()?;
        let mut headers = Vec::new();
        for (name, value) in raw.http_server_config.headers {
            let parsed = (name.parse(), value.parse());
            let (Ok(parsed_name), Ok(parsed_value)) = parsed else {
                return Err(ParseError::Invalid(format!(
                    "http_server_config.headers: {name:?} is no valid header"
                )));
            };
            headers.push((parsed_name, parsed_value));
        }
        let users = raw.basic_auth_users;
        for (user, hash) in &users {
            if hash.parse::<bcrypt::HashParts>().is_err() {
                return Err(ParseError::Invalid(format!(
                    "basic_auth_users: the value for {user:?} is no bcrypt hash"
                )));
            }
        }
        Ok(Self {
            tls,
            http2: raw.http_server_config.http2.unwrap_or(true),
            headers,
            users,
        })
    }
}

#[derive(Debug)]
enum ParseError {
    Invalid(String),
    Tls(TlsError),
}

impl From<TlsError> for ParseError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}

impl RawTls {
    fn validate(self, base: &Path) -> Result<ServerTlsConfig, ParseError> {
        if self.cert_file.as_os_str().is_empty() || self.key_file.as_os_str().is_empty() {
            return Err(TlsError::HalfPair.into());
        }
        let client_auth = match self.client_auth_type.as_str() {
            "" | "NoClientCert" if self.client_ca_file.is_none() => ClientAuth::None,
            "VerifyClientCertIfGiven" | "RequestClientCert" => ClientAuth::VerifyIfGiven,
            "RequireAndVerifyClientCert" | "RequireAnyClientCert" => ClientAuth::Require,
            "" | "NoClientCert" => {
                return Err(ParseError::Invalid(
                    "tls_server_config: client_ca_file is given, so client_auth_type must ask for \
                     certificates, e.g. RequireAndVerifyClientCert"
                        .to_owned(),
                ));
            }
            other => {
                return Err(ParseError::Invalid(format!(
                    "tls_server_config.client_auth_type: {other:?} is not known"
                )));
            }
        };
        let min_version = match self.min_version {
            Some(text) => text.parse()?,
            None => TlsVersion::V12,
        };
        if let Some(max) = self.max_version
            && max.parse::<TlsVersion>()? != TlsVersion::V13
        {
            return Err(ParseError::Invalid(
                "tls_server_config.max_version: only TLS13 can be the newest version".to_owned(),
            ));
        }
        // TLS 1.3 gives the choice to the server anyway, so the key is read and changes nothing.
        let _ = self.prefer_server_cipher_suites;
        Ok(ServerTlsConfig {
            cert_file: base.join(self.cert_file),
            key_file: base.join(self.key_file),
            client_ca_file: self.client_ca_file.map(|file| base.join(file)),
            client_auth,
            min_version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<WebConfig, String> {
        WebConfig::parse(text, Path::new("/etc/web")).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn tls_users_and_headers_are_read() {
        let config = parse(
            "tls_server_config:\n  cert_file: a.crt\n  key_file: /k\n  client_ca_file: ca\n  \
             client_auth_type: RequireAndVerifyClientCert\n  min_version: TLS13\n\
             http_server_config:\n  http2: false\n  headers: {X-Frame-Options: deny}\n\
             basic_auth_users:\n  alice: $2y$10$Vb6S8R0LRz0tHkmcE8vuMeUHdYWPkKqhGgIzGOzdfmvb.6r8M7Ryu\n",
        )
        .expect("valid");
        let tls = config.tls.expect("given");
        assert_eq!(tls.cert_file, Path::new("/etc/web/a.crt"));
        assert_eq!(tls.key_file, Path::new("/k"));
        assert_eq!(tls.client_auth, ClientAuth::Require);
        assert_eq!(tls.min_version, TlsVersion::V13);
        assert!(!config.http2);
        assert_eq!(config.headers.len(), 1);
        assert_eq!(config.users.len(), 1);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("tls_server_conf: {}", "tls_server_conf"),
            ("tls_server_config: {cert_file: a}", "HalfPair"),
            (
                "tls_server_config: {cert_file: a, key_file: b, client_ca_file: c}",
                "client_ca_file",
            ),
            (
                "tls_server_config: {cert_file: a, key_file: b, min_version: TLS11}",
                "TLS11",
            ),
            (
                "tls_server_config: {cert_file: a, key_file: b, client_auth_type: X}",
                "not known",
            ),
            ("basic_auth_users: {bob: plain}", "bob"),
            ("http_server_config: {headers: {\"a b\": c}}", "a b"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn hashes_are_not_printed() {
        let config = parse(
            "basic_auth_users:\n  alice: $2y$10$Vb6S8R0LRz0tHkmcE8vuMeUHdYWPkKqhGgIzGOzdfmvb.6r8M7Ryu",
        )
        .expect("valid");
        assert!(!format!("{config:?}").contains("$2y$"));
    }
}
