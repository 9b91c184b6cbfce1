//! The compactor's StatefulSet.

use std::collections::BTreeMap;

use crds::compact::Deduplication;
use serde_json::{Value, json};

use super::services::HTTP_PORT;
use super::{Kind, Object, object_storage, pod};
use crate::controller::validate::{Compact, ObjectStorage, Stack};
use crate::names::Component;

const DATA: &str = "/data";
const CLAIM: &str = "data";
/// What is half done is done again; this is for the upload under way.
const GRACE_PERIOD_SECONDS: i64 = 120;
/// What the flags mean by "for ever".
const FOR_EVER: &str = "0d";

pub(super) fn object(stack: &Stack, compact: &Compact, storage: &ObjectStorage) -> Object {
    let names = &stack.names;
    let component = Component::Compact;
    let name = names.of(component);
    let mut container = pod::container(
        "compactor",
        &stack.images.hindsight,
        &stack.images,
        pod::args(
            Some("compact"),
            flags(stack, compact, storage),
            &compact.container,
        ),
        pod::resources(&compact.container, "20m", "128Mi"),
    );
    container["ports"] = json!([pod::port("http", HTTP_PORT)]);
    container["readinessProbe"] = pod::probe("/-/ready", "http", 5, 3);
    container["livenessProbe"] = pod::probe("/-/healthy", "http", 10, 6);
    container["volumeMounts"] =
        json!([{ "name": CLAIM, "mountPath": DATA }, object_storage::mount()]);
    let environment = pod::environment(&stack.proxy);
    if !environment.is_empty() {
        container["env"] = environment.into();
    }
    let mut volumes = vec![object_storage::volume(stack, storage)];
    volumes.extend(pod::scratch_volume(CLAIM, &compact.volume));
    let init_containers: Vec<Value> = object_storage::bucket_container(stack, storage)
        .into_iter()
        .collect();
    let template = pod::template(
        stack,
        pod::Pod {
            component,
            options: &compact.pod,
            labels: BTreeMap::new(),
            service_account: Some(name.clone()),
            mounts_token: false,
            grace_period_seconds: GRACE_PERIOD_SECONDS,
            init_containers,
            containers: vec![container],
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
    if let Some(claims) = pod::claim_templates(CLAIM, &compact.volume, &selector) {
        spec["volumeClaimTemplates"] = claims;
    }
    super::object(
        stack,
        component,
        Kind::StatefulSet,
        &name,
        json!({ "spec": spec }),
    )
}

fn flags(stack: &Stack, compact: &Compact, storage: &ObjectStorage) -> Vec<String> {
    let retention = |resolution: &str, length: &Option<String>| {
        let length = length.as_deref().unwrap_or(FOR_EVER);
        format!("--retention.resolution-{resolution}={length}")
    };
    let mut flags = vec![
        "--wait".to_owned(),
        format!("--http-address=0.0.0.0:{HTTP_PORT}"),
        format!("--data-dir={DATA}"),
        object_storage::flag(storage),
        retention("raw", &compact.retention_raw),
        retention("5m", &compact.retention_five_minutes),
        retention("1h", &compact.retention_one_hour),
        format!("--compact.concurrency={}", compact.concurrency),
        format!("--downsample.concurrency={}", compact.concurrency),
        format!("--delete-delay={}", compact.delete_delay),
    ];
    if !compact.downsampling {
        flags.push("--downsampling.disable".to_owned());
    }
    match compact.deduplication {
        Deduplication::None => {}
        Deduplication::OneToOne => flags.push(replica_label(stack)),
        Deduplication::Penalty => {
            flags.push("--deduplication.func=penalty".to_owned());
            flags.push(replica_label(stack));
        }
    }
    flags
}

fn replica_label(stack: &Stack) -> String {
    format!("--deduplication.replica-label={}", stack.replica_label)
}
