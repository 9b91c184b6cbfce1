//! A real Kubernetes 1.34 on one machine, from source and without a registry, for the demo and the tests.
//!
//! Two things are to be had. [`ControlPlane`] is the API alone (etcd, kube-apiserver,
//! kube-controller-manager) on a loopback address of its own, ready in seconds and gone with the value that holds
//! it; operator tests use it. [`Cluster`] is a whole node with containerd, kubelet, kube-proxy, CoreDNS,
//! a default StorageClass and enforced NetworkPolicies; `hindsight-cluster up` and `down` drive it.
//!
//! Modules, in reading order: `parts` (what is built and what the machine brings), `pki`, `process`
//! (guarded processes and recorded daemons), `control_plane`, `layout` (paths and addresses), `node`
//! (configuration of containerd, CNI, kubelet, kube-proxy), `network` and `cleanup` (what is changed on
//! the machine, and its undoing), `addons` (CoreDNS, storage), `image` (packing and importing), `netpol`
//! and `enforce` (policies as nftables rules), `single_node` (up, status, down).
//!
//! Invariants:
//! - State lies in one folder. Only what that folder's record, mark or path names is ever signalled,
//!   unmounted or removed; nothing is found by a program's name alone.
//! - Every step of `up` and `down` can be repeated: a run that was killed is continued by the next.
//! - Listeners are on loopback or on the node's own interface, whose address nobody outside routes to.
//! - Nothing is downloaded as a binary: Go parts are built from pinned modules, the rest is Debian's.
//!
//! It knows nothing of Hindsight: neither its resources nor its components.

mod addons;
mod cleanup;
mod control_plane;
mod enforce;
mod image;
mod layout;
mod netpol;
mod network;
mod node;
mod parts;
mod pki;
mod process;
mod single_node;

pub use control_plane::{ControlPlane, SERVICE_CIDR, client};
pub use enforce::enforce;
pub use image::{BUSYBOX_IMAGE, ImageFile, ImageSpec, PAUSE_IMAGE};
pub use netpol::{Objects, TABLE as NETPOL_TABLE, script as netpol_script};
pub use parts::{PARTS, build, cache_dir};
pub use single_node::{Cluster, PartStatus, Status};

use std::io::Write as _;

/// One line of progress for the person who waits; stderr, since stdout carries results.
pub fn progress(line: &str) {
    // A closed stderr is no reason to fail.
    drop(writeln!(std::io::stderr(), "cluster: {line}"));
}
