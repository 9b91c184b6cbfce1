//! A frontend as a component: bound, built, run.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use runtime::http::HttpServer;
use runtime::listener::ListenError;
use runtime::probe::Probe;
use runtime::service::Kit;
use runtime::shutdown::Shutdown;
use runtime::tasks::TaskGroup;
use tower_http::compression::CompressionLayer;

use crate::cache::Results;
use crate::config::Config;
use crate::downstream::Downstream;
use crate::handler::{Front, FrontendMetrics, handle};

/// How often a querier that is ready is asked whether it still is.
const READY_INTERVAL: Duration = Duration::from_secs(10);
/// How often one is asked that is not.
const UNREADY_INTERVAL: Duration = Duration::from_millis(500);

/// Why a frontend cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("the querier's address {url:?} is no http or https URL")]
    Url { url: String },
    #[error("setting up the client of the querier")]
    Client(#[from] reqwest::Error),
}

/// A frontend whose port is bound and which serves nobody yet.
pub struct Frontend {
    http: HttpServer,
    front: Arc<Front>,
    kit: Kit,
}

impl Frontend {
    /// Binds the port and builds everything.
    ///
    /// # Errors
    /// A port that cannot be had, or configuration that cannot be used.
    pub async fn build(config: Config, kit: Kit) -> Result<Self, StartError> {
        let url = reqwest::Url::parse(&config.downstream_url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| StartError::Url {
                url: config.downstream_url.clone(),
            })?;
        let http = HttpServer::bind(&config.http).await?;
        let front = Arc::new(Front {
            downstream: Downstream::new(url)?,
            results: config.range.cache.as_ref().map(Results::new),
            metrics: FrontendMetrics::register(&kit.metrics),
            clock: Arc::clone(&kit.clock),
            config,
        });
        Ok(Self { http, front, kit })
    }

    /// Returns the address that serves HTTP.
    pub fn http_addr(&self) -> SocketAddr {
        self.http.local_addr()
    }

    /// Starts everything in `group`.
    pub fn spawn(self, group: &mut TaskGroup) {
        let Self { http, front, kit } = self;
        let compress = front.config.compress_responses;
        let watch = watch(
            front.downstream.clone(),
            kit.probe.clone(),
            kit.shutdown.clone(),
        );
        group.spawn("downstream", watch);
        let mut routes = Router::new().fallback(handle).with_state(front);
        if compress {
            routes = routes.layer(CompressionLayer::new());
        }
        group.spawn("http", http.serve(kit, routes));
    }
}

/// Is ready as long as the querier is.
async fn watch(downstream: Downstream, probe: Probe, shutdown: Shutdown) -> Result<(), Infallible> {
    let watching = async {
        loop {
            let pause = if downstream.is_ready().await {
                probe.ready();
                READY_INTERVAL
            } else {
                probe.not_ready("the querier is not ready");
                UNREADY_INTERVAL
            };
            tokio::time::sleep(pause).await;
        }
    };
    tokio::select! {
        () = shutdown.begun() => Ok(()),
        never = watching => never,
    }
}
