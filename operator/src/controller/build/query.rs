//! The querier's Deployment.

use std::collections::BTreeMap;

use serde_json::json;

use super::services::{GRPC_PORT, HTTP_PORT};
use super::{Kind, Object, pod};
use crate::controller::validate::Stack;
use crate::names::Component;

/// Longer than the longest query.
const GRACE_PERIOD_SECONDS: i64 = 150;

pub(super) fn object(stack: &Stack) -> Object {
    let names = &stack.names;
    let query = &stack.query;
    let args = vec![
        format!("--http-address=0.0.0.0:{HTTP_PORT}"),
        format!("--grpc-address=0.0.0.0:{GRPC_PORT}"),
        format!("--query.replica-label={}", stack.replica_label),
        format!(
            "--endpoint=dnssrv+_grpc._tcp.{}.{}.svc",
            names.store_api_service, names.namespace
        ),
    ];
    let mut container = pod::container(
        "querier",
        &stack.images.hindsight,
        &stack.images,
        pod::args(Some("query"), args, &query.container),
        pod::resources(&query.container, "20m", "64Mi"),
    );
    container["ports"] = json!([pod::port("http", HTTP_PORT), pod::port("grpc", GRPC_PORT)]);
    container["readinessProbe"] = pod::probe("/-/ready", "http", 5, 3);
    container["livenessProbe"] = pod::probe("/-/healthy", "http", 10, 6);
    let template = pod::template(
        stack,
        pod::Pod {
            component: Component::Query,
            options: &query.pod,
            labels: BTreeMap::new(),
            service_account: Some(names.of(Component::Query)),
            mounts_token: false,
            grace_period_seconds: GRACE_PERIOD_SECONDS,
            init_containers: Vec::new(),
            containers: vec![container],
            volumes: Vec::new(),
        },
    );
    let mut spec = json!({
        "selector": { "matchLabels": names.selector(Component::Query) },
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 },
        },
        "template": template,
    });
    // Where an autoscaler decides, the field is its.
    if query.autoscaling.is_none() {
        spec["replicas"] = query.replicas.into();
    }
    super::object(
        stack,
        Component::Query,
        Kind::Deployment,
        &names.of(Component::Query),
        json!({ "spec": spec }),
    )
}
