//! Scrape configurations: the stack's own components, then the ready-made jobs, then those of
//! monitoring resources, then the user's raw ones.

use serde_json::{Value, json};

use crate::controller::validate::{Exporter, Place, Reach, Stack};
use crate::names::{self, Component};

const TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const CA_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

pub(super) fn configs(stack: &Stack) -> Vec<Value> {
    let name = &stack.names.stack;
    let mut configs = vec![
        own(
            stack,
            &format!("{name}-prometheus"),
            Component::Prometheus,
            "prometheus",
            "web",
        ),
        own(
            stack,
            &format!("{name}-thanos-sidecar"),
            Component::Prometheus,
            "sidecar",
            "http",
        ),
        own(
            stack,
            &format!("{name}-thanos-query"),
            Component::Query,
            "querier",
            "http",
        ),
    ];
    if stack.object_storage.is_some() {
        configs.push(own(
            stack,
            &format!("{name}-thanos-store"),
            Component::Store,
            "store",
            "http",
        ));
    }
    if stack.compact.is_some() {
        configs.push(own(
            stack,
            &format!("{name}-thanos-compact"),
            Component::Compact,
            "compactor",
            "http",
        ));
    }
    if stack.alertmanager.is_some() {
        configs.push(own(
            stack,
            &format!("{name}-alertmanager"),
            Component::Alertmanager,
            "alertmanager",
            "web",
        ));
    }
    if stack.grafana.is_some() {
        configs.push(own(
            stack,
            &format!("{name}-grafana"),
            Component::Grafana,
            "grafana",
            "http",
        ));
    }
    configs.extend(kube_state_metrics(stack));
    configs.extend(node_exporter(stack));
    let scrapes = &stack.prometheus.scrapes;
    if stack.reach == Reach::Cluster {
        if scrapes.kubelet {
            configs.push(kubelet("kubelet", "/metrics"));
        }
        if scrapes.cadvisor {
            configs.push(kubelet("cadvisor", "/metrics/cadvisor"));
        }
        if scrapes.apiserver {
            configs.push(apiserver());
        }
    }
    if scrapes.pods {
        configs.push(annotated_pods(stack));
    }
    if scrapes.services {
        configs.push(annotated_services(stack));
    }
    configs.extend(stack.monitored.jobs.iter().cloned());
    configs.extend(stack.prometheus.additional_scrape_configs.iter().cloned());
    configs
}

/// One of the stack's own components, found by its labels. The job's name is what the field's
/// alerts and dashboards select by.
fn own(stack: &Stack, job: &str, component: Component, container: &str, port: &str) -> Value {
    let selector: Vec<String> = stack
        .names
        .selector(component)
        .iter()
        .map(|(label, value)| format!("{label}={value}"))
        .collect();
    json!({
        "job_name": job,
        "kubernetes_sd_configs": [{
            "role": "pod",
            "namespaces": { "names": [stack.names.namespace] },
            "selectors": [{ "role": "pod", "label": selector.join(",") }],
        }],
        "relabel_configs": [
            keep(&["__meta_kubernetes_pod_container_name"], container),
            keep(&["__meta_kubernetes_pod_container_port_name"], port),
            drop_finished(),
            copy("__meta_kubernetes_namespace", "namespace"),
            copy("__meta_kubernetes_pod_name", "pod"),
            copy("__meta_kubernetes_pod_container_name", "container"),
        ],
    })
}

/// Discovery of an exporter's pods, of whichever stack runs it.
fn exporter_pods(stack: &Stack, component: Component, exporter: &Exporter) -> Option<Value> {
    let (namespace, owner) = match &exporter.place {
        Place::Unwanted | Place::NoLeave => return None,
        Place::Here => (&stack.names.namespace, &stack.names.stack),
        Place::Elsewhere { namespace, stack } => (namespace, stack),
    };
    let selector: Vec<String> = names::selector(owner, component)
        .iter()
        .map(|(label, value)| format!("{label}={value}"))
        .collect();
    Some(json!({
        "role": "pod",
        "namespaces": { "names": [namespace] },
        "selectors": [{ "role": "pod", "label": selector.join(",") }],
    }))
}

/// Its series carry the labels of what they tell of, so none of the exporter's own pod is added.
fn kube_state_metrics(stack: &Stack) -> Option<Value> {
    let component = Component::KubeStateMetrics;
    let discovery = exporter_pods(stack, component, &stack.kube_state_metrics)?;
    Some(json!({
        "job_name": "kube-state-metrics",
        "honor_labels": true,
        "kubernetes_sd_configs": [discovery],
        "relabel_configs": [
            keep(&["__meta_kubernetes_pod_container_port_name"], "http|telemetry"),
            drop_finished(),
        ],
    }))
}

fn node_exporter(stack: &Stack) -> Option<Value> {
    let discovery = exporter_pods(stack, Component::NodeExporter, &stack.node_exporter)?;
    Some(json!({
        "job_name": "node-exporter",
        "kubernetes_sd_configs": [discovery],
        "relabel_configs": [
            keep(&["__meta_kubernetes_pod_container_port_name"], "metrics"),
            drop_finished(),
            copy("__meta_kubernetes_pod_node_name", "instance"),
            copy("__meta_kubernetes_namespace", "namespace"),
            copy("__meta_kubernetes_pod_name", "pod"),
            copy("__meta_kubernetes_pod_container_name", "container"),
        ],
    }))
}

/// A path of every kubelet, directly: the API server's proxy would need power over whole nodes.
fn kubelet(job: &str, path: &str) -> Value {
    json!({
        "job_name": job,
        "scheme": "https",
        "metrics_path": path,
        "honor_labels": true,
        "track_timestamps_staleness": true,
        "authorization": { "credentials_file": TOKEN_FILE },
        // Most kubelets serve a certificate that they signed themselves.
        "tls_config": { "ca_file": CA_FILE, "insecure_skip_verify": true },
        "kubernetes_sd_configs": [{ "role": "node" }],
        "relabel_configs": [
            replace_with("kubelet", "job"),
            copy("__meta_kubernetes_node_name", "node"),
            copy("__metrics_path__", "metrics_path"),
        ],
    })
}

fn apiserver() -> Value {
    json!({
        "job_name": "apiserver",
        "scheme": "https",
        "authorization": { "credentials_file": TOKEN_FILE },
        "tls_config": { "ca_file": CA_FILE, "server_name": "kubernetes" },
        "kubernetes_sd_configs": [{
            "role": "endpointslice",
            "namespaces": { "names": ["default"] },
        }],
        "relabel_configs": [
            keep(
                &["__meta_kubernetes_service_name", "__meta_kubernetes_endpointslice_port_name"],
                "kubernetes;https",
            ),
            copy("__meta_kubernetes_namespace", "namespace"),
            copy("__meta_kubernetes_service_name", "service"),
        ],
    })
}

fn annotated_pods(stack: &Stack) -> Value {
    let annotation = "__meta_kubernetes_pod_annotation_prometheus_io";
    json!({
        "job_name": "kubernetes-pods",
        "kubernetes_sd_configs": [discovery(stack, "pod")],
        "relabel_configs": [
            keep(&[&format!("{annotation}_scrape")], "true"),
            drop_finished(),
            scheme(&format!("{annotation}_scheme")),
            path(&format!("{annotation}_path")),
            // A port makes all containers of the pod one target; IPv6 addresses need brackets.
            {
                "source_labels": [format!("{annotation}_port"), "__meta_kubernetes_pod_ip"],
                "regex": r"(\d+);(([A-Fa-f0-9]{1,4}::?){1,7}[A-Fa-f0-9]{1,4})",
                "target_label": "__address__",
                "replacement": "[$2]:$1",
            },
            {
                "source_labels": [format!("{annotation}_port"), "__meta_kubernetes_pod_ip"],
                "regex": r"(\d+);((([0-9]+?)(\.|$)){4})",
                "target_label": "__address__",
                "replacement": "$2:$1",
            },
            copy("__meta_kubernetes_namespace", "namespace"),
            copy("__meta_kubernetes_pod_name", "pod"),
            copy("__meta_kubernetes_pod_node_name", "node"),
        ],
    })
}

fn annotated_services(stack: &Stack) -> Value {
    let annotation = "__meta_kubernetes_service_annotation_prometheus_io";
    json!({
        "job_name": "kubernetes-service-endpoints",
        "kubernetes_sd_configs": [discovery(stack, "endpointslice")],
        "relabel_configs": [
            keep(&[&format!("{annotation}_scrape")], "true"),
            drop_finished(),
            scheme(&format!("{annotation}_scheme")),
            path(&format!("{annotation}_path")),
            {
                "source_labels": ["__address__", format!("{annotation}_port")],
                "regex": r"(.+?)(?::\d+)?;(\d+)",
                "target_label": "__address__",
                "replacement": "$1:$2",
            },
            copy("__meta_kubernetes_namespace", "namespace"),
            copy("__meta_kubernetes_service_name", "service"),
            copy("__meta_kubernetes_pod_name", "pod"),
            copy("__meta_kubernetes_pod_node_name", "node"),
        ],
    })
}

/// Discovery in the whole cluster where the stack may, else in its own namespace.
fn discovery(stack: &Stack, role: &str) -> Value {
    match stack.reach {
        Reach::Cluster => json!({ "role": role }),
        Reach::Namespace => {
            json!({ "role": role, "namespaces": { "names": [stack.names.namespace] } })
        }
    }
}

fn keep(sources: &[&str], regex: &str) -> Value {
    json!({ "action": "keep", "source_labels": sources, "regex": regex })
}

fn drop_finished() -> Value {
    json!({
        "action": "drop",
        "source_labels": ["__meta_kubernetes_pod_phase"],
        "regex": "Failed|Succeeded",
    })
}

fn copy(source: &str, target: &str) -> Value {
    json!({ "source_labels": [source], "target_label": target })
}

fn replace_with(text: &str, target: &str) -> Value {
    json!({ "target_label": target, "replacement": text })
}

fn scheme(source: &str) -> Value {
    json!({ "source_labels": [source], "regex": "(https?)", "target_label": "__scheme__" })
}

fn path(source: &str) -> Value {
    json!({ "source_labels": [source], "regex": "(.+)", "target_label": "__metrics_path__" })
}
