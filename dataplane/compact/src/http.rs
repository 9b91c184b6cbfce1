//! Blocks, plan and status as JSON, for pages, scripts and the operator.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::{Form, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use block::BlockId;
use http::StatusCode;
use runtime::service::Kit;
use serde::Deserialize;
use serde_json::json;
use tsdb::meta::BlockMeta;

use crate::execute::Tools;
use crate::progress::Progress;

/// What the routes show and act through.
#[derive(Debug, Clone)]
pub struct Source {
    pub tools: Tools,
    pub progress: Arc<ArcSwap<Progress>>,
    pub loaded: Arc<ArcSwap<Vec<Arc<BlockMeta>>>>,
    pub web_label: String,
    pub kit: Kit,
    pub started_ms: i64,
}

#[derive(Debug, Deserialize)]
struct View {
    #[serde(default)]
    view: String,
}

#[derive(Debug, Deserialize)]
struct Mark {
    #[serde(default)]
    id: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    detail: String,
}

/// Returns the routes.
pub fn routes(source: Source) -> Router {
    Router::new()
        .route("/api/v1/blocks", get(blocks))
        .route("/api/v1/blocks/mark", post(mark))
        .route("/api/v1/compact/progress", get(progress))
        .route("/api/v1/status/hindsight", get(status))
        .with_state(source)
}

fn success(data: serde_json::Value) -> Response {
    Json(json!({"status": "success", "data": data})).into_response()
}

fn bad_data(error: String) -> Response {
    let body = json!({"status": "error", "errorType": "bad_data", "error": error});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

async fn blocks(State(source): State<Source>, Query(view): Query<View>) -> Response {
    match view.view.as_str() {
        // A compactor works on all blocks that its selection leaves.
        "" | "loaded" | "global" => {}
        other => return bad_data(format!("view {other:?} is not known; use loaded or global")),
    }
    let loaded = source.loaded.load();
    let blocks: Vec<&BlockMeta> = loaded.iter().map(|meta| &**meta).collect();
    success(json!({
        "label": source.web_label,
        "blocks": blocks,
        "refreshedAt": null,
        "err": null,
    }))
}

async fn mark(State(source): State<Source>, Form(mark): Form<Mark>) -> Response {
    let Ok(id) = mark.id.parse::<BlockId>() else {
        return bad_data(format!("id {:?} is no block's", mark.id));
    };
    let marked = match mark.action.as_str() {
        "DELETION" => source.tools.mark_for_deletion(id, &mark.detail).await,
        "NO_COMPACTION" => {
            source
                .tools
                .mark_no_compact(id, "manual", &mark.detail)
                .await
        }
        other => {
            return bad_data(format!(
                "action {other:?} is not known; use DELETION or NO_COMPACTION"
            ));
        }
    };
    match marked {
        Ok(()) => success(serde_json::Value::Null),
        Err(error) => {
            let error = runtime::telemetry::chain(&error);
            let body = json!({"status": "error", "errorType": "internal", "error": error});
            (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
        }
    }
}

async fn progress(State(source): State<Source>) -> Response {
    success(json!(&**source.progress.load()))
}

async fn status(State(source): State<Source>) -> Response {
    let build = source.kit.build;
    let progress = source.progress.load();
    success(json!({
        "component": "compact",
        "version": build.version,
        "revision": build.revision,
        "startedMs": source.started_ms,
        "ready": source.kit.probe.is_ready(),
        "leaseHeld": source.tools.guard.is_held(),
        "blocks": source.loaded.load().len(),
        "phase": progress.phase,
        "lastSuccessMs": progress.last_success_ms,
        "lastError": progress.last_error,
        "todo": progress.todo,
        "etaSeconds": progress.eta_seconds,
        "quarantined": progress.quarantined,
        "foreignCompactor": progress.foreign_compactor,
        "clockSkewMs": progress.clock_skew_ms,
    }))
}
