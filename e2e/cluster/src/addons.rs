//! What runs on every cluster: CoreDNS, the default StorageClass and the volume provisioner's objects.

use anyhow::{Context, Result};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::gvk::ParseGroupVersionError;
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::image::{BUSYBOX_IMAGE, COREDNS_IMAGE};
use crate::layout::{DNS_SERVICE_IP, Layout};
use crate::parts;
use crate::process::Invocation;

const FIELD_MANAGER: &str = "hindsight-cluster";

const VOLUME_NAMESPACE: &str = "local-path-storage";
const VOLUME_CONFIG: &str = "local-path-config";
const VOLUME_ACCOUNT: &str = "local-path-provisioner";
const PROVISIONER: &str = "rancher.io/local-path";

/// Applies them all; those that are as they should be do not change.
pub(crate) async fn apply(client: &Client, layout: &Layout, upstream_dns: bool) -> Result<()> {
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let objects = dns(upstream_dns).into_iter().chain(storage(layout));
    for object in objects {
        let object: DynamicObject = serde_json::from_value(object)?;
        let types = object.types.clone().context("an addon without a kind")?;
        let api = api(client, &types, object.metadata.namespace.as_deref())?;
        let name = object
            .metadata
            .name
            .clone()
            .context("an addon without a name")?;
        api.patch(&name, &params, &Patch::Apply(&object))
            .await
            .with_context(|| format!("apply {} {name}", types.kind))?;
    }
    Ok(())
}

fn api(client: &Client, types: &TypeMeta, namespace: Option<&str>) -> Result<Api<DynamicObject>> {
    let kind = GroupVersionKind::try_from(types.clone())
        .map_err(|error: ParseGroupVersionError| anyhow::anyhow!(error))?;
    // All of these kinds form their plural the plain way.
    let resource = ApiResource::from_gvk(&kind);
    Ok(match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    })
}

fn dns(upstream: bool) -> Vec<Value> {
    let labels = json!({"k8s-app": "kube-dns"});
    let account = json!({"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"});
    vec![
        json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "coredns", "namespace": "kube-system"},
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "system:coredns"},
            "rules": [
                {"apiGroups": [""], "verbs": ["list", "watch"],
                    "resources": ["services", "pods", "namespaces"]},
                {"apiGroups": ["discovery.k8s.io"], "verbs": ["list", "watch"],
                    "resources": ["endpointslices"]},
            ],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "system:coredns"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                "name": "system:coredns"},
            "subjects": [account],
        }),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "coredns", "namespace": "kube-system"},
            "data": {"Corefile": corefile(upstream)},
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "coredns", "namespace": "kube-system", "labels": labels},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": dns_pod(),
                },
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": "kube-dns", "namespace": "kube-system",
                "labels": {"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"},
                "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9153"},
            },
            "spec": {
                "clusterIP": DNS_SERVICE_IP,
                "selector": labels,
                "ports": [
                    {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": "dns"},
                    {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": "dns-tcp"},
                    {"name": "metrics", "port": 9153, "protocol": "TCP", "targetPort": "metrics"},
                ],
            },
        }),
    ]
}

fn dns_pod() -> Value {
    // Patient: on a machine that compiles beside it, an answer may take seconds, and a restart of the
    // only DNS server would fail every lookup of the cluster.
    let probe = |path: &str, port: &str, period: u32| {
        json!({
            "httpGet": {"path": path, "port": port},
            "periodSeconds": period,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        })
    };
    json!({
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "securityContext": {"runAsNonRoot": true},
        "containers": [{
            "name": "coredns",
            "image": COREDNS_IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "args": ["-conf", "/etc/coredns/Corefile"],
            "ports": [
                {"name": "dns", "containerPort": 1053, "protocol": "UDP"},
                {"name": "dns-tcp", "containerPort": 1053, "protocol": "TCP"},
                {"name": "health", "containerPort": 8080, "protocol": "TCP"},
                {"name": "ready", "containerPort": 8181, "protocol": "TCP"},
                {"name": "metrics", "containerPort": 9153, "protocol": "TCP"},
            ],
            "livenessProbe": probe("/health", "health", 10),
            "readinessProbe": probe("/ready", "ready", 2),
            // Without a request it would be the last to get processor time.
            "resources": {"requests": {"cpu": "100m", "memory": "70Mi"}},
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": true}],
        }],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    })
}

/// A port above 1024, so that no capability is needed; the Service translates.
fn corefile(upstream: bool) -> String {
    let forward = if upstream {
        "    forward . /etc/resolv.conf\n"
    } else {
        ""
    };
    format!(
        ".:1053 {{
    errors
    health :8080
    ready :8181
    prometheus :9153
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 5
    }}
{forward}    cache 5
}}
"
    )
}

fn storage(layout: &Layout) -> Vec<Value> {
    let data = json!({
        "config.json": provisioner_config(layout).to_string(),
        // Prometheus and others run as plain users, to whom the folder has to be open.
        "setup": "#!/bin/sh\nset -eu\nmkdir -m 0777 -p \"$VOL_DIR\"\n",
        "teardown": "#!/bin/sh\nset -eu\nrm -rf \"$VOL_DIR\"\n",
        "helperPod.yaml": helper_pod().to_string(),
    });
    vec![
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": VOLUME_NAMESPACE},
        }),
        json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": VOLUME_ACCOUNT, "namespace": VOLUME_NAMESPACE},
            "automountServiceAccountToken": false,
        }),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": VOLUME_CONFIG, "namespace": VOLUME_NAMESPACE},
            "data": data,
        }),
        json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {
                "name": "local-path",
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": PROVISIONER,
            "volumeBindingMode": "WaitForFirstConsumer",
            "reclaimPolicy": "Delete",
        }),
    ]
}

fn provisioner_config(layout: &Layout) -> Value {
    json!({"nodePathMap": [
        {"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [layout.volumes()]},
    ]})
}

fn helper_pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "helper-pod"},
        "spec": {
            "containers": [{
                "name": "helper-pod",
                "image": BUSYBOX_IMAGE,
                "imagePullPolicy": "IfNotPresent",
            }],
        },
    })
}

/// The provisioner as a process beside the cluster, with the same configuration as in its ConfigMap.
pub(crate) fn provisioner(layout: &Layout) -> Result<Invocation> {
    let dir = layout.config();
    let (config, pod) = (dir.join("local-path.json"), dir.join("helper-pod.json"));
    crate::pki::write_atomic(
        &config,
        provisioner_config(layout).to_string().as_bytes(),
        0o644,
    )?;
    crate::pki::write_atomic(&pod, helper_pod().to_string().as_bytes(), 0o644)?;
    let program = parts::build("local-path-provisioner")?.join("local-path-provisioner");
    Ok(Invocation::new(program)
        .arg("start")
        .file("config", &config)
        .file("kubeconfig", &layout.kubeconfig())
        .flag("provisioner-name", PROVISIONER)
        .flag("namespace", VOLUME_NAMESPACE)
        .flag("helper-image", BUSYBOX_IMAGE)
        .file("helper-pod-file", &pod)
        .flag("configmap-name", VOLUME_CONFIG)
        .flag("service-account-name", VOLUME_ACCOUNT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_forwarded_only_where_somebody_answers() {
        assert!(corefile(true).contains("forward . /etc/resolv.conf"));
        assert!(!corefile(false).contains("forward"));
    }

    #[test]
    fn every_addon_is_an_object_that_can_be_applied() {
        let layout = Layout {
            dir: "/state".into(),
        };
        for object in dns(true).into_iter().chain(storage(&layout)) {
            let object: DynamicObject = serde_json::from_value(object).expect("an object");
            assert!(
                object.types.is_some() && object.metadata.name.is_some(),
                "{object:?}"
            );
        }
    }

    #[test]
    fn the_dns_service_reaches_ports_that_the_pod_names() {
        let objects = dns(true);
        let service = objects.last().expect("the Service");
        let pod = dns_pod();
        let named: Vec<_> = pod["containers"][0]["ports"]
            .as_array()
            .expect("ports")
            .iter()
            .map(|port| (&port["name"], &port["protocol"]))
            .collect();
        for port in service["spec"]["ports"].as_array().expect("ports") {
            assert!(
                named.contains(&(&port["targetPort"], &port["protocol"])),
                "{port}"
            );
        }
    }
}
