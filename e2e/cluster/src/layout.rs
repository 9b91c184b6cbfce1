//! Where everything of the single-node cluster lies and listens.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::control_plane::{Endpoints, NODE_IP};
use crate::pki::write_atomic;

pub(crate) const NODE_NAME: &str = "hindsight";
pub(crate) const POD_CIDR: &str = "10.244.0.0/16";
pub(crate) const DNS_SERVICE_IP: &str = "10.96.0.10";

/// The bridge of pods, and the interface that carries the node's address.
pub(crate) const POD_BRIDGE: &str = "hs-br0";
pub(crate) const NODE_LINK: &str = "hs-node0";

/// The network's name in CNI's records.
pub(crate) const CNI_NETWORK: &str = "hindsight";

/// Below each cgroup hierarchy's root: every pod of this cluster and nothing else.
pub(crate) const CGROUP: &str = "hindsight";

/// etcd's own loopback address, so that its usual ports are free whatever else runs.
const ETCD_IP: &str = "127.77.0.1";

/// Sockets below the state folder must fit into the 108 bytes of a socket address.
const DIR_MAX: usize = 60;

/// The state folder and the paths in it.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) dir: PathBuf,
}

impl Layout {
    /// Makes the folders; `dir` becomes absolute, for it stands in every configuration.
    pub(crate) fn create(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        let dir =
            fs::canonicalize(dir).with_context(|| format!("find the way to {}", dir.display()))?;
        ensure!(
            dir.as_os_str().len() <= DIR_MAX,
            "{} is longer than {DIR_MAX} bytes, too long for the sockets in it; choose another with --dir",
            dir.display()
        );
        let layout = Self { dir };
        // Before anything else lies there: by this file the folder is known as a cluster's.
        if !layout.record().try_exists()? {
            write_atomic(&layout.record(), b"{}", 0o600)?;
        }
        for folder in [
            layout.pki(),
            layout.bin(),
            layout.logs(),
            layout.config(),
            layout.cni_config(),
            layout.volumes(),
            layout.images(),
        ] {
            fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        }
        Ok(layout)
    }

    /// The layout of a folder that is there; `None` where it is not.
    pub(crate) fn open(dir: &Path) -> Result<Option<Self>> {
        match fs::canonicalize(dir) {
            Ok(dir) => Ok(Some(Self { dir })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("open {}", dir.display())),
        }
    }

    pub(crate) fn pki(&self) -> PathBuf {
        self.dir.join("pki")
    }

    pub(crate) fn bin(&self) -> PathBuf {
        self.dir.join("bin")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.join("config")
    }

    pub(crate) fn cni_config(&self) -> PathBuf {
        self.config().join("cni")
    }

    pub(crate) fn volumes(&self) -> PathBuf {
        self.dir.join("volumes")
    }

    /// One file per imported image, holding the digest of what was packed.
    pub(crate) fn images(&self) -> PathBuf {
        self.dir.join("images")
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.dir.join("cluster.json")
    }

    pub(crate) fn containerd_socket(&self) -> PathBuf {
        self.dir.join("containerd.sock")
    }

    pub(crate) fn containerd_state(&self) -> PathBuf {
        self.dir.join("containerd/state")
    }

    pub(crate) fn kubelet(&self) -> PathBuf {
        self.dir.join("kubelet")
    }

    /// Held while `up` or `down` works, beside the folder because `down` removes the folder.
    pub(crate) fn lock_of(dir: &Path) -> PathBuf {
        let mut name = dir.as_os_str().to_owned();
        name.push(".lock");
        name.into()
    }
}

/// Everything listens on the node's own address, which no other machine reaches.
pub(crate) fn endpoints() -> Endpoints {
    Endpoints {
        etcd_ip: ETCD_IP.to_owned(),
        etcd_client_port: 2379,
        etcd_peer_port: 2380,
        api_ip: NODE_IP.to_owned(),
        api_port: 6443,
        controller_manager_port: 10257,
    }
}
