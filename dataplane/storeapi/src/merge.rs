//! Many sorted streams into one: equal label sets are combined, identical chunks dropped.
//!
//! The merge holds one series of each stream and the one being put together; it asks a stream for
//! more only when its head was taken, so the streams' own flow control bounds what is in memory.

mod loser_tree;

use std::cmp::Ordering;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use model::Labels;

use crate::coverage::StoreRecord;
use crate::error::{ErrorKind, StoreError};
use crate::request::PartialResponse;
use crate::series::{Chunk, Series};
use crate::store::{SeriesFrame, SeriesStream};

use loser_tree::LoserTree;

/// A stream to merge, with the name to blame and the record to keep.
pub struct Source {
    stream: Option<SeriesStream>,
    record: Arc<StoreRecord>,
    head: Option<Series>,
    /// The label set before, to catch a store that breaks its order.
    last: Option<Labels>,
    /// Whether `head` is decided: a series, or nothing because the stream has ended.
    settled: bool,
}

impl Source {
    /// Returns a source that keeps `record` and is called by the record's name in errors.
    #[must_use]
    pub fn new(stream: SeriesStream, record: Arc<StoreRecord>) -> Self {
        Self {
            stream: Some(stream),
            record,
            head: None,
            last: None,
            settled: false,
        }
    }

    /// Polls until the head is decided or something else has to be handed on.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<SeriesFrame, StoreError>>> {
        let Some(stream) = &mut self.stream else {
            self.settled = true;
            return Poll::Ready(None);
        };
        let error = match std::task::ready!(stream.as_mut().poll_next(cx)) {
            Some(Ok(SeriesFrame::Series(series))) => {
                self.record.count_series(&series);
                match self.last.as_ref().map(|last| last.cmp(&series.labels)) {
                    Some(Ordering::Greater) => StoreError::OutOfOrder {
                        previous: self
                            .last
                            .as_ref()
                            .map(Labels::to_string)
                            .unwrap_or_default(),
                        next: series.labels.to_string(),
                    },
                    order => {
                        if order != Some(Ordering::Equal) {
                            self.last = Some(series.labels.clone());
                        }
                        self.head = Some(series);
                        self.settled = true;
                        return Poll::Ready(None);
                    }
                }
            }
            Some(Ok(other)) => return Poll::Ready(Some(Ok(other))),
            Some(Err(error)) => error,
            None => {
                self.record.end(None);
                self.stream = None;
                self.settled = true;
                return Poll::Ready(None);
            }
        };
        self.record.end(Some(&error));
        self.stream = None;
        Poll::Ready(Some(Err(error)))
    }
}

/// The merged stream.
pub struct Merge {
    sources: Vec<Source>,
    tree: Option<LoserTree>,
    partial_response: PartialResponse,
    /// Series that may still be sent.
    remaining: u64,
    current: Option<Merging>,
    ended: bool,
}

/// The series being put together.
struct Merging {
    series: Series,
    /// Whether more than one part went in.
    combined: bool,
}

impl Merge {
    /// Returns the merge of `sources` with at most `limit` series (0: no limit). A source's failure is
    /// a warning or ends the stream, as `partial_response` says.
    #[must_use]
    pub fn new(sources: Vec<Source>, partial_response: PartialResponse, limit: u64) -> Self {
        Self {
            sources,
            tree: None,
            partial_response,
            remaining: if limit == 0 { u64::MAX } else { limit },
            current: None,
            ended: false,
        }
    }

    /// Decides all heads; a frame that is not a series, or an error, is handed on first.
    fn poll_heads(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<SeriesFrame, StoreError>>> {
        let mut pending = false;
        // After the first round at most the last winner is undecided.
        let undecided = match &self.tree {
            Some(tree) => tree.winner()..tree.winner() + 1,
            None => 0..self.sources.len(),
        };
        for index in undecided {
            let Some(source) = self.sources.get_mut(index) else {
                continue;
            };
            while !source.settled {
                match source.poll_head(cx) {
                    Poll::Pending => {
                        pending = true;
                        break;
                    }
                    Poll::Ready(None) => {}
                    Poll::Ready(Some(Ok(frame))) => return Poll::Ready(Some(Ok(frame))),
                    Poll::Ready(Some(Err(error))) => {
                        let error = error.of_store(source.record.address());
                        return Poll::Ready(Some(match self.partial_response {
                            PartialResponse::Warn => Ok(SeriesFrame::Warning(error.to_string())),
                            PartialResponse::Abort => {
                                Err(StoreError::new(ErrorKind::Aborted, error.to_string()))
                            }
                        }));
                    }
                }
            }
        }
        if pending {
            Poll::Pending
        } else {
            Poll::Ready(None)
        }
    }

    /// Takes the smallest head; returns the series before it once that is complete.
    fn advance(&mut self) -> Option<Series> {
        let sources = &self.sources;
        let before = |a: usize, b: usize| {
            let head = |index: usize| sources.get(index).and_then(|source| source.head.as_ref());
            match (head(a), head(b)) {
                (Some(x), Some(y)) => x.labels == y.labels && a < b || x.labels < y.labels,
                (x, y) => x.is_some() && y.is_none(),
            }
        };
        let winner = match &mut self.tree {
            Some(tree) => {
                tree.replay(before);
                tree.winner()
            }
            None => self
                .tree
                .insert(LoserTree::new(sources.len(), before))
                .winner(),
        };
        let head = self.sources.get_mut(winner).and_then(|source| {
            source.settled = false;
            source.head.take()
        });
        let Some(head) = head else {
            self.ended = true;
            return self.current.take().map(Merging::finish);
        };
        match &mut self.current {
            Some(current) if current.series.labels == head.labels => {
                current.series.chunks.extend(head.chunks);
                current.combined = true;
                None
            }
            current => {
                let next = Merging {
                    series: head,
                    combined: false,
                };
                current.replace(next).map(Merging::finish)
            }
        }
    }
}

impl Stream for Merge {
    type Item = Result<SeriesFrame, StoreError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if this.ended {
                return Poll::Ready(None);
            }
            if let Some(frame) = std::task::ready!(this.poll_heads(cx)) {
                this.ended = frame.is_err();
                return Poll::Ready(Some(frame));
            }
            if let Some(series) = this.advance() {
                this.remaining -= 1;
                if this.remaining == 0 {
                    this.ended = true;
                    this.sources
                        .iter()
                        .for_each(|source| source.record.end(None));
                    this.sources.clear();
                }
                return Poll::Ready(Some(Ok(SeriesFrame::Series(series))));
            }
        }
    }
}

impl Merging {
    /// Returns the series with its chunks in order and each only once. Bytes are compared rather than
    /// hashed: replicas that differ do so early, and equal ones are read once instead of twice.
    fn finish(self) -> Series {
        let mut series = self.series;
        let span = |chunk: &Chunk| (chunk.min_time, chunk.max_time);
        if self.combined || !series.chunks.is_sorted_by_key(span) {
            series.chunks.sort_unstable();
            series.chunks.dedup();
        }
        series
    }
}

#[cfg(test)]
mod tests;
