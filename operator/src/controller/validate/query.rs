//! The section `query`.

use crds::MonitoringStackSpec;
use crds::query::{Autoscaling, EndpointTls};
use crds::workload::PodOptions;

use super::{Check, Container, Reason, args};

/// The validated section `query`.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub replicas: i32,
    pub autoscaling: Option<Autoscaling>,
    pub endpoints: Vec<QueryEndpoint>,
    pub container: Container,
    pub pod: PodOptions,
}

/// A further store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryEndpoint {
    pub address: String,
    pub strict: bool,
    pub tls: Option<QueryEndpointTls>,
}

/// How it is dialled by TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryEndpointTls {
    pub secret_name: String,
    pub server_name: Option<String>,
    pub has_ca: bool,
    pub has_certificate: bool,
}

/// Keys of a Secret with TLS material, as Kubernetes and cert-manager name them.
const CA_KEY: &str = "ca.crt";
const CERTIFICATE_KEY: &str = "tls.crt";
const PRIVATE_KEY: &str = "tls.key";

impl Check<'_> {
    pub(super) fn query(&mut self, spec: &MonitoringStackSpec) -> Query {
        Query {
            replicas: self.replicas("spec.query.replicas", spec.query.replicas),
            autoscaling: self.autoscaling(spec),
            endpoints: self.endpoints(spec),
            container: self.container("spec.query", &spec.query.container, &args::QUERY),
            pod: self.pod("spec.query", &spec.query.pod),
        }
    }

    fn endpoints(&mut self, spec: &MonitoringStackSpec) -> Vec<QueryEndpoint> {
        let mut endpoints = Vec::new();
        for (index, endpoint) in spec.query.endpoints.iter().enumerate() {
            let path = format!("spec.query.endpoints[{index}]");
            let is_looked_up = endpoint.address.contains('+');
            let has_port = endpoint
                .address
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
            if !is_looked_up && !has_port {
                let problem = format!("{:?} is no host:port", endpoint.address);
                self.refuse(&format!("{path}.address"), problem);
            }
            if endpoint.strict && is_looked_up {
                self.refuse(
                    &format!("{path}.strict"),
                    "needs a host:port, not a name to look up",
                );
            }
            if spec.query.endpoints[..index]
                .iter()
                .any(|other| other.address == endpoint.address)
            {
                let problem = format!("{:?} is listed twice", endpoint.address);
                self.refuse(&format!("{path}.address"), problem);
            }
            endpoints.push(QueryEndpoint {
                address: endpoint.address.clone(),
                strict: endpoint.strict,
                tls: endpoint
                    .tls
                    .as_ref()
                    .map(|tls| self.endpoint_tls(&format!("{path}.tls.secretName"), tls)),
            });
        }
        endpoints
    }

    fn endpoint_tls(&mut self, path: &str, tls: &EndpointTls) -> QueryEndpointTls {
        let keys: Vec<String> = match self.references.secrets.get(&tls.secret_name) {
            Some(secret) => secret.0.keys().cloned().collect(),
            None => {
                let problem = format!(
                    "Secret {:?} does not exist in this namespace; create it with key {CA_KEY:?}",
                    tls.secret_name
                );
                self.refuse_as(Reason::SecretNotFound, path, problem);
                Vec::new()
            }
        };
        let has = |key: &str| keys.iter().any(|one| one == key);
        if has(CERTIFICATE_KEY) != has(PRIVATE_KEY) {
            let problem = format!(
                "Secret {:?} needs both {CERTIFICATE_KEY:?} and {PRIVATE_KEY:?}, or neither",
                tls.secret_name
            );
            self.refuse_as(Reason::SecretKeyNotFound, path, problem);
        }
        QueryEndpointTls {
            secret_name: tls.secret_name.clone(),
            server_name: tls.server_name.clone(),
            has_ca: has(CA_KEY),
            has_certificate: has(CERTIFICATE_KEY),
        }
    }

    fn autoscaling(&mut self, spec: &MonitoringStackSpec) -> Option<Autoscaling> {
        let scaling = spec.query.autoscaling.as_ref()?;
        let path = "spec.query.autoscaling";
        self.replicas(&format!("{path}.min"), scaling.min);
        self.replicas(&format!("{path}.max"), scaling.max);
        if scaling.min > scaling.max {
            self.refuse(&format!("{path}.min"), "must not be more than max");
        }
        if scaling.cpu.is_none() && scaling.memory.is_none() {
            self.refuse(path, "needs a target: cpu, memory or both");
        }
        // A share is one of what is requested; a limit alone is a request too.
        let resources = spec.query.container.resources.clone().unwrap_or_default();
        let is_silent = resources.requests.is_empty() && resources.limits.is_empty();
        for (resource, target) in [("cpu", scaling.cpu), ("memory", scaling.memory)] {
            let is_requested = is_silent
                || resources.requests.contains_key(resource)
                || resources.limits.contains_key(resource);
            if target.is_some() && !is_requested {
                self.refuse(
                    &format!("{path}.{resource}"),
                    format!(
                        "is a share of spec.query.resources.requests.{resource}, which is not set"
                    ),
                );
            }
        }
        Some(scaling.clone())
    }
}
