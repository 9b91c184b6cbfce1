//! The programs a cluster consists of: Go parts built once from their pinned modules, and Debian's.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::progress;

/// Every part that `build.sh` knows and a cluster or its images use.
pub const PARTS: [&str; 6] = [
    "prometheus",
    "kubernetes",
    "versitygw",
    "coredns",
    "local-path-provisioner",
    "pause",
];

/// The names under which the Kubernetes binary acts as one of its components.
const KUBERNETES_NAMES: [&str; 6] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
];

/// The cache folder: `$HINDSIGHT_CACHE`, else `~/.cache/hindsight`.
///
/// # Errors
/// When neither `HINDSIGHT_CACHE` nor `HOME` is set.
pub fn cache_dir() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(dir) = set("HINDSIGHT_CACHE") {
        return Ok(std::path::absolute(PathBuf::from(dir))?);
    }
    let home = set("HOME").context("set HINDSIGHT_CACHE to a folder for built parts and state")?;
    Ok(PathBuf::from(home).join(".cache/hindsight"))
}

/// Builds the part, where the cache does not hold it yet, and answers the folder of its binaries.
/// A cold build takes minutes; its progress goes to stderr.
///
/// # Errors
/// When Go is not installed or the part does not build; the message says which and why.
pub fn build(part: &str) -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../modules/build.sh");
    let output = Command::new("sh")
        .arg(&script)
        .arg(part)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("run {}", script.display()))?;
    ensure!(
        output.status.success(),
        "{part} could not be built, see the message above"
    );
    let path = String::from_utf8(output.stdout).context("build.sh printed a path not in UTF-8")?;
    Ok(PathBuf::from(path.trim_end()))
}

/// Links the Kubernetes binary into `dir` under each component's name.
pub(crate) fn link_kubernetes(dir: &Path) -> Result<()> {
    let binary = build("kubernetes")?.join("kubernetes");
    fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    for name in KUBERNETES_NAMES {
        let link = dir.join(name);
        if fs::read_link(&link).is_ok_and(|target| target == binary) {
            continue;
        }
        let fresh = dir.join(format!(".{name}"));
        // Left over where an earlier start was killed between the two steps.
        drop(fs::remove_file(&fresh));
        symlink(&binary, &fresh)
            .and_then(|()| fs::rename(&fresh, &link))
            .with_context(|| format!("link {}", link.display()))?;
    }
    Ok(())
}

/// A program the machine has to bring, and the Debian package that has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tool {
    /// A name on `PATH`, or an absolute path.
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
}

const fn tool(program: &'static str, package: &'static str) -> Tool {
    Tool { program, package }
}

/// What the bare control plane needs besides Go.
pub(crate) const CONTROL_PLANE_TOOLS: [Tool; 1] = [tool("etcd", "etcd-server")];

/// What the whole cluster needs.
pub(crate) const NODE_TOOLS: [Tool; 12] = [
    tool("etcd", "etcd-server"),
    tool("containerd", "containerd"),
    tool("ctr", "containerd"),
    tool("runc", "runc"),
    tool("/usr/lib/cni/bridge", "containernetworking-plugins"),
    tool("nft", "nftables"),
    tool("conntrack", "conntrack"),
    tool("iptables", "iptables"),
    tool("ip", "iproute2"),
    tool("mount", "mount"),
    tool("setsid", "util-linux"),
    tool("/bin/busybox", "busybox-static"),
];

/// Finds every tool, installing Debian packages where this is root on a machine with apt.
pub(crate) fn require(tools: &[Tool]) -> Result<()> {
    let packages = missing(tools);
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !nix::unistd::geteuid().is_root() || find("apt-get").is_none() {
        bail!("missing on this machine: {list}; install them (Debian: apt-get install {list})");
    }
    progress(&format!("installing {list} ..."));
    let apt = |arguments: &[&str]| -> Result<bool> {
        let status = Command::new("apt-get")
            .args(arguments)
            // A package's own service would take the ports and the sockets of ours.
            .env("RUNLEVEL", "1")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .context("run apt-get")?;
        Ok(status.success())
    };
    let mut install = vec!["install", "-y", "-q", "--no-install-recommends"];
    install.extend(&packages);
    let installed = apt(&["update", "-q"])? && apt(&install)?;
    let packages = missing(tools);
    ensure!(
        installed && packages.is_empty(),
        "apt-get could not install {list}; install them by hand: apt-get install {list}"
    );
    Ok(())
}

fn missing(tools: &[Tool]) -> Vec<&'static str> {
    let mut packages: Vec<_> = tools
        .iter()
        .filter(|tool| find(tool.program).is_none())
        .map(|tool| tool.package)
        .collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// The program's path; administrators' folders are searched too, since a plain user's `PATH` lacks them.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}
