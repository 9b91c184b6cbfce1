//! Wires the sidecar together: what starts in which order, and what each probe waits for.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use objstore::Bucket;
use runtime::grpc::{GrpcConfig, GrpcServer};
use runtime::http::{HttpConfig, HttpServer};
use runtime::listener::ListenError;
use runtime::probe::Probe;
use runtime::service::Kit;
use runtime::tasks::TaskError;
use storeapi::server::{STREAMING_METHODS, Services};
use thiserror::Error;
use tokio::sync::watch;

use crate::apis::PrometheusApis;
use crate::heartbeat::{Heartbeat, Pulse};
use crate::metrics::SidecarMetrics;
use crate::prometheus::{Prometheus, PrometheusError};
use crate::reload::template::Lookup;
use crate::reload::{ReloadConfig, ReloadState, Reloader, chain};
use crate::ship::{ShipConfig, Shipper};
use crate::status::{StatusSource, routes};
use crate::store::{Identity, PrometheusStore, SeriesLimits};

/// How long open work may go on once shutdown begins, beyond the listeners' own grace periods.
const DRAIN_MARGIN: Duration = Duration::from_secs(5);
/// How long after a template that cannot be used it is tried again, until the first one is written.
const PREPARE_INTERVAL: Duration = Duration::from_secs(1);

/// A sidecar's settings.
#[derive(Debug, Clone)]
pub struct Config {
    pub prometheus_url: String,
    /// How often the external labels are read, and how long one answer may take.
    pub get_config_interval: Duration,
    pub get_config_timeout: Duration,
    /// Data before this is not offered, milliseconds.
    pub min_time: i64,
    pub reload: ReloadConfig,
    /// Where the template's variables come from, normally the environment.
    pub variables: Lookup,
    pub ship: ShipConfig,
    pub limits: SeriesLimits,
    pub http: HttpConfig,
    pub grpc: GrpcConfig,
}

/// Why a sidecar ended.
#[derive(Debug, Error)]
pub enum SidecarError {
    #[error(transparent)]
    Prometheus(#[from] PrometheusError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Task(#[from] TaskError),
}

/// A sidecar with its ports bound, ready to run.
pub struct Sidecar {
    config: Config,
    bucket: Option<Arc<dyn Bucket>>,
    prometheus: Prometheus,
    http: HttpServer,
    grpc: GrpcServer,
    kit: Kit,
}

/// Binds the ports. Without a `bucket` nothing is uploaded.
///
/// # Errors
/// Settings that cannot be used, or a port that is taken.
pub async fn build(
    config: Config,
    bucket: Option<Arc<dyn Bucket>>,
    kit: Kit,
) -> Result<Sidecar, SidecarError> {
    kit.probe
        .not_healthy("the first configuration is not written yet");
    let prometheus = Prometheus::new(&config.prometheus_url, config.get_config_timeout)?;
    let http = HttpServer::bind(&config.http).await?;
    let grpc = GrpcServer::bind(&config.grpc).await?;
    Ok(Sidecar {
        config,
        bucket,
        prometheus,
        http,
        grpc,
        kit,
    })
}

impl Sidecar {
    /// Returns the address bound for HTTP.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.http.local_addr()
    }

    /// Returns the address bound for gRPC.
    #[must_use]
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc.local_addr()
    }

    /// Runs until shutdown.
    ///
    /// # Errors
    /// A task that failed or did not end in time.
    pub async fn run(self) -> Result<(), SidecarError> {
        let Self {
            config,
            bucket,
            prometheus,
            http,
            grpc,
            kit,
        } = self;
        let metrics = SidecarMetrics::register(&kit.metrics);
        let identity = watch::Sender::new(Identity::default());
        let heartbeat = watch::Sender::new(Heartbeat::Starting);
        let reloader = Reloader::new(config.reload, prometheus.clone(), config.variables);
        let shipper = bucket.map(|bucket| {
            let clock = Arc::clone(&kit.clock);
            Shipper::new(
                config.ship,
                bucket,
                identity.subscribe(),
                metrics.clone(),
                clock,
            )
        });
        let status = StatusSource {
            version: kit.build.version,
            reload: reloader.state(),
            identity: identity.subscribe(),
            ship: shipper.as_ref().map(Shipper::status),
        };
        let services = services(&prometheus, &identity, config.limits);
        let drain = config.http.grace_period.max(config.grpc.grace_period) + DRAIN_MARGIN;

        let mut group = kit.task_group();
        let grpc_routes = services.into_routes(&kit.probe);
        group.spawn("http", http.serve(kit.clone(), routes(status)));
        group.spawn(
            "grpc",
            grpc.serve(kit.clone(), grpc_routes, STREAMING_METHODS),
        );
        group.spawn("probe-state", {
            let probe = kit.probe.clone();
            until_shutdown(&kit, follow(heartbeat.subscribe(), probe))
        });
        group.spawn("reload-metrics", {
            until_shutdown(&kit, count_reloads(reloader.state(), metrics.clone()))
        });
        group.spawn("reloader", {
            let probe = kit.probe.clone();
            until_shutdown(&kit, async move {
                prepare(&reloader, &probe).await;
                reloader.run().await;
            })
        });
        if let Some(shipper) = shipper {
            let shipping = ship(shipper, prometheus.clone(), identity.subscribe());
            group.spawn("shipper", until_shutdown(&kit, shipping));
        }
        let pulse = Pulse {
            prometheus,
            min_time: config.min_time,
            interval: config.get_config_interval,
            metrics,
            clock: Arc::clone(&kit.clock),
            identity,
            heartbeat,
        };
        group.spawn("heartbeat", until_shutdown(&kit, pulse.run()));
        Ok(kit.supervise(group, drain).await?)
    }
}

fn services(
    prometheus: &Prometheus,
    identity: &watch::Sender<Identity>,
    limits: SeriesLimits,
) -> Services {
    let store = PrometheusStore::new(prometheus.clone(), identity.subscribe(), limits);
    let apis = Arc::new(PrometheusApis::new(
        prometheus.clone(),
        identity.subscribe(),
    ));
    Services {
        store: Some(Arc::new(store)),
        rules: Some(Arc::clone(&apis) as _),
        targets: Some(Arc::clone(&apis) as _),
        metadata: Some(Arc::clone(&apis) as _),
        exemplars: Some(apis),
        ..Services::default()
    }
}

/// Ends `task` when shutdown begins; all of them may be dropped at any await.
fn until_shutdown(
    kit: &Kit,
    task: impl Future<Output = ()> + Send + 'static,
) -> impl Future<Output = Result<(), Infallible>> + Send + 'static {
    let shutdown = kit.shutdown.clone();
    async move {
        tokio::select! {
            () = shutdown.begun() => {}
            () = task => {}
        }
        Ok(())
    }
}

/// Writes the first configuration, after which the sidecar is healthy and Prometheus may start.
async fn prepare(reloader: &Reloader, probe: &Probe) {
    loop {
        match reloader.prepare().await {
            Ok(()) => return probe.healthy(),
            Err(err) => {
                let reason = chain(&err);
                tracing::error!(error = reason, "the first configuration cannot be written");
                probe.not_healthy(&reason);
                tokio::time::sleep(PREPARE_INTERVAL).await;
            }
        }
    }
}

/// Ready while Prometheus answers and has external labels.
async fn follow(mut beats: watch::Receiver<Heartbeat>, probe: Probe) {
    loop {
        match beats.borrow_and_update().clone() {
            Heartbeat::Starting => probe.not_ready("waiting for prometheus"),
            Heartbeat::Up => probe.ready(),
            Heartbeat::Down(reason) => probe.not_ready(&reason),
        }
        if beats.changed().await.is_err() {
            return;
        }
    }
}

async fn count_reloads(mut states: watch::Receiver<ReloadState>, metrics: SidecarMetrics) {
    loop {
        let state = states.borrow_and_update().clone();
        metrics
            .reloads
            .inc_by(state.reloads + state.reload_failures - metrics.reloads.get());
        metrics
            .reload_failures
            .inc_by(state.reload_failures - metrics.reload_failures.get());
        metrics
            .last_reload_successful
            .set(i64::from(state.error.is_none()));
        if states.changed().await.is_err() {
            return;
        }
    }
}

/// Uploads once Prometheus is known and its flags allow it; they cannot change while it runs, and a
/// Prometheus that was restarted with others is seen at the next check.
async fn ship(shipper: Shipper, prometheus: Prometheus, mut identity: watch::Receiver<Identity>) {
    loop {
        if identity.wait_for(|identity| identity.known).await.is_err() {
            return;
        }
        match prometheus.flags().await {
            Ok(flags) => match shipper.check(&flags) {
                Ok(()) => return shipper.run().await,
                Err(err) => shipper.refuse(&err),
            },
            Err(err) => tracing::warn!(error = chain(&err), "prometheus' flags are not known yet"),
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
}
