//! Grafana: its StatefulSet, the admin's Secret, the provisioned data sources and dashboards.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::services::{ALERTMANAGER_PORT, GRAFANA_PORT, HTTP_PORT};
use super::{Kind, Object, expose, object, pod};
use crate::controller::mint::{GRAFANA_PASSWORD_KEY, Minted};
use crate::controller::validate::{Grafana, Stack};
use crate::names::{Component, hex};

const USER_KEY: &str = "admin-user";
const USER: &str = "admin";
const DATA: &str = "/var/lib/grafana";
const CONFIG_DIR: &str = "/etc/grafana/stack";
const DASHBOARDS_DIR: &str = "/etc/grafana/dashboards";
const CLAIM: &str = "data";
const GRACE_PERIOD_SECONDS: i64 = 30;
/// Annotation of the pod with the hash of what Grafana reads only when it starts.
const CHECKSUM_ANNOTATION: &str = "hindsight.dev/config-checksum";
/// What the querier answers as its version, which decides what Grafana asks of it.
const DATA_SOURCE_VERSION: &str = "0.42.0";
const INI: &str = "\
[analytics]
check_for_updates = false
check_for_plugin_updates = false
reporting_enabled = false
[dashboards]
default_home_dashboard_path = /etc/grafana/dashboards/thanos.json
[log]
mode = console
[security]
disable_gravatar = true
[snapshots]
external_enabled = false
";
/// The dashboards of this release, by file name.
const DASHBOARDS: [(&str, &str); 5] = [
    (
        "alertmanager.json",
        include_str!("../../../../config/mixin/dashboards/alertmanager.json"),
    ),
    (
        "nodes.json",
        include_str!("../../../../config/mixin/dashboards/nodes.json"),
    ),
    (
        "prometheus.json",
        include_str!("../../../../config/mixin/dashboards/prometheus.json"),
    ),
    (
        "thanos.json",
        include_str!("../../../../config/mixin/dashboards/thanos.json"),
    ),
    (
        "workloads.json",
        include_str!("../../../../config/mixin/dashboards/workloads.json"),
    ),
];

pub(super) fn objects(stack: &Stack, minted: &Minted) -> Vec<Object> {
    let Some(grafana) = &stack.grafana else {
        return Vec::new();
    };
    let config = config(stack);
    let names = &stack.names;
    let component = Component::Grafana;
    vec![
        object(
            stack,
            component,
            Kind::Secret,
            &names.of(component),
            json!({
                "type": "Opaque",
                "data": {
                    USER_KEY: BASE64.encode(USER),
                    GRAFANA_PASSWORD_KEY: BASE64.encode(&minted.grafana_password),
                },
            }),
        ),
        object(
            stack,
            component,
            Kind::ConfigMap,
            &names.of(component),
            json!({ "data": config }),
        ),
        object(
            stack,
            component,
            Kind::ConfigMap,
            &names.dashboards(),
            json!({ "data": BTreeMap::from(DASHBOARDS) }),
        ),
        stateful_set(stack, grafana, &config, minted),
    ]
}

/// Settings and provisioning, by file name.
fn config(stack: &Stack) -> BTreeMap<&'static str, String> {
    let names = &stack.names;
    let address =
        |service: &str, port: u16| format!("http://{service}.{}.svc:{port}", names.namespace);
    let mut sources = vec![json!({
        "name": "Hindsight",
        "uid": "hindsight",
        "type": "prometheus",
        "access": "proxy",
        "url": address(&names.query_service, HTTP_PORT),
        "isDefault": true,
        "jsonData": {
            "httpMethod": "POST",
            "prometheusType": "Thanos",
            "prometheusVersion": DATA_SOURCE_VERSION,
            "timeInterval": stack.prometheus.scrape_interval,
        },
    })];
    if stack.alertmanager.is_some() {
        sources.push(json!({
            "name": "Alertmanager",
            "uid": "alertmanager",
            "type": "alertmanager",
            "access": "proxy",
            "url": address(&names.of(Component::Alertmanager), ALERTMANAGER_PORT),
            "jsonData": { "implementation": "prometheus" },
        }));
    }
    let providers = json!([{
        "name": "hindsight",
        "type": "file",
        "folder": "Hindsight",
        "allowUiUpdates": false,
        "updateIntervalSeconds": 30,
        "options": { "path": DASHBOARDS_DIR },
    }]);
    BTreeMap::from([
        ("grafana.ini", INI.to_owned()),
        (
            "datasources.yaml",
            crate::yaml::document(&json!({ "apiVersion": 1, "datasources": sources })),
        ),
        (
            "dashboards.yaml",
            crate::yaml::document(&json!({ "apiVersion": 1, "providers": providers })),
        ),
    ])
}

fn stateful_set(
    stack: &Stack,
    grafana: &Grafana,
    config: &BTreeMap<&'static str, String>,
    minted: &Minted,
) -> Object {
    let names = &stack.names;
    let component = Component::Grafana;
    let name = names.of(component);
    let mut hasher = Sha256::new();
    for text in config.values() {
        hasher.update(text);
        hasher.update([0]);
    }
    // A lost Secret is made again; the password in the environment must be the new one's.
    hasher.update(&minted.grafana_password);
    let mut options = grafana.pod.clone();
    options
        .pod_annotations
        .insert(CHECKSUM_ANNOTATION.to_owned(), hex(&hasher.finalize()));
    let items = |pairs: &[(&str, &str)]| -> Value {
        pairs
            .iter()
            .map(|(key, path)| json!({ "key": key, "path": path }))
            .collect()
    };
    let mut volumes = vec![
        json!({
            "name": "config",
            "configMap": {
                "name": name,
                "items": items(&[
                    ("grafana.ini", "grafana.ini"),
                    ("datasources.yaml", "provisioning/datasources/datasources.yaml"),
                    ("dashboards.yaml", "provisioning/dashboards/dashboards.yaml"),
                ]),
            },
        }),
        json!({ "name": "dashboards", "configMap": { "name": names.dashboards() } }),
        json!({ "name": "tmp", "emptyDir": { "medium": "Memory", "sizeLimit": "64Mi" } }),
    ];
    volumes.extend(pod::scratch_volume(CLAIM, &grafana.volume));
    let template = pod::template(
        stack,
        pod::Pod {
            component,
            options: &options,
            labels: BTreeMap::new(),
            service_account: Some(name.clone()),
            mounts_token: false,
            grace_period_seconds: GRACE_PERIOD_SECONDS,
            init_containers: Vec::new(),
            containers: vec![container(stack, grafana)],
            volumes,
        },
    );
    let selector = names.selector(component);
    let mut spec = json!({
        "replicas": 1,
        "serviceName": name,
        "podManagementPolicy": "Parallel",
        "updateStrategy": { "type": "RollingUpdate" },
        "selector": { "matchLabels": selector },
        "template": template,
    });
    if let Some(claims) = pod::claim_templates(CLAIM, &grafana.volume, &selector) {
        spec["volumeClaimTemplates"] = claims;
    }
    object(
        stack,
        component,
        Kind::StatefulSet,
        &name,
        json!({ "spec": spec }),
    )
}

fn container(stack: &Stack, grafana: &Grafana) -> Value {
    let mut container = pod::container(
        "grafana",
        &grafana.image,
        &stack.images,
        Vec::new(),
        pod::resources(&grafana.container, "50m", "128Mi"),
    );
    container["ports"] = json!([pod::port("http", GRAFANA_PORT)]);
    container["readinessProbe"] = pod::probe("/api/health", "http", 5, 3);
    container["livenessProbe"] = pod::probe("/api/health", "http", 10, 9);
    let secret = |variable: &str, key: &str| {
        json!({
            "name": variable,
            "valueFrom": {
                "secretKeyRef": { "name": stack.names.of(Component::Grafana), "key": key },
            },
        })
    };
    let mut environment = vec![
        secret("GF_SECURITY_ADMIN_USER", USER_KEY),
        secret("GF_SECURITY_ADMIN_PASSWORD", GRAFANA_PASSWORD_KEY),
        json!({ "name": "GF_PATHS_CONFIG", "value": format!("{CONFIG_DIR}/grafana.ini") }),
        json!({ "name": "GF_PATHS_PROVISIONING", "value": format!("{CONFIG_DIR}/provisioning") }),
        json!({ "name": "GF_PATHS_DATA", "value": DATA }),
    ];
    if let Some(exposure) = &stack.expose.grafana {
        let url = expose::url(exposure);
        environment.push(json!({ "name": "GF_SERVER_ROOT_URL", "value": url }));
    }
    environment.extend(pod::environment(&stack.proxy));
    container["env"] = environment.into();
    container["volumeMounts"] = json!([
        { "name": CLAIM, "mountPath": DATA },
        { "name": "config", "mountPath": CONFIG_DIR, "readOnly": true },
        { "name": "dashboards", "mountPath": DASHBOARDS_DIR, "readOnly": true },
        { "name": "tmp", "mountPath": "/tmp" },
    ]);
    container
}
