//! What each policy means for the pods there are: selectors become addresses, named ports numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Container, ContainerPort, Namespace, Pod};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};

use super::{Allow, Chain, Direction, Peers, Ports};

/// A snapshot of what decides.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    pub policies: Vec<NetworkPolicy>,
    pub pods: Vec<Pod>,
    pub namespaces: Vec<Namespace>,
}

/// A pod that has an address of its own.
struct Target<'a> {
    pod: &'a Pod,
    address: Ipv4Addr,
    namespace: String,
}

struct View<'a> {
    targets: Vec<Target<'a>>,
    namespace_labels: BTreeMap<String, &'a BTreeMap<String, String>>,
}

/// One chain for each isolated pod and direction, in the order of addresses.
pub(super) fn chains(objects: &Objects) -> Vec<Chain> {
    let view = View::new(objects);
    let mut chains = Vec::new();
    for target in &view.targets {
        for direction in [Direction::Ingress, Direction::Egress] {
            let policies: Vec<_> = objects
                .policies
                .iter()
                .filter(|policy| policy.namespace().as_deref() == Some(&target.namespace))
                .filter_map(|policy| policy.spec.as_ref())
                .filter(|spec| isolates(spec, direction))
                .filter(|spec| selects(spec.pod_selector.as_ref(), target.pod.labels()))
                .collect();
            if policies.is_empty() {
                continue;
            }
            let mut allowed: Vec<Allow> = Vec::new();
            for spec in policies {
                for allow in view.allowed(spec, direction, target) {
                    if !allowed.contains(&allow) {
                        allowed.push(allow);
                    }
                }
            }
            chains.push(Chain {
                direction,
                pod: target.address,
                name: format!("{}/{}", target.namespace, target.pod.name_any()),
                allowed,
            });
        }
    }
    chains
}

fn isolates(spec: &NetworkPolicySpec, direction: Direction) -> bool {
    match (&spec.policy_types, direction) {
        (Some(types), Direction::Ingress) if !types.is_empty() => {
            types.iter().any(|kind| kind == "Ingress")
        }
        (Some(types), Direction::Egress) if !types.is_empty() => {
            types.iter().any(|kind| kind == "Egress")
        }
        // Unsaid, it is about ingress, and about egress where it has such rules.
        (_, Direction::Ingress) => true,
        (_, Direction::Egress) => spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()),
    }
}

/// An empty selector selects everything; one that the API server should never have let in, nothing.
fn selects(selector: Option<&LabelSelector>, labels: &BTreeMap<String, String>) -> bool {
    let selector = selector.cloned().unwrap_or_default();
    Selector::try_from(selector).is_ok_and(|selector| selector.matches(labels))
}

impl<'a> View<'a> {
    fn new(objects: &'a Objects) -> Self {
        let mut targets: Vec<_> = objects.pods.iter().filter_map(target).collect();
        targets.sort_by_key(|target| target.address);
        // An address is given to another pod only after the first has ended, which may be seen late.
        targets.dedup_by_key(|target| target.address);
        let namespace_labels = objects
            .namespaces
            .iter()
            .map(|namespace| (namespace.name_any(), namespace.labels()))
            .collect();
        Self {
            targets,
            namespace_labels,
        }
    }

    fn allowed(
        &self,
        spec: &NetworkPolicySpec,
        direction: Direction,
        target: &Target<'_>,
    ) -> Vec<Allow> {
        let mut allowed = Vec::new();
        match direction {
            Direction::Ingress => {
                for rule in spec.ingress.iter().flatten() {
                    let ports = rule.ports.as_deref().unwrap_or_default();
                    // A named port is the receiving pod's.
                    let ports = ports_of(ports, Some(target.pod));
                    for peers in self.peers(rule.from.as_deref(), &target.namespace) {
                        let allow = |ports| Allow {
                            peers: peers.clone(),
                            ports,
                        };
                        allowed.extend(ports.iter().cloned().map(allow));
                    }
                }
            }
            Direction::Egress => {
                for rule in spec.egress.iter().flatten() {
                    let ports = rule.ports.as_deref().unwrap_or_default();
                    let (named, numbered): (Vec<_>, Vec<_>) =
                        ports.iter().cloned().partition(is_named);
                    for peers in self.peers(rule.to.as_deref(), &target.namespace) {
                        if named.is_empty() || !numbered.is_empty() {
                            let allow = |ports| Allow {
                                peers: peers.clone(),
                                ports,
                            };
                            allowed.extend(ports_of(&numbered, None).into_iter().map(allow));
                        }
                        if !named.is_empty() {
                            allowed.extend(self.named(&peers, &named));
                        }
                    }
                }
            }
        }
        allowed
    }

    /// Named ports towards peers: each pod's own numbers. Addresses that are no pod's have no names.
    fn named(&self, peers: &Peers, ports: &[NetworkPolicyPort]) -> Vec<Allow> {
        let among = |address: &Ipv4Addr| match peers {
            Peers::All => true,
            Peers::Pods(pods) => pods.contains(address),
            Peers::Block { .. } => false,
        };
        let peers = self.targets.iter().filter(|peer| among(&peer.address));
        peers
            .flat_map(|peer| {
                ports_of(ports, Some(peer.pod))
                    .into_iter()
                    .map(|ports| Allow {
                        peers: Peers::Pods(vec![peer.address]),
                        ports,
                    })
            })
            .collect()
    }

    /// The peers of a rule; without any entry it is everyone.
    fn peers(&self, peers: Option<&[NetworkPolicyPeer]>, namespace: &str) -> Vec<Peers> {
        let peers = peers.unwrap_or_default();
        if peers.is_empty() {
            return vec![Peers::All];
        }
        let mut found = Vec::new();
        let mut pods = BTreeSet::new();
        for peer in peers {
            if let Some(block) = &peer.ip_block {
                if is_v4(&block.cidr) {
                    let except = block.except.iter().flatten().filter(|cidr| is_v4(cidr));
                    found.push(Peers::Block {
                        cidr: block.cidr.clone(),
                        except: except.cloned().collect(),
                    });
                }
                continue;
            }
            let selected = self.targets.iter().filter(|target| {
                let in_namespace = match &peer.namespace_selector {
                    None => target.namespace == namespace,
                    Some(selector) => self
                        .namespace_labels
                        .get(&target.namespace)
                        .is_some_and(|labels| selects(Some(selector), labels)),
                };
                in_namespace && selects(peer.pod_selector.as_ref(), target.pod.labels())
            });
            pods.extend(selected.map(|target| target.address));
        }
        if !pods.is_empty() {
            found.push(Peers::Pods(pods.into_iter().collect()));
        }
        found
    }
}

fn target(pod: &Pod) -> Option<Target<'_>> {
    if pod.spec.as_ref()?.host_network == Some(true) {
        return None;
    }
    let status = pod.status.as_ref()?;
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let address = status.pod_ip.as_deref()?.parse().ok()?;
    Some(Target {
        pod,
        address,
        namespace: pod.namespace()?,
    })
}

/// Whether this is an IPv4 block, in full: what stands in a script must be nothing else.
fn is_v4(cidr: &str) -> bool {
    cidr.split_once('/').is_some_and(|(address, length)| {
        address.parse::<Ipv4Addr>().is_ok() && length.parse::<u8>().is_ok_and(|bits| bits <= 32)
    })
}

fn is_named(port: &NetworkPolicyPort) -> bool {
    matches!(port.port, Some(IntOrString::String(_)))
}

/// The ports of a rule by protocol; no entry at all is every port of every protocol. A name that
/// `pod` does not have opens nothing.
fn ports_of(ports: &[NetworkPolicyPort], pod: Option<&Pod>) -> Vec<Ports> {
    if ports.is_empty() {
        return vec![Ports::All];
    }
    let mut whole = BTreeSet::new();
    let mut ranges: BTreeMap<&'static str, Vec<(u16, u16)>> = BTreeMap::new();
    for port in ports {
        let Some(protocol) = protocol(port.protocol.as_deref()) else {
            continue;
        };
        match &port.port {
            None => {
                whole.insert(protocol);
            }
            Some(IntOrString::Int(first)) => {
                let last = port.end_port.unwrap_or(*first);
                if let (Ok(first), Ok(last)) = (u16::try_from(*first), u16::try_from(last))
                    && first <= last
                {
                    ranges.entry(protocol).or_default().push((first, last));
                }
            }
            Some(IntOrString::String(name)) => {
                let numbers = pod.into_iter().flat_map(container_ports).filter(|port| {
                    port.name.as_deref() == Some(name)
                        && self::protocol(port.protocol.as_deref()) == Some(protocol)
                });
                for number in numbers.filter_map(|port| u16::try_from(port.container_port).ok()) {
                    ranges.entry(protocol).or_default().push((number, number));
                }
            }
        }
    }
    ranges.retain(|protocol, _| !whole.contains(protocol));
    let whole = whole.into_iter().map(|protocol| Ports::Of {
        protocol,
        ranges: None,
    });
    let ranges = ranges.into_iter().map(|(protocol, ranges)| Ports::Of {
        protocol,
        ranges: Some(merged(ranges)),
    });
    whole.chain(ranges).collect()
}

/// Containers that run beside each other: sidecars declared among the init containers too.
fn container_ports(pod: &Pod) -> impl Iterator<Item = &ContainerPort> {
    let spec = pod.spec.as_ref();
    let sidecars = spec
        .and_then(|spec| spec.init_containers.as_ref())
        .into_iter()
        .flatten()
        .filter(|container: &&Container| container.restart_policy.as_deref() == Some("Always"));
    let containers = spec.into_iter().flat_map(|spec| &spec.containers);
    containers
        .chain(sidecars)
        .flat_map(|container| container.ports.iter().flatten())
}

fn protocol(name: Option<&str>) -> Option<&'static str> {
    match name {
        None | Some("TCP") => Some("tcp"),
        Some("UDP") => Some("udp"),
        Some("SCTP") => Some("sctp"),
        Some(_) => None,
    }
}

/// Sorted and disjoint: nftables refuses a set whose intervals overlap.
fn merged(mut ranges: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u16, u16)> = Vec::new();
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(previous) if first <= previous.1.saturating_add(1) => {
                previous.1 = previous.1.max(last);
            }
            _ => merged.push((first, last)),
        }
    }
    merged
}
