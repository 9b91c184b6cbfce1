//! PrometheusRule: checked with our own parser, written as a rule file.

use crds::coreos::prometheus_rule::{Group, PrometheusRule, Rule};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Map, Value, json};

use super::Resource;

pub mod pack;
mod template;

/// Largest rule file; a ConfigMap holds 1 MiB in all.
const MAX_FILE_BYTES: usize = 512 * 1024;

/// Name and text of the rule file of a PrometheusRule.
///
/// # Errors
/// Why it is left out: the first rule that Prometheus would refuse.
pub fn file(resource: &Resource) -> Result<(String, String), String> {
    let rule: PrometheusRule = resource.spec()?;
    let mut names = std::collections::BTreeSet::new();
    let mut groups = Vec::new();
    for (index, group) in rule.groups.iter().enumerate() {
        if group.name.is_empty() {
            return Err(format!("groups[{index}] has no name"));
        }
        if !names.insert(&group.name) {
            return Err(format!("groups[{index}]: {:?} is used twice", group.name));
        }
        let rendered = group_of(group)
            .map_err(|problem| format!("groups[{index}] ({}): {problem}", group.name))?;
        groups.push(rendered);
    }
    let text = crate::yaml::document(&json!({ "groups": groups }));
    if text.len() > MAX_FILE_BYTES {
        return Err(format!(
            "has {} bytes as a rule file, more than {MAX_FILE_BYTES}; split it",
            text.len()
        ));
    }
    // The uid keeps a file's name from meaning another object after a re-creation.
    let name = format!(
        "{}-{}-{}.yaml",
        resource.namespace, resource.name, resource.uid
    );
    Ok((name, text))
}

fn group_of(group: &Group) -> Result<Value, String> {
    let mut fields = Map::from_iter([("name".to_owned(), Value::from(group.name.as_str()))]);
    for (name, text) in [
        ("interval", &group.interval),
        ("query_offset", &group.query_offset),
    ] {
        if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
            check_duration(name, text)?;
            fields.insert(name.to_owned(), text.as_str().into());
        }
    }
    if let Some(limit) = group.limit {
        if limit < 0 {
            return Err("limit must not be negative".to_owned());
        }
        fields.insert("limit".to_owned(), limit.into());
    }
    check_labels(group.labels.keys())?;
    if !group.labels.is_empty() {
        fields.insert("labels".to_owned(), json!(group.labels));
    }
    let rules = group
        .rules
        .iter()
        .enumerate()
        .map(|(index, rule)| rule_of(rule).map_err(|problem| format!("rules[{index}]: {problem}")))
        .collect::<Result<Vec<Value>, String>>()?;
    fields.insert("rules".to_owned(), rules.into());
    Ok(Value::Object(fields))
}

fn rule_of(rule: &Rule) -> Result<Value, String> {
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let mut fields = Map::new();
    match (text(&rule.record), text(&rule.alert)) {
        (Some(record), None) => {
            if !is_metric_name(&record) {
                return Err(format!("record {record:?} is no metric name"));
            }
            if text(&rule.pending).is_some()
                || text(&rule.keep_firing_for).is_some()
                || !rule.annotations.is_empty()
            {
                return Err(
                    "a recording rule takes no for, keep_firing_for and annotations".to_owned(),
                );
            }
            fields.insert("record".to_owned(), record.into());
        }
        (None, Some(alert)) => {
            fields.insert("alert".to_owned(), alert.into());
        }
        (Some(_), Some(_)) => return Err("has both record and alert".to_owned()),
        (None, None) => return Err("has neither record nor alert".to_owned()),
    }
    let expr = match &rule.expr {
        Some(IntOrString::Int(number)) => number.to_string(),
        Some(IntOrString::String(expr)) => expr.clone(),
        None => String::new(),
    };
    if expr.trim().is_empty() {
        return Err("has no expr".to_owned());
    }
    // What a feature flag of Prometheus may allow is Prometheus' to refuse.
    let options = promql::parser::ParseOptions {
        experimental_functions: true,
        duration_expressions: true,
        extended_range_selectors: true,
        fill_modifiers: true,
        extended_functions: false,
    };
    promql::parser::parse(&expr, &options).map_err(|error| format!("expr: {error}"))?;
    fields.insert("expr".to_owned(), expr.into());
    for (name, duration) in [
        ("for", text(&rule.pending)),
        ("keep_firing_for", text(&rule.keep_firing_for)),
    ] {
        if let Some(duration) = duration {
            check_duration(name, &duration)?;
            fields.insert(name.to_owned(), duration.into());
        }
    }
    check_labels(rule.labels.keys())?;
    for (name, texts) in [("labels", &rule.labels), ("annotations", &rule.annotations)] {
        for (key, value) in texts {
            template::check(value).map_err(|problem| format!("{name}.{key}: {problem}"))?;
        }
        if !texts.is_empty() {
            fields.insert(name.to_owned(), json!(texts));
        }
    }
    Ok(Value::Object(fields))
}

fn check_duration(field: &str, text: &str) -> Result<(), String> {
    match model::parse_duration(text) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{field}: {text:?} is no duration such as 5m")),
    }
}

fn check_labels<'a>(mut names: impl Iterator<Item = &'a String>) -> Result<(), String> {
    match names.find(|name| name.is_empty() || *name == model::METRIC_NAME) {
        Some(name) => Err(format!("labels: {name:?} cannot be set")),
        None => Ok(()),
    }
}

fn is_metric_name(text: &str) -> bool {
    // A name with braces is a selector that was meant for `expr`.
    !text.is_empty() && !text.contains(['{', '}'])
}
