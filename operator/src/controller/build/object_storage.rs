//! How components reach the bucket, and the embedded S3 server.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crds::workload::PodOptions;
use serde_json::{Value, json};

use super::services::S3_PORT;
use super::{Kind, Object, object, pod};
use crate::controller::mint::{self, Minted};
use crate::controller::validate::{Container, ObjectStorage, Stack, Volume};
use crate::names::Component;

/// Folder of the object store configuration in every container that needs it.
const MOUNT_PATH: &str = "/etc/hindsight/objstore";
/// Key of the configuration in the embedded storage's Secret.
const EMBEDDED_KEY: &str = "thanos.yaml";
/// The embedded storage's only bucket.
const BUCKET: &str = "hindsight";
const REGION: &str = "us-east-1";
const CLAIM: &str = "data";
/// Annotation of the server's pod with the access key it was started with.
const ACCESS_KEY_ANNOTATION: &str = "hindsight.dev/access-key";
const GRACE_PERIOD_SECONDS: i64 = 30;

/// The flag that names the configuration's file. It is a file, so that a change is read without a
/// restart.
pub(super) fn flag(storage: &ObjectStorage) -> String {
    let key = match storage {
        ObjectStorage::Secret { key, .. } => key,
        ObjectStorage::Embedded { .. } => EMBEDDED_KEY,
    };
    format!("--objstore.config-file={MOUNT_PATH}/{key}")
}

/// The volume with the configuration.
pub(super) fn volume(stack: &Stack, storage: &ObjectStorage) -> Value {
    let (secret, key) = match storage {
        ObjectStorage::Secret { name, key, .. } => (name.clone(), key.as_str()),
        ObjectStorage::Embedded { .. } => (stack.names.object_storage_secret(), EMBEDDED_KEY),
    };
    json!({
        "name": "objstore",
        "secret": { "secretName": secret, "items": [{ "key": key, "path": key }] },
    })
}

/// The mount of that volume.
pub(super) fn mount() -> Value {
    json!({ "name": "objstore", "mountPath": MOUNT_PATH, "readOnly": true })
}

/// The init container that makes the embedded storage's bucket. It runs before the store, which
/// cannot work without it; a sidecar's uploads wait by themselves.
pub(super) fn bucket_container(stack: &Stack, storage: &ObjectStorage) -> Option<Value> {
    if !matches!(storage, ObjectStorage::Embedded { .. }) {
        return None;
    }
    let mut container = pod::container(
        "bucket",
        &stack.images.hindsight,
        &stack.images,
        ["tools", "bucket", "create"]
            .map(str::to_owned)
            .into_iter()
            .chain([flag(storage)])
            .collect(),
        json!({ "requests": { "cpu": "10m", "memory": "32Mi" } }),
    );
    container["volumeMounts"] = json!([mount()]);
    Some(container)
}

/// Secret and StatefulSet of the embedded storage.
pub(super) fn objects(stack: &Stack, storage: &ObjectStorage, minted: &Minted) -> Vec<Object> {
    let ObjectStorage::Embedded {
        size,
        storage_class,
    } = storage
    else {
        return Vec::new();
    };
    let volume = Volume::Claim {
        size: size.clone(),
        storage_class: storage_class.clone(),
    };
    vec![secret(stack, minted), stateful_set(stack, &volume, minted)]
}

fn secret(stack: &Stack, minted: &Minted) -> Object {
    let names = &stack.names;
    let credentials = &minted.object_storage;
    let yaml = crate::yaml::document(&json!({
        "type": "S3",
        "config": {
            "bucket": BUCKET,
            "endpoint": format!(
                "{}.{}.svc:{S3_PORT}",
                names.of(Component::ObjectStorage),
                names.namespace
            ),
            "region": REGION,
            "insecure": true,
            "bucket_lookup_type": "path",
            "access_key": credentials.access_key,
            "secret_key": credentials.secret_key,
        },
    }));
    let data: BTreeMap<String, String> = mint::secret_data(credentials, yaml)
        .into_iter()
        .map(|(key, text)| (key, BASE64.encode(text)))
        .collect();
    object(
        stack,
        Component::ObjectStorage,
        Kind::Secret,
        &names.object_storage_secret(),
        json!({ "type": "Opaque", "data": data }),
    )
}

fn stateful_set(stack: &Stack, volume: &Volume, minted: &Minted) -> Object {
    let names = &stack.names;
    let component = Component::ObjectStorage;
    let name = names.of(component);
    let no_options = Container {
        requests: BTreeMap::new(),
        limits: BTreeMap::new(),
        log_level: None,
        log_format: None,
        extra_args: Vec::new(),
    };
    let args = [
        "--port",
        &format!(":{S3_PORT}"),
        "--region",
        REGION,
        "--health",
        "/_/health",
        "--quiet",
        "posix",
        "/data",
    ]
    .map(str::to_owned)
    .to_vec();
    let mut container = pod::container(
        "s3",
        &stack.images.versitygw,
        &stack.images,
        args,
        pod::resources(&no_options, "10m", "64Mi"),
    );
    container["ports"] = json!([pod::port("s3", S3_PORT)]);
    container["readinessProbe"] = pod::probe("/_/health", "s3", 2, 3);
    container["livenessProbe"] = pod::probe("/_/health", "s3", 10, 6);
    container["env"] = [
        ("ROOT_ACCESS_KEY", mint::ACCESS_KEY),
        ("ROOT_SECRET_KEY", mint::SECRET_KEY),
    ]
    .iter()
    .map(|(variable, key)| {
        json!({
            "name": variable,
            "valueFrom": {
                "secretKeyRef": { "name": names.object_storage_secret(), "key": key },
            },
        })
    })
    .collect();
    // A folder of the volume: a file system's own folders in its root would look like buckets.
    container["volumeMounts"] =
        json!([{ "name": CLAIM, "mountPath": "/data", "subPath": "buckets" }]);
    // The server reads its keys once: new ones need a new pod. The access key is no secret.
    let options = PodOptions {
        pod_annotations: BTreeMap::from([(
            ACCESS_KEY_ANNOTATION.to_owned(),
            minted.object_storage.access_key.clone(),
        )]),
        ..PodOptions::default()
    };
    let template = pod::template(
        stack,
        pod::Pod {
            component,
            options: &options,
            labels: BTreeMap::new(),
            service_account: None,
            mounts_token: false,
            grace_period_seconds: GRACE_PERIOD_SECONDS,
            init_containers: Vec::new(),
            containers: vec![container],
            volumes: Vec::new(),
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
    if let Some(claims) = pod::claim_templates(CLAIM, volume, &selector) {
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
