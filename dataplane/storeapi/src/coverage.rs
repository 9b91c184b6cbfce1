//! Who was asked for an answer, and what each one sent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::{Labels, TimeRange};

use crate::series::{Aggregate, Series};
use crate::store::{Component, StoreInfo};

/// How one store took part in an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreCoverage {
    pub address: Arc<str>,
    pub component: Component,
    /// The time the store said it covers.
    pub range: Option<TimeRange>,
    /// The external label sets the store said it has.
    pub label_sets: Vec<Labels>,
    pub series: u64,
    pub chunks: u64,
    /// Of the chunks, those without raw samples.
    pub downsampled_chunks: u64,
    /// As the chunks' own headers count them.
    pub samples: u64,
    /// Of encoded chunks and labels.
    pub bytes: u64,
    /// From the question to the last frame; until now while it goes on.
    pub duration: Duration,
    /// Whether the store has sent all it has, or failed.
    pub ended: bool,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// Who was asked, in the order of the endpoints, and how many were not.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Coverage {
    pub stores: Vec<StoreCoverage>,
    /// Stores that could not hold anything of the answer: other times or other labels.
    pub pruned: usize,
}

impl Coverage {
    /// Returns whether every store that was asked has answered to the end.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.stores
            .iter()
            .all(|store| store.ended && store.error.is_none())
    }
}

/// The running record of a [`Coverage`]; read it once the stream has ended.
#[derive(Debug, Default)]
pub struct CoverageRecorder {
    pub(crate) stores: Vec<Arc<StoreRecord>>,
    pub(crate) pruned: usize,
}

impl CoverageRecorder {
    /// Returns what is known now.
    #[must_use]
    pub fn snapshot(&self) -> Coverage {
        Coverage {
            stores: self.stores.iter().map(|store| store.snapshot()).collect(),
            pruned: self.pruned,
        }
    }
}

/// What one store has sent so far.
#[derive(Debug)]
pub struct StoreRecord {
    address: Arc<str>,
    component: Component,
    range: Option<TimeRange>,
    label_sets: Vec<Labels>,
    asked: Instant,
    series: AtomicU64,
    chunks: AtomicU64,
    downsampled_chunks: AtomicU64,
    samples: AtomicU64,
    bytes: AtomicU64,
    end: Mutex<Option<(Duration, Option<String>)>>,
}

impl StoreRecord {
    /// Returns the record of a store that is asked now.
    #[must_use]
    pub fn new(address: Arc<str>, info: &StoreInfo) -> Self {
        Self {
            address,
            component: info.component,
            range: info.range,
            label_sets: info.label_sets.clone(),
            asked: Instant::now(),
            series: AtomicU64::new(0),
            chunks: AtomicU64::new(0),
            downsampled_chunks: AtomicU64::new(0),
            samples: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            end: Mutex::new(None),
        }
    }

    /// Returns the name of the store.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Adds a series that came.
    pub fn count_series(&self, series: &Series) {
        let samples: u64 = series
            .chunks
            .iter()
            .filter_map(|chunk| {
                chunk
                    .payload(Aggregate::Raw)
                    .or_else(|| chunk.payload(Aggregate::Count))
            })
            // A corrupt chunk is reported where it is decoded.
            .filter_map(|payload| chunk::sample_count(payload.encoding, &payload.data).ok())
            .map(u64::from)
            .sum();
        let bytes = series.chunk_bytes() + series.labels.size_bytes();
        self.series.fetch_add(1, Ordering::Relaxed);
        self.chunks
            .fetch_add(series.chunks.len() as u64, Ordering::Relaxed);
        let downsampled = series.chunks.iter().filter(|c| c.raw.is_none()).count();
        self.downsampled_chunks
            .fetch_add(downsampled as u64, Ordering::Relaxed);
        self.samples.fetch_add(samples, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Notes that the store is done; the first call counts.
    pub fn end(&self, error: Option<&dyn std::fmt::Display>) {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if end.is_none() {
            *end = Some((self.asked.elapsed(), error.map(ToString::to_string)));
        }
    }

    /// Returns what is known now.
    #[must_use]
    pub fn snapshot(&self) -> StoreCoverage {
        let end = self
            .end
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        StoreCoverage {
            address: Arc::clone(&self.address),
            component: self.component,
            range: self.range,
            label_sets: self.label_sets.clone(),
            series: self.series.load(Ordering::Relaxed),
            chunks: self.chunks.load(Ordering::Relaxed),
            downsampled_chunks: self.downsampled_chunks.load(Ordering::Relaxed),
            samples: self.samples.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            duration: end
                .as_ref()
                .map_or_else(|| self.asked.elapsed(), |(duration, _)| *duration),
            ended: end.is_some(),
            error: end.and_then(|(_, error)| error),
        }
    }
}
