//! Log lines: one format for people, one for machines, both with Thanos' keys.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

mod format;
mod layer;

pub use format::Format;
pub use layer::{LineWriter, LogLayer};

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    /// Everything, dependencies' own chatter excepted.
    Debug,
    /// What happened.
    #[default]
    Info,
    /// What a person may want to look at.
    Warn,
    /// What a person must look at.
    Error,
}

/// A text names no level or no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no log {what}; use one of {allowed}")]
pub struct ParseTelemetryError {
    pub(crate) given: String,
    pub(crate) what: &'static str,
    pub(crate) allowed: &'static str,
}

impl FromStr for Level {
    type Err = ParseTelemetryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            _ => Err(ParseTelemetryError {
                given: text.to_owned(),
                what: "level",
                allowed: "debug, info, warn, error",
            }),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        })
    }
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Debug => Self::DEBUG,
            Level::Info => Self::INFO,
            Level::Warn => Self::WARN,
            Level::Error => Self::ERROR,
        }
    }
}

/// Dependencies whose debug lines drown ours.
const QUIET_TARGETS: [&str; 10] = [
    "h2",
    "hyper",
    "hyper_util",
    "rustls",
    "tokio_rustls",
    "tonic",
    "tower",
    "reqwest",
    "notify",
    "hickory_proto",
];

/// Another subscriber is already installed.
#[derive(Debug, thiserror::Error)]
#[error("logging is already set up in this process")]
pub struct InitError(#[source] tracing_subscriber::util::TryInitError);

/// Sets up logging to standard error for the whole process. Called once, by a main.
///
/// # Errors
/// When it was called before.
pub fn init(level: Level, format: Format) -> Result<(), InitError> {
    let mut targets = Targets::new().with_default(LevelFilter::from(level));
    if level == Level::Debug {
        for target in QUIET_TARGETS {
            targets = targets.with_target(target, LevelFilter::INFO);
        }
    }
    tracing_subscriber::registry()
        .with(targets)
        .with(LogLayer::new(format, layer::stderr()))
        .try_init()
        .map_err(InitError)
}

/// Returns an error's message followed by its causes', as a log field or a reply wants it.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        // Some crates repeat their source's message in their own; once is enough.
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}
