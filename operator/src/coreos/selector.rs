//! Label selectors: matching, checking, and as relabelings and texts for Prometheus.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Value, json};

/// Whether `labels` match. A selector that is wrong matches nothing; [`check`] says what is wrong.
pub fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let exact = selector.match_labels.iter().flatten();
    let expressions = selector.match_expressions.iter().flatten();
    exact
        .into_iter()
        .all(|(name, value)| labels.get(name) == Some(value))
        && expressions.into_iter().all(|expression| {
            let found = labels.get(&expression.key);
            let values = expression.values.as_deref().unwrap_or_default();
            match expression.operator.as_str() {
                "In" => found.is_some_and(|value| values.contains(value)),
                "NotIn" => found.is_none_or(|value| !values.contains(value)),
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}

/// Checks a selector as the API machinery does.
///
/// # Errors
/// What is wrong.
pub fn check(selector: &LabelSelector) -> Result<(), String> {
    for (name, value) in selector.match_labels.iter().flatten() {
        check_key(name)?;
        check_value(value)?;
    }
    for expression in selector.match_expressions.iter().flatten() {
        check_key(&expression.key)?;
        let values = expression.values.as_deref().unwrap_or_default();
        for value in values {
            check_value(value)?;
        }
        match (expression.operator.as_str(), values.is_empty()) {
            ("In" | "NotIn", true) => {
                return Err(format!(
                    "selector: operator {} on {:?} needs values",
                    expression.operator, expression.key
                ));
            }
            ("Exists" | "DoesNotExist", false) => {
                return Err(format!(
                    "selector: operator {} on {:?} takes no values",
                    expression.operator, expression.key
                ));
            }
            ("In" | "NotIn" | "Exists" | "DoesNotExist", _) => {}
            (other, _) => {
                return Err(format!(
                    "selector: {other:?} is no operator; use In, NotIn, Exists or DoesNotExist"
                ));
            }
        }
    }
    Ok(())
}

fn check_key(key: &str) -> Result<(), String> {
    let name = key.rsplit('/').next().unwrap_or_default();
    if name.is_empty() || name.len() > 63 || !is_word(name) {
        return Err(format!("selector: {key:?} is no label name"));
    }
    Ok(())
}

fn check_value(value: &str) -> Result<(), String> {
    if value.len() > 63 || !(value.is_empty() || is_word(value)) {
        return Err(format!("selector: {value:?} is no label value"));
    }
    Ok(())
}

fn is_word(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(edge)
        && text.ends_with(edge)
        && text
            .chars()
            .all(|c| edge(c) || matches!(c, '-' | '_' | '.'))
}

/// A label's name in the labels that discovery makes: Prometheus replaces what it cannot hold.
pub fn sanitize(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' {
                c
            } else {
                '_'
            }
        })
        .collect()
}

/// The relabelings that keep the targets of a selector; `role` is `service`, `pod` or `ingress`.
pub fn relabelings(selector: &LabelSelector, role: &str) -> Vec<Value> {
    let value = |name: &str| format!("__meta_kubernetes_{role}_label_{}", sanitize(name));
    let present = |name: &str| format!("__meta_kubernetes_{role}_labelpresent_{}", sanitize(name));
    let one_of = |action: &str, name: &str, regex: String| {
        json!({
            "action": action,
            "source_labels": [value(name), present(name)],
            "regex": format!("({regex});true"),
        })
    };
    let presence = |action: &str, name: &str| json!({ "action": action, "source_labels": [present(name)], "regex": "true" });
    let exact = selector
        .match_labels
        .iter()
        .flatten()
        .map(|(name, text)| one_of("keep", name, text.clone()));
    let expressions = selector
        .match_expressions
        .iter()
        .flatten()
        .map(|expression| {
            let values = expression.values.as_deref().unwrap_or_default().join("|");
            let name = expression.key.as_str();
            match expression.operator.as_str() {
                "In" => one_of("keep", name, values),
                "NotIn" => one_of("drop", name, values),
                "Exists" => presence("keep", name),
                _ => presence("drop", name),
            }
        });
    exact.chain(expressions).collect()
}

/// The selector as the API server takes it in an address: sorted by label.
pub fn text(selector: &LabelSelector) -> String {
    let mut parts: Vec<(String, String)> = selector
        .match_labels
        .iter()
        .flatten()
        .map(|(name, value)| (name.clone(), format!("{name}={value}")))
        .collect();
    for expression in selector.match_expressions.iter().flatten() {
        let key = &expression.key;
        let mut values = expression.values.clone().unwrap_or_default();
        values.sort();
        let values = values.join(",");
        let part = match expression.operator.as_str() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.clone(),
            _ => format!("!{key}"),
        };
        parts.push((key.clone(), part));
    }
    parts.sort_by(|a, b| a.0.cmp(&b.0));
    let parts: Vec<String> = parts.into_iter().map(|(_, part)| part).collect();
    parts.join(",")
}
