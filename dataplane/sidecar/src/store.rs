//! StoreAPI over the Prometheus beside the sidecar: its series with their chunks as they lie in the
//! TSDB, its label names and values, with the external labels attached.

use std::sync::Arc;

use futures::stream;
use model::{Labels, Matcher, TimeRange};
use storeapi::{
    Apis, Chunk, Component, ErrorKind, LabelsAnswer, LabelsRequest, Payload, Series, SeriesFrame,
    SeriesRequest, SeriesStore, SeriesStream, StoreError, StoreInfo, TsdbInfo, async_trait,
};
use tokio::sync::watch;

use crate::external::{strip, strip_required};
use crate::prometheus::remote_read::{ReadSeries, ReadStream};
use crate::prometheus::{Prometheus, PrometheusError};
use crate::reorder::Reorder;

/// Samples a chunk is taken to hold where `request-samples` is counted, as in Thanos.
const SAMPLES_PER_CHUNK: u64 = 120;

/// What the sidecar knows of Prometheus' data; refreshed in the background.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    pub external_labels: Labels,
    /// The oldest time that is offered, milliseconds.
    pub min_time: i64,
    /// Whether the labels have been read from Prometheus yet.
    pub known: bool,
}

/// Limits of one Series call; 0 is none.
#[derive(Debug, Clone, Copy, Default)]
pub struct SeriesLimits {
    pub series: u64,
    pub samples: u64,
}

/// A [`SeriesStore`] over one Prometheus.
#[derive(Debug)]
pub struct PrometheusStore {
    prometheus: Prometheus,
    identity: watch::Receiver<Identity>,
    limits: SeriesLimits,
}

impl PrometheusStore {
    #[must_use]
    pub fn new(
        prometheus: Prometheus,
        identity: watch::Receiver<Identity>,
        limits: SeriesLimits,
    ) -> Self {
        Self {
            prometheus,
            identity,
            limits,
        }
    }

    fn identity(&self) -> Identity {
        self.identity.borrow().clone()
    }
}

impl From<PrometheusError> for StoreError {
    fn from(err: PrometheusError) -> Self {
        let kind = match &err {
            PrometheusError::Unreachable { .. } => ErrorKind::Unavailable,
            PrometheusError::Refused { status, .. } if status.is_client_error() => {
                ErrorKind::Invalid
            }
            PrometheusError::Refused { .. } => ErrorKind::Unavailable,
            PrometheusError::Unexpected { .. } => ErrorKind::Corrupt,
        };
        Self::new(kind, crate::reload::chain(&err))
    }
}

#[async_trait]
impl SeriesStore for PrometheusStore {
    fn info(&self) -> Arc<StoreInfo> {
        let identity = self.identity();
        let range = TimeRange::new(identity.min_time, i64::MAX);
        Arc::new(StoreInfo {
            component: Component::Sidecar,
            label_sets: vec![identity.external_labels.clone()],
            range: Some(range),
            supports_sharding: false,
            supports_without_replica_labels: true,
            tsdb_infos: vec![TsdbInfo {
                labels: identity.external_labels,
                range,
            }],
            apis: Apis {
                store: true,
                rules: true,
                metadata: true,
                targets: true,
                exemplars: Some(range),
                query: false,
                status: false,
            },
        })
    }

    async fn series(&self, request: Arc<SeriesRequest>) -> Result<SeriesStream, StoreError> {
        let identity = self.identity();
        let Some(matchers) = strip_required(&request.matchers, &identity.external_labels)? else {
            return Ok(Box::pin(stream::empty()));
        };
        let offered = TimeRange::new(identity.min_time, i64::MAX);
        let Some(range) = request.time_range().intersect(&offered) else {
            return Ok(Box::pin(stream::empty()));
        };
        let attach = Attach::new(&identity.external_labels, &request.without_replica_labels);
        if request.skip_chunks {
            let limit = request.limit;
            let found = self.prometheus.series(&matchers, range, limit).await?;
            let mut series: Vec<Labels> =
                found.iter().map(|labels| attach.labels(labels)).collect();
            series.sort();
            series.dedup();
            if limit > 0 {
                series.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            }
            let frames = series.into_iter().map(|labels| {
                Ok(SeriesFrame::Series(Series {
                    labels,
                    chunks: Vec::new(),
                }))
            });
            return Ok(Box::pin(stream::iter(frames)));
        }
        let read = self.prometheus.remote_read(&matchers, range).await?;
        let state = Reading {
            read,
            reorder: Reorder::default(),
            resort_all: attach.strips_own_labels,
            attach,
            ready: Vec::new().into_iter(),
            done: false,
            sent: 0,
            samples: 0,
            limit: request.limit,
            limits: self.limits,
        };
        Ok(Box::pin(stream::try_unfold(
            state,
            |mut state| async move {
                let next = state.next().await?;
                Ok(next.map(|series| (SeriesFrame::Series(series), state)))
            },
        )))
    }

    async fn label_names(&self, request: Arc<LabelsRequest>) -> Result<LabelsAnswer, StoreError> {
        let identity = self.identity();
        let Some(matchers) = strip(&request.matchers, &identity.external_labels) else {
            return Ok(LabelsAnswer::default());
        };
        // The limit holds for the union with the external labels, so it is applied below.
        let mut names = self
            .prometheus
            .label_names(&matchers, request.time_range(), 0)
            .await?;
        if !names.is_empty() || request.matchers.is_empty() {
            names.extend(
                identity
                    .external_labels
                    .iter()
                    .map(|label| label.name.to_owned()),
            );
        }
        names.retain(|name| !request.without_replica_labels.contains(name));
        Ok(sorted(names, request.limit))
    }

    async fn label_values(
        &self,
        label: &str,
        request: Arc<LabelsRequest>,
    ) -> Result<LabelsAnswer, StoreError> {
        if label.is_empty() {
            return Err(StoreError::invalid("label name parameter cannot be empty"));
        }
        if request
            .without_replica_labels
            .iter()
            .any(|replica| replica == label)
        {
            return Ok(LabelsAnswer::default());
        }
        let identity = self.identity();
        let Some(matchers) = strip(&request.matchers, &identity.external_labels) else {
            return Ok(LabelsAnswer::default());
        };
        if let Some(value) = identity.external_labels.get(label) {
            let found = self.has_series(&matchers, request.time_range()).await?;
            let values = if found {
                vec![value.to_owned()]
            } else {
                Vec::new()
            };
            return Ok(sorted(values, request.limit));
        }
        let range = request.time_range();
        let values = self
            .prometheus
            .label_values(label, &matchers, range, request.limit)
            .await?;
        Ok(sorted(values, request.limit))
    }
}

impl PrometheusStore {
    async fn has_series(&self, matchers: &[Matcher], range: TimeRange) -> Result<bool, StoreError> {
        if matchers.is_empty() {
            return Ok(true);
        }
        Ok(!self.prometheus.series(matchers, range, 1).await?.is_empty())
    }
}

fn sorted(mut values: Vec<String>, limit: u64) -> LabelsAnswer {
    values.sort_unstable();
    values.dedup();
    if limit > 0 {
        values.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    LabelsAnswer {
        values,
        ..LabelsAnswer::default()
    }
}

/// Gives a series of Prometheus the labels it has outside.
#[derive(Debug)]
struct Attach {
    /// All external labels: Prometheus adds them to what it sends.
    external: Labels,
    /// Those that are kept.
    kept: Labels,
    stripped: Vec<String>,
    /// Whether a stripped label may be a series' own, so that the order is lost.
    strips_own_labels: bool,
}

impl Attach {
    fn new(external: &Labels, without: &[String]) -> Self {
        Self {
            external: external.clone(),
            kept: external.without(without),
            stripped: without.to_vec(),
            strips_own_labels: without.iter().any(|name| external.get(name).is_none()),
        }
    }

    /// Returns the labels that Prometheus itself sorts by.
    fn own(&self, labels: &Labels) -> Labels {
        labels.filter(|name| self.external.get(name).is_none())
    }

    fn labels(&self, labels: &Labels) -> Labels {
        labels.without(&self.stripped).overlaid_with(&self.kept)
    }
}

/// One Series call under way.
struct Reading {
    read: ReadStream,
    reorder: Reorder,
    attach: Attach,
    resort_all: bool,
    ready: std::vec::IntoIter<Series>,
    done: bool,
    sent: u64,
    samples: u64,
    limit: u64,
    limits: SeriesLimits,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Series>, StoreError> {
        loop {
            if let Some(series) = self.ready.next() {
                if self.limit > 0 && self.sent == self.limit {
                    return Ok(None);
                }
                self.sent += 1;
                self.charge(&series)?;
                return Ok(Some(series));
            }
            if self.done {
                return Ok(None);
            }
            self.ready = match self.read.next().await? {
                None => {
                    self.done = true;
                    self.reorder.finish()
                }
                Some(read) => {
                    let own = if self.resort_all {
                        // One group of all: nothing leaves before everything is here.
                        Labels::empty()
                    } else {
                        self.attach.own(&read.labels)
                    };
                    let series = self.series(read)?;
                    self.hold(own, series)
                }
            }
            .into_iter();
        }
    }

    fn hold(&mut self, own: Labels, series: Series) -> Vec<Series> {
        if self.resort_all {
            self.reorder.hold(series);
            return Vec::new();
        }
        self.reorder.push(own, series)
    }

    fn series(&self, read: ReadSeries) -> Result<Series, StoreError> {
        let chunks = read.chunks.into_iter().map(|chunk| {
            let encoding =
                chunk::Encoding::from_u8(chunk.encoding).ok_or_else(|| StoreError::Corrupt {
                    what: format!("chunk encoding {}", chunk.encoding),
                    at: format!("remote read of {}", read.labels),
                })?;
            let payload = Payload {
                encoding,
                data: chunk.data,
            };
            Ok(Chunk::raw(chunk.range.start, chunk.range.end, payload))
        });
        let chunks = chunks.collect::<Result<_, StoreError>>()?;
        Ok(Series {
            labels: self.attach.labels(&read.labels),
            chunks,
        })
    }

    fn charge(&mut self, series: &Series) -> Result<(), StoreError> {
        self.samples += series.chunks.len() as u64 * SAMPLES_PER_CHUNK;
        for (what, used, limit) in [
            ("series", self.sent, self.limits.series),
            ("samples", self.samples, self.limits.samples),
        ] {
            if limit > 0 && used > limit {
                return Err(StoreError::Limit { what, used, limit });
            }
        }
        Ok(())
    }
}
