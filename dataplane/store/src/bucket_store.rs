//! The StoreAPI over the blocks of a bucket.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use arc_swap::ArcSwap;
use futures::{Stream, StreamExt, stream};
use model::Matcher;
use objstore::Bucket;
use runtime::clock::Clock;
use runtime::service::Kit;
use storeapi::coverage::StoreRecord;
use storeapi::merge::{Merge, Source};
use storeapi::shard::Shard;
use storeapi::{
    ErrorKind, LabelsAnswer, LabelsRequest, PartialResponse, SeriesFrame, SeriesRequest,
    SeriesStore, SeriesStream, StoreError, StoreInfo, against_external_labels, async_trait,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::blocks::Block;
use crate::cache::IndexCache;
use crate::catalog::Catalog;
use crate::config::ReadConfig;
use crate::limits::{Budget, Pool};
use crate::metrics::StoreMetrics;
use crate::reader::{self, BlockRequest, Tools};

/// Blocks that one call for label names or values reads at once.
const LABEL_CONCURRENCY: usize = 8;

/// The blocks of a bucket as a store. [`crate::sync::Syncer`] tells it which there are.
#[derive(Debug)]
pub struct BucketStore {
    catalog: ArcSwap<Catalog>,
    tools: Tools,
    gate: Arc<Semaphore>,
    config: ReadConfig,
}

impl BucketStore {
    /// Creates a store without blocks.
    pub fn new(
        bucket: Arc<dyn Bucket>,
        config: ReadConfig,
        metrics: Arc<StoreMetrics>,
        kit: &Kit,
    ) -> Arc<Self> {
        let tools = Tools {
            bucket,
            cache: Arc::new(IndexCache::new(&config.index_cache, &kit.metrics)),
            pool: Pool::new(config.chunk_pool_bytes),
            metrics,
            clock: Arc::clone(&kit.clock),
        };
        let gate = Arc::new(Semaphore::new(config.series_concurrency.max(1)));
        let catalog = ArcSwap::from_pointee(Catalog::default());
        Arc::new(Self {
            catalog,
            tools,
            gate,
            config,
        })
    }

    /// Returns the blocks of this moment.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// Replaces the blocks. Requests under way go on with those they began with.
    pub fn set_catalog(&self, catalog: Catalog) {
        self.catalog.store(Arc::new(catalog));
    }

    /// Unmaps index-headers that nothing has used for the idle timeout.
    pub fn unload_unused(&self) {
        let idle_ms =
            i64::try_from(self.config.header_idle_timeout.as_millis()).unwrap_or(i64::MAX);
        let before_ms = self.tools.clock.now_ms().saturating_sub(idle_ms);
        for block in self.catalog().blocks() {
            block.unload_if_unused(before_ms);
        }
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.tools.clock
    }

    /// What is missing in an answer that matches `matchers`, as warnings; an error where the caller wants all.
    /// A block of which nothing is known may be missing in every answer. It is always warned of and fails
    /// none, or one broken object would end all service.
    fn missing(
        catalog: &Catalog,
        range: model::TimeRange,
        matchers: &[Matcher],
        partial_response: PartialResponse,
    ) -> Result<Vec<String>, StoreError> {
        let mut warnings: Vec<String> = catalog
            .broken(range)
            .filter(|block| against_external_labels(matchers, &block.external_labels).is_some())
            .map(|block| format!("block {} is left out: {}", block.id, block.reason))
            .collect();
        match (warnings.first(), partial_response) {
            (Some(warning), PartialResponse::Abort) => {
                Err(StoreError::new(ErrorKind::Aborted, warning.clone()))
            }
            _ => {
                warnings.extend(catalog.unreadable().iter().map(|(block, reason)| {
                    format!("block {block} is left out, whatever it holds: {reason}")
                }));
                Ok(warnings)
            }
        }
    }

    /// Asks each block for texts and puts them together.
    async fn labels<F>(
        &self,
        request: &LabelsRequest,
        read: impl Fn(BlockRequest) -> F,
    ) -> Result<LabelsAnswer, StoreError>
    where
        F: Future<Output = Result<BTreeSet<String>, StoreError>> + Send,
    {
        let catalog = self.catalog();
        let range = request.time_range();
        let budget = Arc::new(Budget::new(self.config.limits));
        let mut warnings =
            Self::missing(&catalog, range, &request.matchers, request.partial_response)?;
        let mut reads = Vec::new();
        // The coarsest blocks have the labels of the finer ones they cover, in a smaller index.
        for block in catalog.choose(range, i64::MAX) {
            let external = &block.external_labels;
            if let Some(matchers) = against_external_labels(&request.matchers, external) {
                let id = block.id;
                let read = read(BlockRequest {
                    block,
                    matchers,
                    range,
                    aggregates: Vec::new(),
                    skip_chunks: true,
                    strip: request.without_replica_labels.clone(),
                    shard: None,
                    budget: Arc::clone(&budget),
                });
                reads.push(async move { (id, read.await) });
            }
        }
        let mut values = BTreeSet::new();
        let mut reads = stream::iter(reads).buffer_unordered(LABEL_CONCURRENCY);
        while let Some((block, read)) = reads.next().await {
            match read {
                Ok(found) => values.extend(found),
                Err(error) => {
                    if let Some(limit) = budget.exceeded() {
                        return Err(limit);
                    }
                    self.tools.metrics.block_read_failures.inc();
                    let error = error.of_store(&format!("block {block}"));
                    if request.partial_response == PartialResponse::Abort {
                        return Err(StoreError::new(ErrorKind::Aborted, error.to_string()));
                    }
                    warnings.push(error.to_string());
                }
            }
        }
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let values = match limit {
            0 => values.into_iter().collect(),
            limit => values.into_iter().take(limit).collect(),
        };
        Ok(LabelsAnswer {
            values,
            warnings,
            hints: None,
        })
    }

    /// Returns the blocks that answer the request, each with the matchers left for it.
    fn chosen(catalog: &Catalog, request: &SeriesRequest) -> Result<Vec<Chosen>, StoreError> {
        if request.matchers.is_empty() {
            return Err(StoreError::NoMatchers);
        }
        let mut chosen = Vec::new();
        for block in catalog.choose(request.time_range(), request.max_resolution_ms) {
            match against_external_labels(&request.matchers, &block.external_labels) {
                None => {}
                Some(matchers) if matchers.is_empty() => return Err(StoreError::NoMatchers),
                Some(matchers) => chosen.push((block, matchers)),
            }
        }
        Ok(chosen)
    }
}

/// A block and the matchers that its external labels have not answered.
type Chosen = (Arc<Block>, Vec<Matcher>);

#[async_trait]
impl SeriesStore for BucketStore {
    fn info(&self) -> Arc<StoreInfo> {
        self.catalog.load().info()
    }

    async fn series(&self, request: Arc<SeriesRequest>) -> Result<SeriesStream, StoreError> {
        let asked = Instant::now();
        let permit = Arc::clone(&self.gate).acquire_owned().await;
        let permit = permit
            .map_err(|_| StoreError::new(ErrorKind::Unavailable, "the store is shutting down"))?;
        let metrics = Arc::clone(&self.tools.metrics);
        metrics.gate_seconds.observe(asked.elapsed().as_secs_f64());

        let catalog = self.catalog();
        let range = request.time_range();
        let warnings = Self::missing(&catalog, range, &request.matchers, request.partial_response)?;
        let chosen = Self::chosen(&catalog, &request)?;
        metrics.blocks_queried.observe(chosen.len() as f64);
        let budget = Arc::new(Budget::new(self.config.limits));
        let shard = Shard::of_request(&request);
        let mut sources = Vec::with_capacity(chosen.len());
        for (block, matchers) in chosen {
            let name = format!("block {}", block.id);
            let record = StoreRecord::new(name.into(), &StoreInfo::default());
            let series = reader::series(
                self.tools.clone(),
                BlockRequest {
                    block,
                    matchers,
                    range,
                    aggregates: request.aggregates.clone(),
                    skip_chunks: request.skip_chunks,
                    strip: request.without_replica_labels.clone(),
                    shard: shard.clone(),
                    budget: Arc::clone(&budget),
                },
            );
            let failures = Arc::clone(&metrics);
            let series = series.inspect(move |frame| {
                if frame.is_err() {
                    failures.block_read_failures.inc();
                }
            });
            sources.push(Source::new(Box::pin(series), Arc::new(record)));
        }
        Ok(Box::pin(Answer {
            warnings: warnings.into_iter(),
            merge: Merge::new(sources, request.partial_response, request.limit),
            budget,
            metrics,
            asked,
            series: 0,
            ended: false,
            _permit: permit,
        }))
    }

    async fn label_names(&self, request: Arc<LabelsRequest>) -> Result<LabelsAnswer, StoreError> {
        let tools = &self.tools;
        self.labels(&request, async |block| {
            reader::label_names(tools, &block).await
        })
        .await
    }

    async fn label_values(
        &self,
        label: &str,
        request: Arc<LabelsRequest>,
    ) -> Result<LabelsAnswer, StoreError> {
        if label.is_empty() {
            return Err(StoreError::invalid("label name parameter cannot be empty"));
        }
        if request
            .without_replica_labels
            .iter()
            .any(|stripped| stripped == label)
        {
            return Ok(LabelsAnswer::default());
        }
        let tools = &self.tools;
        self.labels(&request, async |block| {
            reader::label_values(tools, &block, label).await
        })
        .await
    }
}

/// The answer to one Series call: what is missing, then the merged series. A limit that any block exceeds
/// ends it with that error, since the rest would be a part that looks like all.
struct Answer {
    warnings: std::vec::IntoIter<String>,
    merge: Merge,
    budget: Arc<Budget>,
    metrics: Arc<StoreMetrics>,
    asked: Instant,
    series: u64,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Stream for Answer {
    type Item = Result<SeriesFrame, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(warning) = self.warnings.next() {
            return Poll::Ready(Some(Ok(SeriesFrame::Warning(warning))));
        }
        let polled = self.merge.poll_next_unpin(context);
        if let Some(exceeded) = self.budget.exceeded() {
            self.ended = true;
            return Poll::Ready(Some(Err(exceeded)));
        }
        match &polled {
            Poll::Ready(Some(Ok(SeriesFrame::Series(_)))) => self.series += 1,
            Poll::Ready(Some(Err(_))) => self.ended = true,
            Poll::Ready(None) => {
                self.ended = true;
                self.metrics.result_series.observe(self.series as f64);
                self.metrics
                    .get_all_seconds
                    .observe(self.asked.elapsed().as_secs_f64());
            }
            _ => {}
        }
        polled
    }
}

#[cfg(test)]
pub(crate) mod tests;
