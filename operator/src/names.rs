//! Names of all objects of one stack, and the labels they carry.

use std::collections::BTreeMap;

use crds::naming::Naming;
use sha2::{Digest, Sha256};

/// Field manager of everything the operator applies.
pub const FIELD_MANAGER: &str = "hindsight-operator";
/// Label with the stack's name on every object the operator writes.
pub const STACK_LABEL: &str = "hindsight.dev/stack";
/// Label of every pod that serves the StoreAPI.
pub const STORE_API_LABEL: &str = "hindsight.dev/store-api";
/// Annotation that replaces the owner reference on cluster-scoped objects: the stack's uid.
pub const OWNER_UID_ANNOTATION: &str = "hindsight.dev/owner-uid";
/// Annotation with the stack's namespace on cluster-scoped objects.
pub const OWNER_NAMESPACE_ANNOTATION: &str = "hindsight.dev/owner-namespace";
/// Annotation bumped on pods when their configuration changes, so that kubelet syncs at once.
pub const CONFIG_HASH_ANNOTATION: &str = "hindsight.dev/config-hash";
/// ClusterRole that lets a Prometheus discover targets in one namespace.
pub const NAMESPACE_ROLE: &str = "hindsight-prometheus-namespace";
/// ClusterRole that lets a Prometheus discover and scrape the whole cluster.
pub const CLUSTER_ROLE: &str = "hindsight-prometheus-cluster";

/// ClusterRole that lets kube-state-metrics watch the cluster's objects.
pub const KUBE_STATE_METRICS_ROLE: &str = "hindsight-kube-state-metrics";

/// The parts of a stack that have objects of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    Prometheus,
    Query,
    Store,
    Compact,
    ObjectStorage,
    Alertmanager,
    Grafana,
    KubeStateMetrics,
    NodeExporter,
}

impl Component {
    /// The component's word in names and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::Query => "query",
            Self::Store => "store",
            Self::Compact => "compact",
            Self::ObjectStorage => "s3",
            Self::Alertmanager => "alertmanager",
            Self::Grafana => "grafana",
            Self::KubeStateMetrics => "kube-state-metrics",
            Self::NodeExporter => "node-exporter",
        }
    }
}

/// Names of a stack's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The stack.
    pub stack: String,
    /// The stack's namespace.
    pub namespace: String,
    /// StatefulSet of Prometheus.
    pub prometheus: String,
    /// Headless Service of that StatefulSet.
    pub prometheus_service: String,
    /// Claim template of that StatefulSet.
    pub prometheus_claim: String,
    /// Folder of Prometheus' volume that holds its data.
    pub prometheus_sub_path: Option<String>,
    /// Selector of Prometheus' pods.
    pub prometheus_selector: BTreeMap<String, String>,
    /// Headless Service over all stores.
    pub store_api_service: String,
    /// Service of the querier.
    pub query_service: String,
}

impl Names {
    /// Derives all names of stack `namespace/stack`.
    pub fn new(namespace: &str, stack: &str, naming: Option<&Naming>) -> Self {
        let naming = naming.cloned().unwrap_or_default();
        let services = naming.services.unwrap_or_default();
        let or = |name: Option<String>, suffix: &str| {
            name.unwrap_or_else(|| format!("{stack}-{suffix}"))
        };
        Self {
            stack: stack.to_owned(),
            namespace: namespace.to_owned(),
            prometheus: or(naming.stateful_set, "prometheus"),
            prometheus_service: or(services.prometheus, "prometheus"),
            prometheus_claim: naming.claim_template.unwrap_or_else(|| "data".to_owned()),
            prometheus_sub_path: naming.data_sub_path,
            prometheus_selector: if naming.selector_labels.is_empty() {
                selector(stack, Component::Prometheus)
            } else {
                naming.selector_labels
            },
            store_api_service: or(services.store_api, "storeapi"),
            query_service: or(services.query, "query"),
        }
    }

    /// Name of a component's workload, unless it is Prometheus', and of its ServiceAccount.
    pub fn of(&self, component: Component) -> String {
        format!("{}-{}", self.stack, component.as_str())
    }

    /// Secret with the configuration template of Prometheus.
    pub fn config_secret(&self) -> String {
        self.of(Component::Prometheus)
    }

    /// ConfigMap number `index` with the files of selected rules.
    pub fn rule_files(&self, index: usize) -> String {
        format!("{}-rules-{index}", self.of(Component::Prometheus))
    }

    /// Secret with the keys of the embedded object storage.
    pub fn object_storage_secret(&self) -> String {
        format!("{}-objstore", self.stack)
    }

    /// Name of a component's workload.
    pub fn workload(&self, component: Component) -> String {
        if component == Component::Prometheus {
            self.prometheus.clone()
        } else {
            self.of(component)
        }
    }

    /// Headless Service by which the replicas of Alertmanager find each other.
    pub fn alertmanager_mesh(&self) -> String {
        format!("{}-mesh", self.of(Component::Alertmanager))
    }

    /// ConfigMap with Grafana's dashboards.
    pub fn dashboards(&self) -> String {
        format!("{}-dashboards", self.of(Component::Grafana))
    }

    /// ConfigMap with the rules of this release.
    pub fn default_rules(&self) -> String {
        format!("{}-default-rules", self.stack)
    }

    /// ClusterRoleBinding of a component. Namespace and name joined by '-' are ambiguous; the hash
    /// is not.
    pub fn cluster_role_binding(&self, component: Component) -> String {
        let digest = Sha256::digest(format!("{}/{}", self.namespace, self.stack));
        let hash = hex(digest.get(..4).unwrap_or_default());
        format!("hindsight-{}-{}-{hash}", self.namespace, self.of(component))
    }

    /// Labels of every object of a component.
    pub fn labels(&self, component: Component) -> BTreeMap<String, String> {
        let mut labels = selector(&self.stack, component);
        for (name, value) in [
            ("app.kubernetes.io/component", component.as_str()),
            ("app.kubernetes.io/part-of", "hindsight"),
            (STACK_LABEL, self.stack.as_str()),
        ] {
            labels.insert(name.to_owned(), value.to_owned());
        }
        labels
    }

    /// Selector of a component's pods.
    pub fn selector(&self, component: Component) -> BTreeMap<String, String> {
        if component == Component::Prometheus {
            self.prometheus_selector.clone()
        } else {
            selector(&self.stack, component)
        }
    }
}

/// Selector of a component's pods in stack `stack`, unless it took over existing ones.
pub fn selector(stack: &str, component: Component) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", component.as_str()),
        ("app.kubernetes.io/instance", stack),
        ("app.kubernetes.io/managed-by", FIELD_MANAGER),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// Lower-case hexadecimal text of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_scoped_names_of_two_namespaces_never_meet() {
        let one = Names::new("a-b", "c", None).cluster_role_binding(Component::Prometheus);
        let other = Names::new("a", "b-c", None).cluster_role_binding(Component::Prometheus);
        assert_ne!(one, other);
        assert!(one.starts_with("hindsight-a-b-c-prometheus-"));
    }

    #[test]
    fn naming_replaces_only_what_it_says() {
        let naming = Naming {
            stateful_set: Some("prometheus-k8s".to_owned()),
            ..Naming::default()
        };
        let names = Names::new("monitoring", "k8s", Some(&naming));
        assert_eq!(names.prometheus, "prometheus-k8s");
        assert_eq!(names.prometheus_service, "k8s-prometheus");
        assert_eq!(names.prometheus_claim, "data");
    }
}
