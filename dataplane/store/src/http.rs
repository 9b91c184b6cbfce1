//! The blocks as JSON, for pages and scripts.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tsdb::meta::BlockMeta;

use crate::bucket_store::BucketStore;

#[derive(Clone)]
struct Blocks {
    store: Arc<BucketStore>,
    label: Arc<str>,
}

#[derive(Debug, Deserialize)]
struct Parameters {
    #[serde(default)]
    view: String,
}

#[derive(Debug, Serialize)]
struct Loaded<'a> {
    label: &'a str,
    blocks: Vec<BlockMeta>,
    #[serde(rename = "refreshedAt")]
    refreshed_at: Option<String>,
    err: Option<String>,
}

/// Returns `GET /api/v1/blocks`. `label` is the external label by which pages name blocks.
pub fn routes(store: Arc<BucketStore>, label: &str) -> Router {
    let state = Blocks {
        store,
        label: label.into(),
    };
    Router::new()
        .route("/api/v1/blocks", get(blocks))
        .with_state(state)
}

async fn blocks(State(state): State<Blocks>, Query(parameters): Query<Parameters>) -> Response {
    match parameters.view.as_str() {
        // A store gateway knows the blocks it serves and no others.
        "" | "loaded" | "global" => {}
        other => {
            let error = format!("view {other:?} is not known; use loaded or global");
            let body = json!({"status": "error", "errorType": "bad_data", "error": error});
            return (StatusCode::BAD_REQUEST, Json(body)).into_response();
        }
    }
    let catalog = state.store.catalog();
    let blocks = catalog
        .blocks()
        .map(|block| (*block.meta).clone())
        .collect();
    let loaded = Loaded {
        label: &state.label,
        blocks,
        refreshed_at: None,
        err: None,
    };
    Json(json!({"status": "success", "data": loaded})).into_response()
}
