//! Section `proxy`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Proxy for connections that leave the cluster.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Proxy {
    /// Proxy for `http` addresses; becomes HTTP_PROXY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^https?://[^\s]+$"), length(max = 2048))]
    pub http_proxy: Option<String>,
    /// Proxy for `https` addresses; becomes HTTPS_PROXY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^https?://[^\s]+$"), length(max = 2048))]
    pub https_proxy: Option<String>,
    /// Hosts, domains and networks reached without the proxy, added to the cluster's own names;
    /// becomes NO_PROXY.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub no_proxy: Vec<String>,
}
