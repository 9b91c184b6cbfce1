//! Unknown keys of a resource file, found by the definition's own schema: an API server would drop
//! them in silence.

use std::sync::OnceLock;

use serde_json::Value;

/// The schema of `spec`, made once.
fn schema() -> Option<&'static Value> {
    static SCHEMA: OnceLock<Option<Value>> = OnceLock::new();
    let made = SCHEMA.get_or_init(|| {
        let definition = crds::document::monitoring_stack().ok()?;
        let definition = serde_json::to_value(definition).ok()?;
        let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
        definition.pointer(path).cloned()
    });
    made.as_ref()
}

/// Returns the path of the first field of `document` that the schema does not know.
pub fn unknown_field(document: &Value) -> Option<String> {
    let schema = schema()?;
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    if let Some(key) = document
        .as_object()?
        .keys()
        .find(|key| !known.contains(&key.as_str()))
    {
        return Some(key.clone());
    }
    walk(document.get("spec")?, schema, "spec")
}

fn walk(value: &Value, schema: &Value, path: &str) -> Option<String> {
    match value {
        Value::Object(fields) => fields.iter().find_map(|(name, field)| {
            let path = format!("{path}.{name}");
            if let Some(schema) = schema
                .pointer("/properties")
                .and_then(|known| known.get(name))
            {
                return walk(field, schema, &path);
            }
            match schema.get("additionalProperties") {
                Some(schema) => walk(field, schema, &path),
                None => Some(path),
            }
        }),
        Value::Array(items) => {
            let schema = schema.get("items")?;
            items
                .iter()
                .enumerate()
                .find_map(|(index, item)| walk(item, schema, &format!("{path}[{index}]")))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
