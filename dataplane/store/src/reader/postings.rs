//! From matchers to the series they select.

use std::collections::HashMap;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use block::IndexHeader;
use bytes::Bytes;
use model::Matcher;
use storeapi::StoreError;
use tsdb::index::{PostingsTable, SelectorPlan};
use tsdb::postings::decode_postings;

use super::{BlockRequest, Tools, corrupt, fetch};
use crate::metrics::Data;

/// Returns the series that the request's matchers select, in order of their place in the index.
pub(super) async fn expand(
    tools: &Tools,
    request: &BlockRequest,
    header: &IndexHeader,
) -> Result<Arc<[u32]>, StoreError> {
    let block = request.block.id;
    let key = key(&request.matchers);
    if let Some(series) = tools.cache.expanded(block, &key) {
        return Ok(series);
    }
    let plan = plan(header.postings(), &request.matchers)?;
    let series: Arc<[u32]> = match plan {
        None => Arc::from([]),
        Some(plan) => {
            let lists = lists(tools, request, plan.ranges().cloned().collect()).await?;
            let none = Bytes::new();
            let series = plan.series(|range| {
                decode_postings(lists.get(&range.start).unwrap_or(&none))
                    .map_err(|error| corrupt(&error))
            });
            series?.into()
        }
    };
    tools.cache.put_expanded(block, key, Arc::clone(&series));
    Ok(series)
}

fn plan(table: &PostingsTable, matchers: &[Matcher]) -> Result<Option<SelectorPlan>, StoreError> {
    SelectorPlan::new(table, matchers).map_err(|error| corrupt(&error))
}

/// The matchers as text, each with its length before it, so that no two sets have the same.
fn key(matchers: &[Matcher]) -> Arc<str> {
    let mut key = String::new();
    for matcher in matchers {
        let text = matcher.to_string();
        // Writing to a String cannot fail.
        let _ = write!(key, "{}:{text}", text.len());
    }
    key.into()
}

/// Returns the bytes of postings lists by where they begin, from the cache or the bucket.
pub(super) async fn lists(
    tools: &Tools,
    request: &BlockRequest,
    mut ranges: Vec<Range<u64>>,
) -> Result<HashMap<u64, Bytes>, StoreError> {
    let block = &request.block;
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    ranges.dedup();
    let mut lists = HashMap::with_capacity(ranges.len());
    let touched = ranges.len() as u64;
    ranges.retain(|range| match tools.cache.postings(block.id, range.start) {
        Some(bytes) => {
            lists.insert(range.start, bytes);
            false
        }
        None => true,
    });
    if !ranges.is_empty() {
        let object = block.index_object();
        let fetched = fetch::fetch(tools, request, &object, ranges.iter().cloned()).await?;
        tools.metrics.observe(
            Data::Postings,
            touched,
            fetched.requests(),
            fetched.len_bytes(),
        );
        for range in ranges {
            let bytes = fetched.from(range.start);
            let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
            let bytes = bytes.slice(..bytes.len().min(wanted));
            // A body that came short must not be remembered.
            if decode_postings(&bytes).is_ok() {
                tools.cache.put_postings(block.id, range.start, &bytes);
            }
            lists.insert(range.start, bytes);
        }
    }
    Ok(lists)
}
