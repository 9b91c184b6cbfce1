//! Why a monitoring resource is, or is not, used by a stack. Pure; `kubectl hindsight why` prints it.

use crds::MonitoringStack;
use crds::coreos::Kind;
use kube::ResourceExt as _;

use crate::controller::validate::Reach;
use crate::coreos::selection::{Standpoint, select};
use crate::coreos::{Resource, selector};
use crate::settings::Settings;

/// What a stack makes of a resource, one sentence a line.
pub fn explain(stack: &MonitoringStack, resource: &Resource, from: Standpoint<'_>) -> Vec<String> {
    let title = format!("MonitoringStack {}/{}", from.namespace, stack.name_any());
    if select(&stack.spec, from, std::iter::once(resource)).is_empty() {
        let mut lines = vec![format!("{title} does not select it:")];
        lines.extend(
            obstacles(stack, resource, from)
                .into_iter()
                .map(|obstacle| format!("  {obstacle}")),
        );
        return lines;
    }
    let status = stack.status.as_ref();
    if status.is_none_or(|status| status.observed_generation != stack.metadata.generation) {
        return vec![format!(
            "{title} selects it; the operator has not looked at the stack's present spec yet"
        )];
    }
    let rejected = status
        .map(|status| status.rejected.as_slice())
        .unwrap_or_default();
    let verdict = rejected.iter().find(|one| {
        one.kind == resource.kind.as_str()
            && one.namespace == resource.namespace
            && one.name == resource.name
    });
    match verdict {
        Some(verdict) => vec![
            format!("{title} selects it and leaves it out ({}):", verdict.reason),
            format!("  {}", verdict.message),
        ],
        None => {
            let mut lines = vec![format!("{title} selects and uses it{}", jobs(resource))];
            lines.extend(
                status
                    .into_iter()
                    .flat_map(|status| &status.conditions)
                    .filter(|condition| {
                        condition.type_ == "PrometheusConfigured" && condition.status != "True"
                    })
                    .map(|condition| format!("  not yet loaded: {}", condition.message)),
            );
            lines
        }
    }
}

/// How far a stack may look, as far as a person can tell: by the flag, or by the finalizer
/// that only a stack with leave has.
pub fn reach_of(stack: &MonitoringStack, settings: &Settings) -> Reach {
    let namespace = stack.namespace().unwrap_or_default();
    let is_bound = stack
        .finalizers()
        .iter()
        .any(|name| name == crate::controller::apply::FINALIZER);
    if is_bound {
        Reach::Cluster
    } else {
        settings.reach(&namespace)
    }
}

fn jobs(resource: &Resource) -> String {
    let (namespace, name) = (&resource.namespace, &resource.name);
    match resource.kind {
        Kind::ServiceMonitor => format!(" as jobs serviceMonitor/{namespace}/{name}/…"),
        Kind::PodMonitor => format!(" as jobs podMonitor/{namespace}/{name}/…"),
        Kind::Probe => format!(" as job probe/{namespace}/{name}"),
        Kind::ScrapeConfig => format!(" as job scrapeConfig/{namespace}/{name}"),
        Kind::PrometheusRule | Kind::AlertmanagerConfig => String::new(),
    }
}

/// Everything that keeps a stack from selecting a resource.
fn obstacles(stack: &MonitoringStack, resource: &Resource, from: Standpoint<'_>) -> Vec<String> {
    let monitors = &stack.spec.prometheus.monitors;
    let rules = &stack.spec.prometheus.rules;
    let (section, labels, namespaces, is_on) = match resource.kind {
        Kind::PrometheusRule => (
            "rules",
            &rules.selector,
            rules.namespace_selector.as_ref(),
            rules.enabled,
        ),
        kind => (
            "monitors",
            &monitors.selector,
            monitors.namespace_selector.as_ref(),
            monitors.kinds.iter().any(|of| of.kind() == kind),
        ),
    };
    let path = format!("spec.prometheus.{section}");
    let mut found = Vec::new();
    if !is_on {
        found.push(format!(
            "{path} switches kind {} off",
            resource.kind.as_str()
        ));
    }
    if !selector::matches(labels, &resource.labels) {
        found.push(format!(
            "{path}.selector wants {:?}, and the object has {:?}",
            selector::text(labels),
            resource.labels
        ));
    }
    let place = &resource.namespace;
    match namespaces {
        None if place != from.namespace => found.push(format!(
            "{path}.namespaceSelector is not set, so only namespace {} is looked at; set it to {{}} for all",
            from.namespace
        )),
        Some(_) if from.reach == Reach::Namespace && place != from.namespace => found.push(format!(
            "the stack may not look beyond namespace {}; ask the administrator to add it to --cluster-stacks",
            from.namespace
        )),
        Some(wanted) if from.reach == Reach::Cluster => {
            let of_namespace = from.namespaces.get(place).cloned().unwrap_or_default();
            if !selector::matches(wanted, &of_namespace) {
                found.push(format!(
                    "{path}.namespaceSelector wants {:?}, and namespace {place} has {of_namespace:?}",
                    selector::text(wanted)
                ));
            }
        }
        None | Some(_) => {}
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    fn said(spec: Value, status: Value, place: &str, reach: Reach) -> String {
        let stack: MonitoringStack = serde_json::from_value(json!({
            "apiVersion": "hindsight.dev/v1alpha1",
            "kind": "MonitoringStack",
            "metadata": { "name": "main", "namespace": "ns", "generation": 3 },
            "spec": spec,
            "status": status,
        }))
        .expect("stack");
        let resource = Resource {
            kind: Kind::ServiceMonitor,
            namespace: place.to_owned(),
            name: "web".to_owned(),
            uid: String::new(),
            labels: BTreeMap::from([("team".to_owned(), "shop".to_owned())]),
            spec: Value::Null,
        };
        let labels = BTreeMap::from([("env".to_owned(), "dev".to_owned())]);
        let namespaces = BTreeMap::from([("other".to_owned(), labels)]);
        let from = Standpoint {
            namespace: "ns",
            reach,
            namespaces: &namespaces,
        };
        explain(&stack, &resource, from).join("\n")
    }

    #[test]
    fn each_obstacle_is_named() {
        let seen = json!({ "observedGeneration": 3 });
        let monitors = |monitors: Value| json!({ "prometheus": { "monitors": monitors } });
        let rejected = json!({
            "observedGeneration": 3,
            "rejected": [{ "kind": "ServiceMonitor", "namespace": "ns", "name": "web", "reason": "InvalidConfiguration", "message": "no such Secret" }],
        });
        for (spec, status, place, reach, expected) in [
            (
                json!({}),
                seen.clone(),
                "ns",
                Reach::Namespace,
                "as jobs serviceMonitor/ns/web/",
            ),
            (
                json!({}),
                json!({ "observedGeneration": 2 }),
                "ns",
                Reach::Namespace,
                "has not looked",
            ),
            (
                json!({}),
                rejected,
                "ns",
                Reach::Namespace,
                "no such Secret",
            ),
            (
                json!({}),
                seen.clone(),
                "other",
                Reach::Cluster,
                "namespaceSelector is not set",
            ),
            (
                monitors(json!({ "kinds": ["PodMonitor"] })),
                seen.clone(),
                "ns",
                Reach::Namespace,
                "switches kind ServiceMonitor off",
            ),
            (
                monitors(json!({ "selector": { "matchLabels": { "release": "x" } } })),
                seen.clone(),
                "ns",
                Reach::Namespace,
                "wants \"release=x\"",
            ),
            (
                monitors(json!({ "namespaceSelector": {} })),
                seen.clone(),
                "other",
                Reach::Namespace,
                "--cluster-stacks",
            ),
            (
                monitors(json!({ "namespaceSelector": { "matchLabels": { "env": "prod" } } })),
                seen.clone(),
                "other",
                Reach::Cluster,
                "wants \"env=prod\"",
            ),
            (
                monitors(json!({ "namespaceSelector": {} })),
                seen,
                "other",
                Reach::Cluster,
                "selects and uses it",
            ),
        ] {
            let text = said(spec.clone(), status, place, reach);
            assert!(text.contains(expected), "{spec}: {text}");
        }
    }
}
