//! The whole cluster on one machine: bringing it up, looking at it, taking it down.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client};
use serde::{Deserialize, Serialize};

use crate::control_plane::{self, Material, component_kubeconfig};
use crate::image::ImageSpec;
use crate::layout::{Layout, NODE_NAME, endpoints};
use crate::network::{self, Sysctl};
use crate::pki::write_atomic;
use crate::process::{self, Daemon, Invocation, boot_id, kill_all, marked};
use crate::{addons, cleanup, netpol, node, parts, progress};

/// How long the cluster may take to be ready once its parts are built; about 20 seconds on an idle
/// machine.
const READY_PATIENCE: Duration = Duration::from_secs(180);

const READY_POLL: Duration = Duration::from_millis(200);

/// What a daemon gets between SIGTERM and SIGKILL.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

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

/// What `down` has to know, on disk before it is true wherever that is possible.
#[derive(Debug, Default, Deserialize, Serialize)]
// A newer binary takes an older one's cluster down.
#[serde(default)]
struct Record {
    /// The boot that runtime state belongs to.
    boot: String,
    sysctls: Vec<Sysctl>,
    /// Folders outside the state folder that were not there before this cluster.
    made: Vec<String>,
    daemons: Vec<Daemon>,
}

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

    /// Brings the cluster up, or whatever of it does not run, and waits until it is ready. Needs root.
    ///
    /// `enforcer` is the `hindsight-cluster` binary, which runs on as the NetworkPolicy enforcer.
    ///
    /// # Errors
    /// When something is missing on the machine, a part does not start or does not become ready; the
    /// message says which and shows the end of its log. What runs by then goes on, for a look at it.
    pub async fn up(dir: &Path, enforcer: &Path) -> Result<Self> {
        ensure!(
            nix::unistd::geteuid().is_root(),
            "a cluster with a node needs root, for it makes network namespaces, mounts and cgroups; \
             run it with sudo, or name another cluster with CLUSTER="
        );
        let _lock = lock(dir)?;
        if let Some(layout) = Layout::open(dir)? {
            // `down` removes the folder with all that is in it.
            ensure!(
                layout.record().try_exists()? || is_empty(&layout.dir)?,
                "{} is not empty and holds no cluster; name a folder of its own with --dir",
                layout.dir.display()
            );
        }
        let layout = Layout::create(dir)?;
        parts::require(&parts::NODE_TOOLS)?;
        for part in ["kubernetes", "coredns", "local-path-provisioner", "pause"] {
            parts::build(part)?;
        }
        parts::link_kubernetes(&layout.bin())?;
        let cluster = Self { layout };
        let started = Instant::now();
        let mut start = Starter::open(&cluster.layout)?;
        start.network()?;
        let client = cluster.start_all(&mut start, enforcer).await?;
        let again = if start.started == 0 {
            "already up"
        } else {
            "up"
        };
        cluster
            .wait_ready(&client, started + READY_PATIENCE)
            .await?;
        let seconds = started.elapsed().as_secs_f64();
        progress(&format!(
            "{again}: node {NODE_NAME} is ready ({seconds:.1} s)"
        ));
        Ok(cluster)
    }

    async fn start_all(&self, start: &mut Starter<'_>, enforcer: &Path) -> Result<Client> {
        let layout = &self.layout;
        let (at, bin) = (endpoints(), layout.bin());
        let material = Material::open(&layout.pki(), &at)?;
        let kubeconfig = layout.kubeconfig();
        if !kubeconfig.try_exists()? {
            let server = at.api_server();
            material
                .authority
                .kubeconfig(&kubeconfig, &server, "hindsight", &material.admin)?;
        }
        let upstream_dns = node::resolv_conf(layout)?;

        start.daemon(
            "etcd",
            &control_plane::etcd(&layout.dir.join("etcd"), &at, &material)?,
        )?;
        let api_server =
            control_plane::api_server(&bin, &at, &material).flag("allow-privileged", true);
        start.daemon("kube-apiserver", &api_server)?;
        start.daemon("containerd", &node::containerd(layout)?)?;

        // Importing goes on while the API server starts.
        self.wait_for_containerd()?;
        for image in [
            ImageSpec::pause()?,
            ImageSpec::coredns()?,
            ImageSpec::busybox()?,
        ] {
            self.load(&image)?;
        }
        let client = control_plane::client(&kubeconfig).await?;
        let deadline = Instant::now() + READY_PATIENCE;
        while !control_plane::answers(&client).await {
            self.check_daemons()?;
            ensure!(
                Instant::now() < deadline,
                "the API server does not answer; its log ends:\n{}",
                process::tail(&self.log("kube-apiserver"))
            );
            tokio::time::sleep(READY_POLL).await;
        }
        let user = "system:kube-controller-manager";
        let manager = component_kubeconfig(
            &layout.pki(),
            &material,
            &at,
            "controller-manager",
            user,
            None,
        )?;
        let manager = control_plane::controller_manager(&bin, &manager, &at, &material);
        start.daemon("kube-controller-manager", &manager)?;
        start.daemon("kube-scheduler", &node::scheduler(layout, &material)?)?;
        start.daemon("kubelet", &node::kubelet(layout, &material)?)?;
        start.daemon("kube-proxy", &node::kube_proxy(layout, &material)?)?;
        addons::apply(&client, layout, upstream_dns).await?;
        start.daemon("local-path-provisioner", &addons::provisioner(layout)?)?;
        let enforcer = Invocation::new(self.enforcer(enforcer)?)
            .arg("enforce")
            .file("kubeconfig", &kubeconfig);
        start.daemon("enforcer", &enforcer)?;
        Ok(client)
    }

    /// A copy by content: a rebuild replaces the file that runs, and another content is started anew.
    fn enforcer(&self, binary: &Path) -> Result<PathBuf> {
        let content = fs::read(binary).with_context(|| format!("read {}", binary.display()))?;
        let digest = crate::image::digest_of(&content);
        let name = format!("hindsight-cluster-{}", &digest[..16]);
        let copy = self.layout.bin().join(name);
        if !copy.try_exists()? {
            write_atomic(&copy, &content, 0o755)?;
        }
        Ok(copy)
    }

    fn wait_for_containerd(&self) -> Result<()> {
        let deadline = Instant::now() + READY_PATIENCE;
        while let Err(error) = self.ctr(&["version"]) {
            self.check_daemons()?;
            ensure!(
                Instant::now() < deadline,
                "containerd does not answer ({error:#}); its log ends:\n{}",
                process::tail(&self.log("containerd"))
            );
            std::thread::sleep(READY_POLL);
        }
        Ok(())
    }

    async fn wait_ready(&self, client: &Client, deadline: Instant) -> Result<()> {
        loop {
            self.check_daemons()?;
            let waiting_for = waiting_for(client).await;
            if waiting_for.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!(
                    "the cluster is not ready: {}; logs are in {}",
                    waiting_for.join(", "),
                    self.layout.logs().display()
                );
            }
            tokio::time::sleep(READY_POLL).await;
        }
    }

    /// Fails where a daemon of the record has ended.
    fn check_daemons(&self) -> Result<()> {
        for daemon in read_record(&self.layout)?.daemons {
            if !daemon.runs()? {
                let log = self.log(&daemon.name);
                bail!(
                    "{} has ended; its log ({}) ends:\n{}",
                    daemon.name,
                    log.display(),
                    process::tail(&log)
                );
            }
        }
        Ok(())
    }

    fn log(&self, daemon: &str) -> PathBuf {
        self.layout.logs().join(format!("{daemon}.log"))
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

    /// Takes the cluster of this folder down and removes all of it: processes, pods, mounts, cgroups,
    /// interfaces, rules, and the folder. Nothing happens where there is none; repeatable after a kill.
    ///
    /// # Errors
    /// When something of it cannot be removed; the message names it.
    pub fn down(dir: &Path) -> Result<()> {
        let Some(layout) = Layout::open(dir)? else {
            progress("nothing to take down");
            return Ok(());
        };
        ensure!(
            nix::unistd::geteuid().is_root(),
            "taking a cluster down needs root"
        );
        // A folder that was never a cluster's is not ours to remove.
        ensure!(
            layout.record().try_exists()? || is_empty(&layout.dir)?,
            "{} holds no cluster (no cluster.json in it)",
            layout.dir.display()
        );
        let _lock = lock(&layout.dir)?;
        let record = read_record(&layout)?;
        progress("stopping the cluster ...");
        for name in DAEMONS.iter().rev() {
            for daemon in record.daemons.iter().filter(|daemon| daemon.name == *name) {
                daemon.stop(STOP_PATIENCE)?;
            }
        }
        let mark = layout.dir.to_string_lossy().into_owned();
        let left = || {
            Ok(marked(&mark)?
                .into_iter()
                .map(|process| process.pid)
                .collect())
        };
        kill_all("processes of the cluster", left)?;
        if network::owner()?.is_none_or(|owner| owner == mark) {
            cleanup::remove_cgroups()?;
            // Before the state goes that tells what is the cluster's.
            cleanup::remove_traces(&layout, &record.made)?;
            cleanup::unmount_below(&layout.dir)?;
            network::down(&record.sysctls)?;
        } else {
            // What stands on the machine is another folder's cluster.
            cleanup::unmount_below(&layout.dir)?;
        }
        remove_folder(&layout)?;
        fs::remove_file(Layout::lock_of(&layout.dir))?;
        progress("down: nothing of the cluster is left");
        Ok(())
    }
}

/// Starts what does not run and writes down what it started.
struct Starter<'a> {
    layout: &'a Layout,
    record: Record,
    started: usize,
}

impl<'a> Starter<'a> {
    fn open(layout: &'a Layout) -> Result<Self> {
        let mut record = read_record(layout)?;
        let boot = boot_id()?;
        if record.boot != boot {
            if !record.boot.is_empty() {
                progress("the machine was started anew: runtime state is dropped, data stays");
                for state in [
                    layout.containerd_state(),
                    layout.dir.join("containerd/runc"),
                ] {
                    match fs::remove_dir_all(&state) {
                        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                            return Err(error)
                                .with_context(|| format!("remove {}", state.display()));
                        }
                        _ => {}
                    }
                }
            }
            record = Record {
                boot,
                sysctls: network::settings()?,
                made: cleanup::absent_folders(),
                daemons: Vec::new(),
            };
        }
        // What has ended is started again below; until then it is not missed.
        let mut running = Vec::new();
        for daemon in record.daemons {
            if daemon.runs()? {
                running.push(daemon);
            } else {
                progress(&format!("{} has ended", daemon.name));
            }
        }
        record.daemons = running;
        let starter = Self {
            layout,
            record,
            started: 0,
        };
        starter.save()?;
        Ok(starter)
    }

    fn save(&self) -> Result<()> {
        let text = serde_json::to_vec_pretty(&self.record)?;
        write_atomic(&self.layout.record(), &text, 0o600)
    }

    fn network(&self) -> Result<()> {
        network::up(&self.layout.dir)?;
        cleanup::make_cgroups()
    }

    fn daemon(&mut self, name: &str, run: &Invocation) -> Result<()> {
        let position = self
            .record
            .daemons
            .iter()
            .position(|daemon| daemon.name == name);
        if let Some(position) = position {
            let daemon = &self.record.daemons[position];
            if daemon.is(run) && daemon.runs()? {
                return Ok(());
            }
            daemon.stop(STOP_PATIENCE)?;
            self.record.daemons.remove(position);
            self.save()?;
        }
        // One that was started by a run which was killed before it could write that down.
        let program = run
            .program
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let mark = self.layout.dir.to_string_lossy();
        let unrecorded = || {
            let marked = marked(&mark)?.into_iter();
            Ok(marked
                .filter(|one| one.program == program)
                .map(|one| one.pid)
                .collect())
        };
        kill_all(name, unrecorded)?;
        progress(&format!("starting {name} ..."));
        let log = self.layout.logs().join(format!("{name}.log"));
        self.record
            .daemons
            .push(Daemon::start(name, run, &log, &mark)?);
        self.started += 1;
        self.save()
    }
}

fn read_record(layout: &Layout) -> Result<Record> {
    let path = layout.record();
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text)
            .with_context(|| format!("read {}: not a cluster's record", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Record::default()),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

/// One `up` or `down` at a time; the second waits.
fn lock(dir: &Path) -> Result<fs::File> {
    let dir = std::path::absolute(dir)?;
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    }
    // The same file by whatever way the folder is named.
    let path = Layout::lock_of(&fs::canonicalize(&dir).unwrap_or(dir));
    loop {
        let file = fs::File::create(&path).with_context(|| format!("create {}", path.display()))?;
        file.lock()
            .with_context(|| format!("lock {}", path.display()))?;
        // The one waited for may have been a `down`, which removes the file as its last step.
        let here = file.metadata()?.ino();
        if fs::metadata(&path).is_ok_and(|there| there.ino() == here) {
            return Ok(file);
        }
    }
}

/// The record goes last: a removal that was killed is one of a cluster still, and can be continued.
fn remove_folder(layout: &Layout) -> Result<()> {
    let remove = || -> std::io::Result<()> {
        for entry in fs::read_dir(&layout.dir)? {
            let path = entry?.path();
            if path == layout.record() {
                continue;
            }
            if path.symlink_metadata()?.is_dir() {
                fs::remove_dir_all(&path)?;
            } else {
                fs::remove_file(&path)?;
            }
        }
        fs::remove_dir_all(&layout.dir)
    };
    remove().with_context(|| format!("remove {}", layout.dir.display()))
}

fn is_empty(dir: &Path) -> Result<bool> {
    Ok(fs::read_dir(dir)?.next().is_none())
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
