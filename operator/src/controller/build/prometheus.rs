//! The Prometheus StatefulSet with its sidecar, and the Secret with the configuration template.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::services::{GRPC_PORT, HTTP_PORT, WEB_PORT};
use super::{
    Kind, Object, default_rules, object, object_storage, pod, prometheus_config, rule_files,
};
use crate::controller::validate::{Prometheus, Stack};
use crate::names::{Component, STORE_API_LABEL};

/// Folder of Prometheus' data in both containers.
const DATA: &str = "/prometheus";
/// Folder of the template that the operator writes.
const TEMPLATE_DIR: &str = "/etc/prometheus/template";
/// Folder of the configuration that the sidecar writes and Prometheus reads.
const OUT_DIR: &str = "/etc/prometheus/out";
/// Folder with one folder per rule ConfigMap.
pub(super) const RULES_DIR: &str = "/etc/prometheus/rules";
/// Folder with the rules of this release.
pub(super) const DEFAULT_RULES_DIR: &str = "/etc/prometheus/default-rules";
/// Folder with the files of selected PrometheusRules.
pub(super) const SELECTED_RULES_DIR: &str = "/etc/prometheus/selected-rules";
/// File in which the sidecar notes uploaded blocks. Prometheus compares the path literally.
const SHIPPER_FILE: &str = "/prometheus/thanos.shipper.json";
/// Time for Prometheus to write its head to disk.
const GRACE_PERIOD_SECONDS: i64 = 600;
/// Longest wait between two replicas of a rolling update.
const MAX_MIN_READY_SECONDS: i64 = 120;

pub(super) fn objects(stack: &Stack, template: &str) -> [Object; 2] {
    [config_secret(stack, template), stateful_set(stack)]
}

fn config_secret(stack: &Stack, template: &str) -> Object {
    object(
        stack,
        Component::Prometheus,
        Kind::Secret,
        &stack.names.config_secret(),
        json!({
            "type": "Opaque",
            "data": { prometheus_config::TEMPLATE_KEY: BASE64.encode(template) },
        }),
    )
}

fn stateful_set(stack: &Stack) -> Object {
    let names = &stack.names;
    let prometheus = &stack.prometheus;
    let mut volumes = vec![
        json!({ "name": "config-template", "secret": { "secretName": names.config_secret() } }),
        json!({ "name": "config", "emptyDir": { "medium": "Memory", "sizeLimit": "16Mi" } }),
    ];
    volumes.extend(prometheus.rule_config_maps.iter().enumerate().map(|(index, name)| {
        // Optional: a ConfigMap that comes later must not keep a replica from starting.
        json!({ "name": format!("rules-{index}"), "configMap": { "name": name, "optional": true } })
    }));
    if prometheus.uses_rules {
        volumes.push(rule_files::volume(stack));
    }
    if prometheus.default_rules {
        volumes.push(default_rules::volume(stack));
    }
    volumes.extend(
        stack
            .object_storage
            .iter()
            .map(|storage| object_storage::volume(stack, storage)),
    );
    volumes.extend(pod::scratch_volume(
        &names.prometheus_claim,
        &prometheus.volume,
    ));
    let template = pod::template(
        stack,
        pod::Pod {
            component: Component::Prometheus,
            options: &prometheus.pod,
            labels: BTreeMap::from([(STORE_API_LABEL.to_owned(), "true".to_owned())]),
            service_account: Some(names.of(Component::Prometheus)),
            mounts_token: true,
            grace_period_seconds: GRACE_PERIOD_SECONDS,
            init_containers: vec![sidecar(stack)],
            containers: vec![container(stack)],
            volumes,
        },
    );
    let mut spec = json!({
        "replicas": prometheus.replicas,
        "serviceName": names.prometheus_service,
        "podManagementPolicy": "Parallel",
        "updateStrategy": { "type": "RollingUpdate" },
        "minReadySeconds": min_ready_seconds(prometheus),
        "selector": { "matchLabels": names.selector(Component::Prometheus) },
        "template": template,
    });
    let labels = names.selector(Component::Prometheus);
    if let Some(claims) = pod::claim_templates(&names.prometheus_claim, &prometheus.volume, &labels)
    {
        spec["volumeClaimTemplates"] = claims;
    }
    object(
        stack,
        Component::Prometheus,
        Kind::StatefulSet,
        &names.prometheus,
        json!({ "spec": spec }),
    )
}

/// Two scrapes: the replica that stays must not be taken down before the other one has data.
fn min_ready_seconds(prometheus: &Prometheus) -> i64 {
    let two_scrapes = prometheus
        .scrape_interval_ms
        .saturating_mul(2)
        .saturating_add(999)
        / 1000;
    two_scrapes.clamp(1, MAX_MIN_READY_SECONDS)
}

fn container(stack: &Stack) -> Value {
    let prometheus = &stack.prometheus;
    let mut args = vec![
        format!("--config.file={OUT_DIR}/prometheus.yaml"),
        format!("--storage.tsdb.path={DATA}"),
        format!("--storage.tsdb.retention.time={}", prometheus.retention),
        // A volume has one writer; the file would only outlive a crash.
        "--storage.tsdb.no-lockfile".to_owned(),
        "--web.enable-lifecycle".to_owned(),
        format!("--web.listen-address=:{WEB_PORT}"),
    ];
    if let Some(size) = &prometheus.retention_size {
        args.push(format!("--storage.tsdb.retention.size={size}"));
    }
    args.extend(block_flags(stack));
    let mut container = pod::container(
        "prometheus",
        &prometheus.image,
        &stack.images,
        pod::args(None, args, &prometheus.container),
        pod::resources(&prometheus.container, "100m", "400Mi"),
    );
    container["ports"] = json!([pod::port("web", WEB_PORT)]);
    // Replaying a large log takes a quarter of an hour.
    container["startupProbe"] = pod::probe("/-/ready", "web", 3, 300);
    container["readinessProbe"] = pod::probe("/-/ready", "web", 5, 3);
    container["livenessProbe"] = pod::probe("/-/healthy", "web", 5, 6);
    let mut mounts = vec![
        json!({ "name": "config", "mountPath": OUT_DIR, "readOnly": true }),
        data_mount(stack),
    ];
    mounts.extend(rule_mounts(prometheus));
    container["volumeMounts"] = mounts.into();
    container
}

/// How blocks reach the bucket uncompacted: Prometheus either waits with compaction until the
/// sidecar has noted the upload, or does not compact at all.
fn block_flags(stack: &Stack) -> Vec<String> {
    let both = |duration: &str| {
        vec![
            format!("--storage.tsdb.min-block-duration={duration}"),
            format!("--storage.tsdb.max-block-duration={duration}"),
        ]
    };
    match (&stack.sidecar.block_duration, &stack.object_storage) {
        (Some(duration), _) => both(&duration.text),
        (None, None) => Vec::new(),
        (None, Some(_)) if stack.prometheus.version.delays_compaction() => {
            vec![format!(
                "--storage.tsdb.delay-compact-file.path={SHIPPER_FILE}"
            )]
        }
        (None, Some(_)) => both("2h"),
    }
}

fn sidecar(stack: &Stack) -> Value {
    let options = &stack.sidecar.container;
    let mut args = vec![
        format!("--http-address=0.0.0.0:{HTTP_PORT}"),
        format!("--grpc-address=0.0.0.0:{GRPC_PORT}"),
        format!("--prometheus.url=http://127.0.0.1:{WEB_PORT}"),
        format!("--tsdb.path={DATA}"),
        format!(
            "--reloader.config-file={TEMPLATE_DIR}/{}",
            prometheus_config::TEMPLATE_KEY
        ),
        format!("--reloader.config-envsubst-file={OUT_DIR}/prometheus.yaml"),
    ];
    for name in &stack.prometheus.rule_config_maps {
        args.push(format!("--reloader.rule-dir={RULES_DIR}/{name}"));
    }
    if stack.prometheus.uses_rules {
        args.push(format!("--reloader.rule-dir={SELECTED_RULES_DIR}"));
    }
    if stack.prometheus.default_rules {
        args.push(format!("--reloader.rule-dir={DEFAULT_RULES_DIR}"));
    }
    if let Some(storage) = &stack.object_storage {
        args.push(object_storage::flag(storage));
    }
    let mut container = pod::container(
        "sidecar",
        &stack.images.hindsight,
        &stack.images,
        pod::args(Some("sidecar"), args, options),
        pod::resources(options, "10m", "32Mi"),
    );
    // An init container that stays: Prometheus starts once the probe says that its configuration
    // has been written, and never before.
    container["restartPolicy"] = "Always".into();
    container["startupProbe"] = pod::probe("/-/healthy", "http", 1, 120);
    container["readinessProbe"] = pod::probe("/-/ready", "http", 5, 3);
    container["livenessProbe"] = pod::probe("/-/healthy", "http", 10, 6);
    container["ports"] = json!([pod::port("http", HTTP_PORT), pod::port("grpc", GRPC_PORT)]);
    let mut environment = vec![
        json!({ "name": "POD_NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }),
    ];
    // A relabeling keeps each target for one group of replicas by it.
    environment.push(json!({ "name": "SHARD", "value": "0" }));
    environment.extend(pod::environment(&stack.proxy));
    container["env"] = environment.into();
    let mut mounts = vec![
        json!({ "name": "config-template", "mountPath": TEMPLATE_DIR, "readOnly": true }),
        json!({ "name": "config", "mountPath": OUT_DIR }),
        data_mount(stack),
    ];
    mounts.extend(rule_mounts(&stack.prometheus));
    mounts.extend(stack.object_storage.iter().map(|_| object_storage::mount()));
    container["volumeMounts"] = mounts.into();
    container
}

fn data_mount(stack: &Stack) -> Value {
    let mut mount = json!({ "name": stack.names.prometheus_claim, "mountPath": DATA });
    if let Some(path) = &stack.names.prometheus_sub_path {
        mount["subPath"] = path.as_str().into();
    }
    mount
}

fn rule_mounts(prometheus: &Prometheus) -> impl Iterator<Item = Value> {
    prometheus
        .rule_config_maps
        .iter()
        .enumerate()
        .map(|(index, name)| {
            json!({
                "name": format!("rules-{index}"),
                "mountPath": format!("{RULES_DIR}/{name}"),
                "readOnly": true,
            })
        })
        .chain(prometheus.default_rules.then(|| {
            json!({
                "name": default_rules::VOLUME,
                "mountPath": DEFAULT_RULES_DIR,
                "readOnly": true,
            })
        }))
        .chain(prometheus.uses_rules.then(|| {
            json!({
                "name": rule_files::VOLUME,
                "mountPath": SELECTED_RULES_DIR,
                "readOnly": true,
            })
        }))
}
