//! A querier as a component: bound, built, run.

use std::net::SocketAddr;
use std::sync::Arc;

use promql::ParseOptions;
use promql::context::MemoryAccount;
use promql::engine::{Engine, EngineOptions};
use runtime::grpc::GrpcServer;
use runtime::http::HttpServer;
use runtime::listener::ListenError;
use runtime::service::Kit;
use runtime::tasks::TaskGroup;
use storeapi::server::STREAMING_METHODS;
use storeapi::{
    Component, Endpoint, Endpoints, Proxy, ProxyConfig, RemoteConfig, SeriesStore, Services,
};
use tokio::runtime::Handle;

use crate::config::Config;
use crate::endpoints::config::EndpointConfigError;
use crate::endpoints::resolve::{Resolve, ResolveError};
use crate::endpoints::{EndpointSet, SystemResolver};
use crate::gate::Gate;
use crate::grpc::QueryServer;
use crate::http::{self, Api};
use crate::limited::Limited;
use crate::metrics::{EndpointMetrics, QueryMetrics};
use crate::peers::Peers;
use crate::service::Service;

/// Why a querier cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Endpoints(#[from] EndpointConfigError),
    #[error("setting up name resolution")]
    Resolver(#[from] ResolveError),
    #[error("starting the engine's threads")]
    Threads(#[source] std::io::Error),
}

/// What a querier is given beside its settings.
#[derive(Default)]
pub struct Parts {
    /// Stores of this process, by name.
    pub local: Vec<(String, Arc<dyn SeriesStore>)>,
    /// Routes of other components of this process, served beside the querier's.
    pub routes: axum::Router,
    /// Name resolution; the system's where `None`.
    pub dns: Option<Arc<dyn Resolve>>,
    /// What the process calls itself; `query` where `None`.
    pub component: Option<&'static str>,
    pub ready: Readiness,
}

/// Who says that the process is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Readiness {
    /// The querier, after the first update of its endpoints.
    #[default]
    Endpoints,
    /// Another component of the process.
    Elsewhere,
}

/// A querier whose ports are bound and which serves nobody yet.
pub struct Querier {
    http: HttpServer,
    grpc: GrpcServer,
    api: Arc<Api>,
    routes: axum::Router,
    services: Services,
    ready: Readiness,
    kit: Kit,
}

/// The endpoints that queries may go to, for the proxy.
struct Queryable(Arc<EndpointSet>);

impl Endpoints for Queryable {
    fn snapshot(&self) -> Vec<Endpoint> {
        let members = self.0.members();
        let open = members.iter().filter(|member| member.has_open_store());
        open.map(|m| Endpoint {
            address: Arc::clone(m.address()),
            store: Arc::clone(m.store()),
        })
        .collect()
    }
}

impl Querier {
    /// Binds the ports and builds everything. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// A port that cannot be had, or configuration that cannot be used.
    pub async fn build(config: Config, parts: Parts, kit: Kit) -> Result<Self, StartError> {
        let http = HttpServer::bind(&config.http).await?;
        let grpc = GrpcServer::bind(&config.grpc).await?;
        let dns = match parts.dns {
            Some(dns) => dns,
            None => Arc::new(SystemResolver::new()?) as Arc<dyn Resolve>,
        };
        let timeout = config.endpoints.response_timeout;
        let remote = RemoteConfig {
            response_timeout: (!timeout.is_zero()).then_some(timeout),
            info_timeout: config.endpoints.info_timeout,
            tenant_header: config.answers.tenant_header.clone(),
        };
        let endpoints = Arc::new(EndpointSet::new(
            config.endpoints.clone(),
            remote,
            parts.local,
            dns,
            Arc::clone(&kit.clock),
            EndpointMetrics::register(&kit.metrics),
        ));
        endpoints.check_config()?;
        let proxy = Arc::new(Proxy::new(
            Arc::new(Queryable(Arc::clone(&endpoints))),
            ProxyConfig {
                component: Some(Component::Query),
                selector_labels: config.selector_labels.clone(),
            },
        ));
        let metrics = QueryMetrics::register(&kit.metrics);
        metrics
            .gate_max
            .set(i64::try_from(config.engine.max_concurrent).unwrap_or(i64::MAX));
        let experimental = config.engine.experimental;
        let service = Arc::new(Service {
            engine: Arc::new(Engine::new(engine_options(&config)).map_err(StartError::Threads)?),
            proxy: Arc::clone(&proxy),
            config: config.engine.clone(),
            answers: config.answers.clone(),
            metrics,
            parse_options: ParseOptions {
                experimental_functions: experimental,
                duration_expressions: true,
                extended_range_selectors: experimental,
                fill_modifiers: experimental,
                extended_functions: config.engine.extended_functions,
            },
            gate: Gate::new(config.engine.max_concurrent),
            memory: Arc::new(MemoryAccount::with_limit(
                config.engine.total_memory_limit_bytes,
            )),
            runtime: Handle::current(),
        });
        let peers = Arc::new(Peers {
            endpoints: Arc::clone(&endpoints),
            replica_labels: config.answers.replica_labels.clone(),
        });
        let services = Services {
            store: Some(Limited::around(proxy, config.limits)),
            rules: Some(Arc::clone(&peers) as _),
            targets: Some(Arc::clone(&peers) as _),
            metadata: Some(Arc::clone(&peers) as _),
            exemplars: Some(Arc::clone(&peers) as _),
            status: Some(peers),
            query: Some(Arc::new(QueryServer(Arc::clone(&service)))),
            tenant_header: Some(config.answers.tenant_header.clone()),
            ..Services::default()
        };
        let api = Arc::new(Api {
            service,
            endpoints,
            component: parts.component.unwrap_or("query"),
            started_ms: kit.clock.now_ms(),
            config,
            kit: kit.clone(),
        });
        Ok(Self {
            http,
            grpc,
            api,
            routes: parts.routes,
            services,
            ready: parts.ready,
            kit,
        })
    }

    /// Returns the address that serves HTTP.
    pub fn http_addr(&self) -> SocketAddr {
        self.http.local_addr()
    }

    /// Returns the address that serves gRPC.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc.local_addr()
    }

    /// Starts everything in `group`.
    pub fn spawn(self, group: &mut TaskGroup) {
        let Self {
            http,
            grpc,
            api,
            routes,
            services,
            ready,
            kit,
        } = self;
        let endpoints = Arc::clone(&api.endpoints);
        let probe = kit.probe.clone();
        let updated = move || {
            if ready == Readiness::Endpoints {
                probe.ready();
            }
        };
        group.spawn("endpoints", endpoints.run(kit.shutdown.clone(), updated));
        group.spawn(
            "http",
            http.serve(kit.clone(), http::router(api).merge(routes)),
        );
        let grpc_routes = services.into_routes(&kit.probe);
        group.spawn("grpc", grpc.serve(kit, grpc_routes, STREAMING_METHODS));
    }
}

fn engine_options(config: &Config) -> EngineOptions {
    /// Samples are not what is limited here: memory is.
    const MAX_SAMPLES: usize = i32::MAX as usize;
    let ms =
        |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let defaults = EngineOptions::default();
    EngineOptions {
        lookback_delta_ms: config
            .engine
            .lookback_delta
            .map_or(defaults.lookback_delta_ms, ms),
        max_samples: MAX_SAMPLES,
        subquery_step_ms: ms(config.engine.default_evaluation_interval),
        threads: if config.engine.threads == 0 {
            defaults.threads
        } else {
            config.engine.threads
        },
        ..defaults
    }
}
