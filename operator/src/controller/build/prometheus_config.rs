//! The template of Prometheus' configuration. The sidecar replaces `$(POD_NAME)` in it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::prometheus::{DEFAULT_RULES_DIR, RULES_DIR, SELECTED_RULES_DIR};
use super::scrape;
use crate::controller::validate::{RemoteWrite, Stack};
use crate::names::{Component, hex};

/// Key of the template in its Secret.
pub const TEMPLATE_KEY: &str = "prometheus.yaml.tmpl";
/// Prometheus' own default; it must not be longer than the interval.
const SCRAPE_TIMEOUT_MS: i64 = 10_000;

/// The hash by which operator and sidecar speak of a template: SHA-256 of its bytes, hexadecimal.
pub fn hash(template: &str) -> String {
    hex(&Sha256::digest(template))
}

/// The template. JSON is YAML, but people read this file, so its outermost lists are written as
/// YAML, one value a line.
pub fn template(stack: &Stack) -> String {
    let prometheus = &stack.prometheus;
    let mut external_labels: Map<String, Value> = stack
        .external_labels
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    external_labels.insert(stack.replica_label.clone(), "$(POD_NAME)".into());
    let mut global = json!({
        "scrape_interval": prometheus.scrape_interval,
        "evaluation_interval": prometheus.scrape_interval,
        "external_labels": external_labels,
    });
    if prometheus.scrape_interval_ms < SCRAPE_TIMEOUT_MS {
        global["scrape_timeout"] = prometheus.scrape_interval.as_str().into();
    }
    prometheus.bounds.set_global(&mut global);
    let mut config = json!({
        "global": global,
        "scrape_configs": scrape::configs(stack),
        // Replicas send the same alert only if it has the same labels.
        "alerting": {
            "alert_relabel_configs": [{
                "action": "labeldrop",
                "regex": stack.replica_label,
            }],
        },
    });
    if stack.alertmanager.is_some() {
        config["alerting"]["alertmanagers"] = json!([alertmanager(stack)]);
    }
    let mut rules: Vec<String> = prometheus
        .rule_config_maps
        .iter()
        .flat_map(|name| ["yaml", "yml"].map(|end| format!("{RULES_DIR}/{name}/*.{end}")))
        .collect();
    if prometheus.default_rules {
        rules.push(format!("{DEFAULT_RULES_DIR}/*.yaml"));
    }
    if prometheus.uses_rules {
        rules.push(format!("{SELECTED_RULES_DIR}/*.yaml"));
    }
    if !rules.is_empty() {
        config["rule_files"] = json!(rules);
    }
    if !prometheus.remote_write.is_empty() {
        let uses_proxy = !stack.proxy.is_empty();
        config["remote_write"] = prometheus
            .remote_write
            .iter()
            .map(|endpoint| remote_write(endpoint, uses_proxy))
            .collect();
    }
    format!(
        "{}{}",
        rules_note(&stack.monitored.rule_files),
        crate::yaml::document(&config)
    )
}

/// A comment that changes with the selected rules. So a changed rule changes the template's hash,
/// the replicas are nudged to fetch both, and the status waits for them.
fn rules_note(config_maps: &[BTreeMap<String, String>]) -> String {
    if config_maps.iter().all(BTreeMap::is_empty) {
        return String::new();
    }
    let mut digest = Sha256::new();
    for (name, text) in config_maps.iter().flatten() {
        digest.update(name);
        digest.update([0]);
        digest.update(text);
        digest.update([0]);
    }
    format!("# selected rules: {}\n", hex(&digest.finalize()))
}

/// Every replica of the stack's own Alertmanager: each must get every alert.
fn alertmanager(stack: &Stack) -> Value {
    let names = &stack.names;
    json!({
        "api_version": "v2",
        "kubernetes_sd_configs": [{
            "role": "endpointslice",
            "namespaces": { "names": [names.namespace] },
        }],
        "relabel_configs": [{
            "action": "keep",
            "source_labels": [
                "__meta_kubernetes_service_name",
                "__meta_kubernetes_endpointslice_port_name",
            ],
            "regex": format!("{};web", names.of(Component::Alertmanager)),
        }],
    })
}

fn remote_write(endpoint: &RemoteWrite, uses_proxy: bool) -> Value {
    let mut config = json!({ "url": endpoint.url });
    if let Some(name) = &endpoint.name {
        config["name"] = name.as_str().into();
    }
    if let Some(timeout) = &endpoint.remote_timeout {
        config["remote_timeout"] = timeout.as_str().into();
    }
    if let Some((username, password)) = &endpoint.basic_auth {
        config["basic_auth"] = json!({ "username": username, "password": password });
    }
    if let Some((scheme, credentials)) = &endpoint.authorization {
        config["authorization"] = json!({ "type": scheme, "credentials": credentials });
    }
    if uses_proxy {
        config["proxy_from_environment"] = true.into();
    }
    config
}
