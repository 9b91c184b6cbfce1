//! The section `networkPolicy`.

use std::net::IpAddr;

use crds::MonitoringStackSpec;
pub use crds::network_policy::NetworkClient;

use super::Check;

/// The validated section `networkPolicy`.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkPolicies {
    pub enabled: bool,
    pub clients: Vec<NetworkClient>,
}

impl Check<'_> {
    pub(super) fn network_policy(&mut self, spec: &MonitoringStackSpec) -> NetworkPolicies {
        let section = &spec.network_policy;
        for (index, client) in section.clients.iter().enumerate() {
            let path = format!("spec.networkPolicy.clients[{index}]");
            let has_labels = !client.namespace_labels.is_empty() || !client.pod_labels.is_empty();
            match &client.cidr {
                Some(_) if has_labels => {
                    self.refuse(&path, "cidr excludes namespaceLabels and podLabels");
                }
                None if !has_labels => self.refuse(
                    &path,
                    "needs either cidr or at least one of namespaceLabels and podLabels",
                ),
                Some(cidr) if !is_network(cidr) => {
                    let problem = format!("{cidr:?} is no network such as 10.1.0.0/16");
                    self.refuse(&format!("{path}.cidr"), problem);
                }
                _ => {}
            }
        }
        NetworkPolicies {
            enabled: section.enabled,
            clients: section.clients.clone(),
        }
    }
}

fn is_network(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let most = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.parse::<u8>().is_ok_and(|length| length <= most)
}
