//! From configured addresses to addresses that can be dialled.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use futures::future::BoxFuture;
use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::{RData, RecordType};

use super::address::{Address, Lookup};

/// Answers are not kept longer than this: the caller has its own interval.
const MAX_ANSWER_AGE: Duration = Duration::from_secs(1);

/// A name that could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("looking up {name}: {reason}")]
pub struct ResolveError {
    pub name: String,
    pub reason: String,
}

/// Name resolution, as far as endpoints need it.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// Returns the A and AAAA records of `host`.
    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>>;

    /// Returns target and port of the SRV records of `name`.
    fn services<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(String, u16)>, ResolveError>>;
}

/// The system's resolver: `/etc/resolv.conf` with its search list, and `/etc/hosts`.
#[derive(Clone)]
pub struct SystemResolver(TokioResolver);

impl SystemResolver {
    /// Reads the system's configuration.
    ///
    /// # Errors
    /// A configuration that cannot be read.
    pub fn new() -> Result<Self, ResolveError> {
        let failed = |error: &dyn fmt::Display| ResolveError {
            name: "/etc/resolv.conf".into(),
            reason: error.to_string(),
        };
        let mut builder = TokioResolver::builder_tokio().map_err(|error| failed(&error))?;
        let options = builder.options_mut();
        options.positive_max_ttl = Some(MAX_ANSWER_AGE);
        options.negative_max_ttl = Some(MAX_ANSWER_AGE);
        Ok(Self(builder.build().map_err(|error| failed(&error))?))
    }
}

impl fmt::Debug for SystemResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemResolver")
    }
}

impl Resolve for SystemResolver {
    fn addresses<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
        Box::pin(async move {
            match self.0.lookup_ip(host).await {
                Ok(found) => Ok(found.iter().collect()),
                Err(error) => Err(failed(host, &error)),
            }
        })
    }

    fn services<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(String, u16)>, ResolveError>> {
        Box::pin(async move {
            let found = match self.0.lookup(name, RecordType::SRV).await {
                Ok(found) => found,
                Err(error) => return Err(failed(name, &error)),
            };
            let services = found
                .answers()
                .iter()
                .filter_map(|record| match &record.data {
                    RData::SRV(srv) => Some((srv.target.to_ascii(), srv.port)),
                    _ => None,
                });
            Ok(services.collect())
        })
    }
}

fn failed(name: &str, error: &hickory_resolver::net::NetError) -> ResolveError {
    ResolveError {
        name: name.to_owned(),
        reason: error.to_string(),
    }
}

/// Resolves addresses and keeps, for each, the last answer that was good.
#[derive(Debug, Default)]
pub struct Resolver {
    last_good: HashMap<Address, Vec<String>>,
}

/// What one look-up of all addresses gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// For each address asked for, in that order, the `host:port` texts, sorted, none twice.
    pub targets: Vec<Vec<String>>,
    /// How many names were looked up.
    pub lookups: u64,
    pub failures: Vec<ResolveError>,
}

impl Resolver {
    /// Resolves `addresses`; where a look-up fails, the last good answer stands.
    pub async fn resolve(&mut self, addresses: &[Address], dns: &dyn Resolve) -> Resolved {
        let mut resolved = Resolved::default();
        for address in addresses {
            if address.lookup != Lookup::Static {
                resolved.lookups += 1;
            }
            match look_up(address, dns).await {
                Ok(mut targets) => {
                    targets.sort();
                    targets.dedup();
                    self.last_good.insert(address.clone(), targets.clone());
                    resolved.targets.push(targets);
                }
                Err(error) => {
                    resolved
                        .targets
                        .push(self.last_good.get(address).cloned().unwrap_or_default());
                    resolved.failures.push(error);
                }
            }
        }
        self.last_good
            .retain(|address, _| addresses.contains(address));
        resolved
    }
}

async fn look_up(address: &Address, dns: &dyn Resolve) -> Result<Vec<String>, ResolveError> {
    let host = address.host.as_str();
    match address.lookup {
        Lookup::Static => Ok(vec![address.to_string()]),
        Lookup::Addresses => {
            let port = address.port.unwrap_or_default();
            Ok(dns
                .addresses(host)
                .await?
                .into_iter()
                .map(|ip| join(ip, port))
                .collect())
        }
        Lookup::ServiceTargets => {
            let services = dns.services(host).await?;
            let targets = services.into_iter().map(|(target, port)| {
                // A port given beside the name wins over the record's.
                let port = address.port.unwrap_or(port);
                format!("{}:{port}", target.trim_end_matches('.'))
            });
            Ok(targets.collect())
        }
        Lookup::Services => {
            let mut targets = Vec::new();
            for (target, port) in dns.services(host).await? {
                let port = address.port.unwrap_or(port);
                let found = dns.addresses(&target).await?;
                targets.extend(found.into_iter().map(|ip| join(ip, port)));
            }
            Ok(targets)
        }
    }
}

fn join(ip: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(ip, port).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// A zone that can be changed between look-ups.
    #[derive(Debug, Default)]
    struct Zone {
        addresses: Mutex<HashMap<String, Vec<IpAddr>>>,
        services: Mutex<HashMap<String, Vec<(String, u16)>>>,
    }

    fn missing(name: &str) -> ResolveError {
        ResolveError {
            name: name.to_owned(),
            reason: "no such name".into(),
        }
    }

    impl Resolve for Zone {
        fn addresses<'a>(
            &'a self,
            host: &'a str,
        ) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
            let found = self.addresses.lock().expect("zone").get(host).cloned();
            Box::pin(async move { found.ok_or_else(|| missing(host)) })
        }

        fn services<'a>(
            &'a self,
            name: &'a str,
        ) -> BoxFuture<'a, Result<Vec<(String, u16)>, ResolveError>> {
            let found = self.services.lock().expect("zone").get(name).cloned();
            Box::pin(async move { found.ok_or_else(|| missing(name)) })
        }
    }

    fn zone() -> Zone {
        let zone = Zone::default();
        let ip = |text: &str| text.parse::<IpAddr>().expect(text);
        let mut addresses = zone.addresses.lock().expect("zone");
        addresses.insert(
            "store.ns".into(),
            vec![ip("10.0.0.2"), ip("10.0.0.1"), ip("fd00::1")],
        );
        addresses.insert("p-0.ns.".into(), vec![ip("10.0.1.1")]);
        addresses.insert("p-1.ns.".into(), vec![ip("10.0.1.2")]);
        drop(addresses);
        zone.services.lock().expect("zone").insert(
            "_grpc._tcp.ns".into(),
            vec![("p-1.ns.".into(), 10901), ("p-0.ns.".into(), 10901)],
        );
        zone
    }

    fn addresses(texts: &[&str]) -> Vec<Address> {
        texts
            .iter()
            .map(|text| text.parse().expect("address"))
            .collect()
    }

    #[tokio::test]
    async fn every_kind_of_address_is_resolved() {
        let asked = addresses(&[
            "static:1",
            "dns+store.ns:10901",
            "dnssrv+_grpc._tcp.ns",
            "dnssrvnoa+_grpc._tcp.ns",
        ]);
        let resolved = Resolver::default().resolve(&asked, &zone()).await;
        let expected: [&[&str]; 4] = [
            &["static:1"],
            &["10.0.0.1:10901", "10.0.0.2:10901", "[fd00::1]:10901"],
            &["10.0.1.1:10901", "10.0.1.2:10901"],
            &["p-0.ns:10901", "p-1.ns:10901"],
        ];
        assert_eq!(resolved.targets, expected);
        assert_eq!((resolved.lookups, resolved.failures.len()), (3, 0));
    }

    #[tokio::test]
    async fn last_good_answer_stands_while_look_ups_fail() {
        let zone = zone();
        let asked = addresses(&["dns+store.ns:1", "dnssrv+_grpc._tcp.ns"]);
        let mut resolver = Resolver::default();
        let before = resolver.resolve(&asked, &zone).await;
        zone.addresses.lock().expect("zone").clear();
        let after = resolver.resolve(&asked, &zone).await;
        assert_eq!(after.targets, before.targets);
        assert_eq!(after.failures, [missing("store.ns"), missing("p-1.ns.")]);
    }

    #[tokio::test]
    async fn an_unknown_name_is_no_target() {
        let asked = addresses(&["dns+nowhere:1"]);
        let resolved = Resolver::default().resolve(&asked, &zone()).await;
        assert_eq!(resolved.targets, [Vec::<String>::new()]);
        assert_eq!(resolved.failures, [missing("nowhere")]);
    }
}
