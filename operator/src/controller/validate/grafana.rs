//! The section `grafana`.

use crds::MonitoringStackSpec;
use crds::workload::{ContainerOptions, PodOptions};

use super::{Check, Container, Volume, args};
use crate::settings::GRAFANA_REPOSITORY;

/// The validated section `grafana`, where it is enabled.
#[derive(Clone, Debug, PartialEq)]
pub struct Grafana {
    pub image: String,
    pub volume: Volume,
    pub container: Container,
    pub pod: PodOptions,
}

impl Check<'_> {
    pub(super) fn grafana(&mut self, spec: &MonitoringStackSpec) -> Option<Grafana> {
        let section = &spec.grafana;
        if !section.enabled {
            return None;
        }
        let path = "spec.grafana";
        let options = ContainerOptions {
            resources: section.resources.clone(),
            ..ContainerOptions::default()
        };
        Some(Grafana {
            image: self.image(
                &format!("{path}.image"),
                section.image.as_deref(),
                &format!("{GRAFANA_REPOSITORY}:{}", section.version),
            ),
            volume: self.volume(&format!("{path}.storage"), &section.storage, "1Gi"),
            container: self.container(path, &options, &args::GRAFANA),
            pod: self.pod(path, &section.pod),
        })
    }
}
