//! Rules, targets, metric metadata, exemplars and head statistics of all endpoints that offer them, as one.

mod rules;
pub(crate) mod tsdb;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use storeapi::proto::thanos as pb;
use storeapi::{
    Answer, Apis, ErrorKind, ExemplarsApi, MetadataApi, RemoteApis, RulesApi, StatusApi,
    StoreError, TargetsApi, async_trait,
};

use crate::endpoints::EndpointSet;

/// Asks every endpoint that offers a service, and joins what they answer.
pub(crate) struct Peers {
    pub(crate) endpoints: Arc<EndpointSet>,
    /// Labels that differ between replicas of one rule, target or series.
    pub(crate) replica_labels: Vec<String>,
}

impl Peers {
    /// Calls all endpoints that `offer` the service. Under `ABORT` the first failure is the answer,
    /// else it is a warning.
    async fn gather<T: Send + 'static>(
        &self,
        strategy: i32,
        offer: impl Fn(&Apis) -> bool,
        call: impl Fn(RemoteApis) -> BoxFuture<'static, Result<Answer<T>, StoreError>>,
    ) -> Result<Answer<Vec<T>>, StoreError> {
        let abort = strategy == i32::from(pb::PartialResponseStrategy::Abort);
        let members = self.endpoints.members();
        let mut calls: FuturesUnordered<_> = members
            .iter()
            .filter(|member| member.is_queryable() && offer(&member.info().apis))
            .filter_map(|member| Some((Arc::clone(member.address()), member.apis()?)))
            .map(|(address, apis)| {
                let answer = call(apis);
                async move { answer.await.map_err(|error| error.of_store(&address)) }
            })
            .collect();
        let mut gathered = Answer {
            value: Vec::new(),
            warnings: Vec::new(),
        };
        while let Some(answer) = calls.next().await {
            match answer {
                Ok(answer) => {
                    gathered.value.push(answer.value);
                    gathered.warnings.extend(answer.warnings);
                }
                Err(error) if abort => {
                    return Err(StoreError::new(ErrorKind::Aborted, error.to_string()));
                }
                Err(error) => gathered.warnings.push(error.to_string()),
            }
        }
        // They come in the order of the peers' speed.
        gathered.warnings.sort_unstable();
        Ok(gathered)
    }
}

#[async_trait]
impl RulesApi for Peers {
    async fn rules(
        &self,
        request: pb::RulesRequest,
    ) -> Result<Answer<Vec<pb::RuleGroup>>, StoreError> {
        let strategy = request.partial_response_strategy;
        let answer = self
            .gather(
                strategy,
                |apis| apis.rules,
                |peer| {
                    let request = request.clone();
                    Box::pin(async move { peer.rules(request).await })
                },
            )
            .await?;
        let mut groups = answer.value.into_iter().flatten().collect();
        // Before replicas become one: a request may select by what tells them apart.
        rules::choose(&mut groups, &request)?;
        Ok(Answer {
            value: rules::join(groups, &self.replica_labels),
            warnings: answer.warnings,
        })
    }
}

#[async_trait]
impl TargetsApi for Peers {
    async fn targets(
        &self,
        request: pb::TargetsRequest,
    ) -> Result<Answer<pb::TargetDiscovery>, StoreError> {
        let strategy = request.partial_response_strategy;
        let answer = self
            .gather(
                strategy,
                |apis| apis.targets,
                |peer| Box::pin(async move { peer.targets(request).await }),
            )
            .await?;
        let mut all = pb::TargetDiscovery::default();
        for mut targets in answer.value {
            for target in &mut targets.active_targets {
                strip(&mut target.labels, &self.replica_labels);
                strip(&mut target.discovered_labels, &self.replica_labels);
            }
            for target in &mut targets.dropped_targets {
                strip(&mut target.discovered_labels, &self.replica_labels);
            }
            all.active_targets.append(&mut targets.active_targets);
            all.dropped_targets.append(&mut targets.dropped_targets);
        }
        // Of replicas of one target the one scraped last is shown.
        let place = |target: &pb::ActiveTarget| {
            let labels = |set: &Option<pb::LabelSet>| set.clone().unwrap_or_default().labels;
            let pairs = labels(&target.labels)
                .into_iter()
                .map(|label| (label.name, label.value));
            (
                target.scrape_pool.clone(),
                target.scrape_url.clone(),
                pairs.collect::<Vec<_>>(),
            )
        };
        let scraped = |target: &pb::ActiveTarget| {
            target
                .last_scrape
                .as_ref()
                .map_or((0, 0), |time| (time.seconds, time.nanos))
        };
        all.active_targets.sort_by(|a, b| {
            place(a)
                .cmp(&place(b))
                .then_with(|| scraped(b).cmp(&scraped(a)))
        });
        all.active_targets.dedup_by(|a, b| place(a) == place(b));
        all.dropped_targets.dedup();
        Ok(Answer {
            value: all,
            warnings: answer.warnings,
        })
    }
}

#[async_trait]
impl MetadataApi for Peers {
    async fn metric_metadata(
        &self,
        request: pb::MetricMetadataRequest,
    ) -> Result<Answer<pb::MetricMetadata>, StoreError> {
        let strategy = request.partial_response_strategy;
        let limit = request.limit;
        let answer = self
            .gather(
                strategy,
                |apis| apis.metadata,
                |peer| {
                    let request = request.clone();
                    Box::pin(async move { peer.metric_metadata(request).await })
                },
            )
            .await?;
        let mut all = pb::MetricMetadata::default();
        for part in answer.value {
            for (metric, entry) in part.metadata {
                let known = &mut all.metadata.entry(metric).or_default().metas;
                for meta in entry.metas {
                    if !known.contains(&meta) {
                        known.push(meta);
                    }
                }
            }
        }
        if let Ok(limit) = usize::try_from(limit)
            && all.metadata.len() > limit
        {
            let kept: BTreeSet<String> = {
                let names: BTreeSet<&String> = all.metadata.keys().collect();
                names.into_iter().take(limit).cloned().collect()
            };
            all.metadata.retain(|metric, _| kept.contains(metric));
        }
        Ok(Answer {
            value: all,
            warnings: answer.warnings,
        })
    }
}

#[async_trait]
impl ExemplarsApi for Peers {
    async fn exemplars(
        &self,
        request: pb::ExemplarsRequest,
    ) -> Result<Answer<Vec<pb::ExemplarData>>, StoreError> {
        let strategy = request.partial_response_strategy;
        let answer = self
            .gather(
                strategy,
                |apis| apis.exemplars.is_some(),
                |peer| {
                    let request = request.clone();
                    Box::pin(async move { peer.exemplars(request).await })
                },
            )
            .await?;
        let mut all: Vec<pb::ExemplarData> = Vec::new();
        for mut data in answer.value.into_iter().flatten() {
            strip(&mut data.series_labels, &self.replica_labels);
            match all
                .iter_mut()
                .find(|known| known.series_labels == data.series_labels)
            {
                Some(known) => known.exemplars.append(&mut data.exemplars),
                None => all.push(data),
            }
        }
        for data in &mut all {
            data.exemplars
                .sort_by(|a, b| a.ts.cmp(&b.ts).then(a.value.total_cmp(&b.value)));
            data.exemplars.dedup();
        }
        Ok(Answer {
            value: all,
            warnings: answer.warnings,
        })
    }
}

#[async_trait]
impl StatusApi for Peers {
    async fn tsdb_statistics(
        &self,
        request: pb::TsdbStatisticsRequest,
    ) -> Result<Answer<pb::TsdbStatistics>, StoreError> {
        let strategy = request.partial_response_strategy;
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let answer = self
            .gather(
                strategy,
                |apis| apis.status,
                |peer| {
                    let request = request.clone();
                    Box::pin(async move { peer.tsdb_statistics(request).await })
                },
            )
            .await?;
        let mut tenants: BTreeMap<String, Vec<pb::TsdbStatisticsEntry>> = BTreeMap::new();
        for (tenant, entry) in answer.value.into_iter().flat_map(|of| of.statistics) {
            tenants.entry(tenant).or_default().push(entry);
        }
        let merged = tenants
            .into_iter()
            .map(|(tenant, entries)| (tenant, tsdb::merge(entries, limit)));
        Ok(Answer {
            value: pb::TsdbStatistics {
                statistics: merged.collect(),
            },
            warnings: answer.warnings,
        })
    }
}

/// Removes the labels that tell replicas apart.
fn strip(labels: &mut Option<pb::LabelSet>, replica_labels: &[String]) {
    if let Some(set) = labels {
        set.labels
            .retain(|label| !replica_labels.contains(&label.name));
    }
}
