//! What the cluster's administrator decides when starting the operator, as opposed to what the
//! author of a stack may say.

use std::collections::BTreeSet;

use crate::controller::validate::Reach;

/// Repository of Prometheus' image; a stack's version is its tag.
pub const PROMETHEUS_REPOSITORY: &str = "quay.io/prometheus/prometheus";
/// Image of sidecar, querier and store gateway of this release.
pub const HINDSIGHT_IMAGE: &str = concat!(
    "ghcr.io/hindsight-dev/hindsight:",
    env!("CARGO_PKG_VERSION")
);
/// Image of the embedded S3 server.
pub const VERSITYGW_IMAGE: &str = "ghcr.io/versity/versitygw:v1.8.0";
/// Repository of Alertmanager's image; a stack's version is its tag.
pub const ALERTMANAGER_REPOSITORY: &str = "quay.io/prometheus/alertmanager";
/// Repository of kube-state-metrics' image; a stack's version is its tag.
pub const KUBE_STATE_METRICS_REPOSITORY: &str =
    "registry.k8s.io/kube-state-metrics/kube-state-metrics";
/// Repository of Grafana's image; a stack's version is its tag.
pub const GRAFANA_REPOSITORY: &str = "docker.io/grafana/grafana";
/// Image of node-exporter, which no stack may choose.
pub const NODE_EXPORTER_IMAGE: &str = "quay.io/prometheus/node-exporter:v1.12.1";
/// Namespace that the manifests of this release put the operator into.
pub const OPERATOR_NAMESPACE: &str = "hindsight-system";
/// Image prefixes that stacks may use unless the administrator says otherwise.
pub const ALLOWED_IMAGES: [&str; 6] = [
    PROMETHEUS_REPOSITORY,
    ALERTMANAGER_REPOSITORY,
    KUBE_STATE_METRICS_REPOSITORY,
    GRAFANA_REPOSITORY,
    "ghcr.io/hindsight-dev/hindsight",
    "ghcr.io/versity/versitygw",
];

/// The administrator's decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Namespaces whose stacks may scrape nodes, the API server and other namespaces.
    pub cluster_stacks: BTreeSet<String>,
    /// Prefixes that every image must have.
    pub allowed_images: Vec<String>,
    /// Image of the data plane where a stack names none.
    pub hindsight_image: String,
    /// Image of node-exporter.
    pub node_exporter_image: String,
    /// The operator's own namespace: its pods ask the stacks' pods for their status.
    pub operator_namespace: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cluster_stacks: BTreeSet::new(),
            allowed_images: ALLOWED_IMAGES.map(str::to_owned).to_vec(),
            hindsight_image: HINDSIGHT_IMAGE.to_owned(),
            node_exporter_image: NODE_EXPORTER_IMAGE.to_owned(),
            operator_namespace: OPERATOR_NAMESPACE.to_owned(),
        }
    }
}

impl Settings {
    /// How far the stacks of `namespace` may look.
    pub fn reach(&self, namespace: &str) -> Reach {
        if self.cluster_stacks.contains(namespace) {
            Reach::Cluster
        } else {
            Reach::Namespace
        }
    }

    /// Returns whether `image` lies below an allowed prefix. A prefix ends at a separator, so that
    /// `quay.io/prometheus/prometheus` does not admit `quay.io/prometheus/prometheus-evil`.
    pub fn allows_image(&self, image: &str) -> bool {
        self.allowed_images
            .iter()
            .any(|prefix| match image.strip_prefix(prefix.as_str()) {
                None => false,
                Some(rest) => {
                    rest.is_empty() || prefix.ends_with('/') || rest.starts_with([':', '@', '/'])
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_prefix_ends_at_a_separator() {
        let settings = Settings::default();
        for allowed in [
            "quay.io/prometheus/prometheus:v3.15.0",
            "quay.io/prometheus/prometheus@sha256:abc",
            "ghcr.io/hindsight-dev/hindsight",
        ] {
            assert!(settings.allows_image(allowed), "{allowed}");
        }
        for refused in [
            "quay.io/prometheus/prometheus-evil:v3.15.0",
            "docker.io/library/busybox",
            "evil.example/quay.io/prometheus/prometheus:v3.15.0",
        ] {
            assert!(!settings.allows_image(refused), "{refused}");
        }
    }

    #[test]
    fn a_prefix_with_a_slash_admits_a_whole_registry() {
        let settings = Settings {
            allowed_images: vec!["registry.example/".to_owned()],
            ..Settings::default()
        };
        assert!(settings.allows_image("registry.example/mirror/prometheus:v3.15.0"));
        assert!(!settings.allows_image("registry.example.evil/prometheus:v3.15.0"));
    }
}
