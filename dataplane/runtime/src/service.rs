//! The bundle every component's `run` is given.
//!
//! A main calls things in this order: parse arguments; [`crate::telemetry::init`]; [`Kit::new`] and
//! [`Kit::log_start`]; load configuration into a type that cannot be wrong; bind listeners; build
//! components; spawn them into a [`TaskGroup`]; [`Kit::supervise`], which waits for a signal or the first
//! task to end and drains with a deadline.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::metrics::{BuildInfo, Metrics};
use crate::probe::Probe;
use crate::shutdown::Shutdown;
use crate::tasks::{TaskError, TaskGroup};

/// Registry, probe, shutdown and clock of one process. Clones are the same ones.
#[derive(Debug, Clone)]
pub struct Kit {
    /// Where metrics are registered.
    pub metrics: Metrics,
    /// What the probes answer.
    pub probe: Probe,
    /// When to end.
    pub shutdown: Shutdown,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What the binary is.
    pub build: BuildInfo,
}

impl Kit {
    /// Creates the bundle of a real process.
    pub fn new(build: BuildInfo) -> Self {
        Self {
            metrics: Metrics::new(&build),
            probe: Probe::new(),
            shutdown: Shutdown::new(),
            clock: Arc::new(SystemClock),
            build,
        }
    }

    /// Creates a bundle for tests: an empty registry and the clock given.
    pub fn for_tests(clock: Arc<dyn Clock>) -> Self {
        let build = BuildInfo {
            prefix: "thanos",
            version: "test",
            revision: "",
            branch: "",
        };
        Self {
            metrics: Metrics::empty(),
            probe: Probe::new(),
            shutdown: Shutdown::new(),
            clock,
            build,
        }
    }

    /// Logs what starts.
    pub fn log_start(&self, component: &str) {
        tracing::info!(
            component,
            version = self.build.version,
            revision = self.build.revision,
            "starting"
        );
    }

    /// Creates an empty group that ends with this process.
    pub fn task_group(&self) -> TaskGroup {
        TaskGroup::new(&self.shutdown)
    }

    /// Adds signal handling to `group` and runs it to its end. Not ready from the moment shutdown begins.
    ///
    /// # Errors
    /// The first task's failure, or that tasks were left after `drain`.
    pub async fn supervise(&self, mut group: TaskGroup, drain: Duration) -> Result<(), TaskError> {
        group.spawn("signals", self.shutdown.clone().on_signal());
        let (probe, shutdown) = (self.probe.clone(), self.shutdown.clone());
        group.spawn("probe", async move {
            shutdown.begun().await;
            probe.not_ready("shutting down");
            Ok::<_, std::convert::Infallible>(())
        });
        group.run(drain).await
    }
}
