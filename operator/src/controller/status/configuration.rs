//! `PrometheusConfigured`: what the replicas run against what they should run.

use super::{Draft, Observed, draft};
use crate::controller::observe::PodState;
use crate::names::Component;

/// True only when every replica runs the wanted configuration.
pub(super) fn configured(observed: &Observed<'_>) -> Draft {
    let kind = "PrometheusConfigured";
    let pods: Vec<&PodState> = observed
        .pods
        .iter()
        .filter(|pod| pod.component == Component::Prometheus.as_str())
        .collect();
    let wanted = usize::try_from(observed.stack.prometheus.replicas).unwrap_or(0);
    for pod in &pods {
        let Some(sidecar) = &pod.sidecar else {
            return draft(
                kind,
                false,
                "SidecarUnreachable",
                format!(
                    "the sidecar of {} does not say which configuration is loaded",
                    pod.name
                ),
            );
        };
        if sidecar.config_hash.as_deref() == Some(observed.config_hash) {
            continue;
        }
        return match &sidecar.config_error {
            Some(error) => draft(
                kind,
                false,
                "ReloadFailed",
                format!("{}: {error}", pod.name),
            ),
            None => draft(
                kind,
                false,
                "ReloadPending",
                format!("{} has not loaded the present configuration yet", pod.name),
            ),
        };
    }
    if pods.len() < wanted {
        return draft(
            kind,
            false,
            "ReplicasMissing",
            format!("{} of {wanted} replicas exist", pods.len()),
        );
    }
    let missing: Vec<&str> = observed
        .missing_rule_config_maps
        .iter()
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        return draft(
            kind,
            false,
            "RuleConfigMapNotFound",
            format!(
                "ConfigMaps of spec.prometheus.ruleConfigMaps do not exist: {}",
                missing.join(", ")
            ),
        );
    }
    draft(
        kind,
        true,
        "ConfigurationLoaded",
        "every replica runs the present configuration",
    )
}
