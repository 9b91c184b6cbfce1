//! `/api/v1/stores` and `/api/v1/status/*`.

use std::collections::BTreeMap;

use axum::response::Response;
use model::Labels;
use runtime::units::HumanDuration;
use serde::Serialize;
use storeapi::StatusApi;
use storeapi::proto::thanos as pb;

use super::error::ApiError;
use super::form::{Form, atoi};
use super::peers::peers;
use super::{State, answer, json};
use crate::peers::tsdb;

/// The release of Thanos whose API this is; tools decide by it what they may call.
const COMPATIBLE_WITH: &str = "0.42.0";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Store {
    name: String,
    last_check: String,
    last_error: Option<String>,
    label_sets: Vec<Labels>,
    min_time: i64,
    max_time: i64,
}

pub(super) async fn stores(api: State) -> Response {
    let mut by_component: BTreeMap<&'static str, Vec<Store>> = BTreeMap::new();
    for member in api.endpoints.listed() {
        let info = member.info();
        let health = member.health();
        let (min_time, max_time) = info
            .range
            .map_or((i64::MAX, i64::MIN), |range| (range.start, range.end));
        by_component
            .entry(info.component.as_str())
            .or_default()
            .push(Store {
                name: member.address().to_string(),
                last_check: rfc3339(health.last_check_ms.unwrap_or(api.started_ms)),
                last_error: health.last_error,
                label_sets: info.label_sets.clone(),
                min_time,
                max_time,
            });
    }
    answer(json::body(&by_component, &[], &[]), false)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildInfo {
    version: String,
    revision: &'static str,
    branch: &'static str,
    build_user: &'static str,
    build_date: &'static str,
    go_version: &'static str,
}

/// Without `features`: tools take anything that has them for another product.
pub(super) async fn build_info(api: State) -> Response {
    let build = api.kit.build;
    let info = BuildInfo {
        version: format!("{COMPATIBLE_WITH}+hindsight.{}", build.version),
        revision: build.revision,
        branch: build.branch,
        build_user: "",
        build_date: "",
        go_version: "",
    };
    answer(json::body(&info, &[], &[]), false)
}

pub(super) async fn flags(api: State) -> Response {
    answer(json::body(&api.config.flags, &[], &[]), false)
}

#[derive(Serialize)]
struct ConfigFile {
    yaml: String,
}

/// A querier has no Prometheus configuration; what of one it has is said in that form.
pub(super) async fn config(api: State) -> Response {
    let interval = HumanDuration(api.config.engine.default_evaluation_interval);
    let yaml = format!("global:\n  evaluation_interval: {interval}\n");
    answer(json::body(&ConfigFile { yaml }, &[], &[]), false)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TsdbStatus {
    head_stats: HeadStats,
    series_count_by_metric_name: Vec<NamedCount>,
    label_value_count_by_label_name: Vec<NamedCount>,
    memory_in_bytes_by_label_name: Vec<NamedCount>,
    series_count_by_label_value_pair: Vec<NamedCount>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HeadStats {
    num_series: u64,
    num_label_pairs: i64,
    chunk_count: i64,
    min_time: i64,
    max_time: i64,
}

#[derive(Serialize)]
struct NamedCount {
    name: String,
    value: u64,
}

/// Entries a list has unless the request says otherwise.
const TSDB_LIMIT: i32 = 10;

/// Sums of what the endpoints' heads hold, over all tenants.
pub(super) async fn tsdb(api: State, form: Form) -> Result<Response, ApiError> {
    let limit = match form.get("limit") {
        "" => TSDB_LIMIT,
        text => atoi(text)
            .ok()
            .and_then(|limit| i32::try_from(limit).ok())
            .filter(|limit| *limit > 0)
            .ok_or_else(|| ApiError::bad_data("limit must be a positive number"))?,
    };
    let partial = form.switch(
        "partial_response",
        api.config.answers.status_partial_response,
    )?;
    let strategy = if partial {
        pb::PartialResponseStrategy::Warn
    } else {
        pb::PartialResponseStrategy::Abort
    };
    let request = pb::TsdbStatisticsRequest {
        limit,
        partial_response_strategy: strategy.into(),
        ..pb::TsdbStatisticsRequest::default()
    };
    let found = peers(&api, &form)?.tsdb_statistics(request).await?;
    let total = tsdb::total(found.value, usize::try_from(limit).unwrap_or(usize::MAX));
    let head = total.head_statistics.unwrap_or_default();
    let named = |list: Vec<pb::Statistic>| {
        let named = list.into_iter().map(|of| NamedCount {
            name: of.name,
            value: of.value,
        });
        named.collect()
    };
    let status = TsdbStatus {
        head_stats: HeadStats {
            num_series: head.num_series,
            num_label_pairs: head.num_label_pairs,
            chunk_count: head.chunk_count,
            min_time: head.min_time,
            max_time: head.max_time,
        },
        series_count_by_metric_name: named(total.series_count_by_metric_name),
        label_value_count_by_label_name: named(total.label_value_count_by_label_name),
        memory_in_bytes_by_label_name: named(total.memory_in_bytes_by_label_name),
        series_count_by_label_value_pair: named(total.series_count_by_label_value_pair),
    };
    let partial = !found.warnings.is_empty();
    Ok(answer(json::body(&status, &found.warnings, &[]), partial))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuntimeInfo {
    start_time: String,
    #[serde(rename = "CWD")]
    cwd: String,
    reload_config_success: bool,
    last_config_time: String,
    corruption_count: u64,
    goroutine_count: u64,
    #[serde(rename = "GOMAXPROCS")]
    threads: usize,
    #[serde(rename = "GOGC")]
    gogc: &'static str,
    #[serde(rename = "GODEBUG")]
    godebug: &'static str,
    storage_retention: &'static str,
}

pub(super) async fn runtime_info(api: State) -> Response {
    let started = rfc3339(api.started_ms);
    let info = RuntimeInfo {
        start_time: started.clone(),
        cwd: std::env::current_dir()
            .map(|dir| dir.display().to_string())
            .unwrap_or_default(),
        reload_config_success: true,
        last_config_time: started,
        corruption_count: 0,
        goroutine_count: 0,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        gogc: "",
        godebug: "",
        storage_retention: "",
    };
    answer(json::body(&info, &[], &[]), false)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    component: &'static str,
    version: &'static str,
    revision: &'static str,
    start_time: String,
    ready: bool,
    stores: usize,
    stores_up: usize,
}

/// What the operator reads of every component.
pub(super) async fn hindsight(api: State) -> Response {
    let members = api.endpoints.members();
    let status = Status {
        component: api.component,
        version: api.kit.build.version,
        revision: api.kit.build.revision,
        start_time: rfc3339(api.started_ms),
        ready: api.kit.probe.is_ready(),
        stores: members.len(),
        stores_up: members
            .iter()
            .filter(|member| member.health().last_error.is_none())
            .count(),
    };
    answer(json::body(&status, &[], &[]), false)
}

/// Returns milliseconds since the Unix epoch as RFC 3339.
pub(super) fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| ms.to_string(), |timestamp| timestamp.to_string())
}
