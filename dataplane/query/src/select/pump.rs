//! From an async stream of frames to batches that a plain thread takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use storeapi::{Series, SeriesFrame, SeriesStream, StoreError};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

/// Series handed over at once: waking the other side costs more than a series.
const BATCH_SERIES: usize = 128;
/// A batch is also handed over when its chunks weigh this much.
const BATCH_BYTES: usize = 1 << 20;
/// Batches ahead of the engine; with the size of a batch, what a selector may buffer.
const BATCHES_AHEAD: usize = 4;

/// What the engine's side takes out one by one.
#[derive(Debug)]
pub(super) enum Item {
    /// Complete: all frames of one label set.
    Series(Series),
    Warning(String),
}

type Batch = Result<Vec<Item>, StoreError>;

/// The receiving end of a stream; dropping it ends the stream.
pub(super) struct Batches {
    receiver: mpsc::Receiver<Batch>,
    current: std::vec::IntoIter<Item>,
    finished: Arc<AtomicBool>,
    task: AbortHandle,
}

impl Batches {
    /// Starts reading `stream` on `runtime`.
    pub(super) fn start(runtime: &Handle, stream: SeriesStream, cancel: CancellationToken) -> Self {
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let finished = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&finished);
        // Owned by this value: aborted when the engine drops it, ended by the token otherwise.
        let task = runtime.spawn(async move {
            let work = async {
                if let Err(error) = pump(stream, &sender).await {
                    // A receiver that is gone has no use for the error.
                    let _ = sender.send(Err(error)).await;
                }
                done.store(true, Ordering::Release);
            };
            tokio::select! {
                () = cancel.cancelled() => {}
                () = work => {}
            }
        });
        Self {
            receiver,
            current: Vec::new().into_iter(),
            finished,
            task: task.abort_handle(),
        }
    }

    /// Returns the next item, waiting for it. Must not be called on an async thread.
    pub(super) fn next(&mut self) -> Option<Result<Item, StoreError>> {
        loop {
            if let Some(item) = self.current.next() {
                return Some(Ok(item));
            }
            match self.receiver.blocking_recv()? {
                Ok(batch) => self.current = batch.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Returns whether the stream ended before it was complete.
    pub(super) fn was_cut(&self) -> bool {
        !self.finished.load(Ordering::Acquire)
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Sends all items of the stream; one series a label set, however many frames it took.
async fn pump(mut stream: SeriesStream, sender: &mpsc::Sender<Batch>) -> Result<(), StoreError> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    let mut open: Option<Series> = None;
    while let Some(frame) = stream.next().await {
        match frame? {
            SeriesFrame::Series(next) => match &mut open {
                Some(series) if series.labels == next.labels => series.chunks.extend(next.chunks),
                _ => {
                    if let Some(series) = open.replace(next) {
                        bytes += series.chunk_bytes();
                        batch.push(Item::Series(series));
                    }
                }
            },
            SeriesFrame::Warning(text) => batch.push(Item::Warning(text)),
            SeriesFrame::Hints(_) => {}
        }
        if batch.len() >= BATCH_SERIES || bytes >= BATCH_BYTES {
            bytes = 0;
            if sender.send(Ok(std::mem::take(&mut batch))).await.is_err() {
                return Ok(());
            }
        }
    }
    batch.extend(open.map(Item::Series));
    if !batch.is_empty() {
        // As above: without a receiver there is nobody to tell.
        let _ = sender.send(Ok(batch)).await;
    }
    Ok(())
}
