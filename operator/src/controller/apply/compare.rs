//! Whether a live object has what we want: decides between silence and a write.

use serde_json::Value;

use crate::names::FIELD_MANAGER;
use crate::quantity;

/// Returns whether writing `desired` would change `live`: a field of ours is missing or different,
/// or the last write owned a field that is not wanted any more.
pub fn differs(live: &Value, desired: &Value) -> bool {
    let Some(owned) = owned_fields(live) else {
        return true;
    };
    !covers(live, desired, false) || owns_more(owned, desired)
}

/// Returns whether the object lists our field manager.
pub fn is_managed(live: &Value) -> bool {
    owned_fields(live).is_some()
}

fn owned_fields(live: &Value) -> Option<&Value> {
    let entries = live.pointer("/metadata/managedFields")?.as_array()?;
    let own = entries.iter().find(|entry| {
        entry["manager"] == FIELD_MANAGER
            && entry["operation"] == "Apply"
            && entry.get("subresource").is_none_or(|name| name == "")
    })?;
    own.get("fieldsV1")
}

/// Whether `live` contains `desired`. `amounts` says that texts are quantities, which the API
/// server stores in a form of its own.
fn covers(live: &Value, desired: &Value, amounts: bool) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => desired.iter().all(|(name, wanted)| {
            let amounts = amounts || name == "resources" || name == "sizeLimit";
            match live.get(name) {
                Some(found) => covers(found, wanted, amounts),
                None => is_zero(wanted),
            }
        }),
        (Value::Array(live), Value::Array(desired)) => covers_list(live, desired, amounts),
        (Value::String(live), Value::String(desired)) => {
            live == desired
                || (amounts
                    && quantity::parse(live)
                        .is_some_and(|one| quantity::parse(desired) == Some(one)))
        }
        (live, desired) => live == desired,
    }
}

fn covers_list(live: &[Value], desired: &[Value], amounts: bool) -> bool {
    if live.len() == desired.len() {
        let in_order = live
            .iter()
            .zip(desired)
            .all(|(found, wanted)| covers(found, wanted, amounts));
        if in_order {
            return true;
        }
    }
    // Others may add entries to a list whose entries have names; order means nothing there.
    desired.iter().all(|wanted| match list_key(wanted) {
        None => false,
        Some(key) => live
            .iter()
            .any(|found| found.get(key) == wanted.get(key) && covers(found, wanted, amounts)),
    }) && !desired.is_empty()
}

fn list_key(entry: &Value) -> Option<&'static str> {
    ["mountPath", "uid", "name", "containerPort", "port"]
        .into_iter()
        .find(|key| entry.get(key).is_some())
}

/// Values that the API server leaves out.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) => false,
    }
}

/// Whether `owned`, a set of fields as the API server records it, holds a leaf that `desired` lacks.
fn owns_more(owned: &Value, desired: &Value) -> bool {
    let Some(fields) = owned.as_object() else {
        return false;
    };
    fields.iter().any(|(step, below)| {
        if step == "." {
            return false;
        }
        let next = match step.split_once(':') {
            Some(("f", name)) => desired.get(name),
            Some(("k", key)) => entry_by_key(desired, key),
            Some(("v", text)) => entry_by_value(desired, text),
            _ => return false,
        };
        match next {
            None => true,
            Some(next) => owns_more(below, next),
        }
    })
}

fn entry_by_key<'a>(list: &'a Value, key: &str) -> Option<&'a Value> {
    let key: Value = serde_json::from_str(key).ok()?;
    let key = key.as_object()?;
    list.as_array()?.iter().find(|entry| {
        // A key may have parts with defaults that are not sent, such as a port's protocol.
        key.iter()
            .all(|(name, value)| entry.get(name).is_none_or(|found| found == value))
            && key.iter().any(|(name, _)| entry.get(name).is_some())
    })
}

fn entry_by_value<'a>(list: &'a Value, text: &str) -> Option<&'a Value> {
    let value: Value = serde_json::from_str(text).ok()?;
    list.as_array()?.iter().find(|entry| **entry == value)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::differs;

    fn live(spec: Value, owned: Value) -> Value {
        json!({
            "metadata": {
                "name": "a",
                "managedFields": [{
                    "manager": "hindsight-operator",
                    "operation": "Apply",
                    "fieldsV1": { "f:spec": owned },
                }],
            },
            "spec": spec,
        })
    }

    fn desired(spec: Value) -> Value {
        json!({ "metadata": { "name": "a" }, "spec": spec })
    }

    #[test]
    fn defaults_of_others_are_no_difference() {
        let live = live(
            json!({
                "replicas": 2,
                "revisionHistoryLimit": 10,
                "containers": [{ "name": "a", "image": "i", "terminationMessagePath": "/x" }],
            }),
            json!({ "f:replicas": {}, "f:containers": { "k:{\"name\":\"a\"}": { ".": {}, "f:name": {}, "f:image": {} } } }),
        );
        let desired =
            desired(json!({ "replicas": 2, "containers": [{ "name": "a", "image": "i" }] }));
        assert!(!differs(&live, &desired));
    }

    #[test]
    fn a_changed_field_of_ours_is_a_difference() {
        let owned = json!({ "f:replicas": {} });
        let desired = desired(json!({ "replicas": 2 }));
        assert!(!differs(
            &live(json!({ "replicas": 2 }), owned.clone()),
            &desired
        ));
        assert!(differs(
            &live(json!({ "replicas": 3 }), owned.clone()),
            &desired
        ));
        assert!(differs(&live(json!({}), owned), &desired));
    }

    #[test]
    fn a_field_that_we_own_and_no_longer_want_is_a_difference() {
        let live = live(
            json!({ "selector": { "a": "1", "b": "2" } }),
            json!({ "f:selector": { "f:a": {}, "f:b": {} } }),
        );
        assert!(differs(
            &live,
            &desired(json!({ "selector": { "a": "1" } }))
        ));
        assert!(!differs(
            &live,
            &desired(json!({ "selector": { "a": "1", "b": "2" } }))
        ));
    }

    #[test]
    fn a_list_entry_that_we_own_and_no_longer_want_is_a_difference() {
        let owned = json!({ "f:ports": {
            "k:{\"port\":1,\"protocol\":\"TCP\"}": { ".": {}, "f:port": {} },
            "k:{\"port\":2,\"protocol\":\"TCP\"}": { ".": {}, "f:port": {} },
        } });
        let live = live(
            json!({ "ports": [{ "port": 1, "protocol": "TCP" }, { "port": 2, "protocol": "TCP" }] }),
            owned,
        );
        assert!(differs(
            &live,
            &desired(json!({ "ports": [{ "port": 1 }] }))
        ));
        assert!(!differs(
            &live,
            &desired(json!({ "ports": [{ "port": 1 }, { "port": 2 }] }))
        ));
    }

    #[test]
    fn an_entry_that_another_added_to_a_named_list_is_no_difference() {
        let live = live(
            json!({ "env": [{ "name": "INJECTED", "value": "x" }, { "name": "A", "value": "1" }] }),
            json!({ "f:env": { "k:{\"name\":\"A\"}": { ".": {}, "f:name": {}, "f:value": {} } } }),
        );
        assert!(!differs(
            &live,
            &desired(json!({ "env": [{ "name": "A", "value": "1" }] }))
        ));
    }

    #[test]
    fn amounts_are_compared_as_amounts_and_only_where_they_are_some() {
        let owned = json!({ "f:resources": {}, "f:note": {} });
        let wanted =
            desired(json!({ "resources": { "limits": { "cpu": "1000m" } }, "note": "1000m" }));
        let same = live(
            json!({ "resources": { "limits": { "cpu": "1" } }, "note": "1000m" }),
            owned.clone(),
        );
        let other = live(
            json!({ "resources": { "limits": { "cpu": "1" } }, "note": "1" }),
            owned,
        );
        assert!(!differs(&same, &wanted));
        assert!(differs(&other, &wanted));
    }

    #[test]
    fn an_object_without_our_mark_is_written() {
        let stranger = json!({ "metadata": { "name": "a" }, "spec": { "replicas": 2 } });
        assert!(differs(&stranger, &desired(json!({ "replicas": 2 }))));
    }
}
