//! The section `query`.

use crds::MonitoringStackSpec;
use crds::query::Autoscaling;
use crds::workload::PodOptions;

use super::{Check, Container, args};

/// The validated section `query`.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub replicas: i32,
    pub autoscaling: Option<Autoscaling>,
    pub container: Container,
    pub pod: PodOptions,
}

impl Check<'_> {
    pub(super) fn query(&mut self, spec: &MonitoringStackSpec) -> Query {
        Query {
            replicas: self.replicas("spec.query.replicas", spec.query.replicas),
            autoscaling: self.autoscaling(spec),
            container: self.container("spec.query", &spec.query.container, &args::QUERY),
            pod: self.pod("spec.query", &spec.query.pod),
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
