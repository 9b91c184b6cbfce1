//! Many small ranges of one object with few requests.

use std::ops::Range;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::{BlockRequest, Tools};
use storeapi::{ErrorKind, StoreError};

/// Ranges closer than this are fetched together: a request costs more than the bytes between.
pub(super) const MAX_GAP_BYTES: u64 = 512 << 10;

/// A range is not grown over this by joining; larger ones travel better in parallel.
const MAX_JOINED_BYTES: u64 = 16 << 20;

/// Requests in flight for one read.
const CONCURRENCY: usize = 8;

/// Parts of an object.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    /// In order of their offset, not overlapping.
    parts: Vec<(u64, Bytes)>,
}

impl Fetched {
    /// Returns what was fetched from byte `at` on; empty where nothing was.
    pub(super) fn from(&self, at: u64) -> Bytes {
        let before = self.parts.partition_point(|(start, _)| *start <= at);
        let Some((start, bytes)) = before.checked_sub(1).and_then(|part| self.parts.get(part))
        else {
            return Bytes::new();
        };
        match usize::try_from(at - start) {
            Ok(skip) if skip < bytes.len() => bytes.slice(skip..),
            _ => Bytes::new(),
        }
    }

    /// Bytes fetched in all.
    pub(super) fn len_bytes(&self) -> u64 {
        self.parts.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }

    /// Requests that it took.
    pub(super) fn requests(&self) -> u64 {
        self.parts.len() as u64
    }
}

/// Joins ranges, which are in order of their start, where the gap between two is small.
pub(super) fn coalesce(ranges: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges.filter(|range| range.start < range.end) {
        if let Some(last) = joined.last_mut() {
            let overlaps = range.start < last.end;
            let close = range.start.saturating_sub(last.end) <= MAX_GAP_BYTES
                && range.end.saturating_sub(last.start) <= MAX_JOINED_BYTES;
            if overlaps || close {
                last.end = last.end.max(range.end);
                continue;
            }
        }
        joined.push(range);
    }
    joined
}

/// Fetches ranges, which are in order of their start, of a block's object.
pub(super) async fn fetch(
    tools: &Tools,
    request: &BlockRequest,
    object: &str,
    ranges: impl Iterator<Item = Range<u64>>,
) -> Result<Fetched, StoreError> {
    let joined = coalesce(ranges);
    let bytes: u64 = joined.iter().map(|range| range.end - range.start).sum();
    request.budget.add_bytes(bytes)?;
    let reads = joined.into_iter().map(|range| async move {
        let start = range.start;
        let bytes = tools.bucket.get_range(object, range).await;
        bytes.map(|bytes| (start, bytes)).map_err(|error| {
            let kind = if error.is_not_found() {
                ErrorKind::NotFound
            } else {
                ErrorKind::Unavailable
            };
            StoreError::new(kind, runtime::telemetry::chain(&error))
        })
    });
    // In order, so that the parts are too.
    let parts = stream::iter(reads)
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    Ok(Fetched { parts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_and_overlapping_ranges_are_joined() {
        let gap = MAX_GAP_BYTES;
        let ranges = [
            0..10,
            5..20,
            20..20,
            20 + gap..30 + gap,
            31 + 2 * gap..40 + 2 * gap,
        ];
        assert_eq!(
            coalesce(ranges.into_iter()),
            [0..30 + gap, 31 + 2 * gap..40 + 2 * gap]
        );
        let huge = [0..MAX_JOINED_BYTES, MAX_JOINED_BYTES..MAX_JOINED_BYTES + 1];
        assert_eq!(coalesce(huge.clone().into_iter()), huge);
        let inside = [0..MAX_JOINED_BYTES * 2, 5..MAX_JOINED_BYTES + 1];
        let joined = coalesce(inside.into_iter());
        assert_eq!((joined.len(), &joined[0]), (1, &(0..MAX_JOINED_BYTES * 2)));
    }

    #[test]
    fn bytes_are_found_by_their_offset_in_the_object() {
        let fetched = Fetched {
            parts: vec![
                (10, Bytes::from_static(b"abc")),
                (20, Bytes::from_static(b"xyz")),
            ],
        };
        for (at, expected) in [
            (9, ""),
            (10, "abc"),
            (12, "c"),
            (13, ""),
            (19, ""),
            (20, "xyz"),
            (23, ""),
        ] {
            assert_eq!(fetched.from(at), expected, "{at}");
        }
    }
}
