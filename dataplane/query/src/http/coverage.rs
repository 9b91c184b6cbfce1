//! Who took part in an answer, as its body and headers say it.

use http::{HeaderMap, HeaderName, HeaderValue};
use model::Labels;
use serde::Serialize;
use storeapi::StoreCoverage;

use super::status::rfc3339;
use crate::select::SelectorCoverage;

/// On every answer for which stores were asked.
const COVERAGE: HeaderName = HeaderName::from_static("x-hindsight-coverage");

/// How many stores took part, one that was asked several times counted so often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Summary {
    asked: usize,
    failed: usize,
    pruned: usize,
}

impl Summary {
    pub(super) fn of<'a>(coverage: impl IntoIterator<Item = &'a storeapi::Coverage>) -> Self {
        let mut sum = Self::default();
        for stores in coverage {
            sum.add(Self {
                asked: stores.stores.len(),
                failed: stores.stores.iter().filter(|s| s.error.is_some()).count(),
                pruned: stores.pruned,
            });
        }
        sum
    }

    /// Adds those of a further call.
    pub(super) fn add(&mut self, other: Self) {
        self.asked += other.asked;
        self.failed += other.failed;
        self.pruned += other.pruned;
    }

    /// Adds the header.
    pub(super) fn write(self, headers: &mut HeaderMap) {
        let Self {
            asked,
            failed,
            pruned,
        } = self;
        let answered = asked - failed;
        let text = format!("asked={asked}, answered={answered}, failed={failed}, pruned={pruned}");
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(COVERAGE, value);
        }
    }
}

/// `data.coverage`: one entry a selection of series.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// Whether every store that was asked answered to the end.
    complete: bool,
    selections: Vec<SelectionReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SelectionReport {
    selector: String,
    start: String,
    end: String,
    /// Stores that could hold nothing of it: other times or other labels.
    pruned: usize,
    stores: Vec<StoreReport>,
}

/// What one store did for one selection.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StoreReport {
    name: String,
    component: &'static str,
    label_sets: Vec<Labels>,
    min_time: Option<String>,
    max_time: Option<String>,
    series: u64,
    chunks: u64,
    /// Of the chunks, those of downsampled blocks.
    downsampled_chunks: u64,
    samples: u64,
    bytes: u64,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Report {
    pub(super) fn of(coverage: &[SelectorCoverage]) -> Self {
        let selection = |of: &SelectorCoverage| SelectionReport {
            selector: of.selector.to_string(),
            start: rfc3339(of.range.start),
            end: rfc3339(of.range.end),
            pruned: of.stores.pruned,
            stores: of.stores.stores.iter().map(StoreReport::of).collect(),
        };
        Self {
            complete: coverage.iter().all(|of| of.stores.is_complete()),
            selections: coverage.iter().map(selection).collect(),
        }
    }
}

impl StoreReport {
    pub(super) fn of(store: &StoreCoverage) -> Self {
        Self {
            name: store.address.to_string(),
            component: store.component.as_str(),
            label_sets: store.label_sets.clone(),
            min_time: store.range.map(|range| rfc3339(range.start)),
            max_time: store.range.map(|range| rfc3339(range.end)),
            series: store.series,
            chunks: store.chunks,
            downsampled_chunks: store.downsampled_chunks,
            samples: store.samples,
            bytes: store.bytes,
            seconds: store.duration.as_secs_f64(),
            error: store.error.clone(),
        }
    }
}
