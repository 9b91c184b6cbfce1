//! ServiceMonitor: one job for each of its endpoints.

use crds::coreos::endpoint::Endpoint;
use crds::coreos::service_monitor::ServiceMonitor;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Map, Value, json};

use super::job::{Scope, no_scrape_class};
use super::relabel::{copy, copy_present, job_name, keep, relabelings, running, set, sharding};
use super::selector::{self, sanitize};
use super::{Resource, limits, target};

/// The jobs of a ServiceMonitor.
///
/// # Errors
/// Why it is left out.
pub fn jobs(resource: &Resource, scope: &Scope<'_>) -> Result<Vec<Value>, String> {
    let monitor: ServiceMonitor = resource.spec()?;
    selector::check(&monitor.selector)?;
    no_scrape_class(monitor.scrape_class.as_deref())?;
    monitor
        .endpoints
        .iter()
        .enumerate()
        .map(|(index, endpoint)| {
            job(resource, &monitor, endpoint, index, scope)
                .map_err(|problem| format!("endpoints[{index}]: {problem}"))
        })
        .collect()
}

fn job(
    resource: &Resource,
    monitor: &ServiceMonitor,
    endpoint: &Endpoint,
    index: usize,
    scope: &Scope<'_>,
) -> Result<Value, String> {
    let (namespace, name) = (&resource.namespace, &resource.name);
    let name = format!("serviceMonitor/{namespace}/{name}/{index}");
    let mut job = Map::from_iter([("job_name".to_owned(), Value::from(name))]);
    set_asking(&mut job, endpoint, scope)?;
    let role = match monitor.service_discovery_role.as_deref() {
        Some("Endpoints") => "endpoints",
        _ => "endpointslice",
    };
    let mut discovery = scope.discovery(role, &monitor.namespace_selector)?;
    if let Some(attach) = &monitor.attach_metadata {
        discovery.insert("attach_metadata".into(), json!({ "node": attach.node }));
    }
    let by_role = selects_by_role(monitor.selector_mechanism.as_deref());
    if by_role {
        let label = selector::text(&monitor.selector);
        discovery.insert(
            "selectors".into(),
            json!([{ "role": role, "label": label }, { "role": "service", "label": label }]),
        );
    }
    job.insert("kubernetes_sd_configs".into(), json!([discovery]));
    let mut rules = vec![job_name()];
    if !by_role {
        rules.extend(selector::relabelings(&monitor.selector, "service"));
    }
    rules.extend(port_filter(endpoint, role));
    rules.extend(identity(role));
    if endpoint.filter_running.unwrap_or(true) {
        rules.push(running());
    }
    for label in &monitor.target_labels {
        let source = format!("__meta_kubernetes_service_label_{}", sanitize(label));
        rules.push(copy_present(&source, &sanitize(label)));
    }
    for label in &monitor.pod_target_labels {
        let source = format!("__meta_kubernetes_pod_label_{}", sanitize(label));
        rules.push(copy_present(&source, &sanitize(label)));
    }
    rules.push(json!({
        "source_labels": ["__meta_kubernetes_service_name"],
        "target_label": "job",
        "replacement": "${1}",
    }));
    if let Some(label) = monitor.job_label.as_ref().filter(|text| !text.is_empty()) {
        let source = format!("__meta_kubernetes_service_label_{}", sanitize(label));
        rules.push(copy_present(&source, "job"));
    }
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

/// Whether the API server selects, instead of relabelings.
pub fn selects_by_role(mechanism: Option<&str>) -> bool {
    mechanism == Some("RoleSelector")
}

/// Sets how and how often the endpoint is asked.
///
/// # Errors
/// What is wrong with it.
pub fn set_asking(
    job: &mut Map<String, Value>,
    endpoint: &Endpoint,
    scope: &Scope<'_>,
) -> Result<(), String> {
    job.insert("honor_labels".into(), endpoint.honor_labels.into());
    if let Some(honor) = endpoint.honor_timestamps {
        job.insert("honor_timestamps".into(), honor.into());
    }
    if let Some(track) = endpoint.track_timestamps_staleness {
        job.insert("track_timestamps_staleness".into(), track.into());
    }
    scope.set_times(
        job,
        endpoint.interval.as_deref(),
        endpoint.scrape_timeout.as_deref(),
    )?;
    if let Some(path) = endpoint.path.as_ref().filter(|path| !path.is_empty()) {
        job.insert("metrics_path".into(), path.as_str().into());
    }
    if !endpoint.params.is_empty() {
        job.insert("params".into(), json!(endpoint.params));
    }
    set_scheme(job, endpoint.scheme.as_deref())?;
    target::set_http(job, &endpoint.http, scope)?;
    target::set_proxy(job, &endpoint.proxy, scope)
}

/// Sets the scheme, in the case that Prometheus knows.
///
/// # Errors
/// Where it is no scheme.
pub fn set_scheme(job: &mut Map<String, Value>, scheme: Option<&str>) -> Result<(), String> {
    let Some(scheme) = scheme.filter(|scheme| !scheme.is_empty()) else {
        return Ok(());
    };
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "http" && scheme != "https" {
        return Err(format!("scheme {scheme:?} is neither http nor https"));
    }
    job.insert("scheme".into(), scheme.into());
    Ok(())
}

/// Sets what happens to samples before they are stored.
///
/// # Errors
/// Where Prometheus would refuse it.
pub fn set_metric_relabelings(
    job: &mut Map<String, Value>,
    endpoint: &Endpoint,
) -> Result<(), String> {
    let rules = relabelings("metricRelabelings", &endpoint.metric_relabelings)?;
    if !rules.is_empty() {
        job.insert("metric_relabel_configs".into(), rules.into());
    }
    Ok(())
}

fn port_filter(endpoint: &Endpoint, role: &str) -> Option<Value> {
    if let Some(port) = endpoint.port.as_ref().filter(|port| !port.is_empty()) {
        let prefix = match role {
            "endpoints" => "endpoint",
            _ => "endpointslice",
        };
        let source = format!("__meta_kubernetes_{prefix}_port_name");
        return Some(keep(&source, port.as_str()));
    }
    container_port(endpoint.target_port.as_ref()?)
}

/// Keeps the targets with a container's port, by name or number.
pub fn container_port(port: &IntOrString) -> Option<Value> {
    match port {
        IntOrString::String(name) if !name.is_empty() => Some(keep(
            "__meta_kubernetes_pod_container_port_name",
            name.as_str(),
        )),
        IntOrString::Int(number) if *number != 0 => {
            Some(keep("__meta_kubernetes_pod_container_port_number", *number))
        }
        IntOrString::String(_) | IntOrString::Int(_) => None,
    }
}

/// What the label `endpoint` says: the port's name, or its number.
pub fn port_name(endpoint: &Endpoint) -> Option<String> {
    if let Some(port) = endpoint.port.as_ref().filter(|port| !port.is_empty()) {
        return Some(port.clone());
    }
    match endpoint.target_port.as_ref()? {
        IntOrString::String(name) if name.is_empty() => None,
        IntOrString::String(name) => Some(name.clone()),
        IntOrString::Int(number) => Some(number.to_string()),
    }
}

/// Who the target is: node or pod behind the address, namespace, Service, container.
fn identity(role: &str) -> [Value; 6] {
    let prefix = match role {
        "endpoints" => "endpoint",
        _ => "endpointslice",
    };
    let kind = format!("__meta_kubernetes_{prefix}_address_target_kind");
    let name = format!("__meta_kubernetes_{prefix}_address_target_name");
    let behind = |regex: &str, target: &str| {
        json!({
            "source_labels": [kind, name],
            "separator": ";",
            "regex": regex,
            "replacement": "${1}",
            "target_label": target,
        })
    };
    [
        behind("Node;(.*)", "node"),
        behind("Pod;(.*)", "pod"),
        copy("__meta_kubernetes_namespace", "namespace"),
        copy("__meta_kubernetes_service_name", "service"),
        copy("__meta_kubernetes_pod_name", "pod"),
        copy("__meta_kubernetes_pod_container_name", "container"),
    ]
}
