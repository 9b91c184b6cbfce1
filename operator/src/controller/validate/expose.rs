//! The section `expose`.

use crds::MonitoringStackSpec;
use crds::expose::Ingress;

use super::Check;

/// What a host of several replicas must contain.
pub const ORDINAL: &str = "$(ordinal)";

/// One way in.
#[derive(Clone, Debug, PartialEq)]
pub struct Exposure {
    /// For several replicas with [`ORDINAL`] in it.
    pub host: String,
    pub ingress: Ingress,
}

/// The validated section `expose`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposures {
    pub query: Option<Exposure>,
    pub prometheus: Option<Exposure>,
    pub alertmanager: Option<Exposure>,
    pub grafana: Option<Exposure>,
    pub query_grpc: Option<Exposure>,
    pub sidecar_grpc: Option<Exposure>,
}

impl Check<'_> {
    pub(super) fn expose(&mut self, spec: &MonitoringStackSpec, namespace: &str) -> Exposures {
        let Some(section) = &spec.expose else {
            return Exposures::default();
        };
        let mut hosts: Vec<String> = Vec::new();
        let mut one = |check: &mut Self,
                       name: &str,
                       exists: bool,
                       replicas: bool,
                       entry: Option<(&String, &Ingress, Option<bool>)>|
         -> Option<Exposure> {
            let (host, ingress, external) = entry?;
            let path = format!("spec.expose.{name}");
            if !exists {
                check.refuse(
                    &path,
                    "exposes what the stack does not have; enable it first",
                );
            }
            if external == Some(false) {
                check.refuse(
                    &format!("{path}.auth.external"),
                    "must be true: it has no login of its own, so the ingress controller must check who comes",
                );
            }
            if host.contains(ORDINAL) != replicas {
                let must = if replicas { "must" } else { "must not" };
                let problem = format!("{must} contain {ORDINAL}");
                check.refuse(&format!("{path}.host"), problem);
            }
            if hosts.contains(host) {
                let problem = format!("{host:?} is used twice");
                check.refuse(&format!("{path}.host"), problem);
            }
            hosts.push(host.clone());
            check.annotations(&path, ingress, namespace);
            Some(Exposure {
                host: host.clone(),
                ingress: ingress.clone(),
            })
        };
        let http = |entry: &Option<crds::expose::ExposeHttp>| {
            entry
                .clone()
                .map(|entry| (entry.host, entry.ingress, Some(entry.auth.external)))
        };
        let grpc = |entry: &Option<crds::expose::ExposeGrpc>| {
            entry
                .clone()
                .map(|entry| (entry.host, entry.ingress, Some(entry.auth.external)))
        };
        let grafana = section
            .grafana
            .clone()
            .map(|entry| (entry.host, entry.ingress, None));
        let entries = [
            ("query", true, false, http(&section.query)),
            ("prometheus", true, true, http(&section.prometheus)),
            (
                "alertmanager",
                spec.alertmanager.enabled,
                false,
                http(&section.alertmanager),
            ),
            ("grafana", spec.grafana.enabled, false, grafana),
            ("queryGrpc", true, false, grpc(&section.query_grpc)),
            ("sidecarGrpc", true, true, grpc(&section.sidecar_grpc)),
        ];
        let mut found = entries.map(|(name, exists, replicas, entry)| {
            if name.ends_with("Grpc")
                && let Some((_, ingress, _)) = &entry
                && ingress.tls_secret_name.is_none()
            {
                self.refuse(
                    &format!("spec.expose.{name}.ingress.tlsSecretName"),
                    "is needed: gRPC is exposed by TLS only",
                );
            }
            let entry = entry
                .as_ref()
                .map(|(host, ingress, external)| (host, ingress, *external));
            one(self, name, exists, replicas, entry)
        });
        if found.iter().any(Option::is_some)
            && spec.network_policy.enabled
            && spec.network_policy.clients.is_empty()
        {
            self.refuse(
                "spec.networkPolicy.clients",
                "must name the ingress controller's pods, which reach nothing of the stack otherwise",
            );
        }
        let mut take = |index: usize| found.get_mut(index).and_then(Option::take);
        Exposures {
            query: take(0),
            prometheus: take(1),
            alertmanager: take(2),
            grafana: take(3),
            query_grpc: take(4),
            sidecar_grpc: take(5),
        }
    }

    /// An annotation must not give its author more than the namespace: pieces of the controller's
    /// configuration run with the controller's power, and some values name Secrets elsewhere.
    fn annotations(&mut self, path: &str, ingress: &Ingress, namespace: &str) {
        for (key, value) in &ingress.annotations {
            let path = format!("{path}.ingress.annotations.{key}");
            if key.contains("snippet") || key.contains("lua") {
                self.refuse(
                    &path,
                    "pieces of the controller's configuration are refused",
                );
            }
            let named = value
                .split([',', ' '])
                .filter_map(|word| word.split_once('/'));
            let is_name = |text: &str| {
                !text.is_empty()
                    && text
                        .chars()
                        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c))
            };
            for (of, name) in named {
                if is_name(of) && is_name(name) && of != namespace {
                    let problem = format!(
                        "names {name:?} of namespace {of:?}; only this namespace may be named"
                    );
                    self.refuse(&path, problem);
                }
            }
        }
    }
}
