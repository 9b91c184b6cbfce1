//! The rules of this release: the files of `config/mixin/rules` that fit what the stack has.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Kind, Object};
use crate::controller::validate::{Exporter, Place, Stack};
use crate::names::Component;

/// Name of the volume.
pub(super) const VOLUME: &str = "default-rules";

pub(super) fn object(stack: &Stack) -> Option<Object> {
    let files = files(stack);
    (!files.is_empty()).then(|| {
        super::object(
            stack,
            Component::Prometheus,
            Kind::ConfigMap,
            &stack.names.default_rules(),
            json!({ "data": files }),
        )
    })
}

pub(super) fn volume(stack: &Stack) -> Value {
    // Optional: without its rules a replica still scrapes.
    let name = stack.names.default_rules();
    json!({ "name": VOLUME, "configMap": { "name": name, "optional": true } })
}

fn files(stack: &Stack) -> BTreeMap<&'static str, &'static str> {
    if !stack.prometheus.default_rules {
        return BTreeMap::new();
    }
    let scrapes =
        |exporter: &Exporter| matches!(exporter.place, Place::Here | Place::Elsewhere { .. });
    [
        (
            "general.yaml",
            include_str!("../../../../config/mixin/rules/general.yaml"),
            true,
        ),
        (
            "prometheus.yaml",
            include_str!("../../../../config/mixin/rules/prometheus.yaml"),
            true,
        ),
        (
            "thanos.yaml",
            include_str!("../../../../config/mixin/rules/thanos.yaml"),
            true,
        ),
        (
            "alertmanager.yaml",
            include_str!("../../../../config/mixin/rules/alertmanager.yaml"),
            stack.alertmanager.is_some(),
        ),
        (
            "kubernetes.yaml",
            include_str!("../../../../config/mixin/rules/kubernetes.yaml"),
            scrapes(&stack.kube_state_metrics),
        ),
        (
            "nodes.yaml",
            include_str!("../../../../config/mixin/rules/nodes.yaml"),
            scrapes(&stack.node_exporter),
        ),
    ]
    .into_iter()
    .filter_map(|(name, text, fits)| fits.then_some((name, text)))
    .collect()
}
