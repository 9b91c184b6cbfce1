//! The section `store`.

use crds::MonitoringStackSpec;
use crds::workload::PodOptions;

use super::{Check, Container, Volume, args};

/// The validated section `store`.
#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    pub replicas: i32,
    pub volume: Volume,
    pub container: Container,
    pub pod: PodOptions,
}

impl Check<'_> {
    pub(super) fn store(&mut self, spec: &MonitoringStackSpec) -> Store {
        Store {
            replicas: self.replicas("spec.store.replicas", spec.store.replicas),
            volume: self.volume("spec.store.storage", &spec.store.storage, "10Gi"),
            container: self.container("spec.store", &spec.store.container, &args::STORE),
            pod: self.pod("spec.store", &spec.store.pod),
        }
    }
}
