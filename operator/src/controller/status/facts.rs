//! The tree beside the conditions: counts, addresses, versions, what moves by itself.

use crds::status::{Endpoints, MonitoringStackStatus, Versions};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::Observed;
use crate::controller::apply::Workload;
use crate::controller::validate::ObjectStorage;
use crate::names::Component;

pub(super) fn describe(
    status: &mut MonitoringStackStatus,
    previous: &MonitoringStackStatus,
    observed: &Observed<'_>,
) {
    let stack = observed.stack;
    let names = &stack.names;
    let host = |service: &str, port: u16| format!("{service}.{}.svc:{port}", names.namespace);
    let count = |workloads: &mut dyn Iterator<Item = &Workload>| {
        let (ready, wanted) = workloads.fold((0, 0), |(ready, wanted), one| {
            (ready + one.ready, wanted + one.wanted)
        });
        format!("{ready}/{wanted}")
    };
    let is_prometheus = |workload: &&Workload| workload.name == names.prometheus;
    status.prometheus = Some(count(&mut observed.workloads.iter().filter(is_prometheus)));
    status.components = Some(count(
        &mut observed.workloads.iter().filter(|one| !is_prometheus(one)),
    ));
    status.query_replicas = observed
        .workloads
        .iter()
        .find(|workload| workload.name == names.of(Component::Query))
        .and_then(|workload| i32::try_from(workload.wanted).ok());
    status.query_selector = Some(
        names
            .selector(Component::Query)
            .iter()
            .map(|(label, value)| format!("{label}={value}"))
            .collect::<Vec<_>>()
            .join(","),
    );
    status.endpoints = Some(Endpoints {
        query: format!("http://{}", host(&names.query_service, 10902)),
        query_grpc: host(&names.query_service, 10901),
        prometheus: (0..stack.prometheus.replicas)
            .map(|n| {
                format!(
                    "http://{}",
                    host(&format!("{}-prometheus-{n}", names.stack), 8080)
                )
            })
            .collect(),
        alertmanager: stack
            .alertmanager
            .as_ref()
            .map(|_| format!("http://{}", host(&names.of(Component::Alertmanager), 9093))),
        grafana: stack
            .grafana
            .as_ref()
            .map(|_| format!("http://{}", host(&names.of(Component::Grafana), 3000))),
        store_api: host(&names.store_api_service, 10901),
    });
    status.versions = Some(Versions {
        prometheus: stack.prometheus.version_text.clone(),
        hindsight: stack.images.hindsight.clone(),
    });
    status.bucket = stack.object_storage.as_ref().map(|storage| match storage {
        ObjectStorage::Secret { bucket, .. } => bucket.text.clone(),
        ObjectStorage::Embedded { .. } => "embedded".to_owned(),
    });
    let newest = observed
        .pods
        .iter()
        .filter_map(|pod| pod.sidecar.as_ref()?.last_upload)
        .max()
        .and_then(|ms| Timestamp::from_millisecond(ms / 1000 * 1000).ok())
        .map(Time);
    status.last_upload = match (&stack.object_storage, newest) {
        (None, _) => None,
        (Some(_), newest) => newest.max(previous.last_upload.clone()),
    };
    status.external_labels.clone_from(&stack.external_labels);
}
