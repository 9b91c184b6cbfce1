//! `MonitoringStack`: one resource, one highly available Prometheus with long-term storage.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub mod alertmanager;
pub mod compact;
pub mod expose;
pub mod grafana;
pub mod images;
pub mod kube_state_metrics;
pub mod monitors;
pub mod naming;
pub mod network_policy;
pub mod node_exporter;
pub mod object_storage;
pub mod pod_disruption_budget;
pub mod prometheus;
pub mod proxy;
pub mod query;
pub mod sidecar;
pub mod status;
pub mod store;
pub mod workload;

use alertmanager::Alertmanager;
use compact::Compact;
use expose::Expose;
use grafana::Grafana;
use images::Images;
use kube_state_metrics::KubeStateMetrics;
use naming::Naming;
use network_policy::NetworkPolicy;
use node_exporter::NodeExporter;
use object_storage::ObjectStorage;
use pod_disruption_budget::PodDisruptionBudget;
use prometheus::Prometheus;
use proxy::Proxy;
use query::Query;
use sidecar::Sidecar;
use status::MonitoringStackStatus;
use store::Store;

/// A highly available Prometheus with long-term storage and one global query view. `spec: {}` gives
/// two Prometheus replicas with sidecars and one querier; `objectStorage` adds the long-term part.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "hindsight.dev",
    version = "v1alpha1",
    kind = "MonitoringStack",
    plural = "monitoringstacks",
    namespaced,
    shortname = "mstack",
    category = "monitoring",
    status = "MonitoringStackStatus",
    scale(
        spec_replicas_path = ".spec.query.replicas",
        status_replicas_path = ".status.queryReplicas",
        label_selector_path = ".status.querySelector"
    ),
    derive = "PartialEq",
    derive = "Default",
    doc = "MonitoringStack is a highly available Prometheus with long-term storage and one query view.",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].reason"}"#,
    printcolumn = r#"{"name":"Prometheus","type":"string","description":"ready and wanted Prometheus replicas","jsonPath":".status.prometheus"}"#,
    printcolumn = r#"{"name":"Components","type":"string","description":"ready and wanted replicas of all other components","jsonPath":".status.components"}"#,
    printcolumn = r#"{"name":"Bucket","type":"string","jsonPath":".status.bucket"}"#,
    printcolumn = r#"{"name":"Last upload","type":"date","jsonPath":".status.lastUpload"}"#,
    printcolumn = r#"{"name":"Version","type":"string","description":"version of Prometheus","jsonPath":".status.versions.prometheus"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Retention","type":"string","priority":1,"jsonPath":".spec.prometheus.retention"}"#,
    validation = Rule::new("self.metadata.name.size() <= 40").message("metadata.name must have at most 40 characters, because StatefulSet and Service names are derived from it"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message("metadata.name must start with a letter and contain only lower case letters, digits and '-', because Service names are derived from it")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.objectStorage) || (has(self.externalLabels) && 'cluster' in self.externalLabels)").message("externalLabels.cluster is required with objectStorage: blocks of several clusters in one bucket are told apart by it"),
    validation = Rule::new("!has(self.externalLabels) || !(self.replicaLabelName in self.externalLabels)").message("externalLabels must not contain the replica label: the operator sets it for each replica"),
    validation = Rule::new("!has(self.externalLabels) || !(self.prometheusLabelName in self.externalLabels)").message("externalLabels must not contain the label named by prometheusLabelName: the operator sets it"),
    validation = Rule::new("self.replicaLabelName != self.prometheusLabelName").message("replicaLabelName and prometheusLabelName must differ"),
    validation = Rule::new("!has(oldSelf.naming) || (has(self.naming) && self.naming == oldSelf.naming)").message("naming is immutable once set: StatefulSet selectors and volume claims cannot be renamed"),
)]
pub struct MonitoringStackSpec {
    /// Labels added to every series and alert that leaves this stack, e.g. `cluster: prod-eu`. The
    /// labels named by prometheusLabelName and replicaLabelName are added by the operator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    #[x_kube(validation = Rule::new("self.all(k, k.matches('^[a-zA-Z_][a-zA-Z0-9_]*$') && !k.startsWith('__'))").message("externalLabels: a name must match [a-zA-Z_][a-zA-Z0-9_]* and not start with '__'"))]
    pub external_labels: BTreeMap<String, String>,

    /// Name of the external label that says `<namespace>/<name>` of the stack; the empty text drops
    /// the label.
    #[serde(default = "default_prometheus_label_name")]
    #[schemars(regex(pattern = r"^([a-zA-Z_][a-zA-Z0-9_]*)?$"), length(max = 63))]
    pub prometheus_label_name: String,

    /// Name of the external label that holds the replica's pod name; queries deduplicate by it and
    /// alerts are sent without it.
    #[serde(default = "default_replica_label_name")]
    #[schemars(regex(pattern = r"^[a-zA-Z_][a-zA-Z0-9_]*$"), length(max = 63))]
    pub replica_label_name: String,

    /// Where blocks are kept for the long term. Without it there is no upload and no store gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_storage: Option<ObjectStorage>,

    /// The Prometheus replicas.
    #[serde(default)]
    pub prometheus: Prometheus,

    /// The sidecar in each Prometheus pod: writes and reloads the configuration, uploads blocks and
    /// serves the replica's data to queriers.
    #[serde(default)]
    pub sidecar: Sidecar,

    /// The querier: one deduplicated view over all stores, with a web page.
    #[serde(default)]
    pub query: Query,

    /// The store gateway: serves blocks from object storage. It exists only with objectStorage.
    #[serde(default)]
    pub store: Store,

    /// The compactor of the bucket. It exists only with objectStorage.
    #[serde(default)]
    pub compact: Compact,

    /// Alertmanager, to which Prometheus then sends its alerts.
    #[serde(default)]
    pub alertmanager: Alertmanager,

    /// Grafana, with the querier as data source.
    #[serde(default)]
    pub grafana: Grafana,

    /// The state of the cluster's objects as metrics.
    #[serde(default)]
    pub kube_state_metrics: KubeStateMetrics,

    /// The machines as metrics.
    #[serde(default)]
    pub node_exporter: NodeExporter,

    /// Images other than Prometheus' own, and how they are pulled.
    #[serde(default)]
    pub images: Images,

    /// Names of existing objects that this stack takes over. Leave it out for a new stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub naming: Option<Naming>,

    /// How the stack is reached from outside of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expose: Option<Expose>,

    /// Who may connect to the stack's pods.
    #[serde(default)]
    pub network_policy: NetworkPolicy,

    /// How many replicas a drain of nodes may take down at once.
    #[serde(default)]
    pub pod_disruption_budget: PodDisruptionBudget,

    /// HTTP proxy for connections that leave the cluster: object storage and remote write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,

    /// Stops all changes to the stack's objects, deletion of the resource excepted. What runs keeps
    /// running and the status is kept up to date.
    #[serde(default)]
    pub paused: bool,
}

fn default_prometheus_label_name() -> String {
    "prometheus".to_owned()
}

fn default_replica_label_name() -> String {
    "prometheus_replica".to_owned()
}
