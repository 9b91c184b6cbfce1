//! From matchers to series of one block.
//!
//! Three dependent reads: postings, series entries, chunks. Each is planned whole, its ranges coalesced,
//! and fetched with as few requests as the gaps allow; while one batch of series is being sent, the
//! chunks of the next are already on their way.

use std::collections::VecDeque;
use std::sync::Arc;

use block::{BlockError, IndexHeader};
use futures::{Stream, TryStreamExt, stream};
use model::{Labels, Matcher, TimeRange};
use objstore::Bucket;
use runtime::clock::Clock;
use storeapi::shard::Shard;
use storeapi::{Aggregate, ErrorKind, Series, SeriesFrame, StoreError};

use crate::blocks::Block;
use crate::cache::IndexCache;
use crate::limits::{Budget, Pool};
use crate::metrics::StoreMetrics;

mod chunks;
mod entries;
mod fetch;
mod labels;
mod order;
mod postings;

use entries::{Entry, Labeller};
use order::Reorder;

pub use labels::{label_names, label_values};

/// Series entries of the first and of the largest batch: the first answer comes soon, later ones cheaply.
const FIRST_BATCH_SERIES: usize = 64;
const LARGEST_BATCH_SERIES: usize = 1024;

/// Bytes of chunks and number of series that are fetched together.
const CHUNK_BATCH_BYTES: u64 = 2 << 20;
const CHUNK_BATCH_SERIES: usize = 512;

/// Batches of chunks in flight: the one being sent and the one after it.
const CHUNK_BATCHES_AHEAD: usize = 2;

/// What reading needs beside the block.
#[derive(Debug, Clone)]
pub struct Tools {
    /// Where the block is.
    pub bucket: Arc<dyn Bucket>,
    /// What is kept of earlier reads.
    pub cache: Arc<IndexCache>,
    /// Bytes that may be held.
    pub pool: Arc<Pool>,
    /// Told what was read.
    pub metrics: Arc<StoreMetrics>,
    /// For how long a block has not been used.
    pub clock: Arc<dyn Clock>,
}

/// What is asked of one block.
#[derive(Debug)]
pub struct BlockRequest {
    /// The block.
    pub block: Arc<Block>,
    /// Matchers that the external labels have not answered.
    pub matchers: Vec<Matcher>,
    /// The time asked for.
    pub range: TimeRange,
    /// Parts of downsampled chunks that are wanted.
    pub aggregates: Vec<Aggregate>,
    /// Labels only.
    pub skip_chunks: bool,
    /// Labels to leave out.
    pub strip: Vec<String>,
    /// The part of all series that is wanted.
    pub shard: Option<Shard>,
    /// What the whole request may use.
    pub budget: Arc<Budget>,
}

impl BlockRequest {
    /// Translates what went wrong with the block.
    fn error(&self, error: &BlockError) -> StoreError {
        let kind = match error.kind() {
            block::ErrorKind::NotFound => ErrorKind::NotFound,
            block::ErrorKind::Corrupt => ErrorKind::Corrupt,
            block::ErrorKind::Unavailable => ErrorKind::Unavailable,
            block::ErrorKind::Internal => ErrorKind::Internal,
        };
        StoreError::new(kind, runtime::telemetry::chain(error))
    }
}

/// Says of unsound bytes which block they are of.
fn corrupt(corrupt: &tsdb::Corrupt) -> StoreError {
    StoreError::Corrupt {
        what: corrupt.what.to_string(),
        at: match corrupt.at {
            Some(at) => format!("{} at byte {at}", corrupt.place),
            None => corrupt.place.to_string(),
        },
    }
}

/// Streams the series of one block in order of their final labels. A series may come in several parts.
pub fn series(
    tools: Tools,
    request: BlockRequest,
) -> impl Stream<Item = Result<SeriesFrame, StoreError>> + Send {
    let request = Arc::new(request);
    let opened = async move {
        let header = request
            .block
            .header(&*tools.bucket, tools.clock.now_ms())
            .await;
        let header = header.map_err(|error| request.error(&error))?;
        let series = postings::expand(&tools, &request, &header).await?;
        request.budget.add_series(series.len() as u64)?;
        let walk = Walk::new(tools.clone(), Arc::clone(&request), header, series).await?;
        let batches = stream::try_unfold(walk, Walk::next_batch);
        Ok::<_, StoreError>(
            batches
                .map_ok(move |batch| chunks::fetch(tools.clone(), Arc::clone(&request), batch))
                .try_buffered(CHUNK_BATCHES_AHEAD)
                .map_ok(|series| stream::iter(series.into_iter().map(SeriesFrame::Series).map(Ok)))
                .try_flatten(),
        )
    };
    stream::once(opened).try_flatten()
}

/// Reads series entries batch by batch and hands them on in order.
struct Walk {
    tools: Tools,
    request: Arc<BlockRequest>,
    header: Arc<IndexHeader>,
    labeller: Labeller,
    series: Arc<[u32]>,
    read: usize,
    batch_series: usize,
    order: Reorder<Entry>,
    ready: VecDeque<Entry>,
}

impl Walk {
    async fn new(
        tools: Tools,
        request: Arc<BlockRequest>,
        header: Arc<IndexHeader>,
        series: Arc<[u32]>,
    ) -> Result<Self, StoreError> {
        let labeller = Labeller::new(&request.block.external_labels, &request.strip);
        // Labels of the series' own that are hidden or removed can change the order in any way.
        let own_order = !header
            .postings()
            .label_names()
            .any(|name| labeller.hides(name));
        let order = if own_order {
            Reorder::by_prefix(labeller.last_external_name())
        } else {
            Reorder::whole()
        };
        Ok(Self {
            tools,
            request,
            header,
            labeller,
            series,
            read: 0,
            batch_series: FIRST_BATCH_SERIES,
            order,
            ready: VecDeque::new(),
        })
    }

    /// Returns the next series whose chunks are worth fetching together.
    async fn next_batch(mut self) -> Result<Option<(Vec<Entry>, Self)>, StoreError> {
        while self.read < self.series.len()
            && self.ready.len() < CHUNK_BATCH_SERIES
            && self.ready_bytes() < CHUNK_BATCH_BYTES
        {
            self.read_entries().await?;
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < CHUNK_BATCH_SERIES && bytes < CHUNK_BATCH_BYTES {
            let Some(entry) = self.ready.pop_front() else {
                break;
            };
            bytes += entry.planned_bytes();
            batch.push(entry);
        }
        Ok((!batch.is_empty()).then_some((batch, self)))
    }

    fn ready_bytes(&self) -> u64 {
        self.ready.iter().map(Entry::planned_bytes).sum()
    }

    async fn read_entries(&mut self) -> Result<(), StoreError> {
        let end = self.series.len().min(self.read + self.batch_series);
        let batch = self.series.get(self.read..end).unwrap_or_default();
        let entries = entries::read(
            &self.tools,
            &self.request,
            &self.header,
            &mut self.labeller,
            batch,
        )
        .await?;
        self.read = end;
        self.batch_series = (self.batch_series * 4).min(LARGEST_BATCH_SERIES);
        for (symbols, entry) in entries {
            if self
                .request
                .shard
                .as_ref()
                .is_none_or(|shard| shard.holds(&entry.labels))
            {
                let next_name = |at: usize| self.labeller.name(&self.header, &symbols, at);
                self.order
                    .push(&symbols, entry.labels.clone(), entry, next_name);
            }
        }
        if self.read == self.series.len() {
            self.order.finish();
        }
        while let Some(entry) = self.order.pop() {
            self.ready.push_back(entry);
        }
        Ok(())
    }
}

/// Finished series, for those that need no chunks.
fn without_chunks(entries: Vec<Entry>) -> Vec<Series> {
    let series = |entry: Entry| Series {
        labels: entry.labels,
        chunks: Vec::new(),
    };
    entries.into_iter().map(series).collect()
}

/// Labels that are their own sort key.
type SortKey = Labels;
