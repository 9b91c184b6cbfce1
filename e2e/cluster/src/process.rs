//! Processes of a cluster: guarded ones that end with their owner, and daemons that a record on disk
//! names by pid and start time, so that nothing else is ever signalled.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::parts;

/// How often a condition on another process is looked at.
const POLL: Duration = Duration::from_millis(50);

/// The environment variable that every daemon carries and passes on.
const MARK: &str = "HINDSIGHT_CLUSTER";

/// How long the kernel may take to end what was killed.
const KILL_PATIENCE: Duration = Duration::from_secs(30);

/// Lines of a log shown when its process fails.
const LOG_TAIL_LINES: usize = 15;

/// A command line.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Invocation {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
}

impl Invocation {
    pub(crate) fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
        }
    }

    pub(crate) fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// `--name=value`
    pub(crate) fn flag(self, name: &str, value: impl std::fmt::Display) -> Self {
        self.arg(format!("--{name}={value}"))
    }

    /// `--name=path`
    pub(crate) fn file(self, name: &str, path: &Path) -> Self {
        self.flag(name, path.display())
    }
}

/// A process that ends when this value is dropped and also when the process that holds it ends, in
/// whatever way: a shell stands between that kills it as soon as the pipe from here closes.
#[derive(Debug)]
pub(crate) struct Guarded {
    name: &'static str,
    log: PathBuf,
    guard: Child,
}

/// Ends when the program ends by itself, and ends the program when stdin closes.
const GUARD: &str = r#"exec 3<&0
"$@" 3<&- </dev/null &
program=$!
{ cat <&3 >/dev/null; kill -9 "$program" 2>/dev/null; } 2>/dev/null &
watch=$!
wait "$program"
status=$?
kill "$watch" 2>/dev/null
exit "$status""#;

impl Guarded {
    pub(crate) fn start(name: &'static str, run: &Invocation, log: PathBuf) -> Result<Self> {
        let out = fs::File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let guard = Command::new("sh")
            .args(["-c", GUARD, name])
            .arg(&run.program)
            .args(&run.arguments)
            .stdin(Stdio::piped())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        Ok(Self { name, log, guard })
    }

    /// Fails, with the end of its log, where the process has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        if let Some(status) = self.guard.try_wait()? {
            bail!(
                "{} ended with {status}; its log ends:\n{}",
                self.name,
                tail(&self.log)
            );
        }
        Ok(())
    }

    pub(crate) fn log_tail(&self) -> String {
        format!("{}:\n{}", self.name, tail(&self.log))
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // The shell ends after the program has; nothing is left to do where waiting fails.
        drop(self.guard.wait());
    }
}

/// A daemon as its record names it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Daemon {
    pub(crate) name: String,
    pid: i32,
    /// Clock ticks after boot, from `/proc/<pid>/stat`: with the boot's id this is no one else's.
    started: u64,
    boot: String,
    run: Invocation,
}

impl Daemon {
    /// Starts the command in a session of its own, its output appended to `log`. Its environment
    /// carries `mark`, by which [`marked`] finds it where the record was not written any more.
    pub(crate) fn start(name: &str, run: &Invocation, log: &Path, mark: &str) -> Result<Self> {
        let out = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("open {}", log.display()))?;
        // setsid(1) becomes the program, so the pid is the program's own.
        let mut child = Command::new("setsid")
            .arg(&run.program)
            .args(&run.arguments)
            .env(MARK, mark)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("start {name} ({})", run.program.display()))?;
        let pid = i32::try_from(child.id()).context("a pid beyond the kernel's range")?;
        let Some(stat) = Stat::read(pid)? else {
            let status = child.wait()?;
            bail!("{name} ended at once with {status}");
        };
        let boot = boot_id()?;
        Ok(Self {
            name: name.to_owned(),
            pid,
            started: stat.started,
            boot,
            run: run.clone(),
        })
    }

    /// Whether the very process this record names still runs.
    pub(crate) fn runs(&self) -> Result<bool> {
        if self.boot != boot_id()? {
            return Ok(false);
        }
        let stat = Stat::read(self.pid)?;
        Ok(stat.is_some_and(|stat| stat.started == self.started && !stat.ended))
    }

    /// Whether it was started from this very command line.
    pub(crate) fn is(&self, run: &Invocation) -> bool {
        self.run == *run
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Ends it: SIGTERM, then SIGKILL once `patience` is over. Nothing happens where it does not run.
    pub(crate) fn stop(&self, patience: Duration) -> Result<()> {
        for (signal, patience) in [
            (Signal::SIGTERM, patience),
            (Signal::SIGKILL, KILL_PATIENCE),
        ] {
            if !self.runs()? {
                return Ok(());
            }
            // It may end between the look and the signal.
            let _ = kill(Pid::from_raw(self.pid), signal);
            let deadline = Instant::now() + patience;
            while self.runs()? && Instant::now() < deadline {
                std::thread::sleep(POLL);
            }
        }
        if self.runs()? {
            bail!(
                "{} (pid {}) does not end, not even on SIGKILL",
                self.name,
                self.pid
            );
        }
        Ok(())
    }
}

/// A process found by its mark.
#[derive(Clone, Debug)]
pub(crate) struct Marked {
    pub(crate) pid: i32,
    /// The program's file name.
    pub(crate) program: String,
}

/// Every process whose environment carries this mark: daemons and what they started.
pub(crate) fn marked(mark: &str) -> Result<Vec<Marked>> {
    let wanted = format!("{MARK}={mark}");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // Processes end while one looks, and others are none of ours to read.
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else {
            continue;
        };
        if !environment
            .split(|&byte| byte == 0)
            .any(|variable| variable == wanted.as_bytes())
        {
            continue;
        }
        let Ok(command) = fs::read(format!("/proc/{pid}/cmdline")) else {
            continue;
        };
        let program = command.split(|&byte| byte == 0).next().unwrap_or_default();
        let program = String::from_utf8_lossy(program);
        let program = program.rsplit('/').next().unwrap_or_default().to_owned();
        found.push(Marked { pid, program });
    }
    Ok(found)
}

/// Kills every one of these and waits for their end. `list` is asked again until it names nobody.
pub(crate) fn kill_all(what: &str, list: impl Fn() -> Result<Vec<i32>>) -> Result<()> {
    let deadline = Instant::now() + KILL_PATIENCE;
    loop {
        let pids = list()?;
        let alive: Vec<_> = pids
            .into_iter()
            .filter(|&pid| matches!(Stat::read(pid), Ok(Some(stat)) if !stat.ended))
            .collect();
        if alive.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            bail!("{what} do not end, not even on SIGKILL: {alive:?}");
        }
        for pid in alive {
            // It may have ended since it was listed.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(POLL);
    }
}

/// What is read of `/proc/<pid>/stat`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stat {
    started: u64,
    ended: bool,
}

impl Stat {
    fn read(pid: i32) -> Result<Option<Self>> {
        let path = format!("/proc/{pid}/stat");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(
                Self::parse(&text).with_context(|| format!("parse {path}"))?,
            )),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            // The process ended between open and read.
            Err(e) if e.raw_os_error() == Some(nix::errno::Errno::ESRCH as i32) => Ok(None),
            Err(e) => Err(e).with_context(|| format!("read {path}")),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        // The command's name stands in parentheses and may hold spaces and parentheses of its own.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<_> = rest.split_ascii_whitespace().collect();
        let state = *fields.first()?;
        // Field 22 of the line is the 20th after the name.
        let started = fields.get(19)?.parse().ok()?;
        Some(Self {
            started,
            ended: matches!(state, "Z" | "X" | "x"),
        })
    }
}

/// The kernel's name for this boot.
pub(crate) fn boot_id() -> Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    Ok(fs::read_to_string(path)
        .with_context(|| format!("read {path}"))?
        .trim()
        .to_owned())
}

/// The last lines of a log, for an error message.
pub(crate) fn tail(log: &Path) -> String {
    let Ok(text) = fs::read(log) else {
        return format!("(no log at {})", log.display());
    };
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}

/// Runs a command to its end and answers its stdout; where it fails the error carries its stderr.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String> {
    run_with_input(program, arguments, "")
}

/// [`run`] with something on its stdin.
pub(crate) fn run_with_input(program: &str, arguments: &[&str], input: &str) -> Result<String> {
    let path = parts::find(program).with_context(|| format!("{program} is not installed"))?;
    let mut child = Command::new(path)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("run {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input says by its status whether that is wrong.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child
        .wait_with_output()
        .with_context(|| format!("run {program}"))?;
    if !output.status.success() {
        bail!(
            "{program} {} failed ({}): {}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_a_name_with_parentheses() {
        let line = "42 (a) b) S 1 42 42 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 1 0 98765 100 2";
        assert_eq!(
            Stat::parse(line),
            Some(Stat {
                started: 98765,
                ended: false
            })
        );
        let zombie = line.replace(") S ", ") Z ");
        assert_eq!(
            Stat::parse(&zombie),
            Some(Stat {
                started: 98765,
                ended: true
            })
        );
        assert_eq!(Stat::parse("42 (short) S 1"), None);
    }

    #[test]
    fn a_record_with_another_start_time_names_nobody() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let run = Invocation::new("sleep").arg("600");
        let daemon =
            Daemon::start("sleeper", &run, &dir.path().join("log"), "test").expect("start");
        let stranger = Daemon {
            started: daemon.started + 1,
            ..daemon.clone()
        };
        assert!(!stranger.runs().expect("look"));
        stranger.stop(Duration::ZERO).expect("nothing to stop");
        assert!(
            daemon.runs().expect("look"),
            "the stranger's stop must not have hit it"
        );
        daemon.stop(Duration::from_secs(5)).expect("stop");
        assert!(!daemon.runs().expect("look"));
    }

    #[test]
    fn a_guarded_process_ends_with_its_owner_and_shows_its_log() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let pid_file = dir.path().join("pid");
        let script = format!(
            "echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600",
            pid_file.display()
        );
        let run = Invocation::new("sh").arg("-c").arg(script);
        let mut guarded = Guarded::start("sleeper", &run, dir.path().join("log")).expect("start");
        let deadline = Instant::now() + Duration::from_secs(10);
        let pid: i32 = loop {
            if let Ok(text) = fs::read_to_string(&pid_file) {
                break text.trim().parse().expect("a pid");
            }
            assert!(Instant::now() < deadline, "{}", guarded.log_tail());
            std::thread::yield_now();
        };
        guarded.check().expect("it runs");
        drop(guarded);
        let stat = Stat::read(pid).expect("read stat");
        assert!(
            stat.is_none_or(|stat| stat.ended),
            "it outlived its owner: {stat:?}"
        );
    }

    #[test]
    fn a_guarded_process_that_fails_is_reported_with_its_last_words() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let run = Invocation::new("sh")
            .arg("-c")
            .arg("echo the port is taken >&2; exit 3");
        let mut guarded = Guarded::start("server", &run, dir.path().join("log")).expect("start");
        let deadline = Instant::now() + Duration::from_secs(10);
        let error = loop {
            if let Err(error) = guarded.check() {
                break error.to_string();
            }
            assert!(Instant::now() < deadline, "its end was not noticed");
            std::thread::yield_now();
        };
        assert!(
            error.contains("the port is taken") && error.contains("server"),
            "{error}"
        );
    }
}
