//! Pods' cgroups and mounts, and their removal when the cluster goes.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::mount::{MntFlags, umount2};

use crate::layout::{CGROUP, CNI_NETWORK, Layout};
use crate::process::kill_all;

const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// What the kernel may take to let go of a killed process's groups.
const EXIT_PATIENCE: Duration = Duration::from_secs(20);
const EXIT_POLL: Duration = Duration::from_millis(50);

/// Makes the cluster's cgroup in every hierarchy: pods live below it, so that `down` knows which
/// processes are pods' of this cluster.
pub(crate) fn make_cgroups() -> Result<()> {
    for hierarchy in hierarchies()? {
        let group = hierarchy.join(CGROUP);
        if !group.try_exists()? {
            fs::create_dir(&group).with_context(|| {
                format!(
                    "create {}: the cluster needs a writable cgroup tree",
                    group.display()
                )
            })?;
        }
        // In the first version's cpuset a new group starts with no processors and no memory.
        for name in ["cpuset.cpus", "cpuset.mems"] {
            let (from, to) = (hierarchy.join(name), group.join(name));
            if from.try_exists()? && fs::read_to_string(&to).is_ok_and(|set| set.trim().is_empty())
            {
                fs::write(&to, fs::read(&from)?)
                    .with_context(|| format!("write {}", to.display()))?;
            }
        }
        enable_controllers(&hierarchy)?;
    }
    Ok(())
}

/// In the second version children get a controller only where the parent passes it on.
fn enable_controllers(hierarchy: &Path) -> Result<()> {
    let Ok(controllers) = fs::read_to_string(hierarchy.join("cgroup.controllers")) else {
        return Ok(());
    };
    for group in [hierarchy.to_owned(), hierarchy.join(CGROUP)] {
        for controller in controllers.split_ascii_whitespace() {
            let path = group.join("cgroup.subtree_control");
            fs::write(&path, format!("+{controller}"))
                .with_context(|| format!("enable {controller} in {}", path.display()))?;
        }
    }
    Ok(())
}

/// The roots of all hierarchies: one where the second version is used alone.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let mounts = mounts()?;
    Ok(mounts
        .into_iter()
        .filter(|mount| matches!(mount.kind.as_str(), "cgroup" | "cgroup2"))
        .map(|mount| mount.point)
        .filter(|point| point.starts_with(CGROUP_ROOT))
        .collect())
}

/// Ends every process in the cluster's cgroups and removes these.
pub(crate) fn remove_cgroups() -> Result<()> {
    let groups: Vec<_> = hierarchies()?
        .into_iter()
        .map(|hierarchy| hierarchy.join(CGROUP))
        .collect();
    let pods = || {
        let mut pids = Vec::new();
        for group in &groups {
            collect_pids(group, &mut pids);
        }
        Ok(pids)
    };
    kill_all("processes of pods", pods)?;
    for group in &groups {
        remove_group(group)?;
    }
    Ok(())
}

fn collect_pids(group: &Path, pids: &mut Vec<i32>) {
    // Groups go while one looks.
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    pids.extend(text.lines().filter_map(|pid| pid.parse::<i32>().ok()));
    for child in children(group) {
        collect_pids(&child, pids);
    }
}

fn remove_group(group: &Path) -> Result<()> {
    for child in children(group) {
        remove_group(&child)?;
    }
    let deadline = Instant::now() + EXIT_PATIENCE;
    loop {
        match fs::remove_dir(group) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            // A killed process is off the list before the kernel has let go of its group.
            Err(error) if error.kind() == ErrorKind::ResourceBusy && Instant::now() < deadline => {
                std::thread::sleep(EXIT_POLL);
            }
            Err(error) => {
                return Err(error).with_context(|| format!("remove {}", group.display()));
            }
        }
    }
}

fn children(group: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

struct Mount {
    point: PathBuf,
    kind: String,
}

fn mounts() -> Result<Vec<Mount>> {
    let path = "/proc/self/mountinfo";
    let text = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    Ok(text.lines().filter_map(mount).collect())
}

/// One line: ids, root, mount point, options, optional fields, a dash, then the kind.
fn mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let point = before.split(' ').nth(4)?;
    let kind = after.split(' ').next()?;
    Some(Mount {
        point: unescape(point).into(),
        kind: kind.to_owned(),
    })
}

/// mountinfo writes blanks and backslashes as three octal digits.
fn unescape(text: &str) -> String {
    let mut plain = text.to_owned();
    for (escaped, character) in [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ] {
        plain = plain.replace(escaped, character);
    }
    plain
}

/// Unmounts everything below the folder, the last mounted first. Where this succeeds, nothing of the
/// rest of the machine can be reached through the folder any more, so that it may be deleted.
pub(crate) fn unmount_below(dir: &Path) -> Result<()> {
    let below = || -> Result<Vec<PathBuf>> {
        let points = mounts()?.into_iter().map(|mount| mount.point);
        Ok(points.filter(|point| point.starts_with(dir)).collect())
    };
    for point in below()?.iter().rev() {
        match umount2(point, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            // Gone with one that lay above it.
            Ok(()) | Err(nix::Error::EINVAL | nix::Error::ENOENT) => {}
            Err(error) => {
                return Err(error).with_context(|| format!("unmount {}", point.display()));
            }
        }
    }
    let left = below()?;
    ensure!(
        left.is_empty(),
        "mounts below {} are still there: {left:?}",
        dir.display()
    );
    Ok(())
}

/// Folders outside the state folder that containerd, kubelet or CNI plugins make at places of their own
/// choice, parents first.
const FOREIGN_FOLDERS: [&str; 7] = [
    "/run/containerd",
    "/run/containerd/s",
    "/var/lib/cni",
    "/var/lib/cni/results",
    "/var/lib/kubelet",
    "/var/lib/kubelet/device-plugins",
    "/var/log/containers",
];

const DEVICE_PLUGIN_SOCKET: &str = "/var/lib/kubelet/device-plugins/kubelet.sock";

/// Those of the foreign folders that are not there, for the record: the cluster will have made them.
pub(crate) fn absent_folders() -> Vec<String> {
    let absent = |dir: &&str| !Path::new(dir).is_dir();
    FOREIGN_FOLDERS
        .into_iter()
        .filter(absent)
        .map(str::to_owned)
        .collect()
}

/// Removes what the cluster's processes left outside the state folder; `made` are the folders that were
/// not there before it.
pub(crate) fn remove_traces(layout: &Layout, made: &[String]) -> Result<()> {
    let remove = |path: &Path| match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    };
    for link in entries("/var/log/containers") {
        if fs::read_link(&link).is_ok_and(|target| target.starts_with(&layout.dir)) {
            remove(&link)?;
        }
    }
    // Each names the sandbox it was made for, and sandboxes lie in the state folder.
    let dir = layout.dir.to_string_lossy();
    for result in entries("/var/lib/cni/results") {
        let name = result.file_name().unwrap_or_default().to_string_lossy();
        let ours = name.starts_with(&format!("{CNI_NETWORK}-"))
            || fs::read_to_string(&result).is_ok_and(|text| text.contains(&*dir));
        if ours {
            remove(&result)?;
        }
    }
    for shim in entries(
        layout
            .containerd_state()
            .join("io.containerd.runtime.v2.task/k8s.io"),
    ) {
        // Killed shims leave their sockets, whose places containerd has written down.
        let Ok(address) = fs::read_to_string(shim.join("address")) else {
            continue;
        };
        if let Some(socket) = address.trim().strip_prefix("unix://") {
            remove(Path::new(socket))?;
        }
    }
    if made
        .iter()
        .any(|dir| DEVICE_PLUGIN_SOCKET.starts_with(&**dir))
    {
        remove(Path::new(DEVICE_PLUGIN_SOCKET))?;
    }
    for dir in made.iter().rev() {
        // One that somebody else uses by now is not empty and stays.
        let _ = fs::remove_dir(dir);
    }
    Ok(())
}

fn entries(dir: impl AsRef<Path>) -> Vec<PathBuf> {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_is_read_whatever_its_optional_fields() {
        let line =
            r"36 35 98:0 /mnt1 /state/a\040b rw,noatime master:1 shared:7 - ext3 /dev/root rw";
        let read = mount(line).expect("a mount");
        assert_eq!(
            (read.point.as_path(), read.kind.as_str()),
            (Path::new("/state/a b"), "ext3")
        );
        let line = "40 35 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        assert_eq!(mount(line).expect("a mount").kind, "cgroup2");
        assert!(mount("garbage").is_none());
    }
}
