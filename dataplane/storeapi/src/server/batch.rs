//! From frames to wire frames: several series a message where the client asked for it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::Stream;
use tonic::Status;

use crate::series::{Chunk, Series};
use crate::store::{SeriesFrame, SeriesStream};
use crate::wire::{self, WireFrame};

/// A frame is sent once it has this size, and a series larger than this is split; what peers do too.
const MAX_FRAME_BYTES: usize = 1 << 20;

/// Series in flight before any is asked for; a client's wish for more is not a wish for memory.
const MAX_BATCH_SIZE: usize = 10_000;

/// Wire frames of a series stream, in its order. A batch is sent when it is full, when a warning or
/// hint comes, and when the store has nothing ready, so that a slow store still shows progress.
pub(super) struct Batches {
    inner: Option<SeriesStream>,
    batch_size: usize,
    batch: Vec<Series>,
    batch_bytes: usize,
    /// At most the parts of one series, or a batch and what ended it.
    ready: VecDeque<Result<WireFrame, Status>>,
}

impl Batches {
    pub(super) fn new(inner: SeriesStream, batch_size: usize) -> Self {
        Self {
            inner: Some(inner),
            batch_size: batch_size.min(MAX_BATCH_SIZE),
            batch: Vec::new(),
            batch_bytes: 0,
            ready: VecDeque::new(),
        }
    }

    fn push(&mut self, series: Series) {
        let bytes = wire::series_len(&series);
        if bytes > MAX_FRAME_BYTES && series.chunks.len() > 1 {
            self.flush();
            self.ready
                .extend(split(series).map(WireFrame::Series).map(Ok));
            return;
        }
        if self.batch_size <= 1 {
            self.ready.push_back(Ok(WireFrame::Series(series)));
            return;
        }
        if self.batch_bytes + bytes > MAX_FRAME_BYTES {
            self.flush();
        }
        self.batch.push(series);
        self.batch_bytes += bytes;
        if self.batch.len() >= self.batch_size {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.batch_bytes = 0;
        if !self.batch.is_empty() {
            self.ready
                .push_back(Ok(WireFrame::Batch(std::mem::take(&mut self.batch))));
        }
    }
}

impl Stream for Batches {
    type Item = Result<WireFrame, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(frame) = this.ready.pop_front() {
                return Poll::Ready(Some(frame));
            }
            let Some(inner) = &mut this.inner else {
                return Poll::Ready(None);
            };
            let polled = inner.as_mut().poll_next(cx);
            if polled.is_pending() && !this.batch.is_empty() {
                this.flush();
                continue;
            }
            match ready!(polled) {
                Some(Ok(SeriesFrame::Series(series))) => this.push(series),
                Some(Ok(SeriesFrame::Warning(text))) => {
                    this.flush();
                    this.ready.push_back(Ok(WireFrame::Warning(text)));
                }
                Some(Ok(SeriesFrame::Hints(any))) => {
                    this.flush();
                    this.ready.push_back(Ok(WireFrame::Hints(any)));
                }
                Some(Err(error)) => {
                    this.flush();
                    this.ready.push_back(Err(error.into()));
                    this.inner = None;
                }
                None => {
                    this.flush();
                    this.inner = None;
                }
            }
        }
    }
}

/// Returns the series in parts of at most [`MAX_FRAME_BYTES`] of chunks, at least one chunk each.
fn split(series: Series) -> impl Iterator<Item = Series> {
    let mut chunks = series.chunks.into_iter().peekable();
    std::iter::from_fn(move || {
        let mut part: Vec<Chunk> = vec![chunks.next()?];
        let mut bytes = part.iter().map(Chunk::data_len).sum::<usize>();
        while let Some(chunk) = chunks.next_if(|chunk| bytes + chunk.data_len() <= MAX_FRAME_BYTES)
        {
            bytes += chunk.data_len();
            part.push(chunk);
        }
        Some(Series {
            labels: series.labels.clone(),
            chunks: part,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::StoreError;
    use crate::series::Payload;
    use bytes::Bytes;
    use chunk::Encoding;
    use futures::{FutureExt, StreamExt};
    use model::Labels;

    fn series(name: &str, chunk_sizes: &[usize]) -> Series {
        let chunks = chunk_sizes.iter().zip(0..).map(|(size, t)| {
            let data = Bytes::from(vec![0; *size]);
            Chunk::raw(
                t,
                t,
                Payload {
                    encoding: Encoding::Xor,
                    data,
                },
            )
        });
        Series {
            labels: Labels::from_pairs([("a", name)]),
            chunks: chunks.collect(),
        }
    }

    fn batches(frames: Vec<Result<SeriesFrame, StoreError>>, size: usize) -> Vec<String> {
        let stream = Batches::new(futures::stream::iter(frames).boxed(), size);
        let frames: Vec<_> = stream
            .collect()
            .now_or_never()
            .expect("nothing to wait for");
        frames
            .into_iter()
            .map(|frame| match frame {
                Ok(WireFrame::Series(s)) => format!("series[{}]", s.chunks.len()),
                Ok(WireFrame::Batch(b)) => format!("batch[{}]", b.len()),
                Ok(WireFrame::Warning(w)) => w,
                Ok(other) => format!("{other:?}"),
                Err(status) => format!("error: {}", status.message()),
            })
            .collect()
    }

    #[test]
    fn batches_are_cut_by_count_and_by_warnings() {
        let series = |name| Ok(SeriesFrame::Series(series(name, &[1])));
        let frames = || {
            vec![
                series("1"),
                series("2"),
                series("3"),
                Ok(SeriesFrame::Warning("careful".into())),
                series("4"),
                Err(StoreError::invalid("broken")),
            ]
        };
        assert_eq!(
            batches(frames(), 2),
            [
                "batch[2]",
                "batch[1]",
                "careful",
                "batch[1]",
                "error: broken"
            ]
        );
        for one_by_one in [0, 1] {
            let expected = [
                "series[1]",
                "series[1]",
                "series[1]",
                "careful",
                "series[1]",
                "error: broken",
            ];
            assert_eq!(batches(frames(), one_by_one), expected);
        }
    }

    #[test]
    fn frames_stay_below_their_size() {
        let half = MAX_FRAME_BYTES / 2;
        let large = SeriesFrame::Series(series("a", &[half, half, half, half, 1]));
        let small = SeriesFrame::Series(series("b", &[half]));
        assert_eq!(
            batches(vec![Ok(large), Ok(small.clone()), Ok(small)], 64),
            [
                "series[2]",
                "series[2]",
                "series[1]",
                "batch[1]",
                "batch[1]"
            ]
        );
    }

    #[test]
    fn a_store_with_nothing_ready_does_not_hold_back_what_there_is() {
        let first = futures::stream::iter([Ok(SeriesFrame::Series(series("a", &[1])))]);
        let mut stream = Batches::new(first.chain(futures::stream::pending()).boxed(), 64);
        let frame = stream.next().now_or_never().flatten();
        assert!(matches!(frame, Some(Ok(WireFrame::Batch(batch))) if batch.len() == 1));
        assert!(stream.next().now_or_never().is_none());
    }
}
