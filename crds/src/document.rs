//! The CustomResourceDefinition as it is installed: what the types derive, made small.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

use crate::MonitoringStack;

/// Fields of Kubernetes' own types, which bring pages of documentation each, once in every section.
/// Only our own text on them is kept, so that the definition stays far below the annotation limit of
/// a client-side apply; `kubectl explain pod.spec` has the rest.
const CORE_TYPES: [&str; 5] = [
    "affinity",
    "tolerations",
    "topologySpreadConstraints",
    "selector",
    "namespaceSelector",
];

/// Returns the definition of `MonitoringStack`.
///
/// # Errors
/// None for the types of this crate; a schema that cannot be represented as JSON.
pub fn monitoring_stack() -> Result<CustomResourceDefinition, serde_json::Error> {
    let mut document = serde_json::to_value(MonitoringStack::crd())?;
    shorten(&mut document, false);
    serde_json::from_value(document)
}

fn shorten(schema: &mut Value, inside_core_type: bool) {
    match schema {
        Value::Object(fields) => {
            match fields.get_mut("description") {
                // What is not a text is a field of this name.
                Some(Value::String(_)) if inside_core_type => {
                    fields.remove("description");
                }
                Some(Value::String(text)) => *text = unwrap_lines(text),
                _ => {}
            }
            for (name, field) in fields.iter_mut() {
                // The field itself carries our own text; what lies below it is Kubernetes'.
                if CORE_TYPES.contains(&name.as_str()) && !inside_core_type {
                    if let Value::Object(own) = field {
                        for nested in own.values_mut() {
                            shorten(nested, true);
                        }
                    }
                } else {
                    shorten(field, inside_core_type);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                shorten(item, inside_core_type);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// One line a paragraph: whoever shows the text wraps it to its own width.
fn unwrap_lines(text: &str) -> String {
    let paragraphs: Vec<String> = text
        .split("\n\n")
        .map(|paragraph| paragraph.replace('\n', " "))
        .collect();
    paragraphs.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec_schema() -> Value {
        let definition =
            serde_json::to_value(monitoring_stack().expect("definition")).expect("JSON");
        definition
            .pointer("/spec/versions/0/schema/openAPIV3Schema")
            .expect("schema of the first version")
            .clone()
    }

    fn undocumented(schema: &Value, path: &str, found: &mut Vec<String>) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            for inner in ["items", "additionalProperties"] {
                if let Some(inner) = schema.get(inner) {
                    undocumented(inner, path, found);
                }
            }
            return;
        };
        for (name, field) in properties {
            let path = format!("{path}.{name}");
            if field
                .get("description")
                .and_then(Value::as_str)
                .is_none_or(str::is_empty)
            {
                found.push(path.clone());
            }
            if !CORE_TYPES.contains(&name.as_str()) {
                undocumented(field, &path, found);
            }
        }
    }

    #[test]
    fn every_field_of_ours_has_a_description() {
        let schema = spec_schema();
        for part in ["spec", "status"] {
            let mut found = Vec::new();
            let part_schema = schema.pointer(&format!("/properties/{part}")).expect(part);
            undocumented(part_schema, part, &mut found);
            assert_eq!(found, Vec::<String>::new());
        }
    }

    #[test]
    fn the_definition_fits_a_client_side_apply() {
        // kubectl keeps the whole document in an annotation of at most 256 KiB.
        let text = serde_json::to_string(&monitoring_stack().expect("definition")).expect("JSON");
        assert!(
            text.len() < 200 * 1024,
            "the definition has {} bytes",
            text.len()
        );
    }

    #[test]
    fn defaults_are_written_in_the_schema() {
        let schema = spec_schema();
        let default = |path: &str| schema.pointer(path).cloned();
        assert_eq!(
            default("/properties/spec/properties/prometheus/properties/replicas/default"),
            Some(Value::from(2))
        );
        assert_eq!(
            default("/properties/spec/properties/prometheus/properties/storage/default/size"),
            Some(Value::from("20Gi"))
        );
        assert_eq!(
            default("/properties/spec/properties/prometheus/default/retention"),
            Some(Value::from("24h"))
        );
    }

    #[test]
    fn an_empty_spec_is_what_the_defaults_say() {
        let spec: crate::MonitoringStackSpec = serde_json::from_str("{}").expect("empty spec");
        assert_eq!(spec.prometheus, crate::prometheus::Prometheus::default());
        assert_eq!(spec.query, crate::query::Query::default());
        assert_eq!(spec.store, crate::store::Store::default());
        assert_eq!(spec.replica_label_name, "prometheus_replica");
    }

    #[test]
    fn every_rule_has_a_message_for_people() {
        fn walk(schema: &Value, found: &mut usize) {
            if let Some(rules) = schema
                .get("x-kubernetes-validations")
                .and_then(Value::as_array)
            {
                for rule in rules {
                    assert!(
                        rule.get("message").is_some(),
                        "rule without message: {rule}"
                    );
                    *found += 1;
                }
            }
            match schema {
                Value::Object(fields) => fields.values().for_each(|field| walk(field, found)),
                Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
                _ => {}
            }
        }
        let mut found = 0;
        walk(&spec_schema(), &mut found);
        assert!(found >= 10, "only {found} rules in the definition");
    }
}
