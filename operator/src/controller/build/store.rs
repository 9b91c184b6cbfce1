//! The store gateway's StatefulSet.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::services::{GRPC_PORT, HTTP_PORT};
use super::{Kind, Object, object_storage, pod};
use crate::controller::validate::{BlockDuration, ObjectStorage, Stack};
use crate::names::{Component, STORE_API_LABEL};

const DATA: &str = "/data";
const CLAIM: &str = "data";
/// Longer than the longest query.
const GRACE_PERIOD_SECONDS: i64 = 150;
/// Rescans of the bucket where blocks are short: at least and at most so far apart.
const MIN_SYNC_SECONDS: i64 = 30;
const MAX_SYNC_SECONDS: i64 = 900;

pub(super) fn object(stack: &Stack, storage: &ObjectStorage) -> Object {
    let names = &stack.names;
    let store = &stack.store;
    let mut args = vec![
        format!("--http-address=0.0.0.0:{HTTP_PORT}"),
        format!("--grpc-address=0.0.0.0:{GRPC_PORT}"),
        format!("--data-dir={DATA}"),
        object_storage::flag(storage),
    ];
    args.extend(stack.sidecar.block_duration.as_ref().map(sync_flag));
    let mut container = pod::container(
        "store",
        &stack.images.hindsight,
        &stack.images,
        pod::args(Some("store"), args, &store.container),
        pod::resources(&store.container, "20m", "64Mi"),
    );
    container["ports"] = json!([pod::port("http", HTTP_PORT), pod::port("grpc", GRPC_PORT)]);
    container["readinessProbe"] = pod::probe("/-/ready", "http", 5, 3);
    container["livenessProbe"] = pod::probe("/-/healthy", "http", 10, 6);
    container["volumeMounts"] =
        json!([{ "name": CLAIM, "mountPath": DATA }, object_storage::mount()]);
    let environment = pod::environment(&stack.proxy);
    if !environment.is_empty() {
        container["env"] = environment.into();
    }
    let mut volumes = vec![object_storage::volume(stack, storage)];
    volumes.extend(pod::scratch_volume(CLAIM, &store.volume));
    let init_containers: Vec<Value> = object_storage::bucket_container(stack, storage)
        .into_iter()
        .collect();
    let template = pod::template(
        stack,
        pod::Pod {
            component: Component::Store,
            options: &store.pod,
            labels: BTreeMap::from([(STORE_API_LABEL.to_owned(), "true".to_owned())]),
            service_account: Some(names.of(Component::Store)),
            mounts_token: false,
            grace_period_seconds: GRACE_PERIOD_SECONDS,
            init_containers,
            containers: vec![container],
            volumes,
        },
    );
    let mut spec = json!({
        "replicas": store.replicas,
        "serviceName": names.of(Component::Store),
        "podManagementPolicy": "Parallel",
        "updateStrategy": { "type": "RollingUpdate" },
        "selector": { "matchLabels": names.selector(Component::Store) },
        "template": template,
    });
    let labels = names.selector(Component::Store);
    if let Some(claims) = pod::claim_templates(CLAIM, &store.volume, &labels) {
        spec["volumeClaimTemplates"] = claims;
    }
    super::object(
        stack,
        Component::Store,
        Kind::StatefulSet,
        &names.of(Component::Store),
        json!({ "spec": spec }),
    )
}

/// Short blocks leave Prometheus soon, so the store must see them soon: twice per block.
fn sync_flag(duration: &BlockDuration) -> String {
    let seconds = (duration.ms / 2000).clamp(MIN_SYNC_SECONDS, MAX_SYNC_SECONDS);
    format!("--sync-block-duration={seconds}s")
}
