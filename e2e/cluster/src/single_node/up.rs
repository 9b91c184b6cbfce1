//! Bringing the cluster up.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kube::Client;

use super::record::{Starter, is_empty, lock, read_record};
use super::{Cluster, waiting_for};
use crate::control_plane::{self, Material, component_kubeconfig};
use crate::image::ImageSpec;
use crate::layout::{Layout, NODE_NAME, endpoints};
use crate::pki::write_atomic;
use crate::process::{self, Invocation};
use crate::{addons, network, node, parts, progress};

/// How long the cluster may take to be ready once its parts are built; about ten seconds on an idle
/// machine.
const READY_PATIENCE: Duration = Duration::from_secs(180);

const READY_POLL: Duration = Duration::from_millis(200);

impl Cluster {
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
        // Before anything is written down: settings would be recorded as the other cluster made them.
        network::require_room(dir)?;
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
}
