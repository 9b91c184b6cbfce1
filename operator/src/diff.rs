//! What a change of a stack would do: which objects, which restarts, and what cannot be taken back.
//! Pure: two stacks in, a report out.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use crate::controller::build::prometheus_config::TEMPLATE_KEY;
use crate::controller::build::{Desired, Kind, Object};
use crate::controller::validate::Stack;
use crate::quantity;

/// Most fields that are shown of one object.
const MAX_FIELDS: usize = 20;

/// One side of the comparison.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    pub stack: &'a Stack,
    pub desired: &'a Desired,
}

/// The report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    pub created: Vec<String>,
    pub removed: Vec<String>,
    /// Object, and its fields that change.
    pub changed: Vec<(String, Vec<String>)>,
    /// Workloads whose pods are replaced, one after the other.
    pub restarts: Vec<String>,
    /// What goes away, begins anew, or cannot be done.
    pub breaks: Vec<String>,
}

impl Difference {
    /// Whether nothing would happen.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "nothing changes");
        }
        for object in &self.created {
            writeln!(f, "+ {object}")?;
        }
        for object in &self.removed {
            writeln!(f, "- {object}")?;
        }
        for (object, fields) in &self.changed {
            writeln!(f, "~ {object}")?;
            for field in fields.iter().take(MAX_FIELDS) {
                writeln!(f, "    {field}")?;
            }
            if fields.len() > MAX_FIELDS {
                writeln!(f, "    and {} more", fields.len() - MAX_FIELDS)?;
            }
        }
        if self.restarts.is_empty() {
            writeln!(f, "\nrestarts: none")?;
        } else {
            writeln!(
                f,
                "\nrestarts, one pod at a time: {}",
                self.restarts.join(", ")
            )?;
        }
        for text in &self.breaks {
            writeln!(f, "! {text}")?;
        }
        Ok(())
    }
}

/// Compares what a stack is with what it would be.
pub fn compare(before: Side<'_>, after: Side<'_>) -> Difference {
    let mut difference = Difference::default();
    let known = by_name(before.desired);
    let wanted = by_name(after.desired);
    for (key, object) in &wanted {
        let Some(old) = known.get(key) else {
            difference.created.push(title(object));
            continue;
        };
        if old.body == object.body {
            continue;
        }
        let mut fields = Vec::new();
        match object.kind {
            Kind::Secret => secret_fields(&old.body, &object.body, &mut fields),
            _ => walk("", &old.body, &object.body, &mut fields),
        }
        difference.changed.push((title(object), fields));
        let template = |object: &Object| object.body.pointer("/spec/template").cloned();
        if template(old).is_some() && template(old) != template(object) {
            difference.restarts.push(title(object));
        }
        breaks_of(old, object, &mut difference.breaks);
    }
    for (key, object) in &known {
        if !wanted.contains_key(key) {
            difference.removed.push(title(object));
            match object.kind {
                Kind::StatefulSet => difference.breaks.push(format!(
                    "{} goes; its volume claims stay and are yours to delete",
                    title(object)
                )),
                Kind::Service => difference.breaks.push(format!(
                    "the name {}.{} resolves no more",
                    object.name, before.stack.names.namespace
                )),
                _ => {}
            }
        }
    }
    stream_breaks(before.stack, after.stack, &mut difference.breaks);
    difference
}

fn by_name(desired: &Desired) -> BTreeMap<(Kind, &str), &Object> {
    desired
        .objects
        .iter()
        .map(|object| ((object.kind, object.name.as_str()), object))
        .collect()
}

fn title(object: &Object) -> String {
    format!("{} {}", object.kind.as_str(), object.name)
}

/// Every field that differs, with both values.
fn walk(path: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                let at = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                let of = |fields: &serde_json::Map<String, Value>| {
                    fields.get(name).cloned().unwrap_or_default()
                };
                walk(&at, &of(old), &of(new), found);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                walk(&format!("{path}[{index}]"), old, new, found);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for entry in old.iter().filter(|entry| !new.contains(entry)) {
                found.push(format!("{path}: - {}", brief(entry)));
            }
            for entry in new.iter().filter(|entry| !old.contains(entry)) {
                found.push(format!("{path}: + {}", brief(entry)));
            }
        }
        (old, new) => found.push(format!("{path}: {} -> {}", brief(old), brief(new))),
    }
}

fn brief(value: &Value) -> String {
    const MAX_CHARS: usize = 120;
    let text = match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(MAX_CHARS) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

/// What differs in a Secret, without its values; of Prometheus' configuration, the parts.
fn secret_fields(before: &Value, after: &Value, found: &mut Vec<String>) {
    let data = |secret: &Value| secret["data"].as_object().cloned().unwrap_or_default();
    let (before, after) = (data(before), data(after));
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for key in keys {
        let (old, new) = (before.get(key), after.get(key));
        if old == new {
            continue;
        }
        if key == TEMPLATE_KEY
            && let (Some(old), Some(new)) = (config(old), config(new))
        {
            config_fields(&old, &new, found);
        } else {
            found.push(format!("data.{key}: another value"));
        }
    }
}

fn config(encoded: Option<&Value>) -> Option<Value> {
    let bytes = BASE64.decode(encoded?.as_str()?).ok()?;
    serde_saphyr::from_str(std::str::from_utf8(&bytes).ok()?).ok()
}

fn config_fields(before: &Value, after: &Value, found: &mut Vec<String>) {
    fn jobs(config: &Value) -> BTreeMap<String, &Value> {
        config["scrape_configs"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|job| (job["job_name"].as_str().unwrap_or_default().to_owned(), job))
            .collect()
    }
    let (old, new) = (jobs(before), jobs(after));
    for (name, job) in &new {
        match old.get(name) {
            None => found.push(format!("scrape job + {name}")),
            Some(known) if known != job => found.push(format!("scrape job ~ {name}")),
            Some(_) => {}
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        found.push(format!("scrape job - {name}"));
    }
    for section in ["global", "alerting", "rule_files"] {
        walk(section, &before[section], &after[section], found);
    }
    // Credentials stand in it.
    if before["remote_write"] != after["remote_write"] {
        found.push("remote_write changes".to_owned());
    }
}

fn breaks_of(before: &Object, after: &Object, breaks: &mut Vec<String>) {
    let (old, new) = (&before.body, &after.body);
    if after.kind == Kind::StatefulSet {
        for field in ["selector", "serviceName", "podManagementPolicy"] {
            if old["spec"][field] != new["spec"][field] {
                breaks.push(format!(
                    "{}: spec.{field} cannot be changed; the API server refuses it until the set is deleted with --cascade=orphan",
                    title(after)
                ));
            }
        }
        let claims = |set: &Value| set["spec"]["volumeClaimTemplates"].clone();
        match (claims(old), claims(new)) {
            (Value::Null, Value::Null) => {}
            (Value::Null, _) => {
                breaks.push(format!("{}: data on scratch space is lost", title(after)))
            }
            (_, Value::Null) => breaks.push(format!(
                "{}: data moves to scratch space; the claims stay and are not used",
                title(after)
            )),
            (old, new) => claim_breaks(&title(after), &old, &new, breaks),
        }
    }
    let replicas = |object: &Value| object["spec"]["replicas"].as_i64();
    if let (Some(from), Some(to)) = (replicas(old), replicas(new))
        && to < from
        && after.kind == Kind::StatefulSet
    {
        breaks.push(format!(
            "{}: {} of {from} replicas go; their volume claims stay, and what they have not uploaded is not queryable",
            title(after),
            from - to
        ));
    }
}

fn claim_breaks(title: &str, before: &Value, after: &Value, breaks: &mut Vec<String>) {
    let size = |claims: &Value| {
        let text = claims
            .pointer("/0/spec/resources/requests/storage")?
            .as_str()?;
        Some((text.to_owned(), quantity::parse(text)?))
    };
    if let (Some((old, from)), Some((new, to))) = (size(before), size(after))
        && from != to
    {
        breaks.push(if from < to {
            format!(
                "{title}: volumes grow from {old} to {new}; the set is made again around its pods"
            )
        } else {
            format!("{title}: volumes cannot shrink from {old} to {new}")
        });
    }
    let fixed = |claims: &Value| {
        (
            claims.pointer("/0/metadata/name").cloned(),
            claims.pointer("/0/spec/storageClassName").cloned(),
        )
    };
    if fixed(before) != fixed(after) {
        breaks.push(format!(
            "{title}: name and class of volume claims cannot be changed"
        ));
    }
}

fn stream_breaks(before: &Stack, after: &Stack, breaks: &mut Vec<String>) {
    if before.external_labels != after.external_labels
        || before.replica_label != after.replica_label
    {
        breaks.push(
            "external labels change: new data is another stream, older data stays under the old labels"
                .to_owned(),
        );
    }
    if before.object_storage.is_some() && after.object_storage.is_none() {
        breaks.push(
            "object storage goes: nothing is uploaded any more, and older blocks are not queryable"
                .to_owned(),
        );
    }
    let fresh: Vec<String> = after
        .monitored
        .verdicts
        .iter()
        .filter(|verdict| verdict.rejection.is_some())
        .filter(|verdict| !before.monitored.verdicts.contains(verdict))
        .map(|verdict| {
            format!(
                "{} {}/{}",
                verdict.kind.as_str(),
                verdict.namespace,
                verdict.name
            )
        })
        .collect();
    if !fresh.is_empty() {
        breaks.push(format!("left out from now on: {}", fresh.join(", ")));
    }
}

#[cfg(test)]
mod tests;
