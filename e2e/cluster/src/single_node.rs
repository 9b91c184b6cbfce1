//! The whole cluster on one machine: bringing it up, looking at it, taking it down.

mod down;
mod record;
mod up;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client};

use self::record::read_record;
use crate::control_plane;
use crate::image::ImageSpec;
use crate::layout::{Layout, NODE_NAME};
use crate::pki::write_atomic;
use crate::{netpol, parts, process, progress};

/// In the order of starting; they are stopped from the end. Containers are of containerd, so kubelet
/// goes before it.
const DAEMONS: [&str; 9] = [
    "etcd",
    "kube-apiserver",
    "containerd",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "local-path-provisioner",
    "enforcer",
];

/// The embedded single-node cluster whose state lies in one folder.
#[derive(Clone, Debug)]
pub struct Cluster {
    layout: Layout,
}

/// How one part of a cluster is.
#[derive(Clone, Debug, PartialEq)]
pub struct PartStatus {
    pub name: String,
    /// `None` where it does not run.
    pub pid: Option<i32>,
}

/// How a cluster is.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    pub parts: Vec<PartStatus>,
    /// The API answers, the node is Ready, names resolve and policies are enforced.
    pub ready: bool,
    /// What is not yet so; empty when ready.
    pub waiting_for: Vec<String>,
}

impl Cluster {
    /// The default state folder: `cluster` in the cache folder.
    ///
    /// # Errors
    /// As [`parts::cache_dir`].
    pub fn default_dir() -> Result<PathBuf> {
        Ok(parts::cache_dir()?.join("cluster"))
    }

    /// The cluster that was brought up in this folder; `None` where there is none.
    ///
    /// # Errors
    /// When the folder cannot be looked at.
    pub fn open(dir: &Path) -> Result<Option<Self>> {
        let Some(layout) = Layout::open(dir)? else {
            return Ok(None);
        };
        Ok(layout.record().try_exists()?.then_some(Self { layout }))
    }

    fn ctr(&self, arguments: &[&str]) -> Result<String> {
        let socket = self.layout.containerd_socket();
        let socket = socket.to_string_lossy();
        let mut all = vec!["--address", &*socket, "--namespace", "k8s.io"];
        all.extend(arguments);
        process::run("ctr", &all)
    }

    /// Packs the image and imports it, unless the very same content was imported before. Answers
    /// whether it was imported now.
    ///
    /// # Errors
    /// When a file of it cannot be read, or the cluster is not up.
    pub fn load(&self, image: &ImageSpec) -> Result<bool> {
        let digest = image.digest()?;
        let marker = self
            .layout
            .images()
            .join(crate::image::digest_of(image.name.as_bytes()));
        if fs::read_to_string(&marker).is_ok_and(|loaded| loaded == digest) {
            return Ok(false);
        }
        progress(&format!("loading image {} ...", image.name));
        let archive = self.layout.images().join(".archive.tar");
        let mut out =
            fs::File::create(&archive).with_context(|| format!("create {}", archive.display()))?;
        image.pack(&mut out, &self.layout.images())?;
        out.flush()?;
        let path = archive.to_string_lossy().into_owned();
        let imported = self.ctr(&["images", "import", &path]);
        fs::remove_file(&archive)?;
        imported.with_context(|| format!("import image {}", image.name))?;
        write_atomic(&marker, digest.as_bytes(), 0o644)?;
        Ok(true)
    }

    /// A kubeconfig with the administrator's rights.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.layout.kubeconfig()
    }

    /// A `kubectl` of the same release.
    #[must_use]
    pub fn kubectl(&self) -> PathBuf {
        self.layout.bin().join("kubectl")
    }

    /// A new client with the administrator's rights.
    ///
    /// # Errors
    /// When the kubeconfig is gone.
    pub async fn client(&self) -> Result<Client> {
        control_plane::client(&self.kubeconfig()).await
    }

    /// How it is now.
    ///
    /// # Errors
    /// When its record cannot be read.
    pub async fn status(&self) -> Result<Status> {
        let record = read_record(&self.layout)?;
        let mut parts = Vec::new();
        for name in DAEMONS {
            let daemon = record.daemons.iter().find(|daemon| daemon.name == name);
            let pid = match daemon {
                Some(daemon) if daemon.runs()? => Some(daemon.pid()),
                _ => None,
            };
            parts.push(PartStatus {
                name: name.to_owned(),
                pid,
            });
        }
        let mut waiting: Vec<_> = parts
            .iter()
            .filter(|part| part.pid.is_none())
            .map(|part| format!("{} does not run", part.name))
            .collect();
        match parts
            .iter()
            .any(|part| part.name == "kube-apiserver" && part.pid.is_some())
        {
            true => waiting.extend(waiting_for(&self.client().await?).await),
            false => waiting.push("the API does not answer".to_owned()),
        }
        Ok(Status {
            parts,
            ready: waiting.is_empty(),
            waiting_for: waiting,
        })
    }
}

/// What is still missing, in words.
async fn waiting_for(client: &Client) -> Vec<String> {
    if !control_plane::answers(client).await {
        return vec!["the API does not answer".to_owned()];
    }
    let mut missing = Vec::new();
    if !control_plane::controllers_act(client).await {
        missing.push("controllers do not act yet".to_owned());
    }
    let nodes: Api<Node> = Api::all(client.clone());
    let node = nodes.get_opt(NODE_NAME).await.ok().flatten();
    let conditions = node
        .and_then(|node| node.status?.conditions)
        .unwrap_or_default();
    let ready = conditions
        .iter()
        .find(|condition| condition.type_ == "Ready");
    match ready {
        Some(ready) if ready.status == "True" => {}
        Some(ready) => missing.push(format!(
            "the node is not Ready ({})",
            ready.message.as_deref().unwrap_or("no reason given")
        )),
        None => missing.push("the node has not registered".to_owned()),
    }
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "kube-system");
    let dns = deployments.get_opt("coredns").await.ok().flatten();
    if dns
        .and_then(|dns| dns.status?.available_replicas)
        .unwrap_or(0)
        == 0
    {
        missing.push("CoreDNS is not available".to_owned());
    }
    if process::run("nft", &["list", "table", "inet", netpol::TABLE]).is_err() {
        missing.push("network policies are not enforced yet".to_owned());
    }
    missing
}
