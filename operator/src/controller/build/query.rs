//! The querier's Deployment.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::services::{GRPC_PORT, HTTP_PORT};
use super::{Kind, Object, pod};
use crate::controller::validate::{QueryEndpoint, Stack};
use crate::names::Component;

/// Folder with one folder per endpoint's TLS material.
const ENDPOINTS_DIR: &str = "/etc/hindsight/endpoints";
/// Longer than the longest query.
const GRACE_PERIOD_SECONDS: i64 = 150;

pub(super) fn object(stack: &Stack) -> Object {
    let names = &stack.names;
    let query = &stack.query;
    let mut args = vec![
        format!("--http-address=0.0.0.0:{HTTP_PORT}"),
        format!("--grpc-address=0.0.0.0:{GRPC_PORT}"),
        format!("--query.replica-label={}", stack.replica_label),
        format!(
            "--endpoint=dnssrv+_grpc._tcp.{}.{}.svc",
            names.store_api_service, names.namespace
        ),
    ];
    if !query.endpoints.is_empty() {
        args.push(format!(
            "--endpoint.sd-config={}",
            endpoints(&query.endpoints)
        ));
    }
    let (volumes, mounts) = endpoint_volumes(&query.endpoints);
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
    if !mounts.is_empty() {
        container["volumeMounts"] = mounts.into();
    }
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
            volumes,
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

/// The list of further endpoints in Thanos' format. JSON is YAML; it names files and holds no
/// secret.
fn endpoints(endpoints: &[QueryEndpoint]) -> String {
    let entries: Vec<Value> = endpoints
        .iter()
        .enumerate()
        .map(|(index, endpoint)| {
            let mut entry = json!({ "address": endpoint.address });
            if endpoint.strict {
                entry["strict"] = true.into();
            }
            if let Some(tls) = &endpoint.tls {
                let file = |key: &str| format!("{ENDPOINTS_DIR}/{index}/{key}");
                let mut tls_config = json!({ "enabled": true });
                if tls.has_ca {
                    tls_config["ca_file"] = file("ca.crt").into();
                }
                if tls.has_certificate {
                    tls_config["cert_file"] = file("tls.crt").into();
                    tls_config["key_file"] = file("tls.key").into();
                }
                entry["client_config"] = json!({ "tls_config": tls_config });
                if let Some(name) = &tls.server_name {
                    entry["client_config"]["server_name"] = name.as_str().into();
                }
            }
            entry
        })
        .collect();
    json!({ "endpoints": entries }).to_string()
}

/// Volumes with the endpoints' TLS material, and where they are mounted. They are files, so that a
/// renewed certificate is read without a restart.
fn endpoint_volumes(endpoints: &[QueryEndpoint]) -> (Vec<Value>, Vec<Value>) {
    endpoints
        .iter()
        .enumerate()
        .filter_map(|(index, endpoint)| {
            let secret = &endpoint.tls.as_ref()?.secret_name;
            let name = format!("endpoint-{index}");
            Some((
                json!({ "name": name, "secret": { "secretName": secret } }),
                json!({
                    "name": name,
                    "mountPath": format!("{ENDPOINTS_DIR}/{index}"),
                    "readOnly": true,
                }),
            ))
        })
        .unzip()
}
