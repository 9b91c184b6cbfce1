//! Services: one per Prometheus replica, one over all stores, one per component.

use serde_json::{Value, json};

use super::{Kind, Object, object};
use crate::controller::validate::{ObjectStorage, Stack};
use crate::names::{Component, STORE_API_LABEL};

/// Port of Prometheus' page and API.
pub(super) const WEB_PORT: u16 = 9090;
/// Port of every component's HTTP listener.
pub(super) const HTTP_PORT: u16 = 10902;
/// Port of every component's gRPC listener.
pub(super) const GRPC_PORT: u16 = 10901;
/// Port of the Service of one Prometheus replica.
const REPLICA_PORT: u16 = 8080;
/// Port of Alertmanager's page and API.
pub(super) const ALERTMANAGER_PORT: u16 = 9093;
/// Port of Alertmanager's gossip.
pub(super) const MESH_PORT: u16 = 9094;
/// Port of Grafana's page.
pub(super) const GRAFANA_PORT: u16 = 3000;
/// Port of kube-state-metrics' metrics of the cluster.
pub(super) const EXPORTER_PORT: u16 = 8080;
/// Port of kube-state-metrics' metrics of itself.
pub(super) const TELEMETRY_PORT: u16 = 8081;
/// Port of node-exporter on every node.
pub(super) const NODE_EXPORTER_PORT: u16 = 9100;
/// Port of the embedded S3 server.
pub(super) const S3_PORT: u16 = 7070;

pub(super) fn objects(stack: &Stack) -> Vec<Object> {
    let names = &stack.names;
    let mut objects = vec![
        // Published before ready, so that a starting replica has its name.
        service(
            stack,
            Component::Prometheus,
            &names.prometheus_service,
            json!({
                "clusterIP": "None",
                "publishNotReadyAddresses": true,
                "selector": names.selector(Component::Prometheus),
                "ports": [port("web", WEB_PORT, "web")],
            }),
        ),
        // Not published before ready: a replica that replays its log would fail every query, and
        // its data is not lost to queriers but late, as it is for Prometheus' own users.
        service(
            stack,
            Component::Prometheus,
            &names.store_api_service,
            json!({
                "clusterIP": "None",
                "selector": {
                    "app.kubernetes.io/instance": names.stack,
                    STORE_API_LABEL: "true",
                },
                "ports": [port("grpc", GRPC_PORT, "grpc")],
            }),
        ),
        service(
            stack,
            Component::Query,
            &names.query_service,
            json!({
                "selector": names.selector(Component::Query),
                "ports": [port("http", HTTP_PORT, "http"), port("grpc", GRPC_PORT, "grpc")],
            }),
        ),
    ];
    let mut replica_ports = vec![port("web", REPLICA_PORT, "web")];
    if stack.expose.sidecar_grpc.is_some() {
        replica_ports.push(port("grpc", GRPC_PORT, "grpc"));
    }
    for ordinal in 0..stack.prometheus.replicas {
        objects.push(service(
            stack,
            Component::Prometheus,
            &format!("{}-prometheus-{ordinal}", names.stack),
            json!({
                "selector": {
                    "statefulset.kubernetes.io/pod-name": format!("{}-{ordinal}", names.prometheus),
                },
                "ports": replica_ports,
            }),
        ));
    }
    if let Some(storage) = &stack.object_storage {
        objects.push(service(
            stack,
            Component::Store,
            &names.of(Component::Store),
            json!({
                "clusterIP": "None",
                "selector": names.selector(Component::Store),
                "ports": [port("http", HTTP_PORT, "http"), port("grpc", GRPC_PORT, "grpc")],
            }),
        ));
        if stack.compact.is_some() {
            objects.push(service(
                stack,
                Component::Compact,
                &names.of(Component::Compact),
                json!({
                    "clusterIP": "None",
                    "selector": names.selector(Component::Compact),
                    "ports": [port("http", HTTP_PORT, "http")],
                }),
            ));
        }
        if matches!(storage, ObjectStorage::Embedded { .. }) {
            objects.push(service(
                stack,
                Component::ObjectStorage,
                &names.of(Component::ObjectStorage),
                json!({
                    "selector": names.selector(Component::ObjectStorage),
                    "ports": [port("s3", S3_PORT, "s3")],
                }),
            ));
        }
    }
    if stack.alertmanager.is_some() {
        let selector = names.selector(Component::Alertmanager);
        objects.push(service(
            stack,
            Component::Alertmanager,
            &names.of(Component::Alertmanager),
            json!({
                "selector": selector,
                "ports": [port("web", ALERTMANAGER_PORT, "web")],
            }),
        ));
        // Published before ready: replicas that start at once must find each other.
        objects.push(service(
            stack,
            Component::Alertmanager,
            &names.alertmanager_mesh(),
            json!({
                "clusterIP": "None",
                "publishNotReadyAddresses": true,
                "selector": selector,
                "ports": [
                    port("mesh-tcp", MESH_PORT, "mesh-tcp"),
                    {
                        "name": "mesh-udp",
                        "port": MESH_PORT,
                        "targetPort": "mesh-udp",
                        "protocol": "UDP",
                    },
                ],
            }),
        ));
    }
    if stack.grafana.is_some() {
        objects.push(service(
            stack,
            Component::Grafana,
            &names.of(Component::Grafana),
            json!({
                "selector": names.selector(Component::Grafana),
                "ports": [port("http", GRAFANA_PORT, "http")],
            }),
        ));
    }
    objects
}

fn service(stack: &Stack, component: Component, name: &str, spec: Value) -> Object {
    object(
        stack,
        component,
        Kind::Service,
        name,
        json!({ "spec": spec }),
    )
}

fn port(name: &str, port: u16, target: &str) -> Value {
    json!({ "name": name, "port": port, "targetPort": target, "protocol": "TCP" })
}
