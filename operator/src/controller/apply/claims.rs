//! Growing volumes. A StatefulSet's claim template cannot be changed, so first the claims grow, then
//! the set is deleted without its pods and made again, which adopts them. Every step can be the last
//! of this process: the next one finds the same difference, or no set, and goes on from there.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::core::DynamicObject;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::{Applier, ApplyError, describe};
use crate::controller::build::{Kind, Object};
use crate::controller::validate::Stack;
use crate::names::FIELD_MANAGER;
use crate::quantity;

/// Whether a set is on its way out without its pods.
pub(super) fn is_being_replaced(live: &DynamicObject) -> bool {
    live.finalizers().iter().any(|name| name == "orphan")
}

/// A claim template whose size is to change.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    template: String,
    present: String,
    wanted: String,
    grows: bool,
}

/// The claim templates that differ in size.
fn changes(live: &Value, desired: &Value) -> Vec<Change> {
    let templates = |set: &Value| {
        set.pointer("/spec/volumeClaimTemplates")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let size = |template: &Value| {
        template
            .pointer("/spec/resources/requests/storage")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let live = templates(live);
    let mut changes = Vec::new();
    for template in templates(desired) {
        let name = &template["metadata"]["name"];
        let found = live.iter().find(|other| other["metadata"]["name"] == *name);
        let (Some(name), Some(present), Some(wanted)) =
            (name.as_str(), found.and_then(size), size(&template))
        else {
            continue;
        };
        let (from, to) = (quantity::parse(&present), quantity::parse(&wanted));
        if from != to {
            changes.push(Change {
                template: name.to_owned(),
                present,
                wanted,
                grows: from < to,
            });
        }
    }
    changes
}

/// Whether `claim` is one that `set` made from `template`.
fn is_claim_of(claim: &str, template: &str, set: &str) -> bool {
    claim
        .strip_prefix(template)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.strip_prefix(set))
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()))
}

impl Applier {
    /// Brings the claims of a set to the size of its new template and deletes the set without its
    /// pods; does nothing where no size changes.
    ///
    /// # Errors
    /// Always, where a size changes: there is nothing more to write to this set in this pass.
    pub(super) async fn grow(
        &self,
        stack: &Stack,
        object: &Object,
        live: &DynamicObject,
        document: &Value,
    ) -> Result<(), ApplyError> {
        let changes = changes(document, &object.body);
        if changes.is_empty() {
            return Ok(());
        }
        let namespace = &stack.names.namespace;
        for change in &changes {
            if !change.grows {
                return Err(ApplyError::Shrink {
                    name: object.name.clone(),
                    present: change.present.clone(),
                    wanted: change.wanted.clone(),
                });
            }
            self.grow_claims(namespace, &object.name, change).await?;
        }
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Orphan),
            preconditions: Some(Preconditions {
                uid: live.metadata.uid.clone(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let api = self.api(Kind::StatefulSet, Some(namespace));
        let what = describe(Kind::StatefulSet, &object.name);
        self.write(
            "orphan",
            what,
            Kind::StatefulSet.as_str(),
            api.delete(&object.name, &params),
        )
        .await?;
        tracing::info!(
            name = object.name,
            namespace,
            "replacing a stateful set whose volumes have grown"
        );
        Err(ApplyError::Replacing {
            name: object.name.clone(),
        })
    }

    async fn grow_claims(
        &self,
        namespace: &str,
        set: &str,
        change: &Change,
    ) -> Result<(), ApplyError> {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        let claims =
            api.list(&ListParams::default())
                .await
                .map_err(|source| ApplyError::Request {
                    verb: "list",
                    what: "volume claims".to_owned(),
                    source,
                })?;
        for claim in claims.items {
            let name = claim.name_any();
            if !is_claim_of(&name, &change.template, set) {
                continue;
            }
            let requested = claim
                .spec
                .as_ref()
                .and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage"))
                .and_then(|size| quantity::parse(&size.0));
            if requested >= quantity::parse(&change.wanted) {
                continue;
            }
            let phase = claim
                .status
                .as_ref()
                .and_then(|status| status.phase.clone());
            if phase.as_deref() != Some("Bound") {
                return Err(ApplyError::ClaimUnbound {
                    claim: name,
                    size: change.wanted.clone(),
                });
            }
            let patch =
                json!({ "spec": { "resources": { "requests": { "storage": change.wanted } } } });
            let params = PatchParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..PatchParams::default()
            };
            let patch = Patch::Merge(&patch);
            self.write(
                "grow",
                format!("PersistentVolumeClaim {name:?}"),
                "PersistentVolumeClaim",
                api.patch(&name, &params, &patch),
            )
            .await?;
            tracing::info!(
                name,
                namespace,
                size = change.wanted,
                "growing a volume claim"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(size: &str) -> Value {
        json!({ "spec": { "volumeClaimTemplates": [{
            "metadata": { "name": "data" },
            "spec": { "resources": { "requests": { "storage": size } } },
        }] } })
    }

    #[test]
    fn only_another_amount_is_a_change() {
        assert_eq!(changes(&set("1Gi"), &set("1024Mi")), []);
        let found = changes(&set("1Gi"), &set("2Gi"));
        assert!(found[0].grows, "{found:?}");
        let found = changes(&set("2Gi"), &set("1Gi"));
        assert!(!found[0].grows, "{found:?}");
        assert_eq!(changes(&json!({}), &set("1Gi")), []);
    }

    #[test]
    fn claims_are_known_by_their_whole_name() {
        for (claim, is_own) in [
            ("data-demo-prometheus-0", true),
            ("data-demo-prometheus-11", true),
            ("data-demo-prometheus-a", false),
            ("data-demo-prometheus-0-1", false),
            ("data-demo-prometheus-", false),
            ("other-demo-prometheus-0", false),
            ("data-demo-prometheus-shard-0", false),
        ] {
            assert_eq!(
                is_claim_of(claim, "data", "demo-prometheus"),
                is_own,
                "{claim}"
            );
        }
    }
}
