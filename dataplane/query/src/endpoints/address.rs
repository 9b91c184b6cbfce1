//! Endpoint addresses as they are configured.

use std::fmt;
use std::str::FromStr;

/// How an address becomes `host:port` pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// `host:port`, dialled as it is.
    Static,
    /// `dns+host:port`: the A and AAAA records of the host.
    Addresses,
    /// `dnssrv+name`: the SRV records of the name, then the A and AAAA records of their targets.
    Services,
    /// `dnssrvnoa+name`: the SRV records; their targets are dialled by name.
    ServiceTargets,
}

impl Lookup {
    const PREFIXES: [(&'static str, Self); 4] = [
        ("dnssrvnoa+", Self::ServiceTargets),
        ("dnssrv+", Self::Services),
        ("dnsdualstack+", Self::Addresses),
        ("dns+", Self::Addresses),
    ];

    const fn prefix(self) -> &'static str {
        match self {
            Self::Static => "",
            Self::Addresses => "dns+",
            Self::Services => "dnssrv+",
            Self::ServiceTargets => "dnssrvnoa+",
        }
    }
}

/// A configured address: a name, perhaps a port, and how to look it up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    pub lookup: Lookup,
    pub host: String,
    /// Absent only where SRV records give it.
    pub port: Option<u16>,
}

/// A text that is no endpoint address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("endpoint {text:?}: {reason}")]
pub struct ParseAddressError {
    text: String,
    reason: &'static str,
}

impl FromStr for Address {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let failed = |reason| ParseAddressError {
            text: text.to_owned(),
            reason,
        };
        let (lookup, rest) = Lookup::PREFIXES
            .into_iter()
            .find_map(|(prefix, lookup)| Some((lookup, text.strip_prefix(prefix)?)))
            .unwrap_or((Lookup::Static, text));
        if rest.contains("://") {
            return Err(failed("give host:port without a scheme"));
        }
        let (host, port) = match rest.rsplit_once(':') {
            // A colon inside brackets belongs to an IPv6 address.
            Some((_, tail)) if tail.ends_with(']') => (rest, None),
            Some((host, port)) => {
                let port = port
                    .parse::<u16>()
                    .map_err(|_| failed("the port is no number"))?;
                (host, Some(port))
            }
            None => (rest, None),
        };
        if host.is_empty() {
            return Err(failed("the host is missing"));
        }
        if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
            return Err(failed("put an IPv6 address into brackets"));
        }
        let srv = matches!(lookup, Lookup::Services | Lookup::ServiceTargets);
        if port.is_none() && !srv {
            return Err(failed("the port is missing; give host:port"));
        }
        Ok(Self {
            lookup,
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.lookup.prefix(), self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_as_written() {
        for text in [
            "store:10901",
            "10.0.0.1:10901",
            "[::1]:10901",
            "dns+store.ns.svc:10901",
            "dnssrv+_grpc._tcp.demo-storeapi.ns.svc",
            "dnssrvnoa+_grpc._tcp.demo-storeapi.ns.svc.cluster.local.",
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn wrong_addresses_say_what_is_wrong() {
        for (text, reason) in [
            ("", "host is missing"),
            ("store", "port is missing"),
            ("dns+store", "port is missing"),
            ("store:grpc", "port is no number"),
            (":10901", "host is missing"),
            ("http://store:10901", "without a scheme"),
            ("::1:10901", "brackets"),
        ] {
            let error = text.parse::<Address>().expect_err(text).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
