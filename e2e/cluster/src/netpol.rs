//! NetworkPolicies as nftables rules: a pure function from objects to one script.
//!
//! Packets are judged after Services' translation, in `forward` (to pods and beyond) and, for what
//! leaves a pod towards the node itself, in `input`. What the node sends is never judged, so kubelet's
//! probes pass. Each isolated pod has one chain per direction; a rule that allows returns from it, its
//! end drops. Policies on IPv4 only, as the cluster has nothing else; pods on the node's own network are
//! neither isolated nor selected as peers.

mod render;
mod resolve;

pub use resolve::Objects;

/// The nftables table that holds everything; replaced as a whole in one transaction.
pub const TABLE: &str = "hindsight-netpol";

/// The script that makes the kernel enforce exactly these policies, for `nft -f`.
#[must_use]
pub fn script(objects: &Objects) -> String {
    render::script(&resolve::chains(objects))
}

/// The chain of one isolated pod in one direction.
#[derive(Clone, Debug, PartialEq)]
struct Chain {
    direction: Direction,
    pod: std::net::Ipv4Addr,
    /// Stands as a comment: namespace and name of the pod.
    name: String,
    allowed: Vec<Allow>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Direction {
    Ingress,
    Egress,
}

/// Something one policy rule lets through.
#[derive(Clone, Debug, PartialEq)]
struct Allow {
    peers: Peers,
    ports: Ports,
}

#[derive(Clone, Debug, PartialEq)]
enum Peers {
    All,
    /// Pods; sorted, without duplicates, never empty.
    Pods(Vec<std::net::Ipv4Addr>),
    Block {
        cidr: String,
        except: Vec<String>,
    },
}

#[derive(Clone, Debug, PartialEq)]
enum Ports {
    All,
    /// Inclusive ranges of one protocol; sorted, disjoint, never empty. `None` is every port of it.
    Of {
        protocol: &'static str,
        ranges: Option<Vec<(u16, u16)>>,
    },
}

#[cfg(test)]
mod tests;
