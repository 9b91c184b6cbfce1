//! `/api/v1/status/hindsight`: what an operator wants to know of this store gateway.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use runtime::service::Kit;
use serde_json::{Value, json};

use crate::bucket_store::BucketStore;
use crate::duplicates::duplicates;

#[derive(Clone)]
struct Source {
    store: Arc<BucketStore>,
    kit: Kit,
    started_ms: i64,
}

/// Returns the route.
pub fn routes(store: Arc<BucketStore>, kit: &Kit) -> Router {
    let started_ms = kit.clock.now_ms();
    let kit = kit.clone();
    let source = Source {
        store,
        kit,
        started_ms,
    };
    Router::new()
        .route("/api/v1/status/hindsight", get(status))
        .with_state(source)
}

async fn status(State(source): State<Source>) -> Json<Value> {
    let build = source.kit.build;
    let catalog = source.store.catalog();
    let duplicates = duplicates(
        catalog.blocks().map(AsRef::as_ref),
        source.kit.clock.now_ms(),
    );
    Json(json!({
        "status": "success",
        "data": {
            "component": "store",
            "version": build.version,
            "revision": build.revision,
            "startedMs": source.started_ms,
            "ready": source.kit.probe.is_ready(),
            "blocks": catalog.blocks().count(),
            "duplicateStreams": duplicates,
        },
    }))
}
