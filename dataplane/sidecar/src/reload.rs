//! Keeps Prometheus on the configuration that is mounted: expands the template, writes it where
//! Prometheus reads it, and asks for a reload when it or a rule file changed.
//!
//! The first expansion happens before Prometheus starts (the sidecar is healthy only then), so that
//! Prometheus never starts without a configuration. Nothing is reloaded until Prometheus has answered
//! once; the reload after that first answer is what proves which configuration it runs.

pub mod files;
pub mod template;

use std::path::PathBuf;
use std::time::Duration;

use runtime::watch::{FileWatch, fingerprint};
use thiserror::Error;
use tokio::sync::watch;

use crate::prometheus::{Prometheus, PrometheusError};

/// How often the mounted files are hashed where the kernel tells of no change.
const POLL_INTERVAL: Duration = Duration::from_secs(10);
/// How often Prometheus is asked whether it is ready, until it has answered once.
const FIRST_ANSWER_INTERVAL: Duration = Duration::from_millis(500);

/// What is watched and where it goes.
#[derive(Debug, Clone)]
pub struct ReloadConfig {
    /// The template, e.g. a mounted ConfigMap or Secret key; gzip is recognised.
    pub config_file: Option<PathBuf>,
    /// Where the expanded configuration is written.
    pub output_file: Option<PathBuf>,
    /// Folders whose files, when they change, make Prometheus load again.
    pub rule_dirs: Vec<PathBuf>,
    /// How often everything is hashed even where no change was noticed.
    pub watch_interval: Duration,
    /// How long after a failed reload it is tried again.
    pub retry_interval: Duration,
}

/// Why a configuration did not reach Prometheus.
#[derive(Debug, Error)]
pub enum ReloadError {
    #[error(transparent)]
    Template(#[from] template::TemplateError),
    #[error(transparent)]
    Files(#[from] files::FilesError),
    #[error(transparent)]
    Prometheus(#[from] PrometheusError),
}

/// What the reloader knows, for the status page, probes and metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReloadState {
    /// SHA-256 of the template as it is mounted now, hexadecimal.
    pub wanted: Option<String>,
    /// SHA-256 of the template that Prometheus last loaded with success.
    pub loaded: Option<String>,
    /// Why `wanted` is not loaded, in Prometheus' words where it spoke.
    pub error: Option<String>,
    /// Whether Prometheus has answered since the sidecar started.
    pub prometheus_answered: bool,
    pub reloads: u64,
    pub reload_failures: u64,
}

/// What was hashed at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Snapshot {
    template: Option<String>,
    rules: u64,
}

/// Watches files and reloads Prometheus.
#[derive(Debug)]
pub struct Reloader {
    config: ReloadConfig,
    prometheus: Prometheus,
    state: watch::Sender<ReloadState>,
    lookup: template::Lookup,
}

impl Reloader {
    /// Returns a reloader whose variables come from `lookup`, normally the environment.
    #[must_use]
    pub fn new(config: ReloadConfig, prometheus: Prometheus, lookup: template::Lookup) -> Self {
        Self {
            config,
            prometheus,
            state: watch::Sender::new(ReloadState::default()),
            lookup,
        }
    }

    /// Returns what is known now and from now on.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<ReloadState> {
        self.state.subscribe()
    }

    /// Writes the first configuration, before Prometheus starts.
    ///
    /// # Errors
    /// A template that cannot be read or expanded, or an output that cannot be written.
    pub async fn prepare(&self) -> Result<(), ReloadError> {
        let snapshot = self.snapshot().await?;
        self.state
            .send_modify(|state| state.wanted = snapshot.template);
        Ok(())
    }

    /// Runs until it is dropped.
    pub async fn run(self) {
        let paths: Vec<PathBuf> = self
            .config
            .config_file
            .iter()
            .chain(&self.config.rule_dirs)
            .cloned()
            .collect();
        if paths.is_empty() {
            return std::future::pending().await;
        }
        let mut files = FileWatch::new(paths, self.config.watch_interval.min(POLL_INTERVAL));
        self.wait_for_prometheus().await;
        let mut loaded: Option<Snapshot> = None;
        loop {
            let pause = match self.step(&mut loaded).await {
                Ok(()) => self.config.watch_interval,
                Err(err) => {
                    self.note_failure(&err);
                    // Going back to what was loaded is a reload too: Prometheus counts its last one.
                    loaded = None;
                    self.config.retry_interval
                }
            };
            tokio::select! {
                () = files.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Waits for the first answer, whatever it says.
    async fn wait_for_prometheus(&self) {
        loop {
            match self.prometheus.ready().await {
                Err(err) if !err.answered() => {
                    tracing::debug!(error = %err, "waiting for prometheus to answer");
                }
                // 503 while it replays its write-ahead log: up, and not yet able to reload.
                Err(err) => tracing::debug!(error = %err, "prometheus is starting"),
                Ok(()) => break,
            }
            // Expanding meanwhile keeps the file fresh for a Prometheus that starts late.
            if let Err(err) = self.prepare().await {
                self.note_failure(&err);
            }
            tokio::time::sleep(FIRST_ANSWER_INTERVAL).await;
        }
        self.state
            .send_modify(|state| state.prometheus_answered = true);
    }

    /// Expands, and reloads where something differs from what is loaded.
    async fn step(&self, loaded: &mut Option<Snapshot>) -> Result<(), ReloadError> {
        let snapshot = self.snapshot().await?;
        self.state.send_if_modified(|state| {
            let changed = state.wanted != snapshot.template;
            state.wanted.clone_from(&snapshot.template);
            changed
        });
        if loaded.as_ref() == Some(&snapshot) {
            return Ok(());
        }
        self.prometheus.reload().await?;
        tracing::info!(
            hash = snapshot.template.as_deref().unwrap_or(""),
            "prometheus loaded its configuration"
        );
        self.state.send_modify(|state| {
            state.loaded.clone_from(&snapshot.template);
            state.error = None;
            state.reloads += 1;
        });
        *loaded = Some(snapshot);
        Ok(())
    }

    /// Hashes everything, and writes the expanded template where it changed.
    async fn snapshot(&self) -> Result<Snapshot, ReloadError> {
        let template = match &self.config.config_file {
            None => None,
            Some(path) => {
                let template = template::read(path).await?;
                if let Some(output) = &self.config.output_file {
                    let text = template::expand(&template.text, &self.lookup)?;
                    files::write_if_changed(output, text.as_bytes()).await?;
                }
                Some(template.hash)
            }
        };
        let rule_dirs = self.config.rule_dirs.clone();
        let rules = tokio::task::spawn_blocking(move || fingerprint(&rule_dirs))
            .await
            .unwrap_or(0);
        Ok(Snapshot { template, rules })
    }

    fn note_failure(&self, err: &ReloadError) {
        let text = chain(err);
        tracing::error!(
            error = text,
            "configuration did not reach prometheus, trying again"
        );
        self.state.send_modify(|state| {
            state.error = Some(text);
            state.reload_failures += 1;
        });
    }
}

/// Returns an error with its causes, on one line.
pub(crate) fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut source = err.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
