//! What a stack is called: its name, and the labels under which its series are known elsewhere.

use std::collections::BTreeMap;

use crds::MonitoringStackSpec;

use super::Check;

impl Check<'_> {
    pub(super) fn name(&mut self, name: &str) {
        if !is_dns_label(name) || name.len() > 40 {
            self.refuse(
                "metadata.name",
                "must have at most 40 characters, start with a letter and contain only lower case letters, digits and '-'",
            );
        }
    }

    pub(super) fn external_labels(
        &mut self,
        spec: &MonitoringStackSpec,
        namespace: &str,
        name: &str,
    ) -> BTreeMap<String, String> {
        let path = "spec.externalLabels";
        for label in spec.external_labels.keys() {
            if !is_label_name(label) || label.starts_with("__") {
                self.refuse(
                    &format!("{path}.{label}"),
                    "a label name must match [a-zA-Z_][a-zA-Z0-9_]* and not start with '__'",
                );
            }
            if *label == spec.replica_label_name || *label == spec.prometheus_label_name {
                self.refuse(
                    &format!("{path}.{label}"),
                    "the operator sets this label; choose another name or rename the operator's with replicaLabelName or prometheusLabelName",
                );
            }
        }
        if !is_label_name(&spec.replica_label_name) {
            self.refuse("spec.replicaLabelName", "must be a label name");
        }
        if spec.replica_label_name == spec.prometheus_label_name {
            self.refuse(
                "spec.replicaLabelName",
                "must differ from prometheusLabelName",
            );
        }
        if spec.object_storage.is_some() && !spec.external_labels.contains_key("cluster") {
            self.refuse(
                &format!("{path}.cluster"),
                "required with objectStorage: blocks of several clusters in one bucket are told apart by it",
            );
        }
        let mut labels = spec.external_labels.clone();
        if !spec.prometheus_label_name.is_empty() {
            if !is_label_name(&spec.prometheus_label_name) {
                self.refuse("spec.prometheusLabelName", "must be a label name or empty");
            }
            labels.insert(
                spec.prometheus_label_name.clone(),
                format!("{namespace}/{name}"),
            );
        }
        labels
    }
}

fn is_label_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_dns_label(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}
