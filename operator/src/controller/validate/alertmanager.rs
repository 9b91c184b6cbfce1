//! The section `alertmanager`, and the configuration it refers to.

use std::collections::{BTreeMap, BTreeSet};

use crds::MonitoringStackSpec;
use crds::workload::{PodOptions, SecretKey};
use serde_json::{Value, json};

use super::{Check, Container, Reason, Version, Volume, args};
use crate::settings::ALERTMANAGER_REPOSITORY;

/// Oldest Alertmanager whose flags the stack relies on.
const OLDEST_VERSION: Version = Version {
    major: 0,
    minor: 25,
    patch: 0,
};
/// Longest configuration with its templates; a Secret holds 1 MiB.
const MAX_CONFIG_BYTES: usize = 512 * 1024;
/// Sections of a configuration.
const SECTIONS: [&str; 8] = [
    "global",
    "inhibit_rules",
    "mute_time_intervals",
    "receivers",
    "route",
    "templates",
    "time_intervals",
    "tracing",
];

/// The validated section `alertmanager`, where it is enabled.
#[derive(Clone, Debug, PartialEq)]
pub struct Alertmanager {
    pub replicas: i32,
    pub version: Version,
    pub image: String,
    pub config: AlertmanagerConfig,
    pub retention: String,
    pub volume: Volume,
    pub container: Container,
    pub pod: PodOptions,
}

/// Alertmanager's configuration. It holds secrets and is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct AlertmanagerConfig {
    pub yaml: String,
    /// Templates by file name.
    pub templates: BTreeMap<String, String>,
}

impl std::fmt::Debug for AlertmanagerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlertmanagerConfig").finish_non_exhaustive()
    }
}

impl Check<'_> {
    pub(super) fn alertmanager(&mut self, spec: &MonitoringStackSpec) -> Option<Alertmanager> {
        let section = &spec.alertmanager;
        if !section.enabled {
            return None;
        }
        let path = "spec.alertmanager";
        let version = match Version::parse(&section.version) {
            Some(version) if version >= OLDEST_VERSION => version,
            Some(_) => {
                self.refuse(&format!("{path}.version"), "must be v0.25.0 or newer");
                OLDEST_VERSION
            }
            None => {
                self.refuse(&format!("{path}.version"), "must look like v0.34.0");
                OLDEST_VERSION
            }
        };
        self.duration_ms(&format!("{path}.retention"), &section.retention);
        Some(Alertmanager {
            replicas: self.replicas(&format!("{path}.replicas"), section.replicas),
            version,
            image: self.image(
                &format!("{path}.image"),
                section.image.as_deref(),
                &format!("{ALERTMANAGER_REPOSITORY}:{}", section.version),
            ),
            config: self.alertmanager_config(spec),
            retention: section.retention.clone(),
            volume: self.volume(&format!("{path}.storage"), &section.storage, "1Gi"),
            container: self.container(path, &section.container, &args::ALERTMANAGER),
            pod: self.pod(path, &section.pod),
        })
    }

    fn alertmanager_config(&mut self, spec: &MonitoringStackSpec) -> AlertmanagerConfig {
        let standard = AlertmanagerConfig {
            yaml: crate::yaml::document(&standard_config()),
            templates: BTreeMap::new(),
        };
        let Some(reference) = &spec.alertmanager.config_secret else {
            return standard;
        };
        let path = "spec.alertmanager.configSecret";
        let key = SecretKey {
            name: reference.name.clone(),
            key: reference.key.clone(),
        };
        let Some(yaml) = self.secret_text(path, &key) else {
            return standard;
        };
        let at = format!("Secret {:?}, key {:?}", key.name, key.key);
        if let Err(problem) = check_config(&yaml) {
            self.refuse_as(Reason::MalformedSecret, path, format!("{at}: {problem}"));
        }
        let others: Vec<String> = self
            .references
            .secrets
            .get(&key.name)
            .into_iter()
            .flat_map(|secret| secret.0.keys())
            .filter(|name| name.ends_with(".tmpl") && **name != key.key)
            .cloned()
            .collect();
        let mut templates = BTreeMap::new();
        for name in others {
            let key = SecretKey {
                name: key.name.clone(),
                key: name.clone(),
            };
            if let Some(text) = self.secret_text(path, &key) {
                templates.insert(name, text);
            }
        }
        let size = yaml.len() + templates.values().map(String::len).sum::<usize>();
        if size > MAX_CONFIG_BYTES {
            self.refuse_as(
                Reason::MalformedSecret,
                path,
                format!(
                    "Secret {:?}: has more than {MAX_CONFIG_BYTES} bytes",
                    key.name
                ),
            );
        }
        AlertmanagerConfig { yaml, templates }
    }
}

/// What runs where the user has no configuration: alerts are grouped and shown, and a critical one
/// hides the lesser ones about the same thing.
fn standard_config() -> Value {
    let hides = |sources: &str, targets: &str| {
        json!({
            "source_matchers": [format!("severity={sources}")],
            "target_matchers": [format!("severity=~{targets}")],
            "equal": ["namespace", "alertname"],
        })
    };
    json!({
        "global": { "resolve_timeout": "5m" },
        "inhibit_rules": [
            hides("critical", "warning|info"),
            hides("warning", "info"),
            {
                "source_matchers": ["alertname=InfoInhibitor"],
                "target_matchers": ["severity=info"],
                "equal": ["namespace"],
            },
        ],
        "receivers": [{ "name": "nobody" }],
        "route": {
            "receiver": "nobody",
            "group_by": ["namespace"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "12h",
        },
    })
}

/// Checks what Alertmanager would refuse to start with. Its own messages come too late: replicas
/// that crash send nothing.
fn check_config(yaml: &str) -> Result<(), String> {
    // The parser's message would quote the document, which may hold credentials.
    let document: Value =
        serde_saphyr::from_str(yaml).map_err(|_| "is not valid YAML".to_owned())?;
    let Value::Object(sections) = &document else {
        return Err("must be a YAML mapping".to_owned());
    };
    if let Some(unknown) = sections
        .keys()
        .find(|key| !SECTIONS.contains(&key.as_str()))
    {
        return Err(format!("unknown section {unknown:?}"));
    }
    let names = |section: &str| -> Result<BTreeSet<String>, String> {
        let mut names = BTreeSet::new();
        for entry in document[section].as_array().into_iter().flatten() {
            let Some(name) = entry["name"].as_str().filter(|name| !name.is_empty()) else {
                return Err(format!("an entry of {section} has no name"));
            };
            if !names.insert(name.to_owned()) {
                return Err(format!("{section}: {name:?} is defined twice"));
            }
        }
        Ok(names)
    };
    let receivers = names("receivers")?;
    let mut intervals = names("time_intervals")?;
    intervals.extend(names("mute_time_intervals")?);
    let Some(route) = document.get("route").filter(|route| route.is_object()) else {
        return Err("has no route".to_owned());
    };
    if route["receiver"].as_str().is_none_or(str::is_empty) {
        return Err("route has no receiver".to_owned());
    }
    for key in ["match", "match_re", "matchers"] {
        let is_empty = match &route[key] {
            Value::Object(fields) => fields.is_empty(),
            Value::Array(items) => items.is_empty(),
            other => other.is_null(),
        };
        if !is_empty {
            return Err(format!("route must not have {key}: it takes every alert"));
        }
    }
    check_route(route, "route", &receivers, &intervals)?;
    check_files(&document, "")
}

fn check_route(
    route: &Value,
    path: &str,
    receivers: &BTreeSet<String>,
    intervals: &BTreeSet<String>,
) -> Result<(), String> {
    if let Some(receiver) = route["receiver"].as_str()
        && !receivers.contains(receiver)
    {
        return Err(format!("{path}: receiver {receiver:?} is not defined"));
    }
    for key in ["mute_time_intervals", "active_time_intervals"] {
        for name in route[key].as_array().into_iter().flatten() {
            if let Some(name) = name.as_str()
                && !intervals.contains(name)
            {
                return Err(format!("{path}.{key}: {name:?} is not defined"));
            }
        }
    }
    for (index, child) in route["routes"].as_array().into_iter().flatten().enumerate() {
        let path = format!("{path}.routes[{index}]");
        check_route(child, &path, receivers, intervals)?;
    }
    Ok(())
}

/// A file of a credential would have to lie in the pod, where only this Secret is.
fn check_files(value: &Value, path: &str) -> Result<(), String> {
    match value {
        Value::Object(fields) => fields.iter().try_for_each(|(key, field)| {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            if key.ends_with("_file") {
                return Err(format!(
                    "{path} names a file of the Alertmanager pod, which is not there"
                ));
            }
            check_files(field, &path)
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(i, item)| check_files(item, &format!("{path}[{i}]"))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
global: {slack_api_url: 'https://hooks.example.com/secret'}
route:
  receiver: team
  routes:
  - receiver: pager
    matchers: [severity=critical]
    mute_time_intervals: [weekend]
receivers:
- name: team
- name: pager
time_intervals:
- name: weekend
";

    #[test]
    fn a_complete_configuration_is_taken() {
        assert_eq!(check_config(GOOD), Ok(()));
        let standard = crate::yaml::document(&standard_config());
        assert_eq!(check_config(&standard), Ok(()));
    }

    #[test]
    fn what_would_keep_alertmanager_from_starting_is_said() {
        for (from, to, problem) in [
            ("global:", "globals:", "unknown section \"globals\""),
            (
                "- name: pager",
                "- name: team",
                "receivers: \"team\" is defined twice",
            ),
            (
                "receiver: pager",
                "receiver: page",
                "route.routes[0]: receiver \"page\" is not defined",
            ),
            (
                "  receiver: team",
                "  group_wait: 1s",
                "route has no receiver",
            ),
            ("route:", "route: 1 #", "is not valid YAML"),
            (
                "[weekend]",
                "[night]",
                "route.routes[0].mute_time_intervals: \"night\" is not defined",
            ),
            (
                "slack_api_url:",
                "slack_api_url_file:",
                "global.slack_api_url_file names a file of the Alertmanager pod, which is not there",
            ),
            (
                "  routes:",
                "  matchers: [a=b]\n  routes:",
                "route must not have matchers: it takes every alert",
            ),
        ] {
            let changed = GOOD.replacen(from, to, 1);
            assert_eq!(check_config(&changed), Err(problem.to_owned()), "{to}");
        }
        assert_eq!(check_config("[]"), Err("must be a YAML mapping".to_owned()));
        assert_eq!(
            check_config("receivers: []"),
            Err("has no route".to_owned())
        );
    }
}
