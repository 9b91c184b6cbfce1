//! Relabelings: those of the author, checked, and those that spread targets over shards.

use crds::coreos::endpoint::Relabeling;
use serde_json::{Map, Value, json};

/// Text of the replacement and the regex that Prometheus takes where none is given.
const DEFAULT_REPLACEMENT: &str = "$1";
const DEFAULT_REGEX: &str = "(.*)";
const DEFAULT_SEPARATOR: &str = ";";

/// The author's relabelings as Prometheus reads them.
///
/// # Errors
/// The first one that Prometheus would refuse, and why.
pub fn relabelings(field: &str, relabelings: &[Relabeling]) -> Result<Vec<Value>, String> {
    relabelings
        .iter()
        .enumerate()
        .map(|(index, relabeling)| {
            check(relabeling).map_err(|problem| format!("{field}[{index}]: {problem}"))?;
            Ok(rendered(relabeling))
        })
        .collect()
}

fn rendered(relabeling: &Relabeling) -> Value {
    let mut fields = Map::new();
    if !relabeling.source_labels.is_empty() {
        fields.insert("source_labels".into(), json!(relabeling.source_labels));
    }
    let texts = [
        ("separator", &relabeling.separator),
        ("replacement", &relabeling.replacement),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            fields.insert(name.into(), text.as_str().into());
        }
    }
    let texts = [
        ("target_label", &relabeling.target_label),
        ("regex", &relabeling.regex),
    ];
    for (name, text) in texts {
        if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
            fields.insert(name.into(), text.as_str().into());
        }
    }
    if let Some(modulus) = relabeling.modulus.filter(|modulus| *modulus != 0) {
        fields.insert("modulus".into(), modulus.into());
    }
    if let Some(action) = relabeling.action.as_ref().filter(|text| !text.is_empty()) {
        fields.insert("action".into(), action.to_ascii_lowercase().into());
    }
    Value::Object(fields)
}

fn check(relabeling: &Relabeling) -> Result<(), String> {
    const ACTIONS: [&str; 11] = [
        "replace",
        "keep",
        "drop",
        "hashmod",
        "labelmap",
        "labeldrop",
        "labelkeep",
        "lowercase",
        "uppercase",
        "keepequal",
        "dropequal",
    ];
    let action = match relabeling.action.as_deref() {
        None | Some("") => "replace".to_owned(),
        Some(action) => action.to_ascii_lowercase(),
    };
    if !ACTIONS.contains(&action.as_str()) {
        return Err(format!("{action:?} is no relabel action"));
    }
    if let Some(regex) = &relabeling.regex {
        model::regex::AnchoredRegex::new(regex)
            .map_err(|error| format!("regex {regex:?}: {error}"))?;
    }
    let target = relabeling.target_label.as_deref().unwrap_or_default();
    let is_default =
        |text: &Option<String>, default: &str| text.as_deref().is_none_or(|text| text == default);
    let no_modulus = relabeling.modulus.unwrap_or(0) == 0;
    if relabeling.modulus.is_some_and(|modulus| modulus < 0) {
        return Err("modulus must not be negative".to_owned());
    }
    let needs_target = matches!(
        action.as_str(),
        "replace" | "hashmod" | "lowercase" | "uppercase" | "keepequal" | "dropequal"
    );
    if needs_target && target.is_empty() {
        return Err(format!("action {action} needs a targetLabel"));
    }
    match action.as_str() {
        "hashmod" if no_modulus => return Err("action hashmod needs a modulus".to_owned()),
        "lowercase" | "uppercase" | "keepequal" | "dropequal"
            if !is_default(&relabeling.replacement, DEFAULT_REPLACEMENT) =>
        {
            return Err(format!("action {action} takes no replacement"));
        }
        "labelmap" if relabeling.replacement.as_deref() == Some("") => {
            return Err("action labelmap needs a replacement that is a label name".to_owned());
        }
        _ => {}
    }
    let plain = no_modulus
        && is_default(&relabeling.separator, DEFAULT_SEPARATOR)
        && is_default(&relabeling.replacement, DEFAULT_REPLACEMENT);
    match action.as_str() {
        "keepequal" | "dropequal"
            if !plain
                || relabeling
                    .regex
                    .as_deref()
                    .is_some_and(|regex| !regex.is_empty() && regex != DEFAULT_REGEX) =>
        {
            Err(format!(
                "action {action} takes only sourceLabels and targetLabel"
            ))
        }
        "labeldrop" | "labelkeep"
            if !plain || !relabeling.source_labels.is_empty() || !target.is_empty() =>
        {
            Err(format!("action {action} takes only a regex"))
        }
        _ => Ok(()),
    }
}

/// A copy of one label into another.
pub fn copy(source: &str, target: &str) -> Value {
    json!({ "source_labels": [source], "target_label": target })
}

/// A copy that leaves the target alone where the source is empty.
pub fn copy_present(source: &str, target: &str) -> Value {
    json!({
        "source_labels": [source],
        "target_label": target,
        "regex": "(.+)",
        "replacement": "${1}",
    })
}

/// A fixed value.
pub fn set(target: &str, text: &str) -> Value {
    json!({ "target_label": target, "replacement": text })
}

/// Keeps targets with this value.
pub fn keep(source: &str, regex: impl Into<Value>) -> Value {
    json!({ "action": "keep", "source_labels": [source], "regex": regex.into() })
}

/// The rule every job begins with: its name stays known however `job` is rewritten.
pub fn job_name() -> Value {
    copy("job", "__tmp_prometheus_job_name")
}

/// Leaves out pods that have ended.
pub fn running() -> Value {
    json!({
        "action": "drop",
        "source_labels": ["__meta_kubernetes_pod_phase"],
        "regex": "(Failed|Succeeded)",
    })
}

/// The rules that leave each target to one shard, by the hash of `label`. A target may bring its
/// own hash in `__tmp_hash`, or ask all shards to scrape it with `__tmp_disable_sharding`.
pub fn sharding(label: &str, shards: i32) -> [Value; 3] {
    [
        json!({
            "source_labels": [label, "__tmp_hash"],
            "target_label": "__tmp_hash",
            "regex": "(.+);",
            "replacement": "$1",
            "action": "replace",
        }),
        json!({
            "source_labels": ["__tmp_hash"],
            "target_label": "__tmp_hash",
            "modulus": shards,
            "action": "hashmod",
        }),
        json!({
            "source_labels": ["__tmp_hash", "__tmp_disable_sharding"],
            "regex": "$(SHARD);|.+;.+",
            "action": "keep",
        }),
    ]
}

/// Whether a rule of the author's already takes a hash.
pub fn has_hashmod(relabelings: &[Value]) -> bool {
    relabelings
        .iter()
        .any(|relabeling| relabeling["action"] == "hashmod")
}
