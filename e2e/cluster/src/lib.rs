//! A real Kubernetes on one machine, for the demo and for tests.

mod control_plane;
mod enforce;
mod image;
mod netpol;
mod parts;
mod pki;
mod process;

pub use control_plane::{ControlPlane, SERVICE_CIDR, client};
pub use enforce::enforce;
pub use image::{BUSYBOX_IMAGE, ImageFile, ImageSpec, PAUSE_IMAGE};
pub use netpol::{Objects, TABLE as NETPOL_TABLE, script as netpol_script};
pub use parts::{PARTS, build, cache_dir};

use std::io::Write as _;

/// One line of progress for the person who waits; stderr, since stdout carries results.
pub fn progress(line: &str) {
    // A closed stderr is no reason to fail.
    drop(writeln!(std::io::stderr(), "cluster: {line}"));
}
