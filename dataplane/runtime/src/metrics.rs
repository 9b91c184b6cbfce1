//! The metric registry of a process and the text that `/metrics` serves.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

mod process;

/// The media type of [`Metrics::encode`]'s text.
pub const OPEN_METRICS_CONTENT_TYPE: &str =
    "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a binary says of itself, in `<prefix>_build_info` and in its first log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildInfo {
    /// The metric's prefix.
    pub prefix: &'static str,
    /// The release, e.g. `0.1.0`.
    pub version: &'static str,
    /// The source revision, empty when unknown.
    pub revision: &'static str,
    /// The branch, empty when unknown.
    pub branch: &'static str,
}

/// A shared registry. Clones are the same registry.
#[derive(Clone)]
pub struct Metrics(Arc<RwLock<Registry>>);

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::empty()
    }
}

impl Metrics {
    /// Creates a registry with nothing in it, as tests want it.
    pub fn empty() -> Self {
        Self(Arc::new(RwLock::new(Registry::default())))
    }

    /// Creates a registry with `<prefix>_build_info` and the `process_*` figures.
    pub fn new(build: &BuildInfo) -> Self {
        let metrics = Self::empty();
        metrics.register(|registry| {
            let labels = vec![
                ("version", build.version),
                ("revision", build.revision),
                ("branch", build.branch),
                ("goversion", ""),
            ];
            registry.register(
                format!("{}_build", build.prefix),
                "The version from which the process was built",
                Info::new(labels),
            );
            registry.register_collector(Box::new(process::ProcessCollector));
        });
        metrics
    }

    /// Gives `register` the registry, to add a component's metrics. A component does so once, when it
    /// is built; a metric registered twice would be printed twice.
    pub fn register<T>(&self, register: impl FnOnce(&mut Registry) -> T) -> T {
        register(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns all metrics as OpenMetrics text.
    ///
    /// # Errors
    /// When a collector fails to write itself.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(16 << 10);
        encode(
            &mut text,
            &self.0.read().unwrap_or_else(PoisonError::into_inner),
        )?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_holds_build_info_and_process_figures() {
        let build = BuildInfo {
            prefix: "thanos",
            version: "1.2.3",
            revision: "abc",
            branch: "main",
        };
        let text = Metrics::new(&build).encode().expect("encodes");
        assert!(
            text.contains("thanos_build_info{version=\"1.2.3\",revision=\"abc\""),
            "{text}"
        );
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_virtual_memory_bytes",
            "process_open_fds",
            "process_max_fds",
            "process_start_time_seconds",
        ] {
            let line = text
                .lines()
                .find(|line| line.starts_with(&format!("{name} ")));
            let value = line.and_then(|line| line.split(' ').nth(1)).expect(name);
            assert!(value.parse::<f64>().expect("a number") >= 0.0, "{line:?}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
