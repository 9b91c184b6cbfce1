//! Everything about one stack that helps to find a fault, as files: the resource, its objects, its
//! pods, their events. No value of a Secret is written.

use std::path::Path;

use crds::MonitoringStack;
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;

use crate::controller::build::Kind;
use crate::names::STACK_LABEL;

/// Why nothing, or not everything, was written.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    #[error("cannot read objects of kind {kind}")]
    Read {
        kind: String,
        #[source]
        source: kube::Error,
    },
    #[error("cannot write {path}")]
    Write {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the stack is no JSON")]
    Json(#[from] serde_json::Error),
}

/// Writes the files below `folder` and returns how many.
///
/// # Errors
/// At the first object that cannot be read, unless it is not allowed, or file that cannot be written.
pub async fn gather(
    client: &Client,
    stack: &MonitoringStack,
    folder: &Path,
) -> Result<usize, GatherError> {
    let namespace = stack.namespace().unwrap_or_default();
    let mut written = 0;
    let mut document = serde_json::to_value(stack)?;
    clean(&mut document);
    write(folder, "MonitoringStack", &stack.name_any(), &document)?;
    written += 1;
    let selector = format!("{STACK_LABEL}={}", stack.name_any());
    let labelled = ListParams::default().labels(&selector);
    let mut resources: Vec<(ApiResource, &ListParams)> = Kind::ALL
        .into_iter()
        .filter(|kind| !kind.is_cluster_scoped())
        .map(|kind| (kind.api_resource(), &labelled))
        .collect();
    let pods = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod"));
    let events = ApiResource::from_gvk(&GroupVersionKind::gvk("events.k8s.io", "v1", "Event"));
    let all = ListParams::default();
    resources.push((pods, &labelled));
    resources.push((events, &all));
    for (resource, params) in resources {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource);
        let objects = match api.list(params).await {
            Ok(objects) => objects.items,
            Err(kube::Error::Api(status)) if status.code == 403 => {
                write(
                    folder,
                    &resource.kind,
                    "not-allowed",
                    &Value::from(status.message),
                )?;
                written += 1;
                continue;
            }
            Err(source) => {
                return Err(GatherError::Read {
                    kind: resource.kind,
                    source,
                });
            }
        };
        for object in objects {
            let mut document = serde_json::to_value(&object)?;
            clean(&mut document);
            if resource.kind == "Secret" {
                redact(&mut document);
            }
            write(folder, &resource.kind, &object.name_any(), &document)?;
            written += 1;
        }
    }
    Ok(written)
}

/// Leaves out who wrote which field: half of the text, and of no use here.
fn clean(document: &mut Value) {
    if let Some(metadata) = document["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
}

/// Replaces every value by its length.
fn redact(secret: &mut Value) {
    for field in ["data", "stringData"] {
        for value in secret[field].as_object_mut().into_iter().flatten() {
            let length = value.1.as_str().map_or(0, str::len);
            *value.1 = format!("<{length} characters>").into();
        }
    }
    if let Some(annotations) = secret["metadata"]["annotations"].as_object_mut() {
        // A client-side apply keeps the whole Secret in it.
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}

fn write(folder: &Path, kind: &str, name: &str, document: &Value) -> Result<(), GatherError> {
    let folder = folder.join(kind);
    let path = folder.join(format!("{name}.yaml"));
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&path, crate::yaml::document(document)))
        .map_err(|source| GatherError::Write {
            path: path.display().to_string(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_value_of_a_secret_is_left() {
        let mut secret = json!({
            "metadata": { "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "aHVudGVyMg==" } },
            "data": { "password": "aHVudGVyMg==" },
            "stringData": { "token": "hunter2" },
        });
        redact(&mut secret);
        let text = secret.to_string();
        assert!(
            !text.contains("aHVudGVyMg") && !text.contains("hunter2"),
            "{text}"
        );
        assert_eq!(secret["data"]["password"], "<12 characters>");
    }
}
