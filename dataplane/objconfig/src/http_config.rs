//! The HTTP client of an object store.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

/// Timeouts, pool and TLS of the client, with Thanos' defaults.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// How long an unused connection is kept.
    #[serde(deserialize_with = "duration")]
    pub idle_conn_timeout: Duration,
    /// How long an answer's headers may take.
    #[serde(deserialize_with = "duration")]
    pub response_header_timeout: Duration,
    /// Accepts any server certificate.
    pub insecure_skip_verify: bool,
    /// How long a TLS handshake may take.
    #[serde(deserialize_with = "duration")]
    pub tls_handshake_timeout: Duration,
    /// Read for compatibility; requests never wait for `100-continue`.
    #[serde(deserialize_with = "duration")]
    pub expect_continue_timeout: Duration,
    /// Unused connections kept, in all.
    pub max_idle_conns: usize,
    /// Unused connections kept for one host.
    pub max_idle_conns_per_host: usize,
    /// Connections to one host; 0 for no limit.
    pub max_conns_per_host: usize,
    /// TLS of the client.
    pub tls_config: TlsConfig,
    /// Read for compatibility; answers are never asked for compressed.
    pub disable_compression: bool,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            idle_conn_timeout: Duration::from_secs(90),
            response_header_timeout: Duration::from_secs(120),
            insecure_skip_verify: false,
            tls_handshake_timeout: Duration::from_secs(10),
            expect_continue_timeout: Duration::from_secs(1),
            max_idle_conns: 100,
            max_idle_conns_per_host: 100,
            max_conns_per_host: 0,
            tls_config: TlsConfig::default(),
            disable_compression: false,
        }
    }
}

/// Files and names of the client's TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Who signs the server's certificate; empty for the system's bundle.
    pub ca_file: PathBuf,
    /// The certificate shown to the server.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
    /// The name verified in place of the host dialled.
    pub server_name: String,
    /// Accepts any server certificate.
    pub insecure_skip_verify: bool,
}

/// Reads `1m30s`, `500ms`, `15d`, or a bare number of nanoseconds as Go writes durations.
pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    struct Text;

    impl Visitor<'_> for Text {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration like 90s or 1m30s")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            parse_duration(text)
                .ok_or_else(|| E::custom(format!("{text:?} is no duration; write 90s or 1m30s")))
        }

        fn visit_u64<E: de::Error>(self, nanos: u64) -> Result<Duration, E> {
            Ok(Duration::from_nanos(nanos))
        }
    }

    deserializer.deserialize_any(Text)
}

fn parse_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 7] = [
        ("ms", 1),
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
        ("w", 604_800_000),
        ("y", 31_536_000_000),
    ];
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut millis = 0u64;
    loop {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) = after.split_at(
            after
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(after.len()),
        );
        let per = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        millis = millis.checked_add(number.parse::<u64>().ok()?.checked_mul(per)?)?;
        rest = after;
        if rest.is_empty() {
            return Some(Duration::from_millis(millis));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        assert_eq!(parse_duration("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("0"), Some(Duration::ZERO));
        for text in [
            "",
            "s",
            "1",
            "1x",
            "-1s",
            "99999999999999999999s",
            "9999999999999y",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
