//! Sections `prometheus.monitors`, `prometheus.rules` and `prometheus.scrapeLimits`. A monitoring
//! resource that is wrong is no error of the stack: it gets a verdict.

use crds::MonitoringStackSpec;

use super::{Check, Prometheus, Reach};
use crate::coreos::job::Context;
use crate::coreos::{Translation, limits, selector, translate};

impl Check<'_> {
    pub(super) fn monitors(
        &mut self,
        spec: &MonitoringStackSpec,
        namespace: &str,
        reach: Reach,
        prometheus: &Prometheus,
    ) -> Translation {
        let monitors = &spec.prometheus.monitors;
        let rules = &spec.prometheus.rules;
        let path = "spec.prometheus";
        for (path, chosen) in [
            (
                format!("{path}.monitors.selector"),
                Some(&monitors.selector),
            ),
            (
                format!("{path}.monitors.namespaceSelector"),
                monitors.namespace_selector.as_ref(),
            ),
            (format!("{path}.rules.selector"), Some(&rules.selector)),
            (
                format!("{path}.rules.namespaceSelector"),
                rules.namespace_selector.as_ref(),
            ),
        ] {
            if let Some(Err(problem)) = chosen.map(selector::check) {
                self.refuse(&path, problem);
            }
        }
        let limits = &spec.prometheus.scrape_limits;
        if let Some(size) = &limits.body_size
            && limits::bytes(size).is_none()
        {
            self.refuse(
                &format!("{path}.scrapeLimits.bodySize"),
                format!("{size:?} is no size such as 10MB"),
            );
        }
        let context = Context {
            namespace,
            reach,
            version: prometheus.version,
            shards: prometheus.shards,
            scrape_interval_ms: prometheus.scrape_interval_ms,
            bounds: &prometheus.bounds,
            material: &self.references.material,
        };
        translate(&self.references.resources, &context)
    }
}
