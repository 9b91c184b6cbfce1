//! The section `prometheus`.

use std::collections::BTreeSet;

use crds::MonitoringStackSpec;
use crds::prometheus::DefaultScrapes;
use crds::workload::PodOptions;
use serde_json::Value;

use super::{Check, Container, Reason, RemoteWrite, Volume, args, scrape_configs};
use crate::coreos::limits::Bounds;
use crate::settings::PROMETHEUS_REPOSITORY;

/// Oldest Prometheus whose flags and answers the stack relies on.
const OLDEST_VERSION: Version = Version {
    major: 3,
    minor: 0,
    patch: 0,
};
/// Longest rendered Prometheus configuration; a Secret holds 1 MiB.
const MAX_SCRAPE_CONFIG_BYTES: usize = 512 * 1024;

/// The validated section `prometheus`.
#[derive(Clone, Debug, PartialEq)]
pub struct Prometheus {
    pub replicas: i32,
    pub version: Version,
    pub version_text: String,
    pub image: String,
    pub retention: String,
    pub retention_size: Option<String>,
    pub volume: Volume,
    pub scrape_interval: String,
    pub scrape_interval_ms: i64,
    pub scrapes: DefaultScrapes,
    /// Among how many groups of replicas targets are spread.
    pub shards: i32,
    /// Upper bounds of every scrape.
    pub bounds: Bounds,
    pub additional_scrape_configs: Vec<Value>,
    pub rule_config_maps: Vec<String>,
    /// Whether monitoring resources of other namespaces are asked for.
    pub selects_namespaces: bool,
    /// Whether PrometheusRules are selected at all.
    pub uses_rules: bool,
    pub default_rules: bool,
    pub remote_write: Vec<RemoteWrite>,
    pub container: Container,
    pub pod: PodOptions,
}

/// A version of Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

impl Version {
    /// Parses `v3.15.0`, with or without a pre-release.
    pub fn parse(text: &str) -> Option<Self> {
        let numbers = text.strip_prefix('v')?.split('-').next()?;
        let mut parts = numbers.split('.').map(|part| part.parse().ok());
        let version = Self {
            major: parts.next()??,
            minor: parts.next()??,
            patch: parts.next()??,
        };
        parts.next().is_none().then_some(version)
    }

    /// Whether Prometheus can leave blocks uncompacted until they are uploaded.
    pub fn delays_compaction(self) -> bool {
        self >= Self {
            major: 3,
            minor: 9,
            patch: 0,
        }
    }
}

impl Check<'_> {
    pub(super) fn prometheus(&mut self, spec: &MonitoringStackSpec, name: &str) -> Prometheus {
        let section = &spec.prometheus;
        let path = "spec.prometheus";
        let version = match Version::parse(&section.version) {
            Some(version) if version >= OLDEST_VERSION => version,
            Some(_) => {
                self.refuse(&format!("{path}.version"), "must be v3.0.0 or newer");
                OLDEST_VERSION
            }
            None => {
                self.refuse(&format!("{path}.version"), "must look like v3.15.0");
                OLDEST_VERSION
            }
        };
        self.duration_ms(&format!("{path}.retention"), &section.retention);
        let interval_path = format!("{path}.scrapeInterval");
        let scrape_interval_ms = self.duration_ms(&interval_path, &section.scrape_interval);
        Prometheus {
            replicas: self.replicas(&format!("{path}.replicas"), section.replicas),
            version,
            version_text: section.version.clone(),
            image: self.image(
                &format!("{path}.image"),
                section.image.as_deref(),
                &format!("{PROMETHEUS_REPOSITORY}:{}", section.version),
            ),
            retention: section.retention.clone(),
            retention_size: section.retention_size.clone(),
            volume: self.volume(&format!("{path}.storage"), &section.storage, "20Gi"),
            scrape_interval: section.scrape_interval.clone(),
            scrape_interval_ms,
            scrapes: section.default_scrapes.clone(),
            shards: 1,
            bounds: Bounds::new(&section.scrape_limits),
            additional_scrape_configs: self.additional_scrape_configs(spec, name),
            rule_config_maps: self.rule_config_maps(spec),
            selects_namespaces: section.monitors.namespace_selector.is_some()
                || section.rules.namespace_selector.is_some(),
            uses_rules: section.rules.enabled,
            default_rules: section.default_rules,
            remote_write: self.remote_write(spec),
            container: self.container(path, &section.container, &args::PROMETHEUS),
            pod: self.pod(path, &section.pod),
        }
    }

    pub(super) fn additional_scrape_configs(
        &mut self,
        spec: &MonitoringStackSpec,
        stack: &str,
    ) -> Vec<Value> {
        let Some(key) = &spec.prometheus.additional_scrape_configs else {
            return Vec::new();
        };
        let path = "spec.prometheus.additionalScrapeConfigs";
        let Some(text) = self.secret_text(path, key) else {
            return Vec::new();
        };
        let at = format!("Secret {:?}, key {:?}", key.name, key.key);
        if text.len() > MAX_SCRAPE_CONFIG_BYTES {
            self.refuse_as(
                Reason::MalformedSecret,
                path,
                format!("{at}: has more than {MAX_SCRAPE_CONFIG_BYTES} bytes"),
            );
            return Vec::new();
        }
        match scrape_configs::parse(&text, stack) {
            Ok(configs) => configs,
            Err(problem) => {
                self.refuse_as(Reason::MalformedSecret, path, format!("{at}: {problem}"));
                Vec::new()
            }
        }
    }

    pub(super) fn rule_config_maps(&mut self, spec: &MonitoringStackSpec) -> Vec<String> {
        let mut seen = BTreeSet::new();
        for (index, name) in spec.prometheus.rule_config_maps.iter().enumerate() {
            let path = format!("spec.prometheus.ruleConfigMaps[{index}]");
            if !is_object_name(name) {
                self.refuse(&path, format!("{name:?} is no name of a ConfigMap"));
            } else if !seen.insert(name) {
                self.refuse(&path, format!("{name:?} is listed twice"));
            }
        }
        spec.prometheus.rule_config_maps.clone()
    }
}

fn is_object_name(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 253
        && text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text
            .chars()
            .all(|c| alphanumeric(c) || c == '-' || c == '.')
}
