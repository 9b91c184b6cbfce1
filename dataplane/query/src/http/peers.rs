//! `/api/v1/{rules,alerts,targets,metadata,query_exemplars}`: what the endpoints' Prometheuses say.

use std::collections::BTreeMap;

use axum::response::Response;
use http::HeaderMap;
use model::{Labels, Matcher};
use prost_types::Timestamp;
use serde::Serialize;
use storeapi::info::from_wire_labels;
use storeapi::proto::thanos as pb;
use storeapi::proto::thanos::rule::Result as Kind;
use storeapi::{ExemplarsApi, MetadataApi, RulesApi, TargetsApi};

use super::error::ApiError;
use super::form::{Form, MAX_TIME_MS, MIN_TIME_MS, atoi};
use super::number::push_float;
use super::scope::tenant;
use super::{State, answer, json};
use crate::peers::Peers;

pub(super) fn peers(api: &super::Api, form: &Form) -> Result<Peers, ApiError> {
    let asked: Vec<String> = form.all("replicaLabels[]").map(str::to_owned).collect();
    let replica_labels = match (form.switch("dedup", true)?, asked.is_empty()) {
        (false, _) => Vec::new(),
        (true, true) => api.config.answers.replica_labels.clone(),
        (true, false) => asked,
    };
    Ok(Peers {
        endpoints: std::sync::Arc::clone(&api.endpoints),
        replica_labels,
    })
}

fn strategy(form: &Form, default: bool) -> Result<i32, ApiError> {
    Ok(match form.switch("partial_response", default)? {
        true => pb::PartialResponseStrategy::Warn.into(),
        false => pb::PartialResponseStrategy::Abort.into(),
    })
}

fn respond<T: Serialize>(data: &T, warnings: &[String]) -> Response {
    answer(json::body(data, warnings, &[]), !warnings.is_empty())
}

pub(super) fn labels(set: Option<&pb::LabelSet>) -> Labels {
    set.map_or_else(Labels::empty, |set| from_wire_labels(&set.labels))
}

pub(super) fn time(at: Option<&Timestamp>) -> String {
    const NEVER: &str = "0001-01-01T00:00:00Z";
    at.and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok())
        .map_or_else(|| NEVER.to_owned(), |at| at.to_string())
}

fn state(state: i32) -> &'static str {
    match pb::AlertState::try_from(state) {
        Ok(pb::AlertState::Inactive) => "inactive",
        Ok(pb::AlertState::Pending) => "pending",
        Ok(pb::AlertState::Firing) => "firing",
        _ => "unknown",
    }
}

#[derive(Serialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    file: String,
    rules: Vec<Rule>,
    interval: f64,
    limit: i64,
    evaluation_time: f64,
    last_evaluation: String,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Rule {
    #[serde(rename = "alerting", rename_all = "camelCase")]
    Alerting {
        state: &'static str,
        name: String,
        query: String,
        duration: f64,
        keep_firing_for: f64,
        labels: Labels,
        annotations: Labels,
        alerts: Vec<Alert>,
        health: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        last_error: String,
        evaluation_time: f64,
        last_evaluation: String,
    },
    #[serde(rename = "recording", rename_all = "camelCase")]
    Recording {
        name: String,
        query: String,
        labels: Labels,
        health: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        last_error: String,
        evaluation_time: f64,
        last_evaluation: String,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    labels: Labels,
    annotations: Labels,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    active_at: Option<String>,
    value: String,
}

impl From<pb::AlertInstance> for Alert {
    fn from(alert: pb::AlertInstance) -> Self {
        Self {
            labels: labels(alert.labels.as_ref()),
            annotations: labels(alert.annotations.as_ref()),
            state: state(alert.state),
            active_at: alert.active_at.as_ref().map(|at| time(Some(at))),
            value: alert.value,
        }
    }
}

fn rule(rule: pb::Rule, exclude_alerts: bool) -> Option<Rule> {
    Some(match rule.result? {
        Kind::Alert(alert) => Rule::Alerting {
            state: state(alert.state),
            name: alert.name,
            query: alert.query,
            duration: alert.duration_seconds,
            keep_firing_for: alert.keep_firing_for_seconds,
            labels: labels(alert.labels.as_ref()),
            annotations: labels(alert.annotations.as_ref()),
            alerts: if exclude_alerts {
                Vec::new()
            } else {
                alert.alerts.into_iter().map(Alert::from).collect()
            },
            health: alert.health,
            last_error: alert.last_error,
            evaluation_time: alert.evaluation_duration_seconds,
            last_evaluation: time(alert.last_evaluation.as_ref()),
        },
        Kind::Recording(rule) => Rule::Recording {
            name: rule.name,
            query: rule.query,
            labels: labels(rule.labels.as_ref()),
            health: rule.health,
            last_error: rule.last_error,
            evaluation_time: rule.evaluation_duration_seconds,
            last_evaluation: time(rule.last_evaluation.as_ref()),
        },
    })
}

pub(super) async fn rules(
    api: State,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, ApiError> {
    use pb::rules_request::Type;
    let kind = match form.get("type") {
        "" => Type::All,
        "alert" => Type::Alert,
        "record" => Type::Record,
        other => {
            let text = model::labels::quote(other);
            let reason = format!("not supported value {text}");
            return Err(ApiError::invalid_parameter("type", reason));
        }
    };
    let exclude_alerts = form.switch("exclude_alerts", false)?;
    let all = |name| form.all(name).map(str::to_owned).collect();
    let request = pb::RulesRequest {
        r#type: kind.into(),
        partial_response_strategy: strategy(&form, api.config.answers.rules_partial_response)?,
        matcher_string: rule_selectors(&api, &headers, &form)?,
        rule_name: all("rule_name[]"),
        rule_group: all("rule_group[]"),
        file: all("file[]"),
    };
    let found = peers(&api, &form)?.rules(request).await?;
    let groups = found.value.into_iter().map(|group| Group {
        rules: group
            .rules
            .into_iter()
            .filter_map(|of| rule(of, exclude_alerts))
            .collect(),
        interval: group.interval,
        limit: group.limit,
        evaluation_time: group.evaluation_duration_seconds,
        last_evaluation: time(group.last_evaluation.as_ref()),
        name: group.name,
        file: group.file,
    });
    Ok(respond(
        &Groups {
            groups: groups.collect(),
        },
        &found.warnings,
    ))
}

/// Returns the selectors that a rule's labels have to match one of; none is no condition.
fn rule_selectors(
    api: &super::Api,
    headers: &HeaderMap,
    form: &Form,
) -> Result<Vec<String>, ApiError> {
    let tenant = tenant(headers, &api.config.answers)?;
    let mut sets = form.selectors("match[]")?;
    tenant.restrict_all(&mut sets);
    let text = |set: &Vec<Matcher>| {
        let matchers: Vec<_> = set.iter().map(ToString::to_string).collect();
        format!("{{{}}}", matchers.join(","))
    };
    Ok(sets.iter().map(text).collect())
}

#[derive(Serialize)]
struct Alerts {
    alerts: Vec<Alert>,
}

pub(super) async fn alerts(
    api: State,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, ApiError> {
    let request = pb::RulesRequest {
        r#type: pb::rules_request::Type::Alert.into(),
        partial_response_strategy: strategy(&form, api.config.answers.rules_partial_response)?,
        matcher_string: rule_selectors(&api, &headers, &form)?,
        ..pb::RulesRequest::default()
    };
    let found = peers(&api, &form)?.rules(request).await?;
    let rules = found.value.into_iter().flat_map(|group| group.rules);
    let alerts = rules.filter_map(|rule| match rule.result {
        Some(Kind::Alert(alert)) => Some(alert.alerts.into_iter().map(Alert::from)),
        _ => None,
    });
    Ok(respond(
        &Alerts {
            alerts: alerts.flatten().collect(),
        },
        &found.warnings,
    ))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Targets {
    active_targets: Vec<ActiveTarget>,
    dropped_targets: Vec<DroppedTarget>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ActiveTarget {
    discovered_labels: Labels,
    labels: Labels,
    scrape_pool: String,
    scrape_url: String,
    global_url: String,
    last_error: String,
    last_scrape: String,
    last_scrape_duration: f64,
    health: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DroppedTarget {
    discovered_labels: Labels,
}

pub(super) async fn targets(
    api: State,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, ApiError> {
    use pb::targets_request::State as Wanted;
    let wanted = match form.get("state") {
        "" | "any" => Wanted::Any,
        "active" => Wanted::Active,
        "dropped" => Wanted::Dropped,
        other => {
            return Err(ApiError::bad_data(format!(
                "invalid targets parameter state={}: use any, active or dropped",
                model::labels::quote(other)
            )));
        }
    };
    let request = pb::TargetsRequest {
        state: wanted.into(),
        partial_response_strategy: strategy(&form, api.config.answers.targets_partial_response)?,
    };
    let tenant = tenant(&headers, &api.config.answers)?;
    let mut found = peers(&api, &form)?.targets(request).await?;
    if let Some(own) = tenant.enforced() {
        let of_tenant = |target: &pb::ActiveTarget| {
            let labels = labels(target.labels.as_ref());
            own.matches(labels.get(&own.name).unwrap_or_default())
        };
        found.value.active_targets.retain(of_tenant);
        // What was dropped before it had labels is nobody's.
        found.value.dropped_targets.clear();
    }
    let active = found
        .value
        .active_targets
        .into_iter()
        .map(|target| ActiveTarget {
            discovered_labels: labels(target.discovered_labels.as_ref()),
            labels: labels(target.labels.as_ref()),
            health: target_health(target.health),
            last_scrape: time(target.last_scrape.as_ref()),
            scrape_pool: target.scrape_pool,
            scrape_url: target.scrape_url,
            global_url: target.global_url,
            last_error: target.last_error,
            last_scrape_duration: target.last_scrape_duration,
        });
    let dropped = found
        .value
        .dropped_targets
        .iter()
        .map(|target| DroppedTarget {
            discovered_labels: labels(target.discovered_labels.as_ref()),
        });
    let targets = Targets {
        active_targets: active.collect(),
        dropped_targets: dropped.collect(),
    };
    Ok(respond(&targets, &found.warnings))
}

pub(super) fn target_health(health: i32) -> &'static str {
    match pb::TargetHealth::try_from(health) {
        Ok(pb::TargetHealth::Up) => "up",
        Ok(pb::TargetHealth::Down) => "down",
        _ => "unknown",
    }
}

#[derive(Serialize)]
struct Meta {
    r#type: String,
    help: String,
    unit: String,
}

pub(super) async fn metric_metadata(api: State, form: Form) -> Result<Response, ApiError> {
    let limit = match form.get("limit") {
        "" => -1,
        text => atoi(text)
            .ok()
            .and_then(|limit| i32::try_from(limit).ok())
            .ok_or_else(|| ApiError::bad_data("limit must be a number"))?,
    };
    let request = pb::MetricMetadataRequest {
        metric: form.get("metric").to_owned(),
        limit,
        partial_response_strategy: strategy(&form, api.config.answers.metadata_partial_response)?,
    };
    let found = peers(&api, &form)?.metric_metadata(request).await?;
    let metadata: BTreeMap<String, Vec<Meta>> = found
        .value
        .metadata
        .into_iter()
        .map(|(metric, entry)| {
            let metas = entry.metas.into_iter();
            let metas = metas.map(|m| Meta {
                r#type: m.r#type,
                help: m.help,
                unit: m.unit,
            });
            (metric, metas.collect())
        })
        .collect();
    Ok(respond(&metadata, &found.warnings))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SeriesExemplars {
    series_labels: Labels,
    exemplars: Vec<Exemplar>,
}

#[derive(Serialize)]
struct Exemplar {
    labels: Labels,
    value: String,
    timestamp: f64,
}

pub(super) async fn exemplars(
    api: State,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, ApiError> {
    let start = form.time_or("start", MIN_TIME_MS)?;
    let end = form.time_or("end", MAX_TIME_MS)?;
    if end < start {
        return Err(ApiError::bad_data(
            "end timestamp must not be before start timestamp",
        ));
    }
    let mut query = form.get("query").to_owned();
    let mut expr = api
        .service
        .parse(&query)
        .map_err(|error| ApiError::bad_data(error.to_string()))?;
    let tenant = tenant(&headers, &api.config.answers)?;
    if tenant.enforced().is_some() {
        tenant.restrict_expr(&mut expr);
        query = expr.to_string();
    }
    let request = pb::ExemplarsRequest {
        query,
        start,
        end,
        partial_response_strategy: strategy(&form, api.config.answers.exemplars_partial_response)?,
    };
    let found = peers(&api, &form)?.exemplars(request).await?;
    let data: Vec<SeriesExemplars> = found
        .value
        .into_iter()
        .map(|data| SeriesExemplars {
            series_labels: labels(data.series_labels.as_ref()),
            exemplars: data.exemplars.into_iter().map(exemplar).collect(),
        })
        .collect();
    Ok(respond(&data, &found.warnings))
}

fn exemplar(exemplar: pb::Exemplar) -> Exemplar {
    let mut value = Vec::new();
    push_float(&mut value, exemplar.value);
    Exemplar {
        labels: labels(exemplar.labels.as_ref()),
        value: String::from_utf8(value).unwrap_or_default(),
        timestamp: json::seconds(exemplar.ts),
    }
}
