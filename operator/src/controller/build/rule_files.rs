//! ConfigMaps with the files of selected PrometheusRules.

use serde_json::{Value, json};

use super::{Kind, Object, object};
use crate::controller::validate::Stack;
use crate::coreos::rules::pack::MAX_CONFIG_MAPS;
use crate::names::Component;

/// Name of the volume that holds them all.
pub(super) const VOLUME: &str = "selected-rules";

pub(super) fn objects(stack: &Stack) -> Vec<Object> {
    stack
        .monitored
        .rule_files
        .iter()
        .enumerate()
        .filter(|(_, files)| !files.is_empty())
        .map(|(index, files)| {
            object(
                stack,
                Component::Prometheus,
                Kind::ConfigMap,
                &stack.names.rule_files(index),
                json!({ "data": files }),
            )
        })
        .collect()
}

/// All that there may ever be, in one folder: a rule that needs another ConfigMap replaces no pod.
pub(super) fn volume(stack: &Stack) -> Value {
    let sources: Vec<Value> = (0..MAX_CONFIG_MAPS)
        .map(|index| {
            json!({ "configMap": { "name": stack.names.rule_files(index), "optional": true } })
        })
        .collect();
    json!({ "name": VOLUME, "projected": { "sources": sources } })
}
