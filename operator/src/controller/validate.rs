//! Second step: the raw spec and what it refers to become a [`Stack`] that cannot be wrong. Pure.
//!
//! What the schema can refuse, it has refused already; this step checks everything again that a
//! resource stored under an older schema, or `render` without a schema, could bring in.

use std::collections::{BTreeMap, BTreeSet};

use crds::images::PullPolicy;
use crds::prometheus::DefaultScrapes;
use crds::workload::{ContainerOptions, PodOptions, Resources, SecretKey, Storage};
use crds::{MonitoringStack, MonitoringStackSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt as _;
use serde_json::Value;

use super::dereference::References;
use crate::names::Names;
use crate::quantity;
use crate::settings::{PROMETHEUS_REPOSITORY, Settings, VERSITYGW_IMAGE};

pub mod args;
pub mod bucket;
pub mod scrape_configs;

#[cfg(test)]
mod tests;

/// Oldest Prometheus whose flags and answers the stack relies on.
const OLDEST_VERSION: Version = Version {
    major: 3,
    minor: 0,
    patch: 0,
};
/// Longest rendered Prometheus configuration; a Secret holds 1 MiB.
const MAX_SCRAPE_CONFIG_BYTES: usize = 512 * 1024;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct Invalid {
    /// Path of the field, e.g. `spec.prometheus.retention`.
    pub path: String,
    /// What is wrong and what to do.
    pub problem: String,
    /// Class of the problem, for condition and event.
    pub reason: Reason,
}

/// Classes of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    InvalidSpec,
    ImageNotAllowed,
    SecretNotFound,
    SecretKeyNotFound,
    MalformedSecret,
}

impl Reason {
    /// The condition's and the event's reason.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidSpec => "InvalidSpec",
            Self::ImageNotAllowed => "ImageNotAllowed",
            Self::SecretNotFound => "SecretNotFound",
            Self::SecretKeyNotFound => "SecretKeyNotFound",
            Self::MalformedSecret => "MalformedSecret",
        }
    }
}

/// A stack that can be built.
#[derive(Clone, Debug, PartialEq)]
pub struct Stack {
    pub names: Names,
    /// uid of the resource; the owner of all objects.
    pub uid: String,
    /// External labels without the replica label.
    pub external_labels: BTreeMap<String, String>,
    pub replica_label: String,
    pub object_storage: Option<ObjectStorage>,
    pub prometheus: Prometheus,
    pub sidecar: Sidecar,
    pub query: Query,
    pub store: Store,
    pub images: Images,
    pub proxy: Vec<(String, String)>,
    /// Whether the namespace's stacks may reach beyond it.
    pub reach: Reach,
}

/// How far a stack's Prometheus may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Namespace,
    Cluster,
}

/// The bucket.
#[derive(Clone, Debug, PartialEq)]
pub enum ObjectStorage {
    /// Described by a Secret of the user.
    Secret {
        name: String,
        key: String,
        bucket: bucket::Summary,
    },
    /// Run by the operator.
    Embedded {
        size: String,
        storage_class: Option<String>,
    },
}

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
    pub additional_scrape_configs: Vec<Value>,
    pub rule_config_maps: Vec<String>,
    pub remote_write: Vec<RemoteWrite>,
    pub container: Container,
    pub pod: PodOptions,
}

/// One remote-write endpoint with its credentials.
#[derive(Clone, PartialEq)]
pub struct RemoteWrite {
    pub url: String,
    pub name: Option<String>,
    pub remote_timeout: Option<String>,
    pub basic_auth: Option<(String, String)>,
    pub authorization: Option<(String, String)>,
}

impl std::fmt::Debug for RemoteWrite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteWrite")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The validated section `sidecar`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sidecar {
    pub block_duration: Option<BlockDuration>,
    pub container: Container,
}

/// Length of the blocks that Prometheus cuts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockDuration {
    pub text: String,
    pub ms: i64,
}

/// The validated section `query`.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub replicas: i32,
    pub container: Container,
    pub pod: PodOptions,
}

/// The validated section `store`.
#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    pub replicas: i32,
    pub volume: Volume,
    pub container: Container,
    pub pod: PodOptions,
}

/// Options of one container.
#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    pub requests: BTreeMap<String, String>,
    pub limits: BTreeMap<String, String>,
    pub log_level: Option<&'static str>,
    pub log_format: Option<&'static str>,
    pub extra_args: Vec<String>,
}

/// Where a replica keeps its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Volume {
    /// A claim of its own.
    Claim {
        size: String,
        storage_class: Option<String>,
    },
    /// The pod's scratch space.
    Ephemeral { size: Option<String> },
}

/// Images of all containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    pub hindsight: String,
    pub versitygw: String,
    pub pull_policy: PullPolicy,
    pub pull_secrets: Vec<String>,
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

/// Turns a resource and what it refers to into a buildable stack.
///
/// # Errors
/// Everything that is wrong, in the order of the fields; at least one entry.
pub fn validate(
    resource: &MonitoringStack,
    references: &References,
    settings: &Settings,
) -> Result<Stack, Vec<Invalid>> {
    let mut check = Check {
        references,
        settings,
        invalid: Vec::new(),
    };
    let stack = check.stack(resource);
    if check.invalid.is_empty() {
        Ok(stack)
    } else {
        Err(check.invalid)
    }
}

struct Check<'a> {
    references: &'a References,
    settings: &'a Settings,
    invalid: Vec<Invalid>,
}

impl Check<'_> {
    fn refuse(&mut self, path: &str, problem: impl Into<String>) {
        self.refuse_as(Reason::InvalidSpec, path, problem);
    }

    fn refuse_as(&mut self, reason: Reason, path: &str, problem: impl Into<String>) {
        self.invalid.push(Invalid {
            path: path.to_owned(),
            problem: problem.into(),
            reason,
        });
    }

    fn stack(&mut self, resource: &MonitoringStack) -> Stack {
        let spec = &resource.spec;
        let name = resource.name_any();
        let namespace = resource.namespace().unwrap_or_default();
        if !is_dns_label(&name) || name.len() > 40 {
            self.refuse(
                "metadata.name",
                "must have at most 40 characters, start with a letter and contain only lower case letters, digits and '-'",
            );
        }
        let external_labels = self.external_labels(spec, &namespace, &name);
        let reach = if self.settings.cluster_stacks.contains(&namespace) {
            Reach::Cluster
        } else {
            Reach::Namespace
        };
        Stack {
            names: Names::new(&namespace, &name, spec.naming.as_ref()),
            uid: resource.uid().unwrap_or_default(),
            external_labels,
            replica_label: spec.replica_label_name.clone(),
            object_storage: self.object_storage(spec),
            prometheus: self.prometheus(spec, &name),
            sidecar: self.sidecar(spec),
            query: Query {
                replicas: self.replicas("spec.query.replicas", spec.query.replicas),
                container: self.container("spec.query", &spec.query.container, &args::QUERY),
                pod: self.pod("spec.query", &spec.query.pod),
            },
            store: Store {
                replicas: self.replicas("spec.store.replicas", spec.store.replicas),
                volume: self.volume("spec.store.storage", &spec.store.storage, "10Gi"),
                container: self.container("spec.store", &spec.store.container, &args::STORE),
                pod: self.pod("spec.store", &spec.store.pod),
            },
            images: Images {
                hindsight: self.image(
                    "spec.images.hindsight",
                    spec.images.hindsight.as_deref(),
                    &self.settings.hindsight_image.clone(),
                ),
                versitygw: self.image(
                    "spec.images.versitygw",
                    spec.images.versitygw.as_deref(),
                    VERSITYGW_IMAGE,
                ),
                pull_policy: spec.images.pull_policy,
                pull_secrets: spec.images.pull_secrets.clone(),
            },
            proxy: proxy_environment(spec),
            reach,
        }
    }

    fn external_labels(
        &mut self,
        spec: &MonitoringStackSpec,
        namespace: &str,
        name: &str,
    ) -> BTreeMap<String, String> {
        let path = "spec.externalLabels";
        for label in spec.external_labels.keys() {
            if !is_label_name(label) || label.starts_with("__") {
                self.refuse(
                    &format!("{path}.{label}"),
                    "a label name must match [a-zA-Z_][a-zA-Z0-9_]* and not start with '__'",
                );
            }
            if *label == spec.replica_label_name || *label == spec.prometheus_label_name {
                self.refuse(
                    &format!("{path}.{label}"),
                    "the operator sets this label; choose another name or rename the operator's with replicaLabelName or prometheusLabelName",
                );
            }
        }
        if !is_label_name(&spec.replica_label_name) {
            self.refuse("spec.replicaLabelName", "must be a label name");
        }
        if spec.replica_label_name == spec.prometheus_label_name {
            self.refuse(
                "spec.replicaLabelName",
                "must differ from prometheusLabelName",
            );
        }
        if spec.object_storage.is_some() && !spec.external_labels.contains_key("cluster") {
            self.refuse(
                &format!("{path}.cluster"),
                "required with objectStorage: blocks of several clusters in one bucket are told apart by it",
            );
        }
        let mut labels = spec.external_labels.clone();
        if !spec.prometheus_label_name.is_empty() {
            if !is_label_name(&spec.prometheus_label_name) {
                self.refuse("spec.prometheusLabelName", "must be a label name or empty");
            }
            labels.insert(
                spec.prometheus_label_name.clone(),
                format!("{namespace}/{name}"),
            );
        }
        labels
    }

    fn object_storage(&mut self, spec: &MonitoringStackSpec) -> Option<ObjectStorage> {
        let storage = spec.object_storage.as_ref()?;
        match (&storage.secret_ref, &storage.embedded) {
            (Some(reference), None) => {
                let path = "spec.objectStorage.secretRef";
                let key = SecretKey {
                    name: reference.name.clone(),
                    key: reference.key.clone(),
                };
                let text = self.secret_text(path, &key)?;
                match bucket::summarize(&text) {
                    Ok(bucket) => Some(ObjectStorage::Secret {
                        name: key.name,
                        key: key.key,
                        bucket,
                    }),
                    Err(problem) => {
                        let at = format!("Secret {:?}, key {:?}", key.name, key.key);
                        self.refuse_as(Reason::MalformedSecret, path, format!("{at}: {problem}"));
                        None
                    }
                }
            }
            (None, Some(embedded)) => {
                self.size("spec.objectStorage.embedded.size", &embedded.size);
                Some(ObjectStorage::Embedded {
                    size: embedded.size.clone(),
                    storage_class: embedded.storage_class_name.clone(),
                })
            }
            _ => {
                self.refuse(
                    "spec.objectStorage",
                    "needs exactly one of secretRef and embedded",
                );
                None
            }
        }
    }

    fn prometheus(&mut self, spec: &MonitoringStackSpec, name: &str) -> Prometheus {
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
            additional_scrape_configs: self.additional_scrape_configs(spec, name),
            rule_config_maps: self.rule_config_maps(spec),
            remote_write: self.remote_write(spec),
            container: self.container(path, &section.container, &args::PROMETHEUS),
            pod: self.pod(path, &section.pod),
        }
    }

    fn additional_scrape_configs(&mut self, spec: &MonitoringStackSpec, stack: &str) -> Vec<Value> {
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

    fn rule_config_maps(&mut self, spec: &MonitoringStackSpec) -> Vec<String> {
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

    fn remote_write(&mut self, spec: &MonitoringStackSpec) -> Vec<RemoteWrite> {
        let mut names = BTreeSet::new();
        let mut endpoints = Vec::new();
        for (index, endpoint) in spec.prometheus.remote_write.iter().enumerate() {
            let path = format!("spec.prometheus.remoteWrite[{index}]");
            if !endpoint.url.starts_with("http://") && !endpoint.url.starts_with("https://") {
                self.refuse(
                    &format!("{path}.url"),
                    "must start with http:// or https://",
                );
            }
            if let Some(name) = &endpoint.name
                && !names.insert(name.clone())
            {
                self.refuse(&format!("{path}.name"), format!("{name:?} is used twice"));
            }
            if let Some(timeout) = &endpoint.remote_timeout {
                self.duration_ms(&format!("{path}.remoteTimeout"), timeout);
            }
            if endpoint.basic_auth.is_some() && endpoint.authorization.is_some() {
                self.refuse(&path, "takes at most one of basicAuth and authorization");
            }
            let basic_auth = endpoint.basic_auth.as_ref().and_then(|auth| {
                let username =
                    self.secret_text(&format!("{path}.basicAuth.username"), &auth.username);
                let password =
                    self.secret_text(&format!("{path}.basicAuth.password"), &auth.password);
                username.zip(password)
            });
            let authorization = endpoint.authorization.as_ref().and_then(|auth| {
                let at = format!("{path}.authorization.credentials");
                self.secret_text(&at, &auth.credentials)
                    .map(|text| (auth.scheme.clone(), text))
            });
            endpoints.push(RemoteWrite {
                url: endpoint.url.clone(),
                name: endpoint.name.clone(),
                remote_timeout: endpoint.remote_timeout.clone(),
                basic_auth,
                authorization,
            });
        }
        endpoints
    }

    fn sidecar(&mut self, spec: &MonitoringStackSpec) -> Sidecar {
        let path = "spec.sidecar.blockDuration";
        let block_duration = spec.sidecar.block_duration.as_ref().map(|text| {
            let ms = self.duration_ms(path, text);
            if 0 < ms && ms < 120_000 {
                self.refuse(path, "must be at least 2m");
            }
            BlockDuration {
                text: text.clone(),
                ms,
            }
        });
        Sidecar {
            block_duration,
            container: self.container("spec.sidecar", &spec.sidecar.container, &args::SIDECAR),
        }
    }

    fn container(
        &mut self,
        path: &str,
        options: &ContainerOptions,
        allowed: &args::AllowList,
    ) -> Container {
        let resources = options.resources.clone().unwrap_or_default();
        self.resources(&format!("{path}.resources"), &resources);
        for (index, arg) in options.extra_args.iter().enumerate() {
            if let Err(problem) = allowed.check(arg) {
                self.refuse(&format!("{path}.extraArgs[{index}]"), problem);
            }
        }
        Container {
            requests: quantities(&resources.requests),
            limits: quantities(&resources.limits),
            log_level: options.log_level.map(crds::workload::LogLevel::as_str),
            log_format: options.log_format.map(crds::workload::LogFormat::as_str),
            extra_args: options.extra_args.clone(),
        }
    }

    fn resources(&mut self, path: &str, resources: &Resources) {
        for (part, amounts) in [
            ("requests", &resources.requests),
            ("limits", &resources.limits),
        ] {
            for (name, amount) in amounts {
                if quantity::parse(&text_of(amount)).is_none() {
                    let problem =
                        format!("{:?} is no quantity such as 500m or 1Gi", text_of(amount));
                    self.refuse(&format!("{path}.{part}.{name}"), problem);
                }
            }
        }
        for (name, request) in &resources.requests {
            let Some(limit) = resources.limits.get(name) else {
                continue;
            };
            let (request, limit) = (text_of(request), text_of(limit));
            if let (Some(least), Some(most)) = (quantity::parse(&request), quantity::parse(&limit))
                && least > most
            {
                let problem = format!("{request} is more than the limit {limit}");
                self.refuse(&format!("{path}.requests.{name}"), problem);
            }
        }
    }

    fn pod(&mut self, path: &str, options: &PodOptions) -> PodOptions {
        for label in options.pod_labels.keys() {
            if label.starts_with("app.kubernetes.io/") || label.starts_with("hindsight.dev/") {
                let path = format!("{path}.podLabels.{label}");
                self.refuse(&path, "the operator sets labels of this prefix");
            }
        }
        options.clone()
    }

    fn volume(&mut self, path: &str, storage: &Storage, default_size: &str) -> Volume {
        if let Some(size) = &storage.size {
            self.size(&format!("{path}.size"), size);
        }
        if storage.ephemeral {
            if storage.storage_class_name.is_some() {
                self.refuse(
                    &format!("{path}.storageClassName"),
                    "has no meaning with storage.ephemeral",
                );
            }
            return Volume::Ephemeral {
                size: storage.size.clone(),
            };
        }
        Volume::Claim {
            size: storage
                .size
                .clone()
                .unwrap_or_else(|| default_size.to_owned()),
            storage_class: storage.storage_class_name.clone(),
        }
    }

    fn size(&mut self, path: &str, text: &str) {
        if quantity::parse(text).is_none_or(|amount| amount == 0) {
            self.refuse(path, format!("{text:?} is no size such as 20Gi"));
        }
    }

    fn replicas(&mut self, path: &str, replicas: i32) -> i32 {
        if !(1..=64).contains(&replicas) {
            self.refuse(path, "must lie between 1 and 64");
        }
        replicas
    }

    fn duration_ms(&mut self, path: &str, text: &str) -> i64 {
        match model::parse_duration(text) {
            Ok(ms) if ms > 0 => ms,
            Ok(_) => {
                self.refuse(path, "must be longer than zero");
                0
            }
            Err(_) => {
                self.refuse(path, format!("{text:?} is no duration such as 30s or 24h"));
                0
            }
        }
    }

    fn image(&mut self, path: &str, chosen: Option<&str>, default: &str) -> String {
        let image = chosen.unwrap_or(default);
        // The defaults are the administrator's own choice.
        if chosen.is_some() && !self.settings.allows_image(image) {
            self.refuse_as(
                Reason::ImageNotAllowed,
                path,
                format!(
                    "{image:?} is not below an allowed prefix ({}); ask the administrator to add it to --allowed-images",
                    self.settings.allowed_images.join(", ")
                ),
            );
        }
        image.to_owned()
    }

    fn secret_text(&mut self, path: &str, key: &SecretKey) -> Option<String> {
        let Some(secret) = self.references.secrets.get(&key.name) else {
            let problem = format!(
                "Secret {:?} does not exist in this namespace; create it with key {:?}",
                key.name, key.key
            );
            self.refuse_as(Reason::SecretNotFound, path, problem);
            return None;
        };
        let Some(bytes) = secret.0.get(&key.key) else {
            let problem = format!("Secret {:?} has no key {:?}", key.name, key.key);
            self.refuse_as(Reason::SecretKeyNotFound, path, problem);
            return None;
        };
        match std::str::from_utf8(bytes) {
            Ok(text) => Some(text.to_owned()),
            Err(_) => {
                let problem = format!("Secret {:?}, key {:?}: is not UTF-8", key.name, key.key);
                self.refuse_as(Reason::MalformedSecret, path, problem);
                None
            }
        }
    }
}

fn quantities(amounts: &BTreeMap<String, IntOrString>) -> BTreeMap<String, String> {
    amounts
        .iter()
        .map(|(name, amount)| (name.clone(), text_of(amount)))
        .collect()
}

fn text_of(amount: &IntOrString) -> String {
    match amount {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => text.clone(),
    }
}

/// The proxy variables; what lies inside the cluster is never reached through the proxy.
fn proxy_environment(spec: &MonitoringStackSpec) -> Vec<(String, String)> {
    let Some(proxy) = &spec.proxy else {
        return Vec::new();
    };
    let mut environment = Vec::new();
    for (name, value) in [
        ("HTTP_PROXY", &proxy.http_proxy),
        ("HTTPS_PROXY", &proxy.https_proxy),
    ] {
        if let Some(value) = value {
            environment.push((name.to_owned(), value.clone()));
        }
    }
    if !environment.is_empty() {
        let mut hosts = ["127.0.0.1", "localhost", ".svc", ".cluster.local"]
            .map(str::to_owned)
            .to_vec();
        hosts.extend(proxy.no_proxy.iter().cloned());
        environment.push(("NO_PROXY".to_owned(), hosts.join(",")));
    }
    environment
}

fn is_label_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_dns_label(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
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
