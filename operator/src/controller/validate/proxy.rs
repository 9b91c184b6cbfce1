//! The environment by which containers reach what lies outside the cluster.

use crds::MonitoringStackSpec;

/// The proxy variables; what lies inside the cluster is never reached through the proxy.
pub(super) fn environment(spec: &MonitoringStackSpec) -> Vec<(String, String)> {
    let Some(proxy) = &spec.proxy else {
        return Vec::new();
    };
    let mut environment = Vec::new();
    for (name, value) in [
        ("HTTP_PROXY", &proxy.http_proxy),
        ("HTTPS_PROXY", &proxy.https_proxy),
    ] {
        if let Some(value) = value {
            environment.push((name.to_owned(), value.clone()));
        }
    }
    if !environment.is_empty() {
        let mut hosts = ["127.0.0.1", "localhost", ".svc", ".cluster.local"]
            .map(str::to_owned)
            .to_vec();
        hosts.extend(proxy.no_proxy.iter().cloned());
        environment.push(("NO_PROXY".to_owned(), hosts.join(",")));
    }
    environment
}
