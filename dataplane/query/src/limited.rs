//! The store that peers see: what one Series call may return is limited.

use std::sync::Arc;

use futures::StreamExt;
use storeapi::{
    LabelsAnswer, LabelsRequest, SeriesFrame, SeriesRequest, SeriesStore, SeriesStream, StoreError,
    StoreInfo, async_trait,
};

use crate::config::SeriesLimits;

/// Samples a chunk is counted as, since it is not decoded for peers.
const SAMPLES_PER_CHUNK: u64 = 120;

/// A store whose Series calls fail once they exceed a limit.
pub(crate) struct Limited {
    inner: Arc<dyn SeriesStore>,
    limits: SeriesLimits,
}

impl Limited {
    /// Returns `inner` under `limits`; itself where there are none.
    pub(crate) fn around(
        inner: Arc<dyn SeriesStore>,
        limits: SeriesLimits,
    ) -> Arc<dyn SeriesStore> {
        if limits == SeriesLimits::default() {
            return inner;
        }
        Arc::new(Self { inner, limits })
    }
}

#[async_trait]
impl SeriesStore for Limited {
    fn info(&self) -> Arc<StoreInfo> {
        self.inner.info()
    }

    async fn series(&self, request: Arc<SeriesRequest>) -> Result<SeriesStream, StoreError> {
        let frames = self.inner.series(request).await?;
        let limits = self.limits;
        let (mut series, mut samples) = (0u64, 0u64);
        let limited = frames.map(move |frame| {
            if let Ok(SeriesFrame::Series(next)) = &frame {
                series += 1;
                samples += next.chunks.len() as u64 * SAMPLES_PER_CHUNK;
                check("series", series, limits.series)?;
                check("samples", samples, limits.samples)?;
            }
            frame
        });
        Ok(Box::pin(limited))
    }

    async fn label_names(&self, request: Arc<LabelsRequest>) -> Result<LabelsAnswer, StoreError> {
        self.inner.label_names(request).await
    }

    async fn label_values(
        &self,
        label: &str,
        request: Arc<LabelsRequest>,
    ) -> Result<LabelsAnswer, StoreError> {
        self.inner.label_values(label, request).await
    }
}

fn check(what: &'static str, used: u64, limit: u64) -> Result<(), StoreError> {
    if limit == 0 || used <= limit {
        return Ok(());
    }
    Err(StoreError::Limit { what, used, limit })
}

#[cfg(test)]
mod tests {
    use model::{Labels, Matcher, TimeRange};
    use storeapi::testsuite::{MemoryStore, xor_chunks};
    use storeapi::{ErrorKind, Series};

    use super::*;

    async fn ends_well(limits: SeriesLimits) -> Result<usize, ErrorKind> {
        let series = |name: &str| Series {
            labels: Labels::from_pairs([("__name__", name)]),
            chunks: xor_chunks(&[(0, 1.0), (1, 2.0)]),
        };
        let store = MemoryStore::new(Labels::empty(), vec![series("a"), series("b")]);
        let store = Limited::around(Arc::new(store), limits);
        let all = Matcher::new(model::MatchOp::Regex, "__name__", ".+").expect("valid");
        let request = Arc::new(SeriesRequest::new(TimeRange::ALL, vec![all]));
        let mut frames = store.series(request).await.map_err(|error| error.kind())?;
        let mut count = 0;
        while let Some(frame) = frames.next().await {
            frame.map_err(|error| error.kind())?;
            count += 1;
        }
        Ok(count)
    }

    #[tokio::test]
    async fn the_first_series_beyond_a_limit_ends_the_call() {
        let exhausted = Err(ErrorKind::Exhausted);
        for (series, samples, expected) in [
            (0, 0, Ok(2)),
            (2, 240, Ok(2)),
            (1, 0, exhausted),
            (0, 239, exhausted),
        ] {
            assert_eq!(ends_well(SeriesLimits { series, samples }).await, expected);
        }
    }
}
