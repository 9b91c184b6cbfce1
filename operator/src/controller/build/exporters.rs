//! kube-state-metrics and node-exporter.

use std::collections::BTreeMap;

use serde_json::json;

use super::services::{EXPORTER_PORT, NODE_EXPORTER_PORT, TELEMETRY_PORT};
use super::{Kind, Object, object, pod};
use crate::controller::validate::{Exporter, Place, Stack};
use crate::names::Component;

const GRACE_PERIOD_SECONDS: i64 = 30;
/// What kube-state-metrics watches: what its ClusterRole lets it, Secrets and ConfigMaps not.
const RESOURCES: [&str; 22] = [
    "certificatesigningrequests",
    "cronjobs",
    "daemonsets",
    "deployments",
    "endpointslices",
    "horizontalpodautoscalers",
    "ingresses",
    "jobs",
    "leases",
    "limitranges",
    "namespaces",
    "networkpolicies",
    "nodes",
    "persistentvolumeclaims",
    "persistentvolumes",
    "poddisruptionbudgets",
    "pods",
    "replicasets",
    "resourcequotas",
    "services",
    "statefulsets",
    "storageclasses",
];
/// File systems that hold nothing of a machine's own.
const NO_FILE_SYSTEMS: &str = "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|efivarfs|erofs|fuse\\..*|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|ramfs|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tmpfs|tracefs)$";
/// Mounts of containers.
const NO_MOUNTS: &str = "^/(dev|proc|sys|run/containerd/.+|run/k3s/containerd/.+|var/lib/(containers|docker|kubelet)/.+)($|/)";
/// Network devices of containers.
const NO_DEVICES: &str = "^(veth.*|cali.*|lxc.*|cni.*|[a-f0-9]{15})$";

pub(super) fn objects(stack: &Stack) -> Vec<Object> {
    let mut objects = Vec::new();
    if stack.kube_state_metrics.place == Place::Here {
        objects.push(kube_state_metrics(stack, &stack.kube_state_metrics));
    }
    if stack.node_exporter.place == Place::Here {
        objects.push(node_exporter(stack, &stack.node_exporter));
    }
    objects
}

fn kube_state_metrics(stack: &Stack, exporter: &Exporter) -> Object {
    let component = Component::KubeStateMetrics;
    let name = stack.names.of(component);
    let args = vec![
        format!("--port={EXPORTER_PORT}"),
        format!("--telemetry-port={TELEMETRY_PORT}"),
        format!("--resources={}", RESOURCES.join(",")),
    ];
    let mut container = pod::container(
        "kube-state-metrics",
        &exporter.image,
        &stack.images,
        pod::args(None, args, &exporter.container),
        pod::resources(&exporter.container, "10m", "64Mi"),
    );
    container["ports"] = json!([
        pod::port("http", EXPORTER_PORT),
        pod::port("telemetry", TELEMETRY_PORT),
    ]);
    container["readinessProbe"] = pod::probe("/readyz", "telemetry", 10, 3);
    container["livenessProbe"] = pod::probe("/livez", "http", 10, 6);
    let template = pod::template(
        stack,
        pod::Pod {
            component,
            options: &exporter.pod,
            labels: BTreeMap::new(),
            service_account: Some(name.clone()),
            mounts_token: true,
            grace_period_seconds: GRACE_PERIOD_SECONDS,
            init_containers: Vec::new(),
            containers: vec![container],
            volumes: Vec::new(),
        },
    );
    object(
        stack,
        component,
        Kind::Deployment,
        &name,
        json!({
            "spec": {
                "replicas": 1,
                "selector": { "matchLabels": stack.names.selector(component) },
                // Two at once would count everything twice.
                "strategy": { "type": "Recreate" },
                "template": template,
            },
        }),
    )
}

fn node_exporter(stack: &Stack, exporter: &Exporter) -> Object {
    let component = Component::NodeExporter;
    let name = stack.names.of(component);
    let args = vec![
        format!("--web.listen-address=[$(HOST_IP)]:{NODE_EXPORTER_PORT}"),
        "--path.procfs=/host/proc".to_owned(),
        "--path.sysfs=/host/sys".to_owned(),
        "--path.rootfs=/host/root".to_owned(),
        "--path.udev.data=/host/root/run/udev/data".to_owned(),
        "--no-collector.btrfs".to_owned(),
        "--no-collector.hwmon".to_owned(),
        "--no-collector.wifi".to_owned(),
        format!("--collector.filesystem.fs-types-exclude={NO_FILE_SYSTEMS}"),
        format!("--collector.filesystem.mount-points-exclude={NO_MOUNTS}"),
        format!("--collector.netclass.ignored-devices={NO_DEVICES}"),
        format!("--collector.netdev.device-exclude={NO_DEVICES}"),
    ];
    let mut container = pod::container(
        "node-exporter",
        &exporter.image,
        &stack.images,
        pod::args(None, args, &exporter.container),
        pod::resources(&exporter.container, "20m", "32Mi"),
    );
    container["ports"] = json!([{
        "name": "metrics",
        "containerPort": NODE_EXPORTER_PORT,
        "hostPort": NODE_EXPORTER_PORT,
        "protocol": "TCP",
    }]);
    container["env"] = json!([{
        "name": "HOST_IP",
        "valueFrom": { "fieldRef": { "fieldPath": "status.hostIP" } },
    }]);
    container["readinessProbe"] = pod::probe("/", "metrics", 10, 3);
    container["livenessProbe"] = pod::probe("/", "metrics", 10, 6);
    let folders = [("proc", "/proc"), ("sys", "/sys"), ("root", "/")];
    container["volumeMounts"] = folders
        .iter()
        .map(|(name, _)| {
            json!({
                "name": name,
                "mountPath": format!("/host/{name}"),
                "mountPropagation": "HostToContainer",
                "readOnly": true,
            })
        })
        .collect();
    let mut options = exporter.pod.clone();
    options
        .priority_class_name
        .get_or_insert_with(|| "system-cluster-critical".to_owned());
    let tolerates_all = options.tolerations.is_empty();
    let mut template = pod::template(
        stack,
        pod::Pod {
            component,
            options: &options,
            labels: BTreeMap::new(),
            service_account: Some(name.clone()),
            mounts_token: false,
            grace_period_seconds: GRACE_PERIOD_SECONDS,
            init_containers: Vec::new(),
            containers: vec![container],
            volumes: folders
                .iter()
                .map(|(name, path)| json!({ "name": name, "hostPath": { "path": path } }))
                .collect(),
        },
    );
    // The one workload that PodSecurity's restricted profile does not admit: it measures the node.
    let spec = &mut template["spec"];
    spec["hostNetwork"] = true.into();
    spec["hostPID"] = true.into();
    if tolerates_all {
        spec["tolerations"] = json!([{ "operator": "Exists" }]);
    }
    // A DaemonSet spreads by itself.
    if let Some(fields) = spec.as_object_mut() {
        if options.topology_spread_constraints.is_empty() {
            fields.remove("topologySpreadConstraints");
        }
        if options.affinity.is_none() {
            fields.remove("affinity");
        }
    }
    object(
        stack,
        component,
        Kind::DaemonSet,
        &name,
        json!({
            "spec": {
                "selector": { "matchLabels": stack.names.selector(component) },
                "updateStrategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": { "maxUnavailable": "10%" },
                },
                "template": template,
            },
        }),
    )
}
