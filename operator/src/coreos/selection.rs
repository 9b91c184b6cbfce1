//! Which objects a stack selects: by their labels and their namespace's.

use std::collections::BTreeMap;

use crds::MonitoringStackSpec;
use crds::coreos::Kind;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{Resource, selector};
use crate::controller::validate::Reach;

/// What one section of the spec selects.
struct Selection<'a> {
    kinds: &'a [Kind],
    labels: &'a LabelSelector,
    /// Namespaces beside the stack's own; none for that alone.
    namespaces: Option<&'a LabelSelector>,
}

/// Where a stack stands.
#[derive(Clone, Copy, Debug)]
pub struct Standpoint<'a> {
    pub namespace: &'a str,
    pub reach: Reach,
    /// Labels of all namespaces, as far as the operator may see them.
    pub namespaces: &'a BTreeMap<String, BTreeMap<String, String>>,
}

impl Selection<'_> {
    /// Whether `resource` is selected.
    fn selects(&self, resource: &Resource, from: Standpoint<'_>) -> bool {
        self.kinds.contains(&resource.kind)
            && selector::matches(self.labels, &resource.labels)
            && self.reaches(&resource.namespace, from)
    }

    fn reaches(&self, namespace: &str, from: Standpoint<'_>) -> bool {
        match self.namespaces {
            Some(wanted) if from.reach == Reach::Cluster => from
                .namespaces
                .get(namespace)
                .is_some_and(|labels| selector::matches(wanted, labels)),
            // Without leave, a selector of namespaces means the own one; a condition says so.
            _ => namespace == from.namespace,
        }
    }
}

/// The objects of `all` that a stack selects, in the order of kind, namespace and name.
pub fn select<'a>(
    spec: &MonitoringStackSpec,
    from: Standpoint<'_>,
    all: impl Iterator<Item = &'a Resource>,
) -> Vec<Resource> {
    let monitors = &spec.prometheus.monitors;
    let kinds: Vec<Kind> = monitors.kinds.iter().map(|kind| kind.kind()).collect();
    let scrapes = Selection {
        kinds: &kinds,
        labels: &monitors.selector,
        namespaces: monitors.namespace_selector.as_ref(),
    };
    let rules = rules(spec);
    let mut selected: Vec<Resource> = all
        .filter(|resource| scrapes.selects(resource, from) || rules.selects(resource, from))
        .cloned()
        .collect();
    selected.sort_by(|a, b| (a.kind, &a.namespace, &a.name).cmp(&(b.kind, &b.namespace, &b.name)));
    selected
}

/// Whether a stack is interested in other namespaces than its own.
pub fn is_wide(spec: &MonitoringStackSpec, reach: Reach) -> bool {
    reach == Reach::Cluster
        && (spec.prometheus.monitors.namespace_selector.is_some()
            || spec.prometheus.rules.namespace_selector.is_some())
}

fn rules(spec: &MonitoringStackSpec) -> Selection<'_> {
    let rules = &spec.prometheus.rules;
    Selection {
        kinds: if rules.enabled {
            &[Kind::PrometheusRule]
        } else {
            &[]
        },
        labels: &rules.selector,
        namespaces: rules.namespace_selector.as_ref(),
    }
}
