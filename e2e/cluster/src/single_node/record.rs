//! What is known of a cluster across runs, and the starting of daemons by it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::layout::Layout;
use crate::network::{self, Sysctl};
use crate::pki::write_atomic;
use crate::process::{Daemon, Invocation, boot_id, kill_all, marked};
use crate::{cleanup, progress};

/// What a daemon gets between SIGTERM and SIGKILL.
pub(super) const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// What `down` has to know, on disk before it is true wherever that is possible.
#[derive(Debug, Default, Deserialize, Serialize)]
// A newer binary takes an older one's cluster down.
#[serde(default)]
pub(super) struct Record {
    /// The boot that runtime state belongs to.
    pub(super) boot: String,
    pub(super) sysctls: Vec<Sysctl>,
    /// Folders outside the state folder that were not there before this cluster.
    pub(super) made: Vec<String>,
    pub(super) daemons: Vec<Daemon>,
}

/// Starts what does not run and writes down what it started.
pub(super) struct Starter<'a> {
    layout: &'a Layout,
    record: Record,
    pub(super) started: usize,
}

impl<'a> Starter<'a> {
    pub(super) fn open(layout: &'a Layout) -> Result<Self> {
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

    pub(super) fn network(&self) -> Result<()> {
        network::up(&self.layout.dir)?;
        cleanup::make_cgroups()
    }

    pub(super) fn daemon(&mut self, name: &str, run: &Invocation) -> Result<()> {
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

pub(super) fn read_record(layout: &Layout) -> Result<Record> {
    let path = layout.record();
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text)
            .with_context(|| format!("read {}: not a cluster's record", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Record::default()),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

/// One `up` or `down` at a time; the second waits.
pub(super) fn lock(dir: &Path) -> Result<fs::File> {
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

pub(super) fn is_empty(dir: &Path) -> Result<bool> {
    Ok(fs::read_dir(dir)?.next().is_none())
}
