//! A process under measurement: started, asked for its figures, ended.

use std::ffi::OsString;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::api;

const READY_DEADLINE: Duration = Duration::from_secs(120);
/// The kernel's clock ticks a second, fixed on Linux.
const TICKS: f64 = 100.0;

/// Ends with its owner.
pub(crate) struct Process {
    child: Child,
    pub(crate) ready_after: Duration,
}

impl Process {
    /// Starts a server and waits until `/-/ready` answers 200.
    pub(crate) fn start(binary: &Path, args: Vec<OsString>, http: SocketAddr) -> Result<Self> {
        let log =
            fs::File::create(std::env::temp_dir().join(format!("bench-{}.log", http.port())))?;
        let started = Instant::now();
        let child = Command::new(binary)
            .args(&args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        let mut process = Self {
            child,
            ready_after: Duration::ZERO,
        };
        while !matches!(api::get(http, "/-/ready"), Ok((200, _))) {
            if let Some(status) = process.child.try_wait()? {
                bail!("{} ended with {status}: {args:?}", binary.display());
            }
            if started.elapsed() > READY_DEADLINE {
                bail!(
                    "{} is not ready after {READY_DEADLINE:?}: {args:?}",
                    binary.display()
                );
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        process.ready_after = started.elapsed();
        Ok(process)
    }

    /// User and system time of all threads, seconds.
    pub(crate) fn cpu(&self) -> Result<f64> {
        let stat = self.read("stat")?;
        // The command may hold spaces; the fields after its parenthesis do not.
        let fields: Vec<&str> = stat
            .rsplit(") ")
            .next()
            .unwrap_or_default()
            .split(' ')
            .collect();
        let ticks = |i: usize| {
            fields
                .get(i)
                .and_then(|f| f.parse::<f64>().ok())
                .unwrap_or(0.0)
        };
        Ok((ticks(11) + ticks(12)) / TICKS)
    }

    /// Forgets the peak of the resident set.
    pub(crate) fn reset_peak(&self) -> Result<()> {
        let path = format!("/proc/{}/clear_refs", self.child.id());
        fs::write(&path, "5").with_context(|| path)
    }

    /// The peak of the resident set since it was forgotten, bytes.
    pub(crate) fn peak(&self) -> Result<f64> {
        self.memory("VmHWM:")
    }

    /// The resident set of now, bytes.
    pub(crate) fn resident(&self) -> Result<f64> {
        self.memory("VmRSS:")
    }

    fn memory(&self, field: &str) -> Result<f64> {
        let status = self.read("status")?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(field))
            .context("no such field")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024.0)
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).with_context(|| path)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Returns an address of loopback that is free at this moment.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
