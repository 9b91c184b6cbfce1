//! What a workload's own document says of its replicas.

use serde_json::Value;

use crate::controller::build::Kind;

/// State of one workload, as the API server last told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    pub kind: Kind,
    pub name: String,
    pub wanted: i64,
    pub ready: i64,
    pub updated: i64,
    /// Whether the workload's controller has seen its latest generation.
    pub observed: bool,
}

impl Workload {
    /// Whether all replicas are ready and of the latest revision.
    pub fn is_complete(&self) -> bool {
        self.observed && self.ready == self.wanted && self.updated == self.wanted
    }
}

/// The state in a document; none where it is no workload.
pub(super) fn workload_of(kind: Kind, document: &Value) -> Option<Workload> {
    let (wanted, ready, updated) = match kind {
        Kind::StatefulSet | Kind::Deployment => (
            "/spec/replicas",
            "/status/readyReplicas",
            "/status/updatedReplicas",
        ),
        Kind::DaemonSet => (
            "/status/desiredNumberScheduled",
            "/status/numberReady",
            "/status/updatedNumberScheduled",
        ),
        _ => return None,
    };
    let number = |pointer: &str| {
        document
            .pointer(pointer)
            .and_then(Value::as_i64)
            .unwrap_or(0)
    };
    Some(Workload {
        kind,
        name: document
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        wanted: number(wanted),
        ready: number(ready),
        updated: number(updated),
        observed: number("/status/observedGeneration") >= number("/metadata/generation"),
    })
}
