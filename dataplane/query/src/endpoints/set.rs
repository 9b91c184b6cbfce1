//! All endpoints, kept up to date.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::sync::{Arc, PoisonError, RwLock};

use futures::StreamExt;
use runtime::clock::Clock;
use runtime::shutdown::Shutdown;
use runtime::watch::FileWatch;
use storeapi::{Component, RemoteConfig, SeriesStore};

use super::address::Address;
use super::config::{EndpointConfigError, EndpointSpec};
use super::member::Member;
use super::resolve::{Resolve, Resolver};
use crate::config::EndpointsConfig;
use crate::metrics::EndpointMetrics;

/// Info calls under way at once: each is one small message, but a fleet has hundreds of stores.
const MAX_CONCURRENT_CHECKS: usize = 64;

/// The endpoints of a querier. Reading is cheap and always gives the last good set.
pub struct EndpointSet {
    config: EndpointsConfig,
    remote: RemoteConfig,
    dns: Arc<dyn Resolve>,
    clock: Arc<dyn Clock>,
    metrics: EndpointMetrics,
    local: Vec<Arc<Member>>,
    members: RwLock<Arc<[Arc<Member>]>>,
}

impl std::fmt::Debug for EndpointSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndpointSet")
            .field("members", &self.members())
            .finish_non_exhaustive()
    }
}

/// What the update loop carries from round to round.
#[derive(Default)]
struct Round {
    specs: Vec<EndpointSpec>,
    resolver: Resolver,
    /// Doubled streams that were warned of.
    doubles: HashSet<String>,
}

impl EndpointSet {
    /// Returns a set that knows `local` stores and nobody else before its first update.
    pub fn new(
        config: EndpointsConfig,
        remote: RemoteConfig,
        local: Vec<(String, Arc<dyn SeriesStore>)>,
        dns: Arc<dyn Resolve>,
        clock: Arc<dyn Clock>,
        metrics: EndpointMetrics,
    ) -> Self {
        let local: Vec<_> = local
            .into_iter()
            .map(|(name, store)| Arc::new(Member::local(&name, store)))
            .collect();
        let members = RwLock::new(local.as_slice().into());
        Self {
            config,
            remote,
            dns,
            clock,
            metrics,
            local,
            members,
        }
    }

    /// Returns the endpoints of this moment, those that are down included.
    pub fn members(&self) -> Arc<[Arc<Member>]> {
        Arc::clone(&self.members.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the configuration for the first time.
    ///
    /// # Errors
    /// Configuration that cannot be used. Later changes that cannot be used are logged only.
    pub fn check_config(&self) -> Result<(), EndpointConfigError> {
        self.config.sources.load().map(|_| ())
    }

    /// Updates the set until shutdown; calls `updated` after the first round.
    ///
    /// # Errors
    /// None; the type is what a task group takes.
    pub async fn run(
        self: Arc<Self>,
        shutdown: Shutdown,
        updated: impl FnOnce() + Send,
    ) -> Result<(), Infallible> {
        let work = async {
            let mut round = Round::default();
            let files = self.config.sources.files();
            let mut watch = FileWatch::new(files, self.config.reload_interval);
            self.reload(&mut round);
            self.resolve(&mut round).await;
            self.check(&mut round).await;
            updated();
            let mut dns = tokio::time::interval(self.config.dns_interval);
            let mut info = tokio::time::interval(self.config.info_interval);
            for interval in [&mut dns, &mut info] {
                interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                interval.reset();
            }
            loop {
                tokio::select! {
                    () = watch.changed() => {
                        self.reload(&mut round);
                        self.resolve(&mut round).await;
                    }
                    _ = dns.tick() => self.resolve(&mut round).await,
                    _ = info.tick() => {}
                }
                self.check(&mut round).await;
            }
        };
        tokio::select! {
            () = shutdown.begun() => Ok(()),
            never = work => never,
        }
    }

    fn reload(&self, round: &mut Round) {
        match self.config.sources.load() {
            Ok(specs) => round.specs = specs,
            Err(error) => {
                let error = runtime::telemetry::chain(&error);
                tracing::error!(%error, "endpoint configuration cannot be used, keeping the last");
            }
        }
    }

    /// Looks the configured addresses up and makes the set what they say.
    async fn resolve(&self, round: &mut Round) {
        let addresses: Vec<Address> = round
            .specs
            .iter()
            .map(|spec| spec.address.clone())
            .collect();
        let resolved = round.resolver.resolve(&addresses, self.dns.as_ref()).await;
        self.metrics.lookups.inc_by(resolved.lookups);
        self.metrics
            .lookup_failures
            .inc_by(resolved.failures.len() as u64);
        for failure in &resolved.failures {
            tracing::warn!(error = %failure, "endpoint name cannot be looked up, keeping the last answer");
        }
        let known = self.members();
        let mut wanted: BTreeMap<String, Arc<Member>> = BTreeMap::new();
        for (spec, targets) in round.specs.iter().zip(&resolved.targets) {
            for target in targets {
                if wanted
                    .get(target)
                    .is_some_and(|member| member.strict() || !spec.strict)
                {
                    continue;
                }
                let kept = known
                    .iter()
                    .find(|m| m.is(target, spec.strict, &spec.client));
                let member = match kept {
                    Some(member) => Arc::clone(member),
                    None => match Member::remote(
                        target,
                        spec.strict,
                        &spec.client,
                        self.remote.clone(),
                        self.clock.now_ms(),
                    ) {
                        Ok(member) => Arc::new(member),
                        Err(error) => {
                            let error = runtime::telemetry::chain(&error);
                            tracing::error!(endpoint = %target, %error, "endpoint cannot be dialled");
                            continue;
                        }
                    },
                };
                wanted.insert(target.clone(), member);
            }
        }
        let members: Vec<_> = self
            .local
            .iter()
            .cloned()
            .chain(wanted.into_values())
            .collect();
        self.publish(members);
    }

    /// Asks every endpoint for its Info.
    async fn check(&self, round: &mut Round) {
        let members = self.members();
        futures::stream::iter(members.iter())
            .for_each_concurrent(MAX_CONCURRENT_CHECKS, |member| async {
                member
                    .check(self.clock.now_ms(), self.config.info_interval)
                    .await;
            })
            .await;
        self.metrics.observe(&members);
        warn_of_doubles(&members, &mut round.doubles);
    }

    fn publish(&self, members: Vec<Arc<Member>>) {
        *self.members.write().unwrap_or_else(PoisonError::into_inner) = members.into();
    }

    /// Returns the endpoints to list: all but those silent for longer than the timeout.
    pub fn listed(&self) -> Vec<Arc<Member>> {
        let now_ms = self.clock.now_ms();
        let members = self.members();
        let listed = members
            .iter()
            .filter(|member| !member.is_forgotten(now_ms, self.config.unhealthy_timeout));
        listed.cloned().collect()
    }
}

/// Two sidecars or rulers with equal external labels write one stream twice; both stay, the operator of
/// the fleet should know.
fn warn_of_doubles(members: &[Arc<Member>], warned: &mut HashSet<String>) {
    let mut seen: HashMap<String, &Arc<Member>> = HashMap::new();
    let mut doubles = HashSet::new();
    for member in members.iter().filter(|member| member.is_queryable()) {
        let info = member.info();
        if !matches!(info.component, Component::Sidecar | Component::Rule) {
            continue;
        }
        for labels in &info.label_sets {
            let labels = labels.to_string();
            let Some(other) = seen.insert(labels.clone(), member) else {
                continue;
            };
            if other.address() == member.address() {
                continue;
            }
            if !warned.contains(&labels) {
                tracing::warn!(
                    endpoint = %member.address(),
                    other = %other.address(),
                    %labels,
                    "two endpoints have the same external labels"
                );
            }
            doubles.insert(labels);
        }
    }
    *warned = doubles;
}
