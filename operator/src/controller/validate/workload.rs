//! What every workload section shares: container and pod options, volumes, replicas, amounts.

use std::collections::BTreeMap;

use crds::workload::{ContainerOptions, PodOptions, Resources, Storage};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Check, args};
use crate::quantity;

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

impl Check<'_> {
    pub(super) fn container(
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

    pub(super) fn resources(&mut self, path: &str, resources: &Resources) {
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

    pub(super) fn pod(&mut self, path: &str, options: &PodOptions) -> PodOptions {
        for label in options.pod_labels.keys() {
            if label.starts_with("app.kubernetes.io/") || label.starts_with("hindsight.dev/") {
                let path = format!("{path}.podLabels.{label}");
                self.refuse(&path, "the operator sets labels of this prefix");
            }
        }
        options.clone()
    }

    pub(super) fn volume(&mut self, path: &str, storage: &Storage, default_size: &str) -> Volume {
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

    pub(super) fn size(&mut self, path: &str, text: &str) {
        if quantity::parse(text).is_none_or(|amount| amount == 0) {
            self.refuse(path, format!("{text:?} is no size such as 20Gi"));
        }
    }

    pub(super) fn replicas(&mut self, path: &str, replicas: i32) -> i32 {
        if !(1..=64).contains(&replicas) {
            self.refuse(path, "must lie between 1 and 64");
        }
        replicas
    }

    pub(super) fn duration_ms(&mut self, path: &str, text: &str) -> i64 {
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
