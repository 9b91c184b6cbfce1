//! One store over many: asks those that may hold part of the answer, and merges what they send.

mod labels;
mod select;

use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use model::{Labels, Matcher, TimeRange};
use tonic::async_trait;

use crate::coverage::{Coverage, CoverageRecorder, StoreRecord};
use crate::error::StoreError;
use crate::merge::{Merge, Source};
use crate::request::{LabelsRequest, PartialResponse, SeriesRequest};
use crate::store::{
    Apis, Component, LabelsAnswer, SeriesFrame, SeriesStore, SeriesStream, StoreInfo,
};

pub use select::{Pruned, against_external_labels, pruned};

/// The warning of an answer for which nobody could be asked.
const NO_ENDPOINTS: &str = "no store is known; the answer is empty";

/// A store that can be asked now.
#[derive(Clone)]
pub struct Endpoint {
    /// Names it in errors, in coverage, and for `__address__` matchers.
    pub address: Arc<str>,
    pub store: Arc<dyn SeriesStore>,
}

/// The changing set of stores behind a [`Proxy`].
pub trait Endpoints: Send + Sync {
    /// Returns those that can be asked now: healthy ones, and strict ones whatever their health.
    fn snapshot(&self) -> Vec<Endpoint>;
}

/// A fixed set.
impl Endpoints for Vec<Endpoint> {
    fn snapshot(&self) -> Vec<Endpoint> {
        self.clone()
    }
}

/// What a proxy is, beside its endpoints.
#[derive(Debug, Clone, Default)]
pub struct ProxyConfig {
    /// What Info calls it; a querier where unset.
    pub component: Option<Component>,
    /// Added to every label set that Info names; a request whose matchers contradict them gets an
    /// empty answer.
    pub selector_labels: Labels,
}

/// A [`SeriesStore`] over a changing set of others.
pub struct Proxy {
    endpoints: Arc<dyn Endpoints>,
    config: ProxyConfig,
}

/// A stream with the record of who takes part in it.
pub struct Selection {
    pub stream: SeriesStream,
    /// Complete once the stream has ended.
    pub coverage: Arc<CoverageRecorder>,
}

/// The stores to ask, each with the record of its part.
struct Asked {
    endpoints: Vec<Endpoint>,
    recorder: CoverageRecorder,
    /// Matchers without those that the selector labels have answered.
    matchers: Vec<Matcher>,
    /// Nothing is known at all.
    nobody: bool,
}

impl Proxy {
    /// Returns a proxy over `endpoints`.
    #[must_use]
    pub fn new(endpoints: Arc<dyn Endpoints>, config: ProxyConfig) -> Self {
        Self { endpoints, config }
    }

    /// Streams the series that match, and records who sent what.
    ///
    /// Nothing is asked before the stream is polled. A store's failure is a warning frame or ends the
    /// stream, as the request says; the coverage names it either way.
    ///
    /// # Errors
    /// [`StoreError::NoMatchers`], and [`StoreError::NoEndpoints`] where all or nothing is wanted.
    pub fn select(&self, request: &Arc<SeriesRequest>) -> Result<Selection, StoreError> {
        if request.matchers.is_empty() {
            return Err(StoreError::NoMatchers);
        }
        let asked = self.choose(
            &request.matchers,
            request.time_range(),
            &request.store_match,
            request.partial_response,
        )?;
        if asked.matchers.is_empty() {
            return Err(StoreError::NoMatchers);
        }
        // The choice of stores is made here; a proxy behind this one must not make it again.
        let unchanged =
            asked.matchers.len() == request.matchers.len() && request.store_match.is_empty();
        let forwarded = if unchanged {
            Arc::clone(request)
        } else {
            let matchers = asked.matchers;
            Arc::new(SeriesRequest {
                matchers,
                store_match: Vec::new(),
                ..(**request).clone()
            })
        };
        let sources = asked.endpoints.into_iter().zip(&asked.recorder.stores);
        let sources = sources
            .map(|(endpoint, record)| {
                let request = Arc::clone(&forwarded);
                // Opening is part of the stream, so that all stores are opened side by side.
                let opened = async move { endpoint.store.series(request).await };
                let stream = futures::stream::once(opened).try_flatten().boxed();
                Source::new(stream, Arc::clone(record))
            })
            .collect();
        let merge = Merge::new(sources, request.partial_response, request.limit);
        let stream: BoxStream<'static, _> = if asked.nobody {
            futures::stream::iter([Ok(SeriesFrame::Warning(NO_ENDPOINTS.to_owned()))]).boxed()
        } else {
            merge.boxed()
        };
        Ok(Selection {
            stream,
            coverage: Arc::new(asked.recorder),
        })
    }

    /// Returns label names with the record of who was asked.
    ///
    /// # Errors
    /// As [`SeriesStore::label_names`]; a store's failure only where all or nothing is wanted.
    pub async fn names(
        &self,
        request: &Arc<LabelsRequest>,
    ) -> Result<(LabelsAnswer, Coverage), StoreError> {
        self.labels(None, request).await
    }

    /// Returns the values of `label` with the record of who was asked.
    ///
    /// # Errors
    /// As [`SeriesStore::label_values`]; a store's failure only where all or nothing is wanted.
    pub async fn values(
        &self,
        label: &str,
        request: &Arc<LabelsRequest>,
    ) -> Result<(LabelsAnswer, Coverage), StoreError> {
        if label.is_empty() {
            return Err(StoreError::invalid("label name parameter cannot be empty"));
        }
        if request
            .without_replica_labels
            .iter()
            .any(|name| name == label)
        {
            return Ok(Default::default());
        }
        self.labels(Some(label), request).await
    }

    fn choose(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        store_match: &[Vec<Matcher>],
        partial_response: PartialResponse,
    ) -> Result<Asked, StoreError> {
        let known = self.endpoints.snapshot();
        if known.is_empty() && partial_response == PartialResponse::Abort {
            return Err(StoreError::NoEndpoints);
        }
        let total = known.len();
        let mut recorder = CoverageRecorder::default();
        let mut endpoints = Vec::with_capacity(total);
        let selector = select::against_external_labels(matchers, &self.config.selector_labels);
        if selector.is_some() {
            for endpoint in known {
                let info = endpoint.store.info();
                if pruned(&info, &endpoint.address, range, matchers, store_match).is_none() {
                    let record = StoreRecord::new(Arc::clone(&endpoint.address), &info);
                    recorder.stores.push(Arc::new(record));
                    endpoints.push(endpoint);
                }
            }
        }
        recorder.pruned = total - endpoints.len();
        // Contradicted selector labels: nobody is asked, and the matchers no longer matter.
        let matchers = selector.unwrap_or_else(|| matchers.to_vec());
        Ok(Asked {
            endpoints,
            recorder,
            matchers,
            nobody: total == 0,
        })
    }
}

#[async_trait]
impl SeriesStore for Proxy {
    fn info(&self) -> Arc<StoreInfo> {
        let infos: Vec<_> = self
            .endpoints
            .snapshot()
            .iter()
            .map(|e| e.store.info())
            .collect();
        let selector = &self.config.selector_labels;
        let with_selector = |labels: &Labels| labels.overlaid_with(selector);
        let mut label_sets: Vec<_> = infos
            .iter()
            .flat_map(|info| info.label_sets.iter().map(with_selector))
            .collect();
        label_sets.sort();
        label_sets.dedup();
        if label_sets.is_empty() && !selector.is_empty() {
            label_sets.push(selector.clone());
        }
        let range = infos
            .iter()
            .filter_map(|info| info.range)
            .reduce(|a, b| TimeRange::new(a.start.min(b.start), a.end.max(b.end)));
        let tsdb_infos = infos
            .iter()
            .flat_map(|info| info.tsdb_infos.iter().cloned());
        Arc::new(StoreInfo {
            component: self.config.component.unwrap_or(Component::Query),
            label_sets,
            range,
            // What a store behind cannot do, its client does.
            supports_sharding: true,
            supports_without_replica_labels: true,
            tsdb_infos: tsdb_infos
                .map(|mut tsdb| {
                    tsdb.labels = with_selector(&tsdb.labels);
                    tsdb
                })
                .collect(),
            apis: Apis {
                store: true,
                ..Apis::default()
            },
        })
    }

    async fn series(&self, request: Arc<SeriesRequest>) -> Result<SeriesStream, StoreError> {
        Ok(self.select(&request)?.stream)
    }

    async fn label_names(&self, request: Arc<LabelsRequest>) -> Result<LabelsAnswer, StoreError> {
        Ok(self.names(&request).await?.0)
    }

    async fn label_values(
        &self,
        label: &str,
        request: Arc<LabelsRequest>,
    ) -> Result<LabelsAnswer, StoreError> {
        Ok(self.values(label, &request).await?.0)
    }
}

#[cfg(test)]
mod tests;
