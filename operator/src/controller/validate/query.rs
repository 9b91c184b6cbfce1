//! The section `query`.

use crds::MonitoringStackSpec;
use crds::workload::PodOptions;

use super::{Check, Container, args};

/// The validated section `query`.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub replicas: i32,
    pub container: Container,
    pub pod: PodOptions,
}

impl Check<'_> {
    pub(super) fn query(&mut self, spec: &MonitoringStackSpec) -> Query {
        Query {
            replicas: self.replicas("spec.query.replicas", spec.query.replicas),
            container: self.container("spec.query", &spec.query.container, &args::QUERY),
            pod: self.pod("spec.query", &spec.query.pod),
        }
    }
}
