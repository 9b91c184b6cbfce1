//! Taking the cluster down.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::record::{STOP_PATIENCE, is_empty, lock, read_record};
use super::{Cluster, DAEMONS};
use crate::layout::Layout;
use crate::process::{kill_all, marked};
use crate::{cleanup, network, progress};

impl Cluster {
    /// Takes the cluster of this folder down and removes all of it: processes, pods, mounts, cgroups,
    /// interfaces, rules, and the folder. Nothing happens where there is none; repeatable after a kill.
    ///
    /// # Errors
    /// When something of it cannot be removed; the message names it.
    pub fn down(dir: &Path) -> Result<()> {
        let owner = network::owner()?;
        let layout = match Layout::open(dir)? {
            Some(layout) => layout,
            // The folder was deleted under the cluster; what runs is found without it.
            None if owner
                .as_deref()
                .is_some_and(|owner| Path::new(owner) == dir) =>
            {
                Layout::create(dir)?
            }
            None => {
                progress("nothing to take down");
                return Ok(());
            }
        };
        ensure!(
            nix::unistd::geteuid().is_root(),
            "taking a cluster down needs root"
        );
        let mark = layout.dir.to_string_lossy().into_owned();
        // A folder that was never a cluster's is not ours to remove.
        ensure!(
            layout.record().try_exists()?
                || is_empty(&layout.dir)?
                || owner.as_ref().is_some_and(|owner| *owner == mark),
            "{mark} holds no cluster (no cluster.json in it)"
        );
        let _lock = lock(&layout.dir)?;
        let record = read_record(&layout)?;
        if record.boot.is_empty() {
            progress(
                "its record is lost: what the kernel's settings were before is not known, they stay",
            );
        }
        progress("stopping the cluster ...");
        for name in DAEMONS.iter().rev() {
            for daemon in record.daemons.iter().filter(|daemon| daemon.name == *name) {
                daemon.stop(STOP_PATIENCE)?;
            }
        }
        let left = || {
            Ok(marked(&mark)?
                .into_iter()
                .map(|process| process.pid)
                .collect())
        };
        kill_all("processes of the cluster", left)?;
        if owner.is_none_or(|owner| owner.is_empty() || owner == mark) {
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
