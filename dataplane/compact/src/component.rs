//! A compactor as a process: bound, built, run.
//!
//! Two tasks. One takes the lease and keeps it; the other works as long as it is held. When the process
//! ends, the worker stops at the next series or request, and the lease is given back after it did.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use block::fetcher::FetcherMetrics;
use objstore::Bucket;
use runtime::http::HttpServer;
use runtime::listener::ListenError;
use runtime::service::Kit;
use runtime::shutdown::Shutdown;
use runtime::tasks::TaskGroup;
use tokio::sync::watch;

use crate::config::Config;
use crate::cycle::Cycle;
use crate::error::CompactError;
use crate::execute::Tools;
use crate::http;
use crate::lease::{self, Attempt, Lease};
use crate::metrics::CompactMetrics;

/// How often a clock is compared with the bucket's, in renewals of the lease.
const SKEW_EVERY: u32 = 20;

/// How long the lease is waited for before anything is said of it again.
const LEASE_POLL: Duration = Duration::from_secs(5);

/// The folder of what is under way within the data folder. It is emptied at start.
const STAGING: &str = "compact";

/// The file with the name this process's leases have, so that a restart need not wait for its own.
const IDENTITY: &str = "compactor-id";

/// Why a compactor cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The data folder cannot be used.
    #[error("preparing the data folder {path}")]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A compactor whose port is bound and which does nothing yet.
#[derive(Debug)]
pub struct Compactor {
    http: Option<HttpServer>,
    source: http::Source,
    keeper: Keeper,
    worker: Worker,
    kit: Kit,
}

/// What the lease task tells the worker.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    held: bool,
    skew_ms: Option<i64>,
}

impl Compactor {
    /// Binds the port, prepares the folder and builds the rest.
    ///
    /// # Errors
    /// The port or the folder cannot be had.
    pub async fn build(
        config: Config,
        bucket: Arc<dyn Bucket>,
        kit: Kit,
    ) -> Result<Self, StartError> {
        let http = match &config.http {
            Some(http) => Some(HttpServer::bind(http).await?),
            None => None,
        };
        let work = config.work;
        let identity = prepare(&work.data_dir)?;
        let metrics = CompactMetrics::register(&kit.metrics);
        let lease = Lease::new(
            Arc::clone(&bucket),
            &work.shard,
            identity,
            lease::DURATION,
            Arc::clone(&kit.clock),
        );
        let tools = Tools {
            bucket,
            data_dir: work.data_dir.join(STAGING),
            guard: lease.guard(),
            clock: Arc::clone(&kit.clock),
            shutdown: kit.shutdown.clone(),
            fetch_concurrency: work.fetch_concurrency,
        };
        let wait_interval = work.wait_interval;
        let cleanup_interval = work.cleanup_interval;
        let fetcher_metrics = FetcherMetrics::register(&kit.metrics);
        let cycle = Cycle::new(tools.clone(), work, fetcher_metrics, metrics.clone());
        let source = http::Source {
            tools,
            progress: cycle.progress(),
            loaded: cycle.loaded(),
            web_label: config.web_label,
            started_ms: kit.clock.now_ms(),
            kit: kit.clone(),
        };
        let (standing, seen) = watch::channel(Standing::default());
        let (done, worker_done) = watch::channel(false);
        Ok(Self {
            http,
            source,
            keeper: Keeper {
                lease,
                standing,
                worker_done,
                metrics,
            },
            worker: Worker {
                cycle,
                standing: seen,
                done,
                wait_interval,
                cleanup_interval,
            },
            kit,
        })
    }

    /// Returns the address HTTP is served at, where it is.
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(HttpServer::local_addr)
    }

    /// Starts working within `group`. A compactor that does not wait ends it when it is done.
    pub fn spawn(self, group: &mut TaskGroup) {
        let Self {
            http,
            source,
            keeper,
            worker,
            kit,
        } = self;
        if let Some(http) = http {
            let routes = http::routes(source);
            group.spawn("http", http.serve(kit.clone(), routes));
        }
        group.spawn("lease", keeper.run(kit.shutdown.clone()));
        let probe = kit.probe.clone();
        group.spawn("compact", async move {
            // Waiting for another's lease is a healthy way to stand by.
            probe.ready();
            worker.run(kit.shutdown.clone()).await
        });
    }
}

/// Empties the staging folder and returns the name of this data folder's leases.
fn prepare(data_dir: &Path) -> Result<String, StartError> {
    let failed = |source| StartError::DataDir {
        path: data_dir.to_owned(),
        source,
    };
    let staging = data_dir.join(STAGING);
    match std::fs::remove_dir_all(&staging) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    std::fs::create_dir_all(&staging).map_err(failed)?;
    let path = data_dir.join(IDENTITY);
    match std::fs::read_to_string(&path) {
        Ok(identity) if !identity.trim().is_empty() => return Ok(identity.trim().to_owned()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let identity = format!("{}/{:016x}", host.trim(), rand::random::<u64>());
    std::fs::write(&path, &identity).map_err(failed)?;
    Ok(identity)
}

/// Takes and keeps the lease.
#[derive(Debug)]
struct Keeper {
    lease: Lease,
    standing: watch::Sender<Standing>,
    worker_done: watch::Receiver<bool>,
    metrics: CompactMetrics,
}

impl Keeper {
    async fn run(mut self, shutdown: Shutdown) -> Result<(), std::convert::Infallible> {
        let mut renewals = 0u32;
        let mut said = None;
        loop {
            let wait = match self.lease.attempt().await {
                Ok(attempt) => {
                    let held = !matches!(attempt, Attempt::HeldBy(_));
                    if said.as_ref() != Some(&attempt) {
                        say(&attempt);
                    }
                    let unguarded = attempt == Attempt::Unsupported;
                    said = Some(attempt);
                    let mut skew_ms = self.standing.borrow().skew_ms;
                    if unguarded {
                        // Without an object of ours there is nothing to compare clocks by.
                        skew_ms = Some(0);
                    } else if held && (skew_ms.is_none() || renewals.is_multiple_of(SKEW_EVERY)) {
                        skew_ms = self.lease.clock_skew_ms().await.ok();
                    }
                    renewals = if held { renewals.wrapping_add(1) } else { 0 };
                    self.metrics.lease_held.set(i64::from(held));
                    self.standing.send_replace(Standing { held, skew_ms });
                    if held {
                        lease::RENEW_INTERVAL
                    } else {
                        LEASE_POLL
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        error = runtime::telemetry::chain(&error),
                        "cannot write the compaction lease, trying again"
                    );
                    LEASE_POLL
                }
            };
            tokio::select! {
                () = shutdown.begun() => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
        // The worker goes first: what it is doing needs the lease.
        let _ = self.worker_done.wait_for(|done| *done).await;
        self.lease.release().await;
        Ok(())
    }
}

fn say(attempt: &Attempt) {
    match attempt {
        Attempt::Held => tracing::info!("holding the compaction lease"),
        Attempt::HeldBy(holder) => {
            tracing::info!(holder, "another compactor holds the lease, standing by");
        }
        Attempt::Unsupported => tracing::warn!(
            "the object store has no conditional writes, so that nothing keeps a second compactor \
             away; run one only"
        ),
    }
}

/// Works while the lease is held.
#[derive(Debug)]
struct Worker {
    cycle: Cycle,
    standing: watch::Receiver<Standing>,
    done: watch::Sender<bool>,
    wait_interval: Option<Duration>,
    cleanup_interval: Duration,
}

impl Worker {
    async fn run(mut self, shutdown: Shutdown) -> Result<(), CompactError> {
        let outcome = self.work(&shutdown).await;
        self.done.send_replace(true);
        outcome
    }

    async fn work(&mut self, shutdown: &Shutdown) -> Result<(), CompactError> {
        loop {
            self.cycle.show_phase("waiting for the lease");
            let skew_ms = tokio::select! {
                () = shutdown.begun() => return Ok(()),
                standing = self.standing.wait_for(|standing| standing.held) => match standing {
                    Ok(standing) => standing.skew_ms,
                    // The lease task ended, and with it the group.
                    Err(_) => return Ok(()),
                },
            };
            // Not cancelled from outside: it looks at the shutdown itself, where it is safe to stop.
            let done = self.cycle.round(skew_ms).await;
            if shutdown.has_begun() {
                return Ok(());
            }
            let Some(wait) = self.wait_interval else {
                return done;
            };
            if let Err(error) = &done {
                tracing::error!(
                    error = runtime::telemetry::chain(error),
                    retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                    "a round failed"
                );
            }
            if !self.wait(wait, shutdown).await {
                return Ok(());
            }
        }
    }

    /// Waits for the next round, cleaning up meanwhile. Answers false when the process ends.
    async fn wait(&mut self, wait: Duration, shutdown: &Shutdown) -> bool {
        let due = tokio::time::sleep(wait);
        tokio::pin!(due);
        loop {
            tokio::select! {
                () = shutdown.begun() => return false,
                () = &mut due => return true,
                () = tokio::time::sleep(self.cleanup_interval) => {}
            }
            let standing = *self.standing.borrow();
            if standing.held
                && let Err(error) = self.cycle.clean_up(standing.skew_ms).await
            {
                tracing::warn!(
                    error = runtime::telemetry::chain(&error),
                    "cannot clean up, trying again later"
                );
            }
        }
    }
}
