//! The `hindsight` binary: Thanos' subcommands and flags over the rooms of the data plane.
//!
//! In reading order: [`args`] (the command line), [`run`] (one function a subcommand, which wires rooms
//! together), [`version`] (what the binary says it is).
//!
//! A main goes: parse, telemetry, the line that says what starts, configuration into types that cannot
//! be wrong, bind, build, run, drain, exit code.
//!
//! Invariants: nothing is listened on before all flags are understood; a flag is understood, warned of
//! or refused, never dropped silently.
//!
//! It deliberately holds no logic of its own.

pub mod args;
pub mod run;
pub mod version;

pub use args::{Command, Parsed, parse};
pub use run::run;
