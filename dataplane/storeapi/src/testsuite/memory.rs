//! A store over a vector.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt;
use model::{Labels, Matcher, TimeRange};
use tonic::async_trait;

use super::fixture::{Fixture, xor_chunks};
use crate::error::StoreError;
use crate::proxy::against_external_labels;
use crate::request::{LabelsRequest, SeriesRequest};
use crate::series::{Chunk, Series};
use crate::shard::Shard;
use crate::store::{
    Apis, Component, LabelsAnswer, SeriesFrame, SeriesStore, SeriesStream, StoreInfo,
};

/// A store that holds its series in memory, for tests.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    info: Arc<StoreInfo>,
    external: Labels,
    series: Vec<Series>,
}

impl MemoryStore {
    /// Returns a store of `series` (without external labels) under `external` labels.
    #[must_use]
    pub fn new(external: Labels, series: Vec<Series>) -> Self {
        let chunks = || series.iter().flat_map(|one| &one.chunks);
        let start = chunks().map(|chunk| chunk.min_time).min();
        let end = chunks().map(|chunk| chunk.max_time).max();
        let info = StoreInfo {
            component: Component::Store,
            label_sets: vec![external.clone()],
            range: start
                .zip(end)
                .map(|(start, end)| TimeRange::new(start, end)),
            supports_sharding: true,
            supports_without_replica_labels: true,
            tsdb_infos: Vec::new(),
            apis: Apis {
                store: true,
                ..Apis::default()
            },
        };
        Self {
            info: Arc::new(info),
            external,
            series,
        }
    }

    /// Returns a store of the fixture's samples as XOR chunks.
    #[must_use]
    pub fn of_fixture(fixture: &Fixture) -> Self {
        let series = fixture.series.iter().map(|(labels, samples)| Series {
            labels: labels.clone(),
            chunks: xor_chunks(samples),
        });
        Self::new(fixture.external_labels.clone(), series.collect())
    }

    /// Returns the store with what it says about itself changed.
    #[must_use]
    pub fn with_info(mut self, change: impl FnOnce(&mut StoreInfo)) -> Self {
        change(Arc::make_mut(&mut self.info));
        self
    }

    /// The series that match, complete labels, chunks of `range` only; `None` where the external
    /// labels contradict the matchers.
    fn select(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Option<(Vec<Matcher>, Vec<Series>)> {
        let rest = against_external_labels(matchers, &self.external)?;
        let within =
            |chunk: &&Chunk| range.overlaps(&TimeRange::new(chunk.min_time, chunk.max_time));
        let matching = self
            .series
            .iter()
            .filter(|series| {
                rest.iter()
                    .all(|matcher| matcher.matches_labels(&series.labels))
            })
            .map(|series| Series {
                labels: series.labels.overlaid_with(&self.external),
                chunks: series.chunks.iter().filter(within).cloned().collect(),
            })
            .filter(|series| !series.chunks.is_empty())
            .collect();
        Some((rest, matching))
    }

    fn labels_of(&self, request: &LabelsRequest) -> impl Iterator<Item = Labels> {
        let (_, matching) = self
            .select(&request.matchers, request.time_range())
            .unwrap_or_default();
        matching
            .into_iter()
            .map(|series| series.labels.without(&request.without_replica_labels))
    }
}

fn answer(values: BTreeSet<String>, limit: u64) -> LabelsAnswer {
    let limit = if limit == 0 {
        usize::MAX
    } else {
        usize::try_from(limit).unwrap_or(usize::MAX)
    };
    LabelsAnswer {
        values: values.into_iter().take(limit).collect(),
        ..LabelsAnswer::default()
    }
}

#[async_trait]
impl SeriesStore for MemoryStore {
    fn info(&self) -> Arc<StoreInfo> {
        Arc::clone(&self.info)
    }

    async fn series(&self, request: Arc<SeriesRequest>) -> Result<SeriesStream, StoreError> {
        if request.matchers.is_empty() {
            return Err(StoreError::NoMatchers);
        }
        let Some((rest, mut series)) = self.select(&request.matchers, request.time_range()) else {
            return Ok(futures::stream::empty().boxed());
        };
        if rest.is_empty() {
            return Err(StoreError::NoMatchers);
        }
        if self.info.supports_without_replica_labels {
            for one in &mut series {
                one.labels = one.labels.without(&request.without_replica_labels);
            }
        }
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        if self.info.supports_sharding
            && let Some(shard) = Shard::of_request(&request)
        {
            series.retain(|one| shard.holds(&one.labels));
        }
        if request.limit > 0 {
            let mut distinct: Vec<Labels> = series.iter().map(|one| one.labels.clone()).collect();
            distinct.dedup();
            let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
            if let Some(first_beyond) = distinct.get(limit) {
                series.retain(|one| one.labels < *first_beyond);
            }
        }
        if request.skip_chunks {
            series.iter_mut().for_each(|one| one.chunks.clear());
        }
        Ok(futures::stream::iter(series.into_iter().map(SeriesFrame::Series).map(Ok)).boxed())
    }

    async fn label_names(&self, request: Arc<LabelsRequest>) -> Result<LabelsAnswer, StoreError> {
        let names = self
            .labels_of(&request)
            .flat_map(|labels| {
                labels
                    .iter()
                    .map(|label| label.name.to_owned())
                    .collect::<Vec<_>>()
            })
            .collect();
        Ok(answer(names, request.limit))
    }

    async fn label_values(
        &self,
        label: &str,
        request: Arc<LabelsRequest>,
    ) -> Result<LabelsAnswer, StoreError> {
        if label.is_empty() {
            return Err(StoreError::invalid("label name parameter cannot be empty"));
        }
        let values = self
            .labels_of(&request)
            .filter_map(|labels| labels.get(label).map(str::to_owned));
        Ok(answer(values.collect(), request.limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testsuite::check;

    #[tokio::test]
    async fn the_memory_store_keeps_every_promise_of_a_store() {
        let fixture = Fixture::standard();
        check(&MemoryStore::of_fixture(&fixture), &fixture).await;
    }
}
