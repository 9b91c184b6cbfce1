//! A peer's series stream as frames, with what the peer cannot do done here.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt};
use tokio::time::{Instant, Sleep};
use tonic::Streaming;

use crate::error::StoreError;
use crate::request::SeriesRequest;
use crate::series::Series;
use crate::shard::Shard;
use crate::store::{SeriesFrame, SeriesStream, StoreInfo};
use crate::wire::WireFrame;

/// Frames of a peer, batches taken apart.
pub(super) struct RemoteSeries {
    inner: Streaming<WireFrame>,
    batch: std::vec::IntoIter<Series>,
    silence: Option<(Duration, Pin<Box<Sleep>>)>,
    /// Whether the clock runs; it stands still while nobody waits for a frame.
    waiting: bool,
    ended: bool,
}

impl RemoteSeries {
    pub(super) fn new(inner: Streaming<WireFrame>, timeout: Option<Duration>) -> Self {
        Self {
            inner,
            batch: Vec::new().into_iter(),
            silence: timeout.map(|after| (after, Box::pin(tokio::time::sleep(after)))),
            waiting: false,
            ended: false,
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<StoreError> {
        let Some((after, sleep)) = &mut self.silence else {
            return Poll::Pending;
        };
        if !self.waiting {
            self.waiting = true;
            sleep.as_mut().reset(Instant::now() + *after);
        }
        sleep
            .as_mut()
            .poll(cx)
            .map(|()| StoreError::Silent { after: *after })
    }
}

impl Stream for RemoteSeries {
    type Item = Result<SeriesFrame, StoreError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(series) = this.batch.next() {
                return Poll::Ready(Some(Ok(SeriesFrame::Series(series))));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            let Poll::Ready(frame) = this.inner.poll_next_unpin(cx) else {
                let silent = this.poll_silence(cx);
                this.ended = silent.is_ready();
                return silent.map(|error| Some(Err(error)));
            };
            this.waiting = false;
            let frame = match frame {
                Some(Ok(WireFrame::Series(series))) => Some(Ok(SeriesFrame::Series(series))),
                Some(Ok(WireFrame::Warning(text))) => Some(Ok(SeriesFrame::Warning(text))),
                Some(Ok(WireFrame::Hints(any))) => Some(Ok(SeriesFrame::Hints(any))),
                Some(Ok(WireFrame::Batch(batch))) => {
                    this.batch = batch.into_iter();
                    continue;
                }
                Some(Ok(WireFrame::Empty)) => continue,
                Some(Ok(WireFrame::Corrupt { what, at })) => Some(Err(StoreError::Corrupt {
                    what: what.to_owned(),
                    at: format!("series frame, byte {at}"),
                })),
                Some(Err(status)) => Some(Err(status.into())),
                None => None,
            };
            this.ended = !matches!(frame, Some(Ok(_)));
            return Poll::Ready(frame);
        }
    }
}

/// Returns the stream as the request wants it: of the asked shard, without replica labels and sorted,
/// even if the peer knows neither. A peer that does not strip replica labels is read to its end, since
/// stripping changes the order.
pub(super) async fn adapted(
    stream: impl Stream<Item = Result<SeriesFrame, StoreError>> + Send + 'static,
    info: &StoreInfo,
    request: &SeriesRequest,
) -> Result<SeriesStream, StoreError> {
    let stream =
        if info.supports_without_replica_labels || request.without_replica_labels.is_empty() {
            stream.boxed()
        } else {
            stripped(stream, &request.without_replica_labels).await
        };
    // After stripping, or the replicas of one series would land in different shards.
    Ok(
        match Shard::of_request(request).filter(|_| !info.supports_sharding) {
            None => stream,
            Some(shard) => stream
                .try_filter(move |frame| {
                    std::future::ready(match frame {
                        SeriesFrame::Series(series) => shard.holds(&series.labels),
                        _ => true,
                    })
                })
                .boxed(),
        },
    )
}

/// Reads a stream to its end and gives it back without the named labels, sorted again.
async fn stripped(
    stream: impl Stream<Item = Result<SeriesFrame, StoreError>> + Send,
    names: &[String],
) -> SeriesStream {
    let mut stream = std::pin::pin!(stream);
    let mut series = Vec::new();
    let mut rest = Vec::new();
    while let Some(frame) = stream.next().await {
        match frame {
            Ok(SeriesFrame::Series(mut one)) => {
                one.labels = one.labels.without(names);
                series.push(one);
            }
            // What came before a failure still counts where partial answers are allowed.
            other => rest.push(other),
        }
    }
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    let series = series.into_iter().map(|one| Ok(SeriesFrame::Series(one)));
    futures::stream::iter(series.chain(rest)).boxed()
}
