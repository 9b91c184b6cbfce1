//! The operator's own metrics and logs.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tracing_subscriber::EnvFilter;

mod logfmt;

/// Format of the operator's log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    Logfmt,
    Json,
}

/// Starts logging to standard error.
///
/// # Errors
/// Where `level` is no level, or logging has been started before.
pub fn init_logs(level: &str, format: LogFormat) -> Result<(), String> {
    let filter =
        EnvFilter::try_new(level).map_err(|error| format!("log level {level:?}: {error}"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Logfmt => builder.event_format(logfmt::Logfmt).try_init(),
    }
    .map_err(|error| error.to_string())
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    verb: &'static str,
    kind: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResourceLabels {
    namespace: String,
    stack: String,
    kind: &'static str,
}

type GaugeI64 = Gauge<i64, AtomicI64>;

/// The operator's metrics.
pub struct Metrics {
    registry: Mutex<Registry>,
    reconciles: Family<ResultLabels, Counter>,
    durations: Histogram,
    errors: Family<ReasonLabels, Counter>,
    writes: Family<WriteLabels, Counter>,
    leader: GaugeI64,
    selected: Family<ResourceLabels, GaugeI64>,
    rejected: Family<ResourceLabels, GaugeI64>,
    write_count: AtomicU64,
    pass_count: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("hindsight_operator");
        let reconciles = Family::<ResultLabels, Counter>::default();
        let durations = Histogram::new(exponential_buckets(0.005, 2.0, 12));
        let errors = Family::<ReasonLabels, Counter>::default();
        let writes = Family::<WriteLabels, Counter>::default();
        let leader = GaugeI64::default();
        let selected = Family::<ResourceLabels, GaugeI64>::default();
        let rejected = Family::<ResourceLabels, GaugeI64>::default();
        for result in ["success", "invalid", "error"] {
            // A series that is zero is seen; one that is missing is not.
            drop(reconciles.get_or_create(&ResultLabels { result }));
        }
        registry.register("reconciles", "Passes over a stack", reconciles.clone());
        registry.register_with_unit(
            "reconcile_duration",
            "Time of one pass over a stack",
            Unit::Seconds,
            durations.clone(),
        );
        registry.register(
            "reconcile_errors",
            "Passes that failed, by reason",
            errors.clone(),
        );
        registry.register("writes", "Writes to the API server", writes.clone());
        registry.register("leader", "Whether this process leads", leader.clone());
        registry.register(
            "resources_selected",
            "Monitoring resources that a stack selects",
            selected.clone(),
        );
        registry.register(
            "resources_rejected",
            "Selected monitoring resources that are left out because they are wrong",
            rejected.clone(),
        );
        registry.register(
            "build",
            "Version of the operator",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        Self {
            registry: Mutex::new(registry),
            reconciles,
            durations,
            errors,
            writes,
            leader,
            selected,
            rejected,
            write_count: AtomicU64::new(0),
            pass_count: AtomicU64::new(0),
        }
    }
}

impl Metrics {
    /// Counts a pass.
    pub fn reconciled(&self, result: &'static str, took: Duration) {
        self.reconciles
            .get_or_create(&ResultLabels { result })
            .inc();
        self.durations.observe(took.as_secs_f64());
        if result == "success" {
            self.pass_count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts an error by its class.
    pub fn failed(&self, reason: &'static str) {
        self.errors.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Counts a write.
    pub fn wrote(&self, verb: &'static str, kind: &str, success: bool) {
        let result = if success { "success" } else { "error" };
        let labels = WriteLabels {
            verb,
            kind: kind.to_owned(),
            result,
        };
        self.writes.get_or_create(&labels).inc();
        self.write_count.fetch_add(1, Ordering::Relaxed);
    }

    /// Says how many objects of a kind a stack selects, and how many of them are rejected.
    pub fn set_resources(
        &self,
        namespace: &str,
        stack: &str,
        kind: &'static str,
        selected: i64,
        rejected: i64,
    ) {
        let labels = ResourceLabels {
            namespace: namespace.to_owned(),
            stack: stack.to_owned(),
            kind,
        };
        self.selected.get_or_create(&labels).set(selected);
        self.rejected.get_or_create(&labels).set(rejected);
    }

    /// Ends the series of a stack that is gone.
    pub fn forget(&self, namespace: &str, stack: &str) {
        for kind in crds::coreos::Kind::ALL {
            let labels = ResourceLabels {
                namespace: namespace.to_owned(),
                stack: stack.to_owned(),
                kind: kind.as_str(),
            };
            self.selected.remove(&labels);
            self.rejected.remove(&labels);
        }
    }

    /// Writes so far, the failed ones and status included.
    pub fn writes(&self) -> u64 {
        self.write_count.load(Ordering::Relaxed)
    }

    /// Complete passes over stacks so far.
    pub fn passes(&self) -> u64 {
        self.pass_count.load(Ordering::Relaxed)
    }

    /// Says whether this process leads.
    pub fn set_leading(&self, leading: bool) {
        self.leader.set(i64::from(leading));
    }

    /// All metrics as OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn writes_are_counted_by_kind_and_result() {
        let metrics = Metrics::default();
        metrics.wrote("apply", "Service", true);
        metrics.wrote("apply", "Service", false);
        assert_eq!(metrics.writes(), 2);
        let text = metrics.encode();
        assert!(
            text.contains("hindsight_operator_writes_total{verb=\"apply\",kind=\"Service\",result=\"success\"} 1"),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"));
    }
}
