//! The checks, one function a promise.

use std::collections::BTreeSet;
use std::sync::Arc;

use chunk::Columns;
use futures::StreamExt;
use model::{Labels, MatchOp, Matcher, TimeRange};

use super::fixture::Fixture;
use crate::dedup::{Algorithm, ChunkLane, Deduped, SampleBatches, ValueKind, lanes};
use crate::error::{ErrorKind, StoreError};
use crate::proto::thanos::ShardInfo;
use crate::request::{LabelsRequest, SeriesRequest};
use crate::series::{Aggregate, Series};
use crate::store::{SeriesFrame, SeriesStore};

const HOUR_MS: i64 = 3_600_000;

/// A drained stream.
#[derive(Debug, Default)]
pub struct Collected {
    /// In the order they came, parts of one series put together.
    pub series: Vec<Series>,
    pub warnings: Vec<String>,
}

impl Collected {
    /// Returns the label sets, as text.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.series
            .iter()
            .map(|series| series.labels.to_string())
            .collect()
    }
}

/// Reads all of a store's answer.
///
/// # Errors
/// The first error of the call or its stream.
///
/// # Panics
/// When the stream is not in label order or returns to a label set.
pub async fn collect(
    store: &dyn SeriesStore,
    request: SeriesRequest,
) -> Result<Collected, StoreError> {
    let mut stream = store.series(Arc::new(request)).await?;
    let mut collected = Collected::default();
    while let Some(frame) = stream.next().await {
        match frame? {
            SeriesFrame::Warning(text) => collected.warnings.push(text),
            SeriesFrame::Hints(_) => {}
            SeriesFrame::Series(part) => match collected.series.last_mut() {
                Some(last) if last.labels == part.labels => last.chunks.extend(part.chunks),
                last => {
                    if let Some(last) = last {
                        assert!(
                            last.labels < part.labels,
                            "{} after {}",
                            part.labels,
                            last.labels
                        );
                    }
                    collected.series.push(part);
                }
            },
        }
    }
    Ok(collected)
}

/// Runs every check against a store that holds `fixture`, which must be [`Fixture::standard`].
///
/// # Panics
/// With the promise that the store does not keep.
pub async fn check(store: &dyn SeriesStore, fixture: &Fixture) {
    let suite = Suite { store, fixture };
    suite.returns_every_series_complete().await;
    suite.evaluates_matchers().await;
    suite.answers_external_matchers_itself().await;
    suite.gives_labels_only_when_told_to_skip_chunks().await;
    suite.limits_series().await;
    suite.sorts_after_stripping_replica_labels().await;
    suite.leaves_out_series_of_other_times().await;
    suite.splits_series_into_shards().await;
    suite.survives_a_caller_that_leaves().await;
    suite.lists_label_names().await;
    suite.lists_label_values().await;
    suite.says_what_it_holds();
}

struct Suite<'a> {
    store: &'a dyn SeriesStore,
    fixture: &'a Fixture,
}

fn matcher(op: MatchOp, name: &str, value: &str) -> Matcher {
    Matcher::new(op, name, value).expect("a valid matcher")
}

fn everything() -> Matcher {
    matcher(MatchOp::Regex, "__name__", ".+")
}

impl Suite<'_> {
    fn request(&self, matchers: Vec<Matcher>) -> SeriesRequest {
        SeriesRequest::new(self.fixture.range(), matchers)
    }

    async fn series(&self, request: SeriesRequest) -> Collected {
        let shown = format!("{request:?}");
        let collected = collect(self.store, request).await;
        let collected = collected.unwrap_or_else(|error| panic!("{error}\nfor {shown}"));
        assert_eq!(collected.warnings, Vec::<String>::new(), "for {shown}");
        collected
    }

    async fn names_of(&self, matchers: Vec<Matcher>) -> Vec<String> {
        self.series(self.request(matchers)).await.names()
    }

    /// The complete label sets of series that the predicate keeps, in order.
    fn expected(&self, keep: impl Fn(&Labels) -> bool) -> Vec<String> {
        let mut sets: Vec<_> = self
            .fixture
            .series
            .iter()
            .filter(|(labels, _)| keep(labels))
            .map(|(labels, _)| labels.overlaid_with(&self.fixture.external_labels))
            .collect();
        sets.sort();
        sets.iter().map(Labels::to_string).collect()
    }

    async fn returns_every_series_complete(&self) {
        let range = self.fixture.range();
        let collected = self.series(self.request(vec![everything()])).await;
        assert_eq!(collected.names(), self.expected(|_| true));
        let mut expected: Vec<_> = self
            .fixture
            .series
            .iter()
            .map(|(labels, samples)| (labels.overlaid_with(&self.fixture.external_labels), samples))
            .collect();
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        for (series, (labels, samples)) in collected.series.into_iter().zip(expected) {
            assert_eq!(&decoded(series, range), samples, "samples of {labels}");
        }
    }

    async fn evaluates_matchers(&self) {
        let named = |name: &'static str| move |labels: &Labels| labels.metric_name() == name;
        let cases: Vec<(Vec<Matcher>, Vec<String>)> = vec![
            (
                vec![Matcher::equal("__name__", "up")],
                self.expected(named("up")),
            ),
            (vec![Matcher::equal("__name__", "nothing")], Vec::new()),
            (
                vec![everything(), matcher(MatchOp::NotEqual, "job", "x")],
                self.expected(|l| l.get("job") != Some("x")),
            ),
            (
                vec![matcher(MatchOp::Regex, "__name__", "early|la.e")],
                self.expected(|l| matches!(l.metric_name(), "early" | "late")),
            ),
            (
                vec![
                    everything(),
                    matcher(MatchOp::NotRegex, "__name__", "re.*|sh.*"),
                ],
                self.expected(|l| !matches!(l.metric_name(), "requests" | "shadowed")),
            ),
            (
                vec![everything(), Matcher::equal("instance", "")],
                self.expected(|l| l.get("instance").is_none()),
            ),
            (
                vec![everything(), matcher(MatchOp::NotEqual, "instance", "")],
                self.expected(|l| l.get("instance").is_some()),
            ),
            (
                vec![Matcher::equal("job", "ü\"\\")],
                self.expected(named("up")),
            ),
        ];
        for (matchers, expected) in cases {
            assert_eq!(
                self.names_of(matchers.clone()).await,
                expected,
                "{matchers:?}"
            );
        }
    }

    async fn answers_external_matchers_itself(&self) {
        let up = || Matcher::equal("__name__", "up");
        let expected = self.expected(|labels| labels.metric_name() == "up");
        for external in [
            Matcher::equal("cluster", "eu"),
            matcher(MatchOp::Regex, "cluster", "e.|us"),
            matcher(MatchOp::NotEqual, "cluster", "us"),
            matcher(MatchOp::NotEqual, "cluster", ""),
        ] {
            assert_eq!(
                self.names_of(vec![up(), external.clone()]).await,
                expected,
                "{external:?}"
            );
        }
        for external in [
            Matcher::equal("cluster", "us"),
            matcher(MatchOp::NotEqual, "cluster", "eu"),
            Matcher::equal("cluster", ""),
        ] {
            let seen = self.names_of(vec![up(), external.clone()]).await;
            assert_eq!(seen, Vec::<String>::new(), "{external:?}");
        }
        // The external value hides the series' own.
        let region = |value| vec![everything(), Matcher::equal("region", value)];
        assert_eq!(
            self.names_of(region("outer")).await,
            self.expected(|_| true)
        );
        assert_eq!(self.names_of(region("inner")).await, Vec::<String>::new());
        for matchers in [vec![], vec![Matcher::equal("cluster", "eu")]] {
            let shown = format!("{matchers:?}");
            let answer = collect(self.store, self.request(matchers)).await;
            // A proxy sees it only in what the store behind says.
            let kind = match answer {
                Err(error) => error.kind(),
                Ok(collected) => {
                    assert!(collected.series.is_empty(), "{shown}");
                    let text = collected.warnings.concat();
                    assert!(text.contains("no matchers"), "{shown}: {text:?}");
                    ErrorKind::Invalid
                }
            };
            assert_eq!(kind, ErrorKind::Invalid, "{shown}");
        }
    }

    async fn gives_labels_only_when_told_to_skip_chunks(&self) {
        let request = SeriesRequest {
            skip_chunks: true,
            ..self.request(vec![everything()])
        };
        let collected = self.series(request).await;
        assert_eq!(collected.names(), self.expected(|_| true));
        assert!(
            collected
                .series
                .iter()
                .all(|series| series.chunks.is_empty()),
            "chunks were sent"
        );
    }

    async fn limits_series(&self) {
        let all = self.expected(|_| true);
        for limit in [1, 3, 100] {
            let request = SeriesRequest {
                limit,
                ..self.request(vec![everything()])
            };
            let names = self.series(request).await.names();
            let expected = all.len().min(usize::try_from(limit).expect("small"));
            assert_eq!(names.len(), expected, "limit {limit}");
            assert!(
                names.iter().all(|name| all.contains(name)),
                "limit {limit}: {names:?}"
            );
        }
    }

    async fn sorts_after_stripping_replica_labels(&self) {
        for stripped in [
            vec!["replica"],
            vec!["instance"],
            vec!["instance", "replica", "absent"],
        ] {
            let names: Vec<String> = stripped.iter().map(|name| (*name).to_owned()).collect();
            let request = SeriesRequest {
                without_replica_labels: names.clone(),
                ..self.request(vec![everything()])
            };
            // `collect` checks the order.
            let collected = self.series(request).await;
            let expected: BTreeSet<_> = self
                .fixture
                .series
                .iter()
                .map(|(labels, _)| {
                    labels
                        .overlaid_with(&self.fixture.external_labels)
                        .without(&names)
                })
                .collect();
            let seen: Vec<_> = collected
                .series
                .iter()
                .map(|series| series.labels.clone())
                .collect();
            assert_eq!(
                seen,
                expected.into_iter().collect::<Vec<_>>(),
                "without {names:?}"
            );
        }
    }

    async fn leaves_out_series_of_other_times(&self) {
        let cases = [
            (TimeRange::new(0, HOUR_MS / 2), "late"),
            (
                TimeRange::new(3 * HOUR_MS + HOUR_MS / 2, 4 * HOUR_MS),
                "early",
            ),
        ];
        for (range, absent) in cases {
            let request = SeriesRequest {
                range: Some(range),
                ..self.request(vec![everything()])
            };
            let names = self.series(request).await.names();
            assert_eq!(
                names,
                self.expected(|labels| labels.metric_name() != absent),
                "{range:?}"
            );
        }
        let nowhere = TimeRange::new(10 * HOUR_MS, 11 * HOUR_MS);
        let request = SeriesRequest {
            range: Some(nowhere),
            ..self.request(vec![everything()])
        };
        assert_eq!(self.series(request).await.names(), Vec::<String>::new());
    }

    async fn splits_series_into_shards(&self) {
        if !self.store.info().supports_sharding {
            return;
        }
        let mut seen = Vec::new();
        for shard_index in 0..3 {
            let shard = ShardInfo {
                shard_index,
                total_shards: 3,
                by: true,
                labels: vec!["job".into()],
            };
            let request = SeriesRequest {
                shard: Some(shard),
                ..self.request(vec![everything()])
            };
            seen.extend(self.series(request).await.names());
        }
        seen.sort();
        let mut expected = self.expected(|_| true);
        expected.sort();
        assert_eq!(seen, expected, "each series is in exactly one shard");
    }

    async fn survives_a_caller_that_leaves(&self) {
        let request = Arc::new(self.request(vec![everything()]));
        let mut stream = self.store.series(request).await.expect("a stream");
        let first = stream.next().await;
        assert!(matches!(first, Some(Ok(_))), "{first:?}");
        drop(stream);
        assert_eq!(
            self.names_of(vec![everything()]).await,
            self.expected(|_| true)
        );
    }

    fn labels(&self, matchers: Vec<Matcher>) -> LabelsRequest {
        LabelsRequest {
            range: Some(self.fixture.range()),
            matchers,
            ..LabelsRequest::default()
        }
    }

    async fn label_names(&self, request: LabelsRequest) -> Vec<String> {
        let shown = format!("{request:?}");
        let answer = self.store.label_names(Arc::new(request)).await;
        let answer = answer.unwrap_or_else(|error| panic!("{error}\nfor {shown}"));
        assert_eq!(answer.warnings, Vec::<String>::new(), "for {shown}");
        answer.values
    }

    async fn lists_label_names(&self) {
        let all = [
            "__name__", "cluster", "instance", "job", "region", "replica",
        ];
        assert_eq!(self.label_names(self.labels(vec![])).await, all);
        assert_eq!(self.label_names(self.labels(vec![everything()])).await, all);
        let up = || vec![Matcher::equal("__name__", "up")];
        let of_up = ["__name__", "cluster", "job", "region", "replica"];
        assert_eq!(self.label_names(self.labels(up())).await, of_up);
        let elsewhere = vec![everything(), Matcher::equal("cluster", "us")];
        assert_eq!(
            self.label_names(self.labels(elsewhere)).await,
            Vec::<String>::new()
        );
        let without_replica_labels = vec!["replica".to_owned(), "instance".to_owned()];
        let request = LabelsRequest {
            without_replica_labels,
            ..self.labels(vec![])
        };
        assert_eq!(
            self.label_names(request).await,
            ["__name__", "cluster", "job", "region"]
        );
        let request = LabelsRequest {
            limit: 2,
            ..self.labels(vec![])
        };
        assert_eq!(self.label_names(request).await.len(), 2);
    }

    async fn label_values(&self, label: &str, request: LabelsRequest) -> Vec<String> {
        let shown = format!("{label} of {request:?}");
        let answer = self.store.label_values(label, Arc::new(request)).await;
        let answer = answer.unwrap_or_else(|error| panic!("{error}\nfor {shown}"));
        assert_eq!(answer.warnings, Vec::<String>::new(), "for {shown}");
        answer.values
    }

    async fn lists_label_values(&self) {
        let none = Vec::<String>::new();
        let of_requests = || self.labels(vec![Matcher::equal("__name__", "requests")]);
        assert_eq!(
            self.label_values("job", self.labels(vec![])).await,
            ["1", "2", "x", "ü\"\\"]
        );
        assert_eq!(self.label_values("job", of_requests()).await, ["1", "2"]);
        assert_eq!(
            self.label_values("cluster", self.labels(vec![])).await,
            ["eu"]
        );
        assert_eq!(self.label_values("cluster", of_requests()).await, ["eu"]);
        assert_eq!(self.label_values("absent", self.labels(vec![])).await, none);
        let elsewhere = vec![everything(), Matcher::equal("cluster", "us")];
        assert_eq!(self.label_values("job", self.labels(elsewhere)).await, none);
        let nowhere = vec![Matcher::equal("__name__", "nothing")];
        assert_eq!(
            self.label_values("cluster", self.labels(nowhere)).await,
            none
        );
        let without_replica_labels = vec!["replica".to_owned()];
        let request = LabelsRequest {
            without_replica_labels,
            ..self.labels(vec![])
        };
        assert_eq!(self.label_values("replica", request).await, none);
        let request = LabelsRequest {
            limit: 2,
            ..self.labels(vec![])
        };
        assert_eq!(self.label_values("job", request).await.len(), 2);
        let refused = self
            .store
            .label_values("", Arc::new(self.labels(vec![])))
            .await;
        assert_eq!(
            refused.expect_err("an empty label").kind(),
            ErrorKind::Invalid
        );
    }

    fn says_what_it_holds(&self) {
        let info = self.store.info();
        let range = info.range.expect("a store with data has a range");
        let held = self.fixture.range();
        assert!(
            range.start <= held.start && held.end <= range.end,
            "{range:?} of {held:?}"
        );
        let external = &self.fixture.external_labels;
        assert!(info.label_sets.contains(external), "{:?}", info.label_sets);
    }
}

/// The samples of a series within `range`.
fn decoded(mut series: Series, range: TimeRange) -> Vec<(i64, f64)> {
    series.chunks.sort();
    let lanes = lanes(series.chunks).into_iter();
    let sources = lanes
        .map(|lane| ChunkLane::new(lane, Aggregate::Raw, range))
        .collect();
    let mut stream = Deduped::new(sources, range, Algorithm::Chain, ValueKind::Gauge);
    let (mut columns, mut samples) = (Columns::new(), Vec::new());
    while stream.next_batch(&mut columns).expect("decodes") {
        samples.extend(columns.iter());
    }
    samples
}
