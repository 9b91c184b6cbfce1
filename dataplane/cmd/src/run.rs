//! From a command line to a running process.

mod all_in_one;
mod bucket;
mod compact;
mod query;
mod query_frontend;
mod sidecar;
mod store;
mod tools;
mod why;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use runtime::service::Kit;
use runtime::telemetry;
use tokio::runtime::Runtime;

use crate::args::process::LogArgs;
use crate::args::{self, Command, Parsed};
use crate::version;

/// A flag or configuration that cannot be used; nothing was started.
const EXIT_USAGE: u8 = 2;
/// A component that ended with an error.
const EXIT_FAILURE: u8 = 1;
/// Threads that serve requests. Queries are evaluated on threads of their own, so that these have
/// little to do; more would only cost memory.
const WORKER_THREADS: usize = 2;

/// Runs the binary with `args`, the program's name first, and returns its exit code: 0 after an
/// orderly end, 1 after a failure, 2 where the command line cannot be used.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if asks_for_version(&args) {
        return print(&version::text());
    }
    let parsed = match args::parse(args) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help goes to standard output and is no error; the parser knows.
            let _ = error.print();
            return if error.use_stderr() {
                EXIT_USAGE.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    runtime::tls::install_provider();
    match run(parsed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let chain = format!("{error:#}");
            tracing::error!(error = chain, "failed");
            let _ = writeln!(std::io::stderr(), "hindsight: {chain}");
            EXIT_FAILURE.into()
        }
    }
}

/// Runs what was asked for, to its end.
///
/// # Errors
/// Configuration that cannot be used, or the component's failure.
pub fn run(parsed: Parsed) -> anyhow::Result<()> {
    let Parsed {
        command,
        flags,
        warnings,
    } = parsed;
    match command {
        Command::Query(args) => {
            let log = args.log.clone();
            start(&log, "query", &warnings, |kit| {
                query::run(*args, flags, kit)
            })
        }
        Command::QueryFrontend(args) => {
            let log = args.log.clone();
            start(&log, "query-frontend", &warnings, |kit| {
                query_frontend::run(*args, kit)
            })
        }
        Command::Store(args) => {
            let log = args.log.clone();
            start(&log, "store", &warnings, |kit| store::run(*args, kit))
        }
        Command::Sidecar(args) => {
            let log = args.log.clone();
            start(&log, "sidecar", &warnings, |kit| sidecar::run(*args, kit))
        }
        Command::Compact(args) => {
            let log = args.log.clone();
            start(&log, "compact", &warnings, |kit| compact::run(*args, kit))
        }
        Command::AllInOne(args) => {
            let log = args.log.clone();
            start(&log, "all-in-one", &warnings, |kit| {
                all_in_one::run(*args, flags, kit)
            })
        }
        Command::Tools(args) => tools::run(args.tool),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut args::command(), "hindsight", &mut script);
            std::io::stdout().write_all(&script)?;
            Ok(())
        }
    }
}

/// Sets up logs and the async threads, says what starts, and runs `component` to its end.
fn start<F>(
    log: &LogArgs,
    name: &str,
    warnings: &[String],
    component: impl FnOnce(Kit) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    telemetry::init(log.level, log.format)?;
    let kit = Kit::new(version::BUILD);
    kit.log_start(name);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let runtime = threads()?;
    let outcome = runtime.block_on(component(kit));
    // What still blocks a thread by now is given up with the process.
    runtime.shutdown_background();
    outcome
}

fn threads() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .thread_name("hindsight")
        .enable_all()
        .build()
}

fn asks_for_version(args: &[OsString]) -> bool {
    args.iter()
        .skip(1)
        .take_while(|arg| *arg != "--")
        .any(|arg| arg == "--version")
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => EXIT_FAILURE.into(),
    }
}
