//! Section `expose`.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Ingresses to the stack's pages and gRPC APIs. With network policies, networkPolicy.clients must
/// name the ingress controller.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Expose {
    /// The querier's page and HTTP API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<ExposeHttp>,
    /// The page of each Prometheus replica; the host must contain `$(ordinal)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<ExposeHttp>,
    /// Alertmanager's page and API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alertmanager: Option<ExposeHttp>,
    /// Grafana, which asks for a login by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grafana: Option<ExposeGrafana>,
    /// The querier's gRPC API, for queriers of other clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_grpc: Option<ExposeGrpc>,
    /// The gRPC API of each sidecar, for queriers of other clusters; the host must contain
    /// `$(ordinal)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sidecar_grpc: Option<ExposeGrpc>,
}

/// An Ingress to a page that has no login of its own.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExposeHttp {
    /// Name under which it is reached.
    #[schemars(regex(pattern = r"^[-a-z0-9.$()]+$"), length(min = 1, max = 253))]
    pub host: String,
    /// The Ingress.
    #[serde(default)]
    pub ingress: Ingress,
    /// Who checks the users.
    pub auth: ExposeAuth,
}

/// An Ingress to Grafana.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExposeGrafana {
    /// Name under which it is reached.
    #[schemars(regex(pattern = r"^[-a-z0-9.]+$"), length(min = 1, max = 253))]
    pub host: String,
    /// The Ingress.
    #[serde(default)]
    pub ingress: Ingress,
}

/// An Ingress to a gRPC API. It must end TLS and check clients' certificates; how is said to the
/// ingress controller by annotations, as is that the backend speaks gRPC.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.ingress.tlsSecretName)").message("gRPC is exposed by TLS only: set ingress.tlsSecretName"))]
pub struct ExposeGrpc {
    /// Name under which it is reached.
    #[schemars(regex(pattern = r"^[-a-z0-9.$()]+$"), length(min = 1, max = 253))]
    pub host: String,
    /// The Ingress.
    pub ingress: Ingress,
    /// Who checks the clients.
    pub auth: ExposeAuth,
}

/// What an Ingress says beside host and backend.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// IngressClass; the cluster's default where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
    /// A Secret in this namespace with the certificate and key of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub tls_secret_name: Option<String>,
    /// Annotations for the ingress controller. Snippets of its configuration, and values that name
    /// another namespace, are refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, String>,
}

/// Who checks users or clients.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.external").message("auth.external must be true: what is exposed has no login of its own, so the ingress controller must check who comes"))]
pub struct ExposeAuth {
    /// Says that the ingress controller does.
    pub external: bool,
}
