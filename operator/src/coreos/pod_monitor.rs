//! PodMonitor: one job for each of its endpoints.

use crds::coreos::endpoint::Endpoint;
use crds::coreos::pod_monitor::PodMonitor;
use serde_json::{Map, Value, json};

use super::job::{Scope, no_scrape_class};
use super::relabel::{copy, copy_present, job_name, keep, relabelings, running, set, sharding};
use super::selector::{self, sanitize};
use super::service_monitor::{
    container_port, port_name, selects_by_role, set_asking, set_metric_relabelings,
};
use super::{Resource, limits};

/// The jobs of a PodMonitor.
///
/// # Errors
/// Why it is left out.
pub fn jobs(resource: &Resource, scope: &Scope<'_>) -> Result<Vec<Value>, String> {
    let monitor: PodMonitor = resource.spec()?;
    selector::check(&monitor.selector)?;
    no_scrape_class(monitor.scrape_class.as_deref())?;
    monitor
        .pod_metrics_endpoints
        .iter()
        .enumerate()
        .map(|(index, endpoint)| {
            job(resource, &monitor, endpoint, index, scope)
                .map_err(|problem| format!("podMetricsEndpoints[{index}]: {problem}"))
        })
        .collect()
}

fn job(
    resource: &Resource,
    monitor: &PodMonitor,
    endpoint: &Endpoint,
    index: usize,
    scope: &Scope<'_>,
) -> Result<Value, String> {
    let (namespace, name) = (&resource.namespace, &resource.name);
    let job_text = format!("podMonitor/{namespace}/{name}/{index}");
    let mut job = Map::from_iter([("job_name".to_owned(), Value::from(job_text))]);
    set_asking(&mut job, endpoint, scope)?;
    let mut discovery = scope.discovery("pod", &monitor.namespace_selector)?;
    if let Some(attach) = &monitor.attach_metadata {
        discovery.insert("attach_metadata".into(), json!({ "node": attach.node }));
    }
    let by_role = selects_by_role(monitor.selector_mechanism.as_deref());
    if by_role {
        let label = selector::text(&monitor.selector);
        discovery.insert(
            "selectors".into(),
            json!([{ "role": "pod", "label": label }]),
        );
    }
    job.insert("kubernetes_sd_configs".into(), json!([discovery]));
    let mut rules = vec![job_name()];
    if endpoint.filter_running.unwrap_or(true) {
        rules.push(running());
    }
    if !by_role {
        rules.extend(selector::relabelings(&monitor.selector, "pod"));
    }
    rules.extend(port_filter(endpoint));
    rules.extend([
        copy("__meta_kubernetes_namespace", "namespace"),
        copy("__meta_kubernetes_pod_container_name", "container"),
        copy("__meta_kubernetes_pod_name", "pod"),
    ]);
    for label in &monitor.pod_target_labels {
        let source = format!("__meta_kubernetes_pod_label_{}", sanitize(label));
        rules.push(copy_present(&source, &sanitize(label)));
    }
    rules.push(set("job", &format!("{namespace}/{name}")));
    if let Some(label) = monitor.job_label.as_ref().filter(|text| !text.is_empty()) {
        let source = format!("__meta_kubernetes_pod_label_{}", sanitize(label));
        rules.push(copy_present(&source, "job"));
    }
    // A number alone makes no label, as upstream's does not.
    if let Some(port) = port_name(endpoint) {
        rules.push(set("endpoint", &port));
    }
    rules.extend(relabelings("relabelings", &endpoint.relabelings)?);
    rules.extend(sharding("__address__", scope.context.shards));
    job.insert("relabel_configs".into(), rules.into());
    limits::set(&mut job, &monitor.limits, scope)?;
    set_metric_relabelings(&mut job, endpoint)?;
    Ok(Value::Object(job))
}

fn port_filter(endpoint: &Endpoint) -> Option<Value> {
    if let Some(port) = endpoint.port.as_ref().filter(|port| !port.is_empty()) {
        return Some(keep(
            "__meta_kubernetes_pod_container_port_name",
            port.as_str(),
        ));
    }
    if let Some(number) = endpoint.port_number.filter(|number| *number != 0) {
        return Some(keep("__meta_kubernetes_pod_container_port_number", number));
    }
    container_port(endpoint.target_port.as_ref()?)
}
