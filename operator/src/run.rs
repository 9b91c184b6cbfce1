//! The running operator: takes the lease, starts the watches, reconciles until told to stop.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crds::MonitoringStack;
use futures::StreamExt as _;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Config as ControllerConfig;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::predicates;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::{Controller, Predicate as _, PredicateConfig, WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Health};
use crate::children::{Children, Metadata};
use crate::controller::apply::{Applier, ApplyError};
use crate::controller::build::Kind;
use crate::controller::observe::Observer;
use crate::controller::{Context, error_policy, reconcile};
use crate::coreos::install::{self, InstallError};
use crate::coreos::watch::Resources;
use crate::leader::Election;
use crate::names::{FIELD_MANAGER, OWNER_NAMESPACE_ANNOTATION, STACK_LABEL};
use crate::references::{ReferenceWatches, Trigger};
use crate::settings::Settings;
use crate::telemetry::Metrics;

/// Name of the lease in the operator's namespace.
pub const LEASE: &str = "hindsight-operator";
/// Stacks reconciled at once.
const CONCURRENCY: u16 = 4;
/// Events of one stack that come so close together are one pass.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// Longest wait for running passes when stopping.
const DRAIN: Duration = Duration::from_secs(8);

/// How to run.
#[derive(Clone, Debug)]
pub struct Config {
    pub settings: Settings,
    /// Namespaces whose stacks are served; empty for all.
    pub namespaces: Vec<String>,
    /// The operator's own namespace, which holds the lease.
    pub namespace: String,
    /// Name of this process among the candidates; unique in time.
    pub identity: String,
    /// Address of metrics and probes.
    pub listen: SocketAddr,
    /// Whether missing definitions of monitoring resources are installed.
    pub install_coreos_crds: bool,
}

/// Why the operator ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("cannot listen on {address}")]
    Bind {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("the lease was lost; another process leads")]
    LeaseLost,
    #[error("cannot install the definitions of monitoring resources")]
    Install(#[source] InstallError),
    #[error("cannot read what earlier stacks left behind")]
    Sweep(#[source] kube::Error),
    #[error("cannot remove what earlier stacks left behind")]
    SweepWrite(#[source] ApplyError),
}

/// Runs until `shutdown`, or until the lease is lost: the process must end then.
///
/// # Errors
/// Where it could not start, or lost the lease.
pub async fn run(
    client: Client,
    config: Config,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let listener = admin::bind(config.listen)
        .await
        .map_err(|source| RunError::Bind {
            address: config.listen,
            source,
        })?;
    let health = Arc::new(Health::default());
    let admin_shutdown = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(admin::serve(
        listener,
        Arc::clone(&metrics),
        Arc::clone(&health),
        admin_shutdown.clone(),
    ));
    let result = lead(&client, &config, &metrics, &health, &shutdown).await;
    metrics.set_leading(false);
    admin_shutdown.cancel();
    while tasks.join_next().await.is_some() {}
    result
}

async fn lead(
    client: &Client,
    config: &Config,
    metrics: &Arc<Metrics>,
    health: &Health,
    shutdown: &CancellationToken,
) -> Result<(), RunError> {
    let election = Election::new(client.clone(), &config.namespace, LEASE, &config.identity);
    let lease = tokio::select! {
        // A candidate that waits is ready: it is as able to take over as it can be.
        lease = election.acquire(|| health.set_ready()) => lease,
        () = shutdown.cancelled() => return Ok(()),
    };
    metrics.set_leading(true);
    let stop = shutdown.child_token();
    let mut controllers = Box::pin(controllers(
        client,
        config,
        metrics,
        &election,
        stop.clone(),
    ));
    let result = tokio::select! {
        () = election.hold(lease) => Err(RunError::LeaseLost),
        result = &mut controllers => result,
        () = shutdown.cancelled() => {
            // Running passes end; nothing new begins.
            match tokio::time::timeout(DRAIN, &mut controllers).await {
                Ok(result) => result,
                Err(_) => Ok(()),
            }
        }
    };
    // No write may be on its way when another process is let in.
    drop(controllers);
    election.release().await;
    result
}

async fn controllers(
    client: &Client,
    config: &Config,
    metrics: &Arc<Metrics>,
    election: &Election,
    stop: CancellationToken,
) -> Result<(), RunError> {
    let applier = Arc::new(Applier::new(
        client.clone(),
        election.fence(),
        Arc::clone(metrics),
    ));
    if config.install_coreos_crds {
        install::install(client, &applier)
            .await
            .map_err(RunError::Install)?;
    }
    let scopes: Vec<Option<String>> = if config.namespaces.is_empty() {
        vec![None]
    } else {
        config.namespaces.iter().cloned().map(Some).collect()
    };
    // A stack that may look beyond its namespace needs to know what lies there.
    let is_everywhere = config.namespaces.is_empty() || !config.settings.cluster_stacks.is_empty();
    let resources = Arc::new(Resources::watch(
        client,
        (!is_everywhere).then_some(config.namespaces.as_slice()),
    ));
    let mut running = JoinSet::new();
    for scope in scopes {
        let (children, streams) = Children::watch(client, scope.as_deref());
        let (references, triggers) = ReferenceWatches::new(client.clone());
        let reporter = Reporter {
            controller: FIELD_MANAGER.to_owned(),
            instance: Some(config.identity.clone()),
        };
        let context = Arc::new(Context {
            client: client.clone(),
            settings: config.settings.clone(),
            children: children.clone(),
            applier: Arc::clone(&applier),
            observer: Observer::new(client.clone()),
            recorder: Recorder::new(client.clone(), reporter),
            metrics: Arc::clone(metrics),
            references,
            resources: Arc::clone(&resources),
            memory: Mutex::new(HashMap::new()),
        });
        running.spawn(control(
            scope.clone(),
            context,
            streams,
            triggers,
            stop.clone(),
        ));
        if running.len() == 1 {
            // Once is enough: cluster-scoped objects are watched in every scope.
            tokio::select! {
                swept = sweep(client, config, &children, &applier) => swept?,
                () = stop.cancelled() => {}
            }
        }
    }
    while running.join_next().await.is_some() {}
    Ok(())
}

async fn control(
    scope: Option<String>,
    context: Arc<Context>,
    streams: Vec<(Kind, crate::children::Changes)>,
    triggers: tokio::sync::mpsc::Receiver<Trigger>,
    stop: CancellationToken,
) {
    let stacks: Api<DeserializeGuard<MonitoringStack>> = match &scope {
        Some(namespace) => Api::namespaced(context.client.clone(), namespace),
        None => Api::all(context.client.clone()),
    };
    let (reader, writer) = reflector::store();
    // Our own status writes do not wake us up.
    let forgetful = Arc::clone(&context);
    let changes = watcher(stacks, watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .inspect(move |event| {
            if let Ok(watcher::Event::Delete(DeserializeGuard(Ok(stack)))) = event {
                forgetful.forget(stack);
            }
        })
        .applied_objects()
        .predicate_filter(
            predicates::generation.combine(predicates::finalizers),
            PredicateConfig::default(),
        );
    let mut controller = Controller::for_stream(changes, reader)
        .with_config(
            ControllerConfig::default()
                .concurrency(CONCURRENCY)
                .debounce(DEBOUNCE),
        )
        .reconcile_on(ReceiverStream::new(triggers))
        .graceful_shutdown_on(async move { stop.cancelled().await });
    for (kind, stream) in streams {
        controller = if kind.is_cluster_scoped() {
            controller.watches_stream_with(
                stream,
                |object: Metadata| owner_by_annotation(&object),
                kind.api_resource(),
            )
        } else {
            controller.owns_stream_with(stream, kind.api_resource())
        };
    }
    let children = context.children.clone();
    let resources = Arc::clone(&context.resources);
    let passes = controller.run(
        move |resource, context| {
            let children = children.clone();
            let resources = Arc::clone(&resources);
            async move {
                // A pass before the first list would take every object for missing or unwatched.
                children.wait_until_listed().await;
                resources.wait_until_listed().await;
                reconcile(resource, context).await
            }
        },
        error_policy,
        context,
    );
    passes
        .for_each(|pass| {
            // Failed passes are logged where their retry is decided.
            if let Err(kube::runtime::controller::Error::QueueError(error)) = pass {
                tracing::warn!(error = %error, "watch interrupted");
            }
            std::future::ready(())
        })
        .await;
}

fn owner_by_annotation(object: &Metadata) -> Option<Trigger> {
    let stack = object.labels().get(STACK_LABEL)?;
    let namespace = object.annotations().get(OWNER_NAMESPACE_ANNOTATION)?;
    Some(ObjectRef::new(stack).within(namespace))
}

/// Removes cluster-scoped objects of stacks that are gone: a stack may have been deleted with its
/// namespace while no operator ran.
async fn sweep(
    client: &Client,
    config: &Config,
    children: &Children,
    applier: &Applier,
) -> Result<(), RunError> {
    children.wait_until_listed().await;
    for (namespace, uid) in children.cluster_scoped_owners() {
        // Stacks of other namespaces are another operator's.
        if !config.namespaces.is_empty() && !config.namespaces.contains(&namespace) {
            continue;
        }
        let stacks: Api<MonitoringStack> = Api::namespaced(client.clone(), &namespace);
        let found = stacks
            .list_metadata(&kube::api::ListParams::default())
            .await
            .map_err(RunError::Sweep)?;
        if found
            .items
            .iter()
            .all(|stack| stack.metadata.uid.as_deref() != Some(uid.as_str()))
        {
            tracing::info!(namespace, uid, "removing what a deleted stack left behind");
            applier
                .clean_up(&namespace, &uid, children)
                .await
                .map_err(RunError::SweepWrite)?;
        }
    }
    Ok(())
}
