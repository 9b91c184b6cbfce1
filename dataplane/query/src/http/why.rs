//! `/api/v1/why`: why a selector finds something at a time, or does not. Every store is asked by
//! itself, replicas are kept apart, and the targets that should have been scraped are shown.

use std::sync::Arc;

use axum::response::Response;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use http::HeaderMap;
use model::{Labels, Matcher, TimeRange};
use serde::Serialize;
use storeapi::proto::thanos as pb;
use storeapi::proxy::pruned;
use storeapi::{SeriesFrame, SeriesRequest, TargetsApi};

use super::error::ApiError;
use super::federate::{Latest, Value, read_latest};
use super::form::Form;
use super::peers::{labels, peers, target_health};
use super::status::rfc3339;
use super::{Api, Scope, State, answer, json};
use crate::endpoints::Member;
use crate::select::selector_text;
use crate::service::{Query, When};

/// Series of one store that are shown; their number is always said.
const MAX_SHOWN: usize = 20;
/// Stores that are asked at once.
const MAX_CONCURRENT: usize = 8;
const FIVE_MINUTES_MS: i64 = 300_000;
/// The pseudo label by which one store is selected.
const ADDRESS: &str = "__address__";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Why {
    selector: String,
    time: String,
    /// What an instant query looks at: samples after this and not after `time`.
    lookback_start: String,
    /// In one sentence.
    verdict: String,
    stores: Vec<StoreWhy>,
    targets: Vec<TargetWhy>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StoreWhy {
    name: String,
    component: &'static str,
    label_sets: Vec<Labels>,
    min_time: Option<String>,
    max_time: Option<String>,
    outcome: Outcome,
    /// What it did, or why it was not asked.
    reason: String,
    /// Series with a sample to look at.
    series_count: usize,
    series: Vec<SeriesWhy>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Outcome {
    /// It has samples that count.
    Has,
    /// Its last samples say that the series ended.
    Stale,
    /// It has such series, but at other times.
    OtherTimes,
    /// It was asked and has nothing.
    Nothing,
    /// It cannot have anything.
    Pruned,
    /// It did not answer.
    Failed,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SeriesWhy {
    labels: Labels,
    /// The labels that tell its replica apart.
    replica: Labels,
    last_sample: String,
    stale: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TargetWhy {
    scrape_pool: String,
    scrape_url: String,
    labels: Labels,
    health: &'static str,
    last_scrape: String,
    last_error: String,
}

struct Question {
    matchers: Vec<Matcher>,
    range: TimeRange,
    scope: Scope,
}

pub(super) async fn why(api: State, headers: HeaderMap, form: Form) -> Result<Response, ApiError> {
    let question = decode(&api, &headers, &form)?;
    let (api, question) = (&*api, &question);
    let members = api.endpoints.listed();
    let asked: Vec<BoxFuture<'_, StoreWhy>> = members
        .iter()
        .map(|member| ask(api, member, question).boxed())
        .collect();
    let stores: Vec<StoreWhy> = futures::stream::iter(asked)
        .buffered(MAX_CONCURRENT)
        .collect()
        .await;
    let (targets, target_failures) = targets(api, &form, question).await?;
    let verdict = verdict(&stores, &targets, question);
    let why = Why {
        selector: selector_text(&question.matchers),
        time: rfc3339(question.range.end),
        lookback_start: rfc3339(question.range.start),
        verdict,
        stores,
        targets,
    };
    Ok(answer(json::body(&why, &target_failures, &[]), false))
}

fn decode(api: &Api, headers: &HeaderMap, form: &Form) -> Result<Question, ApiError> {
    let scope = Scope::decode(api, form, headers)?;
    let text = match form.get("match[]") {
        "" => form.get("selector"),
        text => text,
    };
    let mut matchers = promql::parse_metric_selector(text)
        .map_err(|error| ApiError::invalid_parameter("match[]", error.to_string()))?;
    scope.tenant.restrict(&mut matchers);
    let time = form.time_or("time", api.kit.clock.now_ms())?;
    let lookback = api
        .config
        .engine
        .lookback_delta
        .and_then(|delta| i64::try_from(delta.as_millis()).ok());
    let start = time.saturating_sub(lookback.unwrap_or(FIVE_MINUTES_MS));
    Ok(Question {
        matchers,
        range: TimeRange::new(start.saturating_add(1), time),
        scope,
    })
}

async fn ask(api: &Api, member: &Arc<Member>, question: &Question) -> StoreWhy {
    let info = member.info();
    let mut answer = StoreWhy {
        name: member.address().to_string(),
        component: info.component.as_str(),
        label_sets: info.label_sets.clone(),
        min_time: info.range.map(|range| rfc3339(range.start)),
        max_time: info.range.map(|range| rfc3339(range.end)),
        outcome: Outcome::Failed,
        reason: String::new(),
        series_count: 0,
        series: Vec::new(),
    };
    if !member.has_open_store() {
        answer.reason = match member.health().last_error {
            Some(error) => format!("it is down: {error}"),
            None => "it offers no series".to_owned(),
        };
        return answer;
    }
    let (matchers, scope) = (&question.matchers, &question.scope);
    let why_not = pruned(
        &info,
        member.address(),
        question.range,
        matchers,
        &scope.store_match,
    );
    if let Some(why_not) = why_not {
        answer.outcome = Outcome::Pruned;
        answer.reason = why_not.to_string();
        return answer;
    }
    match latest(api, member, question).await {
        Err(error) => answer.reason = error,
        Ok(found) if found.is_empty() => {
            (answer.outcome, answer.reason) = elsewhere(api, member, question).await;
        }
        Ok(found) => {
            let stale = found.iter().filter(|of| of.is_stale()).count();
            (answer.outcome, answer.reason) = if stale == found.len() {
                let text = "every series ends with a stale marker: the target went away, or no \
                            longer exposes it";
                (Outcome::Stale, text.to_owned())
            } else {
                (
                    Outcome::Has,
                    format!("{} series are current", found.len() - stale),
                )
            };
            answer.series_count = found.len();
            let shown = found.iter().take(MAX_SHOWN);
            answer.series = shown
                .map(|of| SeriesWhy::of(of, &scope.replica_labels))
                .collect();
        }
    }
    answer
}

/// Returns a query of this store alone, its replicas apart.
fn of_store(member: &Member, question: &Question) -> Query {
    let only = Matcher::equal(ADDRESS, member.address().as_ref());
    let reach = Scope {
        dedup: false,
        partial_response: false,
        store_match: vec![vec![only]],
        ..question.scope.clone()
    };
    Query::over(
        reach,
        When::Instant {
            ts: question.range.end,
        },
    )
}

async fn latest(api: &Api, member: &Member, question: &Question) -> Result<Vec<Latest>, String> {
    let (matchers, range) = (question.matchers.clone(), question.range);
    let job = move |work: &crate::service::Work| {
        let mut found = Vec::new();
        read_latest(work, &matchers, range, &mut found)?;
        Ok(found)
    };
    let found = api.service.perform(&of_store(member, question), job).await;
    found.map_err(|error| error.to_string())
}

/// Looks for the series at any time.
async fn elsewhere(api: &Api, member: &Member, question: &Question) -> (Outcome, String) {
    let query = of_store(member, question);
    let request = Arc::new(SeriesRequest {
        skip_chunks: true,
        max_resolution_ms: i64::MAX,
        limit: 1,
        store_match: query.store_match,
        tenant: query.tenant.name(),
        ..SeriesRequest::new(TimeRange::ALL, question.matchers.clone())
    });
    let failed = |error: &dyn std::fmt::Display| (Outcome::Failed, error.to_string());
    let mut stream = match api.service.proxy.select(&request) {
        Ok(selected) => selected.stream,
        Err(error) => return failed(&error),
    };
    while let Some(frame) = stream.next().await {
        match frame {
            Ok(SeriesFrame::Series(_)) => {
                let text = "it has such series, but no sample of that time: nothing was scraped \
                            then, or it was not uploaded or is deleted";
                return (Outcome::OtherTimes, text.to_owned());
            }
            Ok(SeriesFrame::Warning(text)) => return failed(&text),
            Ok(SeriesFrame::Hints(_)) => {}
            Err(error) => return failed(&error),
        }
    }
    let text = "it never had a series that matches";
    (Outcome::Nothing, text.to_owned())
}

impl SeriesWhy {
    fn of(latest: &Latest, replica_labels: &[String]) -> Self {
        let is_replica = |name: &str| replica_labels.iter().any(|label| label == name);
        let (replica, labels): (Vec<_>, Vec<_>) = latest
            .labels
            .iter()
            .map(|label| (label.name, label.value))
            .partition(|(name, _)| is_replica(name));
        Self {
            labels: Labels::from_pairs(labels),
            replica: Labels::from_pairs(replica),
            last_sample: rfc3339(latest.ts),
            stale: latest.is_stale(),
            value: match &latest.value {
                Value::Float(value) => Some(promql::number::format_f(*value)),
                Value::Histogram(_) => None,
            },
        }
    }
}

/// Returns the targets whose labels fit the selector, of all replicas, and what could not be asked.
async fn targets(
    api: &Api,
    form: &Form,
    question: &Question,
) -> Result<(Vec<TargetWhy>, Vec<String>), ApiError> {
    let request = pb::TargetsRequest {
        state: pb::targets_request::State::Active.into(),
        partial_response_strategy: pb::PartialResponseStrategy::Warn.into(),
    };
    let mut peers = peers(api, form)?;
    peers.replica_labels.clear();
    let found = peers.targets(request).await?;
    // Labels of a target are on all of its series; others come with a sample.
    let fits = |labels: &Labels| {
        question
            .matchers
            .iter()
            .all(|m| labels.get(&m.name).is_none_or(|value| m.matches(value)))
    };
    let targets = found.value.active_targets.into_iter().filter_map(|target| {
        let labels = labels(target.labels.as_ref());
        fits(&labels).then(|| TargetWhy {
            labels,
            health: target_health(target.health),
            last_scrape: super::peers::time(target.last_scrape.as_ref()),
            scrape_pool: target.scrape_pool,
            scrape_url: target.scrape_url,
            last_error: target.last_error,
        })
    });
    Ok((targets.collect(), found.warnings))
}

fn verdict(stores: &[StoreWhy], targets: &[TargetWhy], question: &Question) -> String {
    let with = |outcome| stores.iter().filter(move |store| store.outcome == outcome);
    let count = |outcome| with(outcome).count();
    let failed: Vec<&str> = with(Outcome::Failed)
        .map(|store| store.name.as_str())
        .collect();
    let but = if failed.is_empty() {
        String::new()
    } else {
        format!(
            "; not asked for certain: {} did not answer",
            failed.join(", ")
        )
    };
    if stores.is_empty() {
        return "no store is known: give the querier endpoints".to_owned();
    }
    if count(Outcome::Has) > 0 {
        let series = with(Outcome::Has).flat_map(|store| &store.series);
        let mut replicas: Vec<String> = series.map(|series| series.replica.to_string()).collect();
        replicas.sort();
        replicas.dedup();
        let (has, replicas) = (count(Outcome::Has), replicas.len());
        return format!(
            "found in {has} of {} stores, from {replicas} replicas{but}",
            stores.len()
        );
    }
    if count(Outcome::Stale) > 0 {
        return format!(
            "the series ended before that time: their last samples are stale markers{but}"
        );
    }
    let down = targets.iter().find(|target| target.health == "down");
    if count(Outcome::OtherTimes) > 0 {
        return match down {
            Some(target) => format!(
                "there is no sample between {} and {}; the target {} is down: {}{but}",
                rfc3339(question.range.start),
                rfc3339(question.range.end),
                target.scrape_url,
                target.last_error
            ),
            None => format!(
                "there are such series, but none has a sample between {} and {}{but}",
                rfc3339(question.range.start),
                rfc3339(question.range.end)
            ),
        };
    }
    if let Some(target) = down {
        return format!(
            "no store has such series; the target {} is down: {}{but}",
            target.scrape_url, target.last_error
        );
    }
    if count(Outcome::Pruned) == stores.len() {
        return "no store can have it: see the reason of each".to_owned();
    }
    if targets.is_empty() {
        return format!(
            "no store has such series, and no target has such labels: is it scraped at all?{but}"
        );
    }
    format!(
        "no store has such series, though {} targets fit: does one expose the metric, or does \
         metric relabeling drop it?{but}",
        targets.len()
    )
}
