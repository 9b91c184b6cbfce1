//! The command line: Thanos' subcommands and flags, and what of its parser users rely on.
//!
//! Beyond what the argument parser does by itself: a switch `--x` is also written `--x=false` or
//! `--no-x`; flags of Thanos that have nothing to do here are accepted with a warning where ignoring
//! them is harmless, and all others are refused by name.

pub mod all_in_one;
pub mod compact;
mod ignored;
pub mod process;
pub mod query;
pub mod query_frontend;
pub mod selector;
pub mod sidecar;
pub mod store;
pub mod tools;
pub mod why;

use std::any::TypeId;
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use all_in_one::AllInOneArgs;
use compact::CompactArgs;
use query::QueryArgs;
use query_frontend::QueryFrontendArgs;
use sidecar::SidecarArgs;
use store::StoreArgs;
use tools::ToolsArgs;

/// Metrics, logs, the whole past: one binary for all components of a monitoring stack's data plane.
#[derive(Debug, Parser)]
#[command(
    name = "hindsight",
    disable_version_flag = true,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What the process is to be.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answers PromQL over many stores.
    Query(Box<QueryArgs>),
    /// Splits and caches range queries before a querier.
    QueryFrontend(Box<QueryFrontendArgs>),
    /// Serves the blocks of a bucket.
    Store(Box<StoreArgs>),
    /// Stands beside a Prometheus: serves its data, uploads its blocks, reloads its configuration.
    Sidecar(Box<SidecarArgs>),
    /// Compacts, downsamples and retires the blocks of a bucket.
    Compact(Box<CompactArgs>),
    /// Query and store in one process.
    AllInOne(Box<AllInOneArgs>),
    /// Works on buckets and their blocks.
    Tools(Box<ToolsArgs>),
    /// Prints a completion script for a shell.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// A command line that was understood.
#[derive(Debug)]
pub struct Parsed {
    pub command: Command,
    /// Every flag of the subcommand with its value; content that may hold secrets is left out.
    pub flags: BTreeMap<String, String>,
    /// What should be said once logs can be written.
    pub warnings: Vec<String>,
}

/// Parses a command line, the program's name first.
///
/// # Errors
/// The parser's message; it also carries the text of `--help`.
pub fn parse<I, T>(args: I) -> Result<Parsed, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString>,
{
    let command = command();
    let args = args.into_iter().map(Into::into).collect();
    let args = positive_switches(&command, args);
    let matches = command.clone().try_get_matches_from(args)?;
    let cli = Cli::from_arg_matches(&matches)?;
    let (flags, warnings) = match matches.subcommand() {
        Some((name, matches)) => {
            let subcommand = command.find_subcommand(name);
            let arguments: Vec<&Arg> = subcommand
                .map(|found| found.get_arguments().collect())
                .unwrap_or_default();
            (flags(&arguments, matches), ignored::warnings(name, matches))
        }
        None => Default::default(),
    };
    Ok(Parsed {
        command: cli.command,
        flags,
        warnings,
    })
}

/// Returns the whole command, for help and completion.
pub fn command() -> clap::Command {
    let mut command = adapted(Cli::command());
    command.build();
    command
}

/// Adds what is accepted without effect, and lets switches be written as Thanos' users write them.
fn adapted(command: clap::Command) -> clap::Command {
    let name = command.get_name().to_owned();
    ignored::add(command, &name)
        .mut_args(with_optional_value)
        .mut_subcommands(adapted)
}

fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), clap::ArgAction::Set)
        && arg.get_value_parser().type_id() == TypeId::of::<bool>()
}

/// Lets a switch be given without its value.
fn with_optional_value(arg: Arg) -> Arg {
    if is_switch(&arg) {
        arg.num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .hide_possible_values(true)
    } else {
        arg
    }
}

/// Rewrites `--no-x` to `--x=false` where the subcommand has a switch `--x` and no flag `--no-x`.
fn positive_switches(command: &clap::Command, args: Vec<OsString>) -> Vec<OsString> {
    let words = args.iter().skip(1).filter_map(|arg| arg.to_str());
    let subcommand = words.fold(command, |found, word| {
        found.find_subcommand(word).unwrap_or(found)
    });
    let longs = |wanted: fn(&Arg) -> bool| -> HashSet<String> {
        let chosen = subcommand.get_arguments().filter(|arg| wanted(arg));
        chosen
            .filter_map(|arg| arg.get_long().map(str::to_owned))
            .collect()
    };
    let (all, switches) = (longs(|_| true), longs(is_switch));
    let mut literal = false;
    args.into_iter()
        .map(|arg| {
            literal |= arg == "--";
            let switch = arg
                .to_str()
                .filter(|_| !literal)
                .and_then(|text| text.strip_prefix("--"))
                .filter(|name| !all.contains(*name))
                .and_then(|name| name.strip_prefix("no-"))
                .filter(|name| switches.contains(*name));
            match switch {
                Some(name) => format!("--{name}=false").into(),
                None => arg,
            }
        })
        .collect()
}

/// Flags whose value is configuration itself, with whatever secrets are in it.
const CONTENT_FLAGS: [&str; 6] = [
    "objstore.config",
    "index-cache.config",
    "store.caching-bucket.config",
    "tracing.config",
    "prometheus.http-client",
    "request.logging-config",
];

fn flags(arguments: &[&Arg], matches: &ArgMatches) -> BTreeMap<String, String> {
    let mut flags = BTreeMap::new();
    for arg in arguments {
        let Some(long) = arg.get_long() else { continue };
        if matches!(long, "help" | "version") {
            continue;
        }
        let values = matches.get_raw(arg.get_id().as_str());
        let values: Vec<String> = values
            .into_iter()
            .flatten()
            .map(|value| value.to_string_lossy().into_owned())
            .collect();
        let is_content = CONTENT_FLAGS.contains(&long) && !values.is_empty();
        let shown = if is_content {
            "<content>".to_owned()
        } else {
            values.join(",")
        };
        flags.insert(long.to_owned(), shown);
    }
    flags
}

/// Returns whether a flag was given, and not only defaulted.
fn is_given(matches: &ArgMatches, id: &str) -> bool {
    matches.value_source(id) == Some(ValueSource::CommandLine)
}

#[cfg(test)]
mod tests;
