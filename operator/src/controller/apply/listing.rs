//! Reading many objects of a stack at once: an operator that starts knows none of them.

use std::collections::HashMap;

use kube::ResourceExt as _;
use kube::api::ListParams;
use kube::core::DynamicObject;

use super::{Applier, ApplyError, digest, namespace_of};
use crate::children::Children;
use crate::controller::build::{Desired, Kind};
use crate::controller::validate::Stack;
use crate::names::STACK_LABEL;

/// Objects that need not be read one by one.
pub(super) type Listed = HashMap<(Kind, String), DynamicObject>;

impl Applier {
    /// Lists every kind of which more than one object would have to be read.
    pub(super) async fn list(
        &self,
        stack: &Stack,
        desired: &Desired,
        children: &Children,
    ) -> Result<Listed, ApplyError> {
        let mut listed = Listed::new();
        for kind in Kind::ALL {
            if kind.is_cluster_scoped() {
                continue;
            }
            let namespace = namespace_of(kind, &stack.names.namespace);
            let to_read = desired
                .objects
                .iter()
                .filter(|object| object.kind == kind)
                .filter(|object| {
                    let seen = children.resource_version(kind, namespace.as_deref(), &object.name);
                    let key = (kind, namespace.clone(), object.name.clone());
                    let known = self.recall(&key);
                    // What does not exist needs no list to be missing from.
                    seen.is_some()
                        && known.is_none_or(|known| {
                            known.desired != digest(&object.body)
                                || seen.as_ref() != Some(&known.resource_version)
                        })
                })
                .count();
            if to_read < 2 {
                continue;
            }
            let selector = format!("{STACK_LABEL}={}", stack.names.stack);
            let found = self
                .api(kind, namespace.as_deref())
                .list(&ListParams::default().labels(&selector))
                .await
                .map_err(|source| ApplyError::Request {
                    verb: "list",
                    what: format!("the stack's objects of kind {}", kind.as_str()),
                    source,
                })?;
            for mut object in found.items {
                // An entry of a list does not say what it is.
                object.types = Some(kube::core::TypeMeta {
                    api_version: kind.api_version().to_owned(),
                    kind: kind.as_str().to_owned(),
                });
                listed.insert((kind, object.name_any()), object);
            }
        }
        Ok(listed)
    }
}
