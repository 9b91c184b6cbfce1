//! Alertmanager: its StatefulSet and the Secret with its configuration.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::services::{ALERTMANAGER_PORT, MESH_PORT};
use super::{Kind, Object, expose, object, pod};
use crate::controller::validate::{Alertmanager, Stack, Version};
use crate::names::{Component, hex};

const DATA: &str = "/alertmanager";
const CONFIG_DIR: &str = "/etc/alertmanager/config";
const CONFIG_KEY: &str = "alertmanager.yaml";
const CLAIM: &str = "data";
const GRACE_PERIOD_SECONDS: i64 = 120;
/// Annotation of the pods with the hash of their configuration: Alertmanager reads it when it
/// starts, so a change takes one replica after the other through a restart.
const CHECKSUM_ANNOTATION: &str = "hindsight.dev/config-checksum";
/// Oldest Alertmanager that tells meshes apart by a label.
const LABELLED_MESH: Version = Version {
    major: 0,
    minor: 26,
    patch: 0,
};

pub(super) fn objects(stack: &Stack) -> Vec<Object> {
    let Some(alertmanager) = &stack.alertmanager else {
        return Vec::new();
    };
    vec![
        config_secret(stack, alertmanager),
        stateful_set(stack, alertmanager),
    ]
}

/// The operator's copy: what the user's Secret last held that Alertmanager can start with.
fn config_secret(stack: &Stack, alertmanager: &Alertmanager) -> Object {
    let config = &alertmanager.config;
    let mut data = BTreeMap::from([(CONFIG_KEY.to_owned(), BASE64.encode(&config.yaml))]);
    data.extend(
        config
            .templates
            .iter()
            .map(|(name, text)| (name.clone(), BASE64.encode(text))),
    );
    object(
        stack,
        Component::Alertmanager,
        Kind::Secret,
        &stack.names.of(Component::Alertmanager),
        json!({ "type": "Opaque", "data": data }),
    )
}

fn checksum(alertmanager: &Alertmanager) -> String {
    let mut hasher = Sha256::new();
    hasher.update(&alertmanager.config.yaml);
    for (name, text) in &alertmanager.config.templates {
        hasher.update([0]);
        hasher.update(name);
        hasher.update([0]);
        hasher.update(text);
    }
    hex(&hasher.finalize())
}

fn stateful_set(stack: &Stack, alertmanager: &Alertmanager) -> Object {
    let names = &stack.names;
    let component = Component::Alertmanager;
    let name = names.of(component);
    let mut options = alertmanager.pod.clone();
    options
        .pod_annotations
        .insert(CHECKSUM_ANNOTATION.to_owned(), checksum(alertmanager));
    let mut volumes = vec![json!({ "name": "config", "secret": { "secretName": name } })];
    volumes.extend(pod::scratch_volume(CLAIM, &alertmanager.volume));
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
            containers: vec![container(stack, alertmanager)],
            volumes,
        },
    );
    let selector = names.selector(component);
    let mut spec = json!({
        "replicas": alertmanager.replicas,
        "serviceName": names.alertmanager_mesh(),
        "podManagementPolicy": "Parallel",
        "updateStrategy": { "type": "RollingUpdate" },
        "selector": { "matchLabels": selector },
        "template": template,
    });
    if let Some(claims) = pod::claim_templates(CLAIM, &alertmanager.volume, &selector) {
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

fn container(stack: &Stack, alertmanager: &Alertmanager) -> Value {
    let mut args = vec![
        format!("--config.file={CONFIG_DIR}/{CONFIG_KEY}"),
        format!("--storage.path={DATA}"),
        format!("--data.retention={}", alertmanager.retention),
        format!("--web.listen-address=:{ALERTMANAGER_PORT}"),
    ];
    if let Some(exposure) = &stack.expose.alertmanager {
        args.push(format!("--web.external-url={}", expose::url(exposure)));
        args.push("--web.route-prefix=/".to_owned());
    }
    args.extend(mesh_flags(stack, alertmanager));
    let mut container = pod::container(
        "alertmanager",
        &alertmanager.image,
        &stack.images,
        pod::args(None, args, &alertmanager.container),
        pod::resources(&alertmanager.container, "10m", "64Mi"),
    );
    container["ports"] = json!([
        pod::port("web", ALERTMANAGER_PORT),
        pod::port("mesh-tcp", MESH_PORT),
        { "name": "mesh-udp", "containerPort": MESH_PORT, "protocol": "UDP" },
    ]);
    container["readinessProbe"] = pod::probe("/-/ready", "web", 5, 3);
    container["livenessProbe"] = pod::probe("/-/healthy", "web", 10, 6);
    let mut environment = vec![
        json!({ "name": "POD_IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } }),
    ];
    environment.extend(pod::environment(&stack.proxy));
    container["env"] = environment.into();
    container["volumeMounts"] = json!([
        { "name": CLAIM, "mountPath": DATA },
        { "name": "config", "mountPath": CONFIG_DIR, "readOnly": true },
    ]);
    container
}

fn mesh_flags(stack: &Stack, alertmanager: &Alertmanager) -> Vec<String> {
    if alertmanager.replicas == 1 {
        return vec!["--cluster.listen-address=".to_owned()];
    }
    let names = &stack.names;
    let name = names.of(Component::Alertmanager);
    let mesh = names.alertmanager_mesh();
    let mut flags = vec![
        format!("--cluster.listen-address=[$(POD_IP)]:{MESH_PORT}"),
        // Longer than a node takes to come back.
        "--cluster.reconnect-timeout=5m".to_owned(),
    ];
    if alertmanager.version >= LABELLED_MESH {
        // An address that another stack's replica gets must not join the two meshes.
        flags.push(format!(
            "--cluster.label={}/{}",
            names.namespace, names.stack
        ));
    }
    flags.extend((0..alertmanager.replicas).map(|ordinal| {
        format!(
            "--cluster.peer={name}-{ordinal}.{mesh}.{}.svc:{MESH_PORT}",
            names.namespace
        )
    }));
    flags
}
