//! Monitoring resources of `monitoring.coreos.com`: from the objects that a stack selects to scrape
//! jobs, rule files and a verdict on each object. Pure, but for [`watch`] and [`install`].
//!
//! In reading order: [`selection`] (which objects), [`material`] (the Secrets and ConfigMaps they
//! name), [`job`] (what all jobs share), then one file a kind: [`service_monitor`],
//! [`pod_monitor`], [`probe`], [`scrape_config`], [`rules`].
//!
//! Job names, the order of relabelings, sharding and the reasons of refusal are
//! prometheus-operator's, so that series, alerts and dashboards mean the same after a move. What
//! differs: certificates and keys are written into the configuration instead of mounted, and an
//! object that names a file of the Prometheus pod is always refused. An object that is wrong is
//! left out and never keeps another one from being used.

use std::collections::{BTreeMap, BTreeSet};

use crds::coreos::Kind;
use serde_json::Value;

use crate::controller::validate::{Reach, Version};
use crate::coreos::material::{Material, Reference};

pub mod install;
pub mod job;
pub mod limits;
pub mod material;
pub mod pod_monitor;
pub mod probe;
pub mod relabel;
pub mod rules;
pub mod scrape_config;
pub mod selection;
pub mod selector;
pub mod service_monitor;
pub mod target;
pub mod watch;

#[cfg(test)]
mod tests;

/// One selected object, as the API server has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub labels: BTreeMap<String, String>,
    pub spec: Value,
}

impl Resource {
    /// Reads an object of any of the kinds; none where it is another.
    pub fn read(document: &Value) -> Option<Self> {
        let group = document["apiVersion"].as_str()?.split('/').next()?;
        if group != crds::coreos::GROUP {
            return None;
        }
        let kind = Kind::parse(document["kind"].as_str()?)?;
        let metadata = &document["metadata"];
        let text = |name: &str| metadata[name].as_str().unwrap_or_default().to_owned();
        let labels = metadata["labels"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect();
        let namespace = match text("namespace") {
            empty if empty.is_empty() => "default".to_owned(),
            namespace => namespace,
        };
        Some(Self {
            kind,
            namespace,
            name: text("name"),
            uid: text("uid"),
            labels,
            spec: document["spec"].clone(),
        })
    }

    /// Its spec in the kind's type.
    ///
    /// # Errors
    /// Where it does not fit.
    pub fn spec<T: serde::de::DeserializeOwned>(&self) -> Result<T, String> {
        T::deserialize(&self.spec).map_err(|error| format!("spec does not fit its schema: {error}"))
    }
}

/// What became of one selected object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// Why it is left out; none where it is used.
    pub rejection: Option<String>,
    /// Whether it asks for targets where the stack may not look.
    pub is_narrowed: bool,
    /// What of it is passed over, and why.
    pub warnings: Vec<String>,
}

/// Everything that the selected objects come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Translation {
    /// Scrape configurations, in order.
    pub jobs: Vec<Value>,
    /// Rule files by name, in the ConfigMaps that hold them.
    pub rule_files: Vec<BTreeMap<String, String>>,
    /// One for each object, in the order of kind, namespace and name.
    pub verdicts: Vec<Verdict>,
}

/// Translates `resources`, which are in order and all selected.
pub fn translate(resources: &[Resource], context: &job::Context<'_>) -> Translation {
    let mut translation = Translation::default();
    let mut rule_files = BTreeMap::new();
    let mut owners = BTreeMap::new();
    for resource in resources {
        let scope = job::Scope::new(context, resource);
        let outcome = match resource.kind {
            Kind::ServiceMonitor => service_monitor::jobs(resource, &scope),
            Kind::PodMonitor => pod_monitor::jobs(resource, &scope),
            Kind::Probe => probe::job(resource, &scope).map(|job| vec![job]),
            Kind::ScrapeConfig => scrape_config::job(resource, &scope).map(|job| vec![job]),
            Kind::PrometheusRule => rules::file(resource).map(|(name, text)| {
                owners.insert(name.clone(), translation.verdicts.len());
                rule_files.insert(name, text);
                Vec::new()
            }),
            // Nothing selects them yet.
            Kind::AlertmanagerConfig => Ok(Vec::new()),
        };
        let outcome = outcome.and_then(|jobs| {
            jobs.iter()
                .try_for_each(|job| job::check_variables(job, ""))
                .map(|()| jobs)
        });
        let rejection = match outcome {
            Ok(jobs) => {
                translation.jobs.extend(jobs);
                None
            }
            Err(problem) => Some(problem),
        };
        translation.verdicts.push(Verdict {
            kind: resource.kind,
            namespace: resource.namespace.clone(),
            name: resource.name.clone(),
            uid: resource.uid.clone(),
            rejection,
            is_narrowed: scope.is_narrowed(),
            warnings: scope.into_warnings(),
        });
    }
    let packed = rules::pack::pack(&rule_files);
    translation.rule_files = packed.config_maps;
    for file in packed.left_out {
        let verdict = owners
            .get(&file)
            .and_then(|index| translation.verdicts.get_mut(*index));
        if let Some(verdict) = verdict {
            verdict.rejection = Some(
                "found no place: the stack selects more rules than its ConfigMaps hold".to_owned(),
            );
        }
    }
    translation
}

/// The Secrets and ConfigMaps that `resources` name.
pub fn named(resources: &[Resource]) -> BTreeSet<Reference> {
    let material = Material::gathering();
    let context = job::Context {
        namespace: "",
        reach: Reach::Cluster,
        version: Version {
            major: u32::MAX,
            minor: 0,
            patch: 0,
        },
        shards: 1,
        scrape_interval_ms: i64::MAX,
        bounds: &limits::Bounds::default(),
        material: &material,
    };
    translate(resources, &context);
    material.into_wanted()
}
